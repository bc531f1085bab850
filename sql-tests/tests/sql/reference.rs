//! `docs/sql.md` says what is true: its examples run, and its lists are the server's.
//!
//! `UPDATE_DOCS=1 cargo test -p levada-sql-tests reference` writes the lists.

use std::fmt::Write;
use std::path::Path;

use levada_engine::reference::{self, ReferenceEntry};
use levada_engine::{Engine, EngineOptions};

use crate::in_process::InProcess;
use crate::kafka::Broker;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md");

/// Before the names of topics: other tests on the same broker have topics of these names.
const PREFIX: &str = "reference-";

/// An engine on a folder of its own, which goes with it.
fn engine() -> (Engine, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a temporary folder");
    (Engine::open(EngineOptions::new(data.path())).expect("an engine"), data)
}

fn page() -> String {
    std::fs::read_to_string(PAGE).expect("docs/sql.md")
}

/// The statements of each block of SQL, with the line that the block begins at.
fn examples(page: &str) -> Vec<(usize, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<String>, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match &mut open {
            None if line == "```sql" => open = Some((number + 1, Vec::new(), String::new())),
            None => {}
            Some((start, statements, rest)) if line == "```" => {
                assert!(rest.trim().is_empty(), "line {}: a statement without its semicolon: {rest}", number + 1);
                blocks.push((*start, std::mem::take(statements)));
                open = None;
            }
            Some((_, statements, rest)) => {
                rest.push_str(line);
                rest.push('\n');
                if line.ends_with(';') {
                    statements.push(std::mem::take(rest));
                }
            }
        }
    }
    blocks
}

/// The topics that a block of statements reads.
fn topics(statements: &[String]) -> impl Iterator<Item = &str> {
    let named = |statement: &'_ String| statement.split("topic = '").nth(1).map(str::len);
    statements.iter().filter_map(move |statement| {
        let after = &statement[statement.len() - named(statement)?..];
        after.split('\'').next()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs() {
    let blocks = examples(&page());
    assert!(blocks.len() > 8, "docs/sql.md lost its examples");
    for (line, statements) in blocks {
        let (engine, _data) = engine();
        let mut session = InProcess::connect(&engine, false).expect("a session");
        for topic in topics(&statements) {
            Broker::shared().create_topic(&format!("{PREFIX}{topic}"), 1).await;
        }
        for statement in &statements {
            let local = match statement.contains("localhost:9092") {
                true => statement
                    .replace("localhost:9092", &Broker::shared().address())
                    .replace("topic = '", &format!("topic = '{PREFIX}")),
                false => statement.clone(),
            };
            let outcome = session.rows(&local).await;
            outcome.unwrap_or_else(|error| panic!("docs/sql.md, block of line {line}: {statement}{error}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_the_servers() {
    let (engine, _data) = engine();
    let mut session = InProcess::connect(&engine, false).expect("a session");
    let before = page();
    let mut after = before.clone();
    let lists = [
        ("settings", settings(&mut session).await),
        ("types", types(&mut session).await),
        ("operators", entries(&reference::operators(), "operator", "left, right")),
        ("functions", entries(&reference::functions(), "function", "arguments")),
        ("relations", relations(&mut session).await),
    ];
    for (name, list) in lists {
        after = with_list(&after, name, &list);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(Path::new(PAGE), &after).expect("docs/sql.md, written");
        return;
    }
    let differs = before.lines().zip(after.lines()).position(|(before, after)| before != after);
    assert!(
        before == after,
        "docs/sql.md is not what the server has, from line {} on: run UPDATE_DOCS=1 cargo test -p levada-sql-tests reference",
        differs.map_or(before.lines().count(), |line| line + 1)
    );
}

/// The page with what stands between `<!-- name -->` and `<!-- end -->` replaced.
fn with_list(page: &str, name: &str, list: &str) -> String {
    let begin = format!("<!-- {name} -->\n");
    let start = page.find(&begin).unwrap_or_else(|| panic!("docs/sql.md has no {begin}")) + begin.len();
    let end = start + page[start..].find("<!-- end -->").expect("the end of a list");
    format!("{}\n{list}\n{}", &page[..start], &page[end..])
}

/// A table of Markdown.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
    text.push_str(&line(&vec!["---".to_owned(); head.len()]));
    rows.into_iter().for_each(|row| text.push_str(&line(&row)));
    text
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

async fn rows(session: &mut InProcess, sql: &str) -> Vec<Vec<String>> {
    let rows = session.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

async fn settings(session: &mut InProcess) -> String {
    let rows = rows(session, "SHOW ALL").await;
    table(
        &["setting", "default", "meaning"],
        rows.into_iter().map(|row| vec![code(&row[0]), code(&row[1]), row[2].clone()]),
    )
}

async fn types(session: &mut InProcess) -> String {
    let sql = "SELECT format_type(oid, NULL), typname FROM pg_type \
               WHERE typtype = 'b' AND typcategory <> 'A' AND format_type(oid, NULL) <> '???' AND typnamespace = 'pg_catalog'::regnamespace ORDER BY oid";
    let rows = rows(session, sql).await;
    table(&["type", "short name"], rows.into_iter().map(|row| vec![code(&row[0]), code(&row[1])]))
}

async fn relations(session: &mut InProcess) -> String {
    let sql = "SELECT table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
               FROM information_schema.columns WHERE table_schema = 'levada_catalog' GROUP BY 1 ORDER BY 1";
    let rows = rows(session, sql).await;
    table(&["relation", "columns"], rows.into_iter().map(|row| vec![code(&row[0]), row[1].clone()]))
}

fn entries(entries: &[ReferenceEntry], what: &str, forms: &str) -> String {
    let mut text = String::new();
    for family in entries.chunk_by(|one, next| one.family == next.family) {
        let rows = family.iter().map(|entry| {
            let forms: Vec<String> = entry.forms.iter().map(|form| code(form)).collect();
            vec![code(entry.name), forms.join("<br>")]
        });
        let head = [what, &format!("({forms}) → result")];
        write!(text, "### {}\n\n{}\n", family[0].family, table(&head, rows)).expect("a string grows");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
