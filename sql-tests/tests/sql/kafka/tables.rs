//! Tables with a connector: rows of a topic, exactly once, whatever happens to the server.

use std::collections::BTreeMap;
use std::time::Instant;

use rdkafka::producer::{BaseRecord, Producer};
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

use super::Broker;
use super::broker::PATIENCE;
use crate::server::Server;

/// Not [`Wire`](crate::wire::Wire), which asks everything twice: between the two, rows come.
pub async fn connect(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.port()).user("postgres").dbname("levada");
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

pub async fn try_rows(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    let messages = client.simple_query(sql).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let values = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL"));
            Some(values.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

pub async fn rows(client: &Client, sql: &str) -> Vec<String> {
    try_rows(client, sql).await.unwrap_or_else(|error| panic!("{sql}: {:?}", error.as_db_error()))
}

/// Waits until a query answers this.
pub async fn until(client: &Client, sql: &str, expected: &[&str]) {
    let asked = Instant::now();
    loop {
        let found = rows(client, sql).await;
        if found == expected {
            return;
        }
        assert!(asked.elapsed() < PATIENCE, "{sql}: {found:?} instead of {expected:?}");
        tokio::task::yield_now().await;
    }
}

pub fn send(broker: &Broker, topic: &str, messages: impl IntoIterator<Item = (String, Option<String>)>) {
    let producer = broker.producer(&[]);
    for (key, value) in messages {
        let mut record = BaseRecord::to(topic).key(&key);
        if let Some(value) = &value {
            record = record.payload(value);
        }
        producer.send(record).expect("room in the producer's queue");
    }
    producer.flush(PATIENCE).expect("a broker that takes them");
}

fn create_table(broker: &Broker, name: &str, columns: &str, format: &str) -> String {
    let broker = broker.address();
    format!(
        "CREATE TABLE {name} ({columns}) WITH (connector = 'kafka', topic = '{name}', \
         properties.bootstrap.server = '{broker}') FORMAT {format} ENCODE JSON"
    )
}

/// Messages come while the server is killed again and again, with and without a checkpoint since: each counts once.
#[tokio::test(flavor = "multi_thread")]
async fn every_message_counts_once() {
    const ROUND: u64 = 700;
    let broker = Broker::shared();
    broker.create_topic("sales", 3).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_table(broker, "sales", "id bigint, shop int, amount bigint", "PLAIN")).await;
    let view =
        "CREATE MATERIALIZED VIEW per_shop AS SELECT shop, count(*) AS n, sum(amount) AS s FROM sales GROUP BY shop";
    rows(&client, view).await;
    let mut sent = 0;
    for round in 0..4 {
        let message = |id: u64| (id.to_string(), Some(format!(r#"{{"id":{id},"shop":{},"amount":{id}}}"#, id % 5)));
        let batch: Vec<_> = (sent..sent + ROUND).map(message).collect();
        sent += ROUND;
        std::thread::scope(|scope| {
            scope.spawn(|| send(broker, "sales", batch));
        });
        if round % 2 == 1 {
            rows(&client, "FLUSH").await;
        }
        server.kill();
        server = Server::start(data.path());
        client = connect(&server).await;
        let seen: u64 = rows(&client, "SELECT count(*) FROM sales").await[0].parse().expect("a number");
        assert!(seen <= sent, "{seen} rows of {sent} messages");
    }
    let total = sent * (sent - 1) / 2;
    let expected = format!("{sent}|{total}|{sent}");
    until(&client, "SELECT count(*), sum(amount), count(DISTINCT id) FROM sales", &[&expected]).await;
    until(&client, "SELECT sum(n), sum(s), count(*) FROM per_shop", &[&format!("{sent}|{total}|5")]).await;
}

/// The last message of a key is its row; one without value takes it away; views follow; so it is after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_of_a_key_stands() {
    let broker = Broker::shared();
    broker.create_topic("stock", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_table(broker, "stock", "id int PRIMARY KEY, item text, n int", "UPSERT")).await;
    rows(&client, "CREATE MATERIALIZED VIEW per_item AS SELECT item, sum(n) AS n FROM stock GROUP BY item").await;
    let mut expected = BTreeMap::new();
    for round in 0..3 {
        let mut messages = Vec::new();
        for step in 0..200 {
            let id = (step * 7 + round * 3) % 40;
            let key = format!(r#"{{"id":{id}}}"#);
            if step % 5 == 4 {
                expected.remove(&id);
                messages.push((key, None));
            } else {
                expected.insert(id, (step % 4, step + round));
                messages.push((key, Some(format!(r#"{{"item":"i{}","n":{}}}"#, step % 4, step + round))));
            }
        }
        send(broker, "stock", messages);
        let lines: Vec<String> = expected.iter().map(|(id, (item, n))| format!("{id}|i{item}|{n}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        until(&client, "SELECT id, item, n FROM stock ORDER BY id", &lines).await;
        let batch = rows(&client, "SELECT item, sum(n) FROM stock GROUP BY item ORDER BY item").await;
        assert_eq!(rows(&client, "SELECT item, n FROM per_item ORDER BY item").await, batch);
        server.kill();
        server = Server::start(data.path());
        client = connect(&server).await;
    }
}

/// Messages that are no rows are kept aside, and nothing else is held up by them.
#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_are_kept_aside() {
    let broker = Broker::shared();
    broker.create_topic("readings", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_table(broker, "readings", "sensor text NOT NULL, value numeric(6,2)", "PLAIN")).await;
    let messages =
        [r#"{"sensor":"a","value":1.5}"#, r#"{"sensor":"a","value":"#, r#"{"value":2}"#, r#"{"sensor":"b"}"#];
    send(broker, "readings", messages.map(|value| ("k".to_owned(), Some(value.to_owned()))));
    until(&client, "SELECT sensor, value FROM readings ORDER BY sensor", &["a|1.50", "b|NULL"]).await;
    let kept = "SELECT source, partition, \"offset\", convert_from(value, 'UTF8') FROM levada_catalog.source_errors ORDER BY 3";
    let status = "SELECT name, partition, status, next_offset, lag, messages, bad_messages FROM levada_catalog.sources";
    until(&client, status, &["readings|0|running|4|0|4|2"]).await;
    until(&client, kept, &[r#"readings|0|1|{"sensor":"a","value":"#, r#"readings|0|2|{"value":2}"#]).await;
    // Read again after a start without a checkpoint, or counted in it.
    let counted =
        "SELECT bad_messages, (SELECT count(*) FROM levada_catalog.source_errors) FROM levada_catalog.sources";
    for _ in 0..2 {
        server.kill();
        server = Server::start(data.path());
        client = connect(&server).await;
        until(&client, counted, &["2|2"]).await;
        rows(&client, "FLUSH").await;
    }
    assert_eq!(rows(&client, counted).await, ["2|2"]);
}

/// What cannot be a table is refused at once, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused() {
    let broker = Broker::shared();
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    let address = broker.address();
    let with = |options: &str| {
        format!("CREATE TABLE t (id int) WITH (connector = 'kafka', {options}) FORMAT PLAIN ENCODE JSON")
    };
    for (sql, expected) in [
        (with(&format!("topic = 'absent', properties.bootstrap.server = '{address}'")), "42704"),
        (with("topic = 'absent', properties.bootstrap.server = '127.0.0.1:1'"), "08006"),
        (
            with(&format!("topic = 'absent', properties.bootstrap.server = '{address}', properties.group.id = 'g'")),
            "22023",
        ),
    ] {
        let error = try_rows(&client, &sql).await.err().unwrap_or_else(|| panic!("{sql} is accepted"));
        assert_eq!(error.code().map(|code| code.code()), Some(expected), "{sql}: {error}");
    }
}

/// How long it takes from a message to its effect on a view is measured for messages that come while the view is there.
#[tokio::test(flavor = "multi_thread")]
async fn freshness_is_of_messages_that_come_now() {
    let broker = Broker::shared();
    broker.create_topic("pulses", 2).await;
    let message = |id: u64| (id.to_string(), Some(format!(r#"{{"id":{id}}}"#)));
    send(broker, "pulses", (0..500).map(message));
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    rows(&client, &create_table(broker, "pulses", "id bigint", "PLAIN")).await;
    rows(&client, "CREATE MATERIALIZED VIEW pulse_count AS SELECT count(*) AS n FROM pulses").await;
    rows(&client, "CREATE MATERIALIZED VIEW doubled AS SELECT n * 2 AS n FROM pulse_count").await;
    until(&client, "SELECT n FROM doubled", &["1000"]).await;
    let figures = "SELECT freshness_messages, freshness_p50_ms, freshness_p99_ms FROM levada_catalog.views WHERE name = 'doubled'";
    assert_eq!(rows(&client, figures).await, ["0|NULL|NULL"], "history is not waited for");
    send(broker, "pulses", (500..800).map(message));
    until(&client, "SELECT n FROM doubled", &["1600"]).await;
    until(&client, "SELECT freshness_messages FROM levada_catalog.views WHERE name = 'doubled'", &["300"]).await;
    let plausible = "SELECT name, freshness_p50_ms >= 0, freshness_p50_ms <= freshness_p99_ms, freshness_p99_ms < 60000 \
                     FROM levada_catalog.views ORDER BY name";
    assert_eq!(rows(&client, plausible).await, ["doubled|t|t|t", "pulse_count|t|t|t"]);
}
