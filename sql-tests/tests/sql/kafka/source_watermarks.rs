//! Watermarks of sources: the same whether a view saw the messages come or read them later.

use tokio_postgres::Client;

use super::Broker;
use super::event_time::{IDLE, SEEN, SUMS, send};
use super::sources::{connect, connect_for_notices};
use super::tables::{rows, until};
use crate::server::Server;

fn create(broker: &Broker, name: &str, more: &str) -> String {
    let address = broker.address();
    format!(
        "CREATE SOURCE {name} (at timestamptz, n int, WATERMARK FOR at AS at - INTERVAL '5 seconds') WITH (\
         connector = 'kafka', topic = '{name}', properties.bootstrap.server = '{address}'{more}) FORMAT PLAIN ENCODE JSON"
    )
}

fn closing(view: &str, source: &str) -> String {
    format!("CREATE MATERIALIZED VIEW {view} AS {} EMIT ON WINDOW CLOSE", SUMS.replace("{}", source))
}

/// Per partition: its watermark and the source's, as seconds, and how many rows were late.
const TIMES: &str = "SELECT partition, extract(second FROM watermark)::int, \
                     extract(second FROM source_watermark)::int, late_rows \
                     FROM levada_catalog.sources WHERE watermark IS NOT NULL ORDER BY 1";
const LATE: &str = "SELECT view_name, sum(count) FROM levada_catalog.late_rows GROUP BY 1 ORDER BY 1";

async fn closed(client: &Client, view: &str, expected: &[&str]) {
    until(client, &SEEN.replace("sums", view), expected).await;
}

/// What a topic had before its first view counts for the watermark: after a kill without checkpoint, for views that share
/// the source with others, with partitions that are added, and for the first view after the last one was dropped.
#[tokio::test(flavor = "multi_thread")]
async fn history_counts_for_the_watermark() {
    let broker = Broker::shared();
    broker.create_topic("rides", 2).await;
    send(broker, "rides", 0, &[(1, 1), (9, 2), (2, 4), (41, 8)]);
    send(broker, "rides", 1, &[(3, 16), (38, 32)]);
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create(broker, "rides", "")).await;
    rows(&client, &closing("sums", "rides")).await;
    // No message has come since.
    closed(&client, "sums", &["10|23"]).await;
    until(&client, TIMES, &["0|36|33|1", "1|33|33|0"]).await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    closed(&client, "sums", &["10|23"]).await;
    until(&client, TIMES, &["0|36|33|1", "1|33|33|0"]).await;

    send(broker, "rides", 1, &[(52, 64)]);
    until(&client, TIMES, &["0|36|36|1", "1|47|36|0"]).await;
    send(broker, "rides", 0, &[(58, 128), (5, 256)]);
    until(&client, TIMES, &["0|53|47|2", "1|47|47|0"]).await;
    closed(&client, "sums", &["10|23", "40|32"]).await;
    until(&client, LATE, &["sums|1"]).await;
    // One that is made now takes the whole history for in time, and moves nothing.
    rows(&client, &closing("again", "rides")).await;
    closed(&client, "again", &["10|279", "40|32"]).await;
    assert_eq!(rows(&client, TIMES).await, ["0|53|47|2", "1|47|47|0"]);
    rows(&client, &format!("CREATE MATERIALIZED VIEW current AS {}", SUMS.replace("{}", "rides"))).await;
    until(&client, "SELECT sum(s) FROM current", &["511"]).await;
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    assert_eq!(rows(&client, SEEN).await, ["10|23", "40|32"]);
    assert_eq!(rows(&client, LATE).await, ["sums|1"]);

    // A partition that is added joins where the source is.
    broker.add_partitions("rides", 3).await;
    send(broker, "rides", 2, &[(1, 512), (56, 1024)]);
    until(&client, TIMES, &["0|53|47|2", "1|47|47|0", "2|51|47|1"]).await;
    send(broker, "rides", 1, &[(57, 2048)]);
    until(&client, TIMES, &["0|53|51|2", "1|52|51|0", "2|51|51|1"]).await;
    closed(&client, "sums", &["10|23", "40|32", "50|8"]).await;
    until(&client, LATE, &["again|1", "sums|2"]).await;
    until(&client, "SELECT sum(s) FROM current", &["4095"]).await;

    // With the last view all that is known of the source goes; the next one finds it again.
    rows(&client, "DROP MATERIALIZED VIEW sums, again, current").await;
    assert!(rows(&client, TIMES).await.is_empty());
    rows(&client, &closing("sums", "rides")).await;
    closed(&client, "sums", &["10|791", "40|32", "50|8"]).await;
    until(&client, TIMES, &["0|53|51|2", "1|52|51|0", "2|51|51|0"]).await;
    assert!(rows(&client, LATE).await.is_empty());
}

