//! Messages that Kafka no longer has: topics deleted and made anew, and records deleted, under readers and without.

use tokio_postgres::Client;

use super::Broker;
use super::tables::{connect, rows, send, try_rows, until};
use crate::server::Server;

fn create(broker: &Broker, kind: &str, topic: &str, options: &str) -> String {
    let broker = broker.address();
    format!(
        "CREATE {kind} {topic} (n bigint) WITH (connector = 'kafka', topic = '{topic}', \
         properties.bootstrap.server = '{broker}'{options}) FORMAT PLAIN ENCODE JSON"
    )
}

fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = (String, Option<String>)> {
    range.map(|n| (n.to_string(), Some(format!(r#"{{"n":{n}}}"#))))
}

/// Waits until a partition stands like this; what its error says.
async fn stopped(client: &Client, source: &str, status: &str) -> String {
    until(client, &format!("SELECT DISTINCT status FROM levada_catalog.sources WHERE name = '{source}'"), &[status])
        .await;
    rows(client, &format!("SELECT error FROM levada_catalog.sources WHERE name = '{source}'")).await.remove(0)
}

/// The topic of a running table, and of one whose server is down, is made anew and has more messages than were read of
/// the former: none of them is taken for one of the former.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_stops_its_table() {
    let broker = Broker::shared();
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    for topic in ["anew_running", "anew_stopped"] {
        broker.create_topic(topic, 1).await;
        send(broker, topic, numbers(0..3));
        rows(&client, &create(broker, "TABLE", topic, "")).await;
        until(&client, &format!("SELECT count(*) FROM {topic}"), &["3"]).await;
    }
    broker.recreate_topic("anew_running", 1).await;
    send(broker, "anew_running", numbers(100..110));
    let error = stopped(&client, "anew_running", "recreated").await;
    assert!(error.contains("deleted and made anew") && error.contains("create it again"), "{error}");
    assert_eq!(rows(&client, "SELECT n FROM anew_running ORDER BY n").await, ["0", "1", "2"]);
    rows(&client, "FLUSH").await;
    server.kill();
    broker.recreate_topic("anew_stopped", 1).await;
    send(broker, "anew_stopped", numbers(100..110));
    server = Server::start(data.path());
    client = connect(&server).await;
    for topic in ["anew_running", "anew_stopped"] {
        stopped(&client, topic, "recreated").await;
        assert_eq!(rows(&client, &format!("SELECT n FROM {topic} ORDER BY n")).await, ["0", "1", "2"]);
    }
    // The way out that the error names.
    rows(&client, "DROP TABLE anew_stopped").await;
    rows(&client, &create(broker, "TABLE", "anew_stopped", "")).await;
    until(&client, "SELECT count(*), min(n) FROM anew_stopped", &["10|100"]).await;
}

/// With the option reading goes on in the new topic from its first message, also if it has other partitions, and the
/// place of the loss is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_can_go_on_in_a_topic_made_anew() {
    let broker = Broker::shared();
    broker.create_topic("anew_on", 1).await;
    send(broker, "anew_on", numbers(0..3));
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Some(Server::start(data.path()));
    let mut client = connect(server.as_ref().expect("a server")).await;
    rows(&client, &create(broker, "TABLE", "anew_on", ", on_gap = 'continue'")).await;
    until(&client, "SELECT count(*) FROM anew_on", &["3"]).await;
    for round in 1..3 {
        // The second time while the server is down, with what it has read in a checkpoint: it is nowhere else.
        rows(&client, "FLUSH").await;
        let stopped = (round == 2).then(|| server.take().expect("a server").kill()).is_some();
        broker.recreate_topic("anew_on", 2).await;
        send(broker, "anew_on", numbers(round * 100..round * 100 + 5));
        if stopped {
            server = Some(Server::start(data.path()));
            client = connect(server.as_ref().expect("a server")).await;
        }
        let expected = format!("{}|{}", 3 + 5 * round, round * 100 + 4);
        until(&client, "SELECT count(*), max(n) FROM anew_on", &[&expected]).await;
    }
    until(&client, "SELECT DISTINCT status FROM levada_catalog.sources WHERE name = 'anew_on'", &["running"]).await;
    let lost = "SELECT count(*) FROM levada_catalog.source_errors \
                WHERE source = 'anew_on' AND error LIKE 'lost: the topic was deleted%made anew%'";
    assert_eq!(rows(&client, lost).await, ["3"]);
    rows(&client, "FLUSH").await;
    server.take().expect("a server").kill();
    let server = Server::start(data.path());
    let client = connect(&server).await;
    send(broker, "anew_on", numbers(900..905));
    until(&client, "SELECT count(*), count(DISTINCT n) FROM anew_on", &["18|18"]).await;
    assert_eq!(rows(&client, lost).await, ["3"]);
}

/// What a table has read of a former topic is no place in the new one, from the first checkpoint on.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_read_from_where_it_was_read_to() {
    let broker = Broker::shared();
    broker.create_topic("anew_short", 1).await;
    send(broker, "anew_short", numbers(0..10));
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    rows(&client, &create(broker, "TABLE", "anew_short", ", on_gap = 'continue'")).await;
    until(&client, "SELECT count(*) FROM anew_short", &["10"]).await;
    broker.recreate_topic("anew_short", 1).await;
    send(broker, "anew_short", numbers(100..105));
    until(&client, "SELECT count(*) FROM anew_short", &["15"]).await;
    rows(&client, "FLUSH").await;
    server.kill();
    send(broker, "anew_short", numbers(200..203));
    let server = Server::start(data.path());
    let client = connect(&server).await;
    until(&client, "SELECT count(*), count(DISTINCT n), max(n) FROM anew_short", &["18|18|202"]).await;
}

/// A source that nothing reads at the time is not read from another topic either; with the option a new view says what it
/// lacks and shares nothing with those that have it.
#[tokio::test(flavor = "multi_thread")]
async fn views_begin_in_a_topic_made_anew_only_if_told_to() {
    let broker = Broker::shared();
    for topic in ["anew_source", "anew_source_on"] {
        broker.create_topic(topic, 1).await;
        send(broker, topic, numbers(0..3));
    }
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    rows(&client, "SET wait_for_hydration = on").await;
    rows(&client, &create(broker, "SOURCE", "anew_source", "")).await;
    rows(&client, &create(broker, "SOURCE", "anew_source_on", ", on_gap = 'continue'")).await;
    rows(&client, "CREATE MATERIALIZED VIEW before AS SELECT count(*) AS c, min(n) AS m FROM anew_source_on").await;
    assert_eq!(rows(&client, "SELECT * FROM before").await, ["3|0"]);
    for topic in ["anew_source", "anew_source_on"] {
        broker.recreate_topic(topic, 1).await;
        send(broker, topic, numbers(100..105));
    }
    for sql in ["CREATE MATERIALIZED VIEW none AS SELECT n FROM anew_source", "SELECT count(*) FROM anew_source"] {
        let error = try_rows(&client, sql).await.expect_err("another topic");
        let error = error.as_db_error().expect("the server's error");
        let expected = "topic \"anew_source\" was deleted and made anew since the source was created";
        assert_eq!((error.code().code(), error.message()), ("55000", expected));
    }
    until(&client, "SELECT * FROM before", &["8|0"]).await;
    rows(&client, "CREATE MATERIALIZED VIEW after AS SELECT count(*) AS c, min(n) AS m FROM anew_source_on").await;
    assert_eq!(rows(&client, "SELECT * FROM after").await, ["5|100"]);
    send(broker, "anew_source_on", numbers(105..106));
    until(&client, "SELECT a.c, b.c FROM after a, before b", &["6|9"]).await;
    let missing = "SELECT name, missing_messages FROM levada_catalog.views WHERE materialized ORDER BY name";
    assert_eq!(rows(&client, missing).await, ["after|NULL", "before|0"]);
}

/// Records are deleted that were not read yet: the partition stops, or goes on and says what is lost.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_are_missed_loudly() {
    let broker = Broker::shared();
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    for (topic, options) in [("gap_stop", ""), ("gap_on", ", on_gap = 'continue'")] {
        broker.create_topic(topic, 1).await;
        send(broker, topic, numbers(0..3));
        rows(&client, &create(broker, "TABLE", topic, options)).await;
        until(&client, &format!("SELECT count(*) FROM {topic}"), &["3"]).await;
    }
    rows(&client, "FLUSH").await;
    server.kill();
    for topic in ["gap_stop", "gap_on"] {
        send(broker, topic, numbers(3..10));
        broker.delete_records(topic, 0, 8).await;
    }
    server = Server::start(data.path());
    client = connect(&server).await;
    until(&client, "SELECT n FROM gap_on ORDER BY n", &["0", "1", "2", "8", "9"]).await;
    let error = stopped(&client, "gap_stop", "gap").await;
    assert!(error.starts_with("offset 3 is no longer in Kafka, which has 8 to 10"), "{error}");
    let lost = "SELECT source, partition, \"offset\", value, error FROM levada_catalog.source_errors";
    let expected = "gap_on|0|3|NULL|lost: Kafka deleted offsets 3 to 7 before they were read";
    assert_eq!(rows(&client, lost).await, [expected]);
    let status = "SELECT status, next_offset, lost_messages FROM levada_catalog.sources WHERE name = 'gap_on'";
    assert_eq!(rows(&client, status).await, ["running|10|5"]);
    // Stopped is stopped: nothing after the gap has come, and a restart tells the same.
    assert_eq!(rows(&client, "SELECT count(*) FROM gap_stop").await, ["3"]);
    rows(&client, "FLUSH").await;
    server.kill();
    let server = Server::start(data.path());
    let client = connect(&server).await;
    stopped(&client, "gap_stop", "gap").await;
    assert_eq!(rows(&client, lost).await, [expected]);
    until(&client, status, &["running|10|5"]).await;
}
