//! A session of an engine in this process.

use async_trait::async_trait;
use futures::TryStreamExt;
use levada_engine::error::Error;
use levada_engine::format::value_text;
use levada_engine::{Engine, Response, Session, SessionParams, Statement};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};

use crate::render::{Answer, Column, SqlError};

pub struct InProcess {
    session: Session,
    with_positions: bool,
}

impl InProcess {
    pub fn connect(engine: &Engine, with_positions: bool) -> Result<InProcess, SqlError> {
        let params =
            SessionParams { user: "postgres".to_owned(), database: "levada".to_owned(), ..SessionParams::default() };
        let session = engine.session(params).map_err(|error| sql_error(&error, with_positions))?;
        Ok(InProcess { session, with_positions })
    }

    /// The rows of a query, in text form; none for a statement that has no rows.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let (answers, _) = self.run_or_fail(sql).await?;
        Ok(answers.into_iter().flat_map(|answer| answer.rows).collect())
    }

    async fn run_or_fail(&mut self, sql: &str) -> Result<(Vec<Answer>, u64), SqlError> {
        match self.run_all(sql).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                // Rows may fail after their statement was accepted.
                self.session.fail();
                self.session.end_implicit(false).await.map_err(|error| sql_error(&error, self.with_positions))?;
                Err(sql_error(&error, self.with_positions))
            }
        }
    }

    /// Runs a query string as the server does: several statements succeed together or not at all.
    async fn run_all(&mut self, sql: &str) -> Result<(Vec<Answer>, u64), Error> {
        let statements = self.session.parse(sql).await?;
        if statements.len() > 1 {
            self.session.begin_implicit();
        }
        let mut answers = Vec::new();
        let mut changed = 0;
        for statement in &statements {
            match self.run_one(statement).await? {
                Outcome::Answer(answer) => answers.push(answer),
                Outcome::Changed(rows) => changed = rows,
            }
        }
        self.session.end_implicit(true).await?;
        // Several answers show their columns' names alone, as over the wire.
        if statements.len() > 1 {
            answers.iter_mut().flat_map(|answer| &mut answer.columns).for_each(|column| column.ty = None);
        }
        Ok((answers, changed))
    }

    async fn run_one(&mut self, statement: &Statement) -> Result<Outcome, Error> {
        let (columns, batches) = match self.session.simple(statement).await? {
            Response::Empty => return Ok(Outcome::Changed(0)),
            Response::Complete { tag } => {
                // `INSERT 0 3`, `UPDATE 3`, `CREATE TABLE`
                let rows = tag.rsplit(' ').next().and_then(|rows| rows.parse().ok());
                return Ok(Outcome::Changed(rows.unwrap_or(0)));
            }
            Response::Rows { columns, rows, .. } => (columns, rows.try_collect::<Vec<_>>().await?),
        };
        let settings = self.session.format_settings();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let values = columns.iter().zip(batch.columns());
                rows.push(
                    values
                        .map(|(column, array)| value_text(array, &column.ty, row, &settings))
                        .collect::<Result<_, _>>()?,
                );
            }
        }
        let columns = columns
            .iter()
            .map(|column| Column { name: column.name.clone(), ty: Some((column.ty.type_name(), column.ty.typmod())) })
            .collect();
        Ok(Outcome::Answer(Answer { columns, rows }))
    }
}

enum Outcome {
    Answer(Answer),
    /// How many rows changed.
    Changed(u64),
}

#[async_trait]
impl AsyncDB for InProcess {
    type Error = SqlError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, SqlError> {
        let (answers, changed) = self.run_or_fail(sql).await?;
        Ok(Answer::output(&answers, changed))
    }

    async fn shutdown(&mut self) {}

    async fn sleep(duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.sqlstate.clone())
    }
}

fn sql_error(error: &Error, with_positions: bool) -> SqlError {
    SqlError {
        sqlstate: error.sqlstate().code().to_owned(),
        message: error.message().to_owned(),
        position: error.position().filter(|_| with_positions),
    }
}
