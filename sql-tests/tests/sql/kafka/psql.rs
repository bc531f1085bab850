//! psql's commands about objects, on every kind of object. Their output is compared to the letter with `psql.golden`;
//! `UPDATE_GOLDEN=1` writes it.

use std::fmt::Write;
use std::process::Command;

use super::Broker;
use super::tables::{connect, rows};
use crate::server::Server;

const GOLDEN: &str = include_str!("psql.golden");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/kafka/psql.golden");

/// What is asked. Sizes and lists of the system's own objects change with it: of those it is only asked that they come.
const COMMANDS: &[&str] = &[
    "\\d",
    "\\dt",
    "\\dm",
    "\\dv",
    "\\dE",
    "\\di",
    "\\ds",
    "\\dn",
    "\\df",
    "\\dT",
    "\\du",
    "\\l",
    "\\dp",
    "\\des",
    "\\det",
    "\\d clicks",
    "\\d+ clicks",
    "\\d stock",
    "\\d+ stock",
    "\\d orders",
    "\\d+ orders",
    "\\d orders_pkey",
    "\\d cheap",
    "\\d+ cheap",
    "\\d per_name",
    "\\d+ per_name",
    "\\d places",
    "\\d drain",
    "\\sv cheap",
];

/// Those that are only to succeed, with a table.
const LIVE: &[&str] = &[
    "\\dS",
    "\\dtS",
    "\\dvS",
    "\\d+",
    "\\dt+",
    "\\dm+",
    "\\dv+",
    "\\dE+",
    "\\di+",
    "\\dn+",
    "\\dT+",
    "\\dTS",
    "\\dfS",
    "\\l+",
    "\\du+",
    "\\db+",
    "\\dO",
    "\\dA",
    "\\d *",
    "\\dew",
    "\\dconfig *",
    "\\dAp",
    "\\dc+",
    "\\dC+",
    "\\dd",
    "\\ddS",
    "\\dD+",
    "\\des+",
    "\\det+",
    "\\dew+",
    "\\dfn",
    "\\dft",
    "\\df+",
    "\\dfS+",
    "\\dFd",
    "\\dFd+",
    "\\dFp",
    "\\dFt",
    "\\dFt+",
    "\\dl",
    "\\dl+",
    "\\dL",
    "\\dLS",
    "\\dP+",
    "\\lo_list+",
    "\\dconfig+ *",
];

fn psql(server: &Server, command: &str) -> (bool, String) {
    let output = Command::new("psql")
        .args(["-X", "-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "ada", "-d", "levada", "-c", command])
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .expect("psql is installed");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success() && output.stderr.is_empty(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_describes_every_kind_of_object() {
    let broker = Broker::shared();
    let address = broker.address();
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    for topic in ["psql_clicks", "psql_stock"] {
        broker.create_topic(topic, 1).await;
    }
    let with =
        |topic| format!("WITH (connector = 'kafka', topic = '{topic}', properties.bootstrap.server = '{address}')");
    let nested = "place struct<city text, pos struct<x float8, \"Y\" float8>>, stops struct<a int>[]";
    for statement in [
        format!(
            "CREATE SOURCE clicks (page text NOT NULL, {nested}, tags text[]) INCLUDE partition AS p {} FORMAT PLAIN ENCODE JSON",
            with("psql_clicks")
        ),
        format!(
            "CREATE TABLE stock (item text PRIMARY KEY, n int) {} FORMAT UPSERT ENCODE JSON",
            with("psql_stock")
        ),
        "CREATE TABLE orders (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', amount numeric(10,2),
         tags text[], at timestamptz, more jsonb)"
            .to_owned(),
        "CREATE VIEW cheap AS SELECT id, amount FROM orders WHERE amount < 3".to_owned(),
        "CREATE MATERIALIZED VIEW per_name AS SELECT name, count(*) AS n, sum(amount) AS total FROM orders GROUP BY name"
            .to_owned(),
        "CREATE MATERIALIZED VIEW places AS SELECT page, place, stops FROM clicks".to_owned(),
        "CREATE SINK drain FROM per_name WITH (connector = 'blackhole')".to_owned(),
    ] {
        rows(&client, &statement).await;
    }
    let mut said = String::new();
    for command in COMMANDS {
        let (_, text) = psql(&server, command);
        let text = text.replace(&address, "BROKER");
        let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
        writeln!(said, "=== {command}\n{}\n", lines.join("\n")).expect("text grows");
    }
    let answers = LIVE.iter().map(|command| (command, psql(&server, command)));
    let failures: Vec<_> = answers.filter(|(_, (succeeded, text))| !succeeded || !text.contains("--+--")).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PATH, &said).expect("a writable file");
        return;
    }
    assert!(said == GOLDEN, "psql says otherwise than psql.golden:\n{said}");
}
