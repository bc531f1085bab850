//! Seconds from the start of a server whose predecessor was killed to its first answer.

use std::path::{Path, PathBuf};

use levada_benches::Outcome;
use levada_benches::machine::take_memory;
use levada_benches::server::{Server, rows};
use tokio_postgres::Client;

use crate::Flags;
use crate::files::{files, forget};
use crate::report::Report;

const RELATIONS: &str = "
    CREATE TABLE account (id bigint PRIMARY KEY, owner text, city text, balance numeric(12, 2), opened timestamptz, note text);
    CREATE TABLE payment (id bigint, account bigint, kind int, amount bigint);
    CREATE MATERIALIZED VIEW per_account AS
        SELECT account, count(*) AS payments, sum(amount) AS total, max(amount) AS largest FROM payment GROUP BY account;
    CREATE MATERIALIZED VIEW large AS
        SELECT p.id, p.amount, a.id AS account, a.owner, a.city
        FROM payment p JOIN account a ON p.account = a.id WHERE p.amount > 700;
    CREATE MATERIALIZED VIEW per_city AS SELECT city, count(*) AS accounts, sum(balance) AS balance FROM account GROUP BY city;";

/// Rows of one INSERT.
const BATCH: u64 = 200_000;

/// What is asked first, and what it shows.
const QUERIES: [(&str, &str); 6] = [
    ("point look-up by key", "SELECT id, owner, balance FROM account WHERE id = 77777"),
    ("point look-up in a view", "SELECT payments, total, largest FROM per_account WHERE account = 4242"),
    ("count(*)", "SELECT count(*) FROM account"),
    ("filter over the join", "SELECT count(*), sum(amount) FROM large WHERE city = 'city 17'"),
    ("view behind the log's tail", "SELECT accounts, balance FROM per_city WHERE city = 'tail'"),
    ("aggregate behind the tail", "SELECT payments, total, largest FROM per_account WHERE account = 99"),
];

pub async fn run(flags: &Flags, report: &mut Report) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data: PathBuf = flags.data.clone().unwrap_or_else(|| folder.path().to_owned());
    let mut server = Server::start_on(&flags.levada, &data)?;
    let client = server.connect().await?;
    if rows(&client, "SHOW TABLES").await?.is_empty() {
        fill(&client, flags.accounts * 1000).await?;
    }
    let kept = "SELECT coalesce(max(state_rows), 0), coalesce(max(state_bytes), 0) FROM levada_catalog.engine";
    let kept: Vec<f64> = rows(&client, kept).await?.concat().iter().filter_map(|value| value.parse().ok()).collect();
    let usage = server.usage()?;
    let on_disk = files(&data)?.1;
    let [kept_rows, kept_bytes] = kept[..] else { return Err("no figures of the engine's state".into()) };
    report.add(
        "state",
        &[
            ("million rows", kept_rows / 1e6),
            ("memory MB", kept_bytes / 1e6),
            ("disk MB", on_disk as f64 / 1e6),
            ("process MB", usage.memory as f64 / 1e6),
        ],
    );
    // What earlier runs on the same directory left counts on.
    let last =
        rows(&client, "SELECT coalesce(max(id) / 100 - 10000000, 0) FROM account WHERE id >= 1000000000").await?;
    let mut tails: u64 = last.concat().concat().parse()?;
    for _ in 0..flags.rounds {
        for (name, query) in QUERIES {
            tails += 1;
            let expected = leave_a_tail(&server, query, tails).await?;
            drop(server);
            if flags.cold {
                forget(&files(&data)?.0)?;
            }
            server = first_answer(&flags.levada, &data, name, query, &expected, report).await?;
        }
    }
    Ok(())
}

async fn fill(client: &Client, accounts: u64) -> Outcome<()> {
    rows(client, RELATIONS).await?;
    for first in (1..=accounts).step_by(BATCH as usize) {
        let last = (first + BATCH - 1).min(accounts);
        let insert = format!(
            "INSERT INTO account SELECT n, 'owner ' || n || ' of ' || md5(n::text), 'city ' || n % 1000, n % 100000 / 7.0,
                timestamptz '2026-01-01' + n * interval '1 second', md5((n + 1)::text) || md5((n + 2)::text)
             FROM generate_series({first}::bigint, {last}) AS g(n)"
        );
        rows(client, &insert).await?;
        let insert = format!(
            "INSERT INTO payment SELECT n, n * 7919 % {accounts} + 1, n % 16, n * 31 % 1000
             FROM generate_series({}::bigint, {}) AS g(n)",
            2 * first - 1,
            2 * last
        );
        rows(client, &insert).await?;
    }
    rows(client, "FLUSH").await?;
    Ok(())
}

/// Writes what only the log has when the server is killed; returns what the query answers after it.
async fn leave_a_tail(server: &Server, query: &str, number: u64) -> Outcome<Vec<Vec<String>>> {
    let client = server.connect().await?;
    rows(&client, "FLUSH").await?;
    let id = 1_000_000_000 + number * 100;
    for statement in [
        format!(
            "INSERT INTO account SELECT n, 'tail', 'tail', 1, NULL, NULL FROM generate_series({id}, {id} + 49) AS g(n)"
        ),
        format!("INSERT INTO payment SELECT n, n % 1000 + 1, 1, 900 FROM generate_series({id}, {id} + 999) AS g(n)"),
        format!("UPDATE account SET balance = balance + 1 WHERE id = {}", 77_777 + number % 2),
        format!("DELETE FROM account WHERE id = {id}"),
    ] {
        rows(&client, &statement).await?;
    }
    let expected = rows(&client, query).await?;
    let engine = "SELECT epoch > durable_epoch FROM levada_catalog.engine";
    if rows(&client, engine).await?.concat() != ["t"] {
        eprintln!("the log has no tail: a checkpoint came first");
    }
    Ok(expected)
}

async fn first_answer(
    levada: &Path,
    data: &Path,
    name: &str,
    query: &str,
    expected: &[Vec<String>],
    report: &mut Report,
) -> Outcome<Server> {
    let server = Server::start_on(levada, data)?;
    let client = server.connect().await?;
    let answer = rows(&client, query).await?;
    let seconds = server.started.elapsed().as_secs_f64();
    if answer != expected {
        return Err(format!("{query}: {answer:?} after the restart, {expected:?} before").into());
    }
    let usage = server.usage()?;
    report.add(
        name,
        &[
            ("seconds", seconds),
            ("of which until it listens", server.listening.as_secs_f64()),
            ("CPU s", usage.cpu_seconds),
            ("peak MB", usage.peak_memory as f64 / 1e6),
            ("as much memory alone, s", take_memory(usage.peak_memory as usize).as_secs_f64()),
        ],
    );
    Ok(server)
}
