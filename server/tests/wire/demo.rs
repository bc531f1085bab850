//! `levada demo`: what a newcomer sees first.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::server::{PATIENCE, command_of, refused, wait};

/// A running demo. Killed when it goes.
struct Demo {
    process: Child,
    output: BufReader<ChildStdout>,
    /// Where it has its directories.
    temporary: TempDir,
}

fn command(temporary: &TempDir) -> Command {
    let mut command = command_of("demo");
    command.env("TMPDIR", temporary.path()).args(["--rate", "2000", "--listen", "127.0.0.1:0"]);
    command
}

impl Demo {
    fn start() -> Demo {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = command(&temporary);
        let mut process = command.stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Demo { process, output, temporary }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the demo has ended");
        line
    }

    async fn connect(&mut self) -> Client {
        let line = self.line();
        let address = line.trim().strip_prefix("levada is ready on ").expect("the line that says it is ready");
        let url = format!("postgresql://ada@{address}/levada?sslmode=disable");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks until the answer is not 0.
async fn wait_for(client: &Client, query: &str) {
    let started = Instant::now();
    while client.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(started.elapsed() < PATIENCE, "still nothing: {query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Rows in which two queries differ at one moment.
async fn differences(client: &Client, one: &str, other: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM ((({one}) EXCEPT ALL ({other})) UNION ALL (({other}) EXCEPT ALL ({one}))) AS differences"
    );
    client.query_one(&query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn views_follow_the_stream() {
    let mut demo = Demo::start();
    let client = demo.connect().await;
    let views = client
        .query("SELECT name, definition FROM levada_catalog.views WHERE materialized ORDER BY id", &[])
        .await
        .unwrap();
    assert!(views.len() >= 6, "{} views", views.len());
    for view in &views {
        wait_for(&client, &format!("SELECT count(*) FROM {}", view.get::<_, &str>(0))).await;
    }
    // The stream goes on all the while.
    for view in &views {
        let (name, definition): (&str, &str) = (view.get(0), view.get(1));
        let found = differences(&client, &format!("SELECT * FROM {name}"), definition.trim_end_matches(';')).await;
        assert_eq!(found, 0, "{name} is not what it says it is");
    }
    let mine = "CREATE MATERIALIZED VIEW mine AS
        SELECT category, count(price) AS bids, round(sum(price) / count(*) / 100, 2) AS average_price
        FROM auction JOIN bid ON bid.auction = auction.id GROUP BY category";
    client.execute(mine, &[]).await.unwrap();
    let before: i64 = client.query_one("SELECT sum(bids)::bigint FROM mine", &[]).await.unwrap().get(0);
    wait_for(&client, &format!("SELECT (sum(bids) > {before})::int::bigint FROM mine")).await;
    assert_eq!(differences(&client, "SELECT * FROM mine", "SELECT * FROM category_prices").await, 0);

    let status = Command::new("kill").arg("-TERM").arg(demo.process.id().to_string()).status().unwrap();
    assert!(status.success());
    assert_eq!(wait(&mut demo.process).code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(demo.temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_says_what_to_do_and_how_it_goes() {
    let mut demo = Demo::start();
    let mut said = String::new();
    while !said.contains(" epochs/s, freshness p50 ") {
        said += &demo.line();
    }
    for expected in ["psql -h 127.0.0.1 -p ", "SELECT * FROM activity;", "removed at the end"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains('\x1b'), "no terminal, no escapes: {said}");
}

#[test]
fn it_ends_when_its_time_is_up() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    let mut command = command(&temporary);
    command.arg("--data-dir").arg(&data).args(["--duration", "1"]);
    let (code, said) = refused(command);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(data.is_dir(), "a directory that was named stays");
}

#[test]
fn mistakes_are_told() {
    let temporary = tempfile::tempdir().unwrap();
    let mut used = command(&temporary);
    used.arg("--data-dir").arg(std::env::current_dir().unwrap());
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut taken = command_of("demo");
    taken.args(["--listen", &other.local_addr().unwrap().to_string()]);
    let mut slow = command_of("demo");
    slow.args(["--rate", "0"]);
    for (command, code, expected) in [
        (used, 1, "is not empty, and the built-in broker begins anew each time"),
        (taken, 1, "cannot listen on"),
        (slow, 2, "0 is not in 1..=1000000"),
    ] {
        let (found, said) = refused(command);
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
