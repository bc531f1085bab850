//! A database in a directory of its own, and SQL on it as text.

use std::path::Path;

use futures::StreamExt;
use levada_engine::error::Result;
use levada_engine::format;
use levada_engine::{Engine, EngineOptions, Response, Session, SessionParams};

/// Opens the database in a directory.
pub fn open(directory: &Path) -> Engine {
    let options = EngineOptions { step_threads: 2, query_threads: 1, ..EngineOptions::new(directory) };
    Engine::open(options).expect("the database opens")
}

/// A session on it.
pub fn session(engine: &Engine) -> Session {
    let params = SessionParams { user: "ada".into(), database: "levada".into(), settings: Vec::new() };
    engine.session(params).expect("a session begins")
}

/// Runs the statements of a query string; the rows of the last one, values joined by `|`.
pub async fn sql(session: &mut Session, text: &str) -> Result<Vec<String>> {
    let statements = session.parse(text).await?;
    let several = statements.len() > 1;
    if several {
        session.begin_implicit();
    }
    let mut rows = Vec::new();
    for statement in &statements {
        let outcome = match session.simple(statement).await {
            Ok(response) => collect(response).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(result) => rows = result,
            Err(error) => {
                session.end_implicit(false).await?;
                return Err(error);
            }
        }
    }
    session.end_implicit(true).await?;
    Ok(rows)
}

async fn collect(response: Response) -> Result<Vec<String>> {
    let Response::Rows { columns, mut rows, .. } = response else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let value =
                |(at, column): (usize, &levada_engine::OutputColumn)| format::shown(batch.column(at), &column.ty, row);
            lines.push(columns.iter().enumerate().map(value).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

/// The one value of a query.
pub async fn value(session: &mut Session, text: &str) -> String {
    let rows = sql(session, text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(rows.len(), 1, "{text}");
    rows.into_iter().next().unwrap_or_default()
}

/// Runs statements that must succeed.
pub async fn run(session: &mut Session, text: &str) -> Vec<String> {
    sql(session, text).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}
