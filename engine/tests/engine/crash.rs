//! The process dies at every stage of the log and of a checkpoint, and by kill -9 while it works: what it acknowledged is
//! there, nothing is there twice, and views fit their tables.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::database::{open, run, session, sql};

/// Where the child works; set for children only.
const DIRECTORY: &str = "LEVADA_TEST_DIRECTORY";
/// The statement at which the child goes on.
const FIRST: &str = "LEVADA_TEST_FIRST";

const SCHEMA: &str = "
    CREATE TABLE entry (id int PRIMARY KEY, kind int, amount bigint);
    CREATE MATERIALIZED VIEW per_kind AS SELECT kind, count(*) AS n, sum(amount) AS total, max(amount) AS most
        FROM entry GROUP BY kind;
    CREATE MATERIALIZED VIEW best AS SELECT id, amount FROM entry ORDER BY amount DESC, id LIMIT 5;";

/// A statement of the workload, and what it does to the table: `None` deletes.
struct Write1 {
    sql: String,
    id: u64,
    row: Option<(u64, u64)>,
}

/// Statement `n`: one in four deletes, one in four updates, the others insert; a checkpoint at every tenth.
fn statement(n: u64, model: &BTreeMap<u64, (u64, u64)>) -> Write1 {
    let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let old = model.keys().nth(random as usize % model.len().max(1)).copied();
    let row = (random % 5, random % 1000);
    match (n % 4, old) {
        (1, Some(id)) => Write1 { sql: format!("DELETE FROM entry WHERE id = {id}"), id, row: None },
        (2, Some(id)) => {
            let sql = format!("UPDATE entry SET kind = {}, amount = {} WHERE id = {id}", row.0, row.1);
            Write1 { sql, id, row: Some(row) }
        }
        _ => {
            let sql = format!("INSERT INTO entry VALUES ({n}, {}, {})", row.0, row.1);
            Write1 { sql, id: n, row: Some(row) }
        }
    }
}

/// The table after the first `n` statements.
fn model_after(n: u64) -> BTreeMap<u64, (u64, u64)> {
    let mut model = BTreeMap::new();
    for n in 0..n {
        apply(&statement(n, &model), &mut model);
    }
    model
}

fn apply(write: &Write1, model: &mut BTreeMap<u64, (u64, u64)>) {
    match write.row {
        Some(row) => model.insert(write.id, row),
        None => model.remove(&write.id),
    };
}

/// Not a test of its own: what the parents below run in another process, where the variables are set.
#[tokio::test]
async fn child() {
    let (Ok(directory), Ok(first)) = (std::env::var(DIRECTORY), std::env::var(FIRST)) else { return };
    let engine = open(Path::new(&directory));
    let mut ada = session(&engine);
    let first: u64 = first.parse().unwrap();
    if first == 0 {
        sql(&mut ada, SCHEMA).await.ok();
    }
    let mut model = model_after(first);
    for n in first..first + 400 {
        let write = statement(n, &model);
        run(&mut ada, &write.sql).await;
        apply(&write, &mut model);
        println!("acknowledged {}", n + 1);
        std::io::stdout().flush().unwrap();
        if n % 10 == 9 {
            run(&mut ada, "FLUSH").await;
        }
    }
}

/// Runs a child until it dies, or kills it after it has acknowledged `kill_after` statements. Returns how many it
/// acknowledged in all.
fn run_child(directory: &Path, first: u64, crash_at: Option<&str>, kill_after: Option<u64>) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::child", "--exact", "--nocapture"]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env(DIRECTORY, directory).env(FIRST, first.to_string());
    if let Some(point) = crash_at {
        command.env("LEVADA_CRASH_AT", point);
    }
    let mut child = command.spawn().unwrap();
    let mut acknowledged = first;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(count) = line.strip_prefix("acknowledged ") {
            acknowledged = count.parse().unwrap();
        }
        if kill_after.is_some_and(|after| acknowledged >= first + after) {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child was to die at {crash_at:?}");
    acknowledged
}

/// Opens what a dead child left; it must be the table after `acknowledged` statements, or one more that was on its way.
/// Returns how many statements it has.
async fn check(directory: &Path, acknowledged: u64, context: &str) -> u64 {
    let engine = open(directory);
    let mut ada = session(&engine);
    let rows = run(&mut ada, "SELECT id, kind, amount FROM entry ORDER BY id").await;
    let text = |model: BTreeMap<u64, (u64, u64)>| -> Vec<String> {
        model.iter().map(|(id, (kind, amount))| format!("{id}|{kind}|{amount}")).collect()
    };
    let found = (acknowledged..=acknowledged + 1).find(|n| text(model_after(*n)) == rows);
    let found = found.unwrap_or_else(|| panic!("{context}: after {acknowledged} statements the table is {rows:?}"));
    let batch = "SELECT kind, count(*), sum(amount), max(amount) FROM entry GROUP BY kind ORDER BY kind";
    assert_eq!(run(&mut ada, "SELECT * FROM per_kind ORDER BY kind").await, run(&mut ada, batch).await, "{context}");
    let batch = "SELECT id, amount FROM entry ORDER BY amount DESC, id LIMIT 5";
    let order = "SELECT * FROM best ORDER BY amount DESC, id";
    assert_eq!(run(&mut ada, order).await, run(&mut ada, batch).await, "{context}");
    found
}

#[tokio::test]
async fn a_crash_at_any_stage_loses_nothing() {
    for point in [
        "log.append",
        "log.appended",
        "log.trim",
        "log.trimmed",
        "checkpoint.begin",
        "checkpoint.batch",
        "checkpoint.durable",
    ] {
        let directory = tempfile::tempdir().unwrap();
        // The schema's own entry and an early checkpoint pass first.
        let mut done = 0;
        for pass in [2, 3] {
            let at = format!("{point}:{pass}");
            let acknowledged = run_child(directory.path(), done, Some(&at), None);
            done = check(directory.path(), acknowledged, &at).await;
        }
    }
}

#[tokio::test]
async fn kill_nine_under_load_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut done = 0;
    for after in [7, 23, 1, 41, 12, 30] {
        let acknowledged = run_child(directory.path(), done, None, Some(after));
        done = check(directory.path(), acknowledged, &format!("killed after {acknowledged}")).await;
    }
}