/// No window closes before each partition has brought a time, though some had nothing when the first view was made; also of
/// a topic that was made anew.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_history_are_waited_for() {
    let broker = Broker::shared();
    for (topic, anew) in [("walks", false), ("walks_anew", true)] {
        broker.create_topic(topic, 2).await;
        let data = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(data.path());
        let client = connect(&server).await;
        rows(&client, &create(broker, topic, ", on_gap = 'continue'")).await;
        if anew {
            broker.recreate_topic(topic, 2).await;
        }
        rows(&client, &closing("sums", topic)).await;
        rows(&client, &format!("CREATE MATERIALIZED VIEW current AS {}", SUMS.replace("{}", topic))).await;
        send(broker, topic, 0, &[(1, 1), (4, 2), (30, 4)]);
        until(&client, "SELECT sum(s) FROM current", &["7"]).await;
        send(broker, topic, 1, &[(2, 8), (33, 16)]);
        until(&client, TIMES, &["0|25|25|0", "1|28|25|0"]).await;
        closed(&client, "sums", &["10|11"]).await;
        assert!(rows(&client, LATE).await.is_empty());
        // The column of the watermark is read though no view does.
        rows(&client, "DROP MATERIALIZED VIEW sums, current").await;
        rows(&client, &format!("CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS s FROM {topic}")).await;
        until(&client, "SELECT s FROM total", &["31"]).await;
        send(broker, topic, 0, &[(45, 32)]);
        send(broker, topic, 1, &[(50, 64)]);
        until(&client, TIMES, &["0|40|40|0", "1|45|40|0"]).await;
    }
}

/// A partition that is silent holds up the windows of a source no longer than the option says, in its history or later.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_partition_of_a_source_is_left_behind() {
    let broker = Broker::shared();
    broker.create_topic("trips", 2).await;
    send(broker, "trips", 0, &[(7, 1), (31, 2)]);
    send(broker, "trips", 1, &[(8, 4)]);
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create(broker, "trips", IDLE)).await;
    rows(&client, &closing("sums", "trips")).await;
    // All are idle in the end, and then the source is where the fastest was.
    until(&client, TIMES, &["0|26|26|0", "1|3|26|0"]).await;
    until(&client, "SELECT bool_and(idle) FROM levada_catalog.sources WHERE name = 'trips'", &["t"]).await;
    closed(&client, "sums", &["10|5"]).await;
    send(broker, "trips", 0, &[(45, 8)]);
    closed(&client, "sums", &["10|5", "40|2"]).await;
    // It wakes behind the others.
    send(broker, "trips", 1, &[(9, 16), (44, 32)]);
    until(&client, "SELECT late_rows FROM levada_catalog.sources WHERE partition = 1", &["1"]).await;
    until(&client, LATE, &["sums|1"]).await;
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    assert_eq!(rows(&client, SEEN).await, ["10|5", "40|2"]);
    send(broker, "trips", 0, &[(59, 64)]);
    closed(&client, "sums", &["10|5", "40|2", "50|40"]).await;
}

/// A sink gets windows once, when they close, of a query or of a view; EXPLAIN says so, and a NOTICE where nothing ever goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_takes_windows_when_they_close() {
    const TAKEN: &str = "SELECT name, inserted, deleted FROM levada_catalog.sinks WHERE name <> 'current' ORDER BY 1";
    let broker = Broker::shared();
    broker.create_topic("flights", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let (mut client, notices) = connect_for_notices(&server).await;
    rows(&client, &create(broker, "flights", "")).await;
    let query = SUMS.replace("{}", "flights");
    let with = "WITH (connector = 'blackhole')";
    let sink = format!("CREATE SINK closed AS {query} EMIT ON WINDOW CLOSE {with}");
    let plan = rows(&client, &format!("EXPLAIN {sink}")).await;
    assert!(plan.iter().any(|line| line.contains("Aggregate on Window Close by ")), "{plan:?}");
    rows(&client, &sink).await;
    rows(&client, &closing("sums", "flights")).await;
    rows(&client, &format!("CREATE SINK followed FROM sums {with}")).await;
    assert_eq!(*notices.lock().expect("a lock"), Vec::<String>::new());
    rows(&client, &format!("CREATE SINK current AS {query} {with}")).await;
    assert_eq!(*notices.lock().expect("a lock"), ["the state of sink \"current\" may grow without bound"]);
    for object in ["SINK closed", "MATERIALIZED VIEW sums"] {
        let plan = rows(&client, &format!("EXPLAIN {object}")).await;
        assert!(plan.iter().any(|line| line.contains("Aggregate on Window Close by ")), "{plan:?}");
    }
    send(broker, "flights", 0, &[(1, 1), (4, 2), (25, 4)]);
    until(&client, TAKEN, &["closed|1|0", "followed|1|0"]).await;
    send(broker, "flights", 0, &[(2, 8), (36, 16)]);
    until(&client, TAKEN, &["closed|2|0", "followed|2|0"]).await;
    until(&client, LATE, &["closed|1", "sums|1"]).await;
    until(&client, "SELECT late_rows FROM levada_catalog.sinks WHERE name = 'closed'", &["1"]).await;
    let shown = rows(&client, "SHOW CREATE SINK closed").await;
    assert!(shown[0].contains(" EMIT ON WINDOW CLOSE WITH (connector"), "{shown:?}");
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    // What was emitted is not emitted again, nor counted.
    send(broker, "flights", 0, &[(47, 32)]);
    until(&client, "SELECT inserted FROM levada_catalog.sinks WHERE name = 'closed'", &["3"]).await;
    closed(&client, "sums", &["10|3", "30|4", "40|16"]).await;
}
