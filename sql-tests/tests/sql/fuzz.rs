//! The statements of the scripts, garbled: whatever they have become, there is an answer or an error with a code, soon.
//!
//! `LEVADA_FUZZ=from..to` tries other seeds than the suite has time for.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use levada_engine::{Engine, EngineOptions};
use levada_testing::{Dice, seeds};
use sqllogictest::Record;

use crate::in_process::InProcess;
use crate::render::SqlError;
use crate::scripts::scripts;

/// A statement that takes longer hangs: its own timeout is much shorter.
const PATIENCE: Duration = Duration::from_secs(60);

/// The statements of all scripts that ask for nothing outside and may run as often as one likes.
fn statements() -> Vec<String> {
    let mut found = Vec::new();
    for script in ["postgres", "views", "levada"].into_iter().flat_map(scripts) {
        found.extend(script.records.into_iter().filter_map(|record| match record {
            Record::Statement { sql, .. } | Record::Query { sql, .. } => Some(sql),
            _ => None,
        }));
    }
    // A broker that does not answer costs seconds.
    found.retain(|sql| !sql.contains("bootstrap.server"));
    found
}

/// Words, numbers, quoted texts and single signs, with the blanks between them.
fn pieces(sql: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

const WORDS: &[&str] = &[
    "NULL",
    "-1",
    "0",
    "9223372036854775807",
    "1e400",
    "'NaN'",
    "'infinity'",
    "''",
    "'\u{1f980}'",
    "E'\\x00'",
    "(",
    ")",
    ",",
    "*",
    "::",
    "numeric(38,20)",
    "int[]",
    "interval",
    "timestamptz",
    "jsonb",
    "DISTINCT",
    "ORDER BY",
    "LIMIT",
    "GROUP BY",
    "HAVING",
    "JOIN",
    "LATERAL",
    "UNION ALL",
    "EXCEPT",
    "WITH RECURSIVE",
    "OVER ()",
    "FILTER (WHERE",
    "[1]",
    "= ANY(",
    "NOT IN (",
    "EXISTS (",
    "$1",
    "$$",
    "--",
    "/*",
    ";",
    "U&'\\0061'",
    "::regclass",
    "now()",
    "ARRAY[",
    "ROW(",
    "CASE WHEN",
    "END",
    "generate_series(1, 5)",
    "unnest(ARRAY[1, NULL])",
    "COALESCE(",
    "sum(",
    "count(*)",
    "'1 day'",
];

/// A statement with a few pieces gone, doubled, swapped, or from elsewhere.
fn garbled(dice: &mut Dice, all: &[String]) -> String {
    let base = &all[dice.below(all.len())];
    let mut pieces = pieces(base);
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(pieces.len());
        match dice.below(7) {
            0 => drop(pieces.remove(at)),
            1 => pieces.insert(at, pieces[at]),
            2 => {
                let other = dice.below(pieces.len());
                pieces.swap(at, other);
            }
            3 | 4 => pieces[at] = dice.pick(WORDS),
            5 => pieces.insert(at, dice.pick(WORDS)),
            _ => {
                let other = self::pieces(&all[dice.below(all.len())]);
                let from = dice.below(other.len());
                let to = other.len().min(from + 1 + dice.below(6));
                drop(pieces.splice(at..at, other[from..to].iter().copied()));
            }
        }
        if pieces.is_empty() {
            break;
        }
    }
    pieces.concat()
}

/// What is wrong with how a statement was answered.
fn fault(error: &SqlError) -> Option<String> {
    let SqlError { sqlstate, message, .. } = error;
    (sqlstate.len() != 5 || sqlstate == "XX000" || sqlstate == "XX001").then(|| format!("{sqlstate} {message}"))
}

async fn session(engine: &Engine) -> InProcess {
    let mut session = InProcess::connect(engine, false).expect("a session");
    session.rows("SET statement_timeout = '5s'").await.expect("a setting");
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbled_statements_have_an_answer() {
    let all = statements();
    let mut wrong = Vec::new();
    let data = tempfile::tempdir().expect("a temporary folder");
    let options = EngineOptions { step_threads: 1, query_threads: 1, ..EngineOptions::new(data.path()) };
    let engine = Engine::open(options).expect("an engine");
    for seed in seeds(40) {
        let mut dice = Dice::new(seed);
        let mut client = session(&engine).await;
        // A script's own statements make what garbled ones speak of.
        for _ in 0..25 {
            let sql = if dice.below(4) == 0 { dice.pick(&all) } else { garbled(&mut dice, &all) };
            let answer = AssertUnwindSafe(tokio::time::timeout(PATIENCE, client.rows(&sql))).catch_unwind().await;
            let found = match answer {
                Ok(Ok(Ok(_))) => None,
                Ok(Ok(Err(error))) => fault(&error),
                Ok(Err(_)) => Some("no answer".to_owned()),
                Err(_) => Some("a panic".to_owned()),
            };
            if let Some(found) = found {
                wrong.push(format!("seed {seed}: {found}\n    {sql}"));
                client = session(&engine).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} statements:\n{}", wrong.len(), wrong.join("\n"));
}
