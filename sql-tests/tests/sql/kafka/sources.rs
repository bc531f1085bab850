//! Sources: topics that are read for the views over them, and kept nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::producer::{BaseRecord, Producer};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::Broker;
use super::broker::PATIENCE;
use super::tables::{self, rows, send, try_rows, until};
use crate::server::Server;

fn create_source(broker: &Broker, topic: &str, columns: &str) -> String {
    let broker = broker.address();
    format!(
        "CREATE SOURCE {topic} ({columns}) INCLUDE partition AS p INCLUDE offset AS o WITH (connector = 'kafka', \
         topic = '{topic}', properties.bootstrap.server = '{broker}') FORMAT PLAIN ENCODE JSON"
    )
}

/// Messages `{"n": n, "k": n % 10}`.
fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = (String, Option<String>)> {
    range.map(|n| (n.to_string(), Some(format!(r#"{{"n":{n},"k":{}}}"#, n % 10))))
}

/// Queries wait for views that are being filled.
const WAIT: &str = "SET wait_for_hydration = on";

pub async fn connect(server: &Server) -> Client {
    let client = tables::connect(server).await;
    rows(&client, WAIT).await;
    client
}

/// A client, and what the server tells it besides answers.
pub async fn connect_for_notices(server: &Server) -> (Client, Arc<Mutex<Vec<String>>>) {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.port()).user("postgres").dbname("levada");
    let (client, mut connection) = config.connect(NoTls).await.expect("a connection");
    let notices = Arc::<Mutex<Vec<String>>>::default();
    let heard = notices.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                heard.lock().expect("a lock").push(notice.message().to_owned());
            }
        }
    });
    rows(&client, WAIT).await;
    (client, notices)
}

async fn refused(client: &Client, sql: &str, sqlstate: &str, message: &str) {
    let error = try_rows(client, sql).await.err().unwrap_or_else(|| panic!("{sql} is accepted"));
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    assert_eq!((error.code().code(), error.message()), (sqlstate, message), "{sql}");
}

/// Views made before and after more messages came give equal answers; what is no row is told of once; with the last view
/// the reading ends, and begins with the next one.
#[tokio::test(flavor = "multi_thread")]
async fn views_over_a_source_agree() {
    let broker = Broker::shared();
    broker.create_topic("page_clicks", 3).await;
    send(broker, "page_clicks", numbers(0..1000));
    send(broker, "page_clicks", [("bad".to_owned(), Some("{".to_owned())), ("worse".to_owned(), None)]);
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_source(broker, "page_clicks", "n bigint, k int")).await;
    let status = "SELECT status, count(*), sum(lag) FROM levada_catalog.sources GROUP BY status";
    assert_eq!(rows(&client, status).await, ["idle|3|NULL"]);

    let per_k = "SELECT k, count(*) AS c, sum(n) AS s FROM page_clicks GROUP BY k";
    rows(&client, &format!("CREATE MATERIALIZED VIEW early AS {per_k}")).await;
    let total = "SELECT sum(c), sum(s) FROM";
    assert_eq!(rows(&client, &format!("{total} early")).await, ["1000|499500"]);
    send(broker, "page_clicks", numbers(1000..2000));
    rows(&client, &format!("CREATE MATERIALIZED VIEW late AS {per_k}")).await;
    // Both of one epoch, whichever that is.
    let apart = "SELECT count(*) FROM (SELECT * FROM early EXCEPT ALL SELECT * FROM late) AS d";
    assert_eq!(rows(&client, apart).await, ["0"]);
    // Another shape: rows that are kept, and a topic that is read twice.
    rows(
        &client,
        "CREATE MATERIALIZED VIEW pairs AS SELECT a.n AS a, b.n AS b FROM page_clicks a JOIN page_clicks b ON a.n = b.n + 1",
    )
    .await;
    send(broker, "page_clicks", numbers(2000..3000));
    until(&client, &format!("{total} late"), &["3000|4498500"]).await;
    assert_eq!(rows(&client, apart).await, ["0"]);
    until(&client, "SELECT count(*), count(DISTINCT a), sum(a - b) FROM pairs", &["2999|2999|2999"]).await;
    let errors =
        "SELECT source, count(*), count(DISTINCT (partition, \"offset\")) FROM levada_catalog.source_errors GROUP BY 1";
    assert_eq!(rows(&client, errors).await, ["page_clicks|2|2"]);
    let counted = "SELECT sum(bad_messages) FROM levada_catalog.sources";
    assert_eq!(rows(&client, counted).await, ["2"]);
    until(&client, status, &["running|3|0"]).await;

    rows(&client, "DROP MATERIALIZED VIEW early").await;
    rows(&client, "DROP MATERIALIZED VIEW late, pairs").await;
    assert_eq!(rows(&client, status).await, ["idle|3|NULL"]);
    send(broker, "page_clicks", numbers(3000..4000));
    rows(&client, &format!("CREATE MATERIALIZED VIEW again AS {per_k}")).await;
    assert_eq!(rows(&client, &format!("{total} again")).await, ["4000|7998000"]);
    send(broker, "page_clicks", numbers(4000..4100));
    until(&client, &format!("{total} again"), &["4100|8402950"]).await;
    assert_eq!(rows(&client, errors).await, ["page_clicks|2|2"]);
    // Counted for good, by whoever read them: while the source is read, after a restart, and when nobody reads it.
    assert_eq!(rows(&client, counted).await, ["2"]);
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    send(broker, "page_clicks", [("bad again".to_owned(), Some("[".to_owned()))]);
    until(&client, counted, &["3"]).await;
    assert_eq!(rows(&client, errors).await, ["page_clicks|3|3"]);
    rows(&client, "DROP MATERIALIZED VIEW again").await;
    assert_eq!(rows(&client, counted).await, ["3"]);
}

/// Views that read ever more of the messages are made, and one of them is dropped, while messages come: no view has a row
/// that lacks what the view reads, and none knows a message that is bad where it does not look.
#[tokio::test(flavor = "multi_thread")]
async fn views_read_ever_more_of_the_messages() {
    const ROUND: i64 = 2000;
    let broker = Broker::shared();
    broker.create_topic("ever_more", 2).await;
    let messages = |range: std::ops::Range<i64>| {
        range.map(|n| {
            let w = if n % 100 == 99 { "\"wrong\"".to_owned() } else { n.to_string() };
            let place = format!(r#"{{"x":{n},"y":{{"z":"{n}","w":{w}}}}}"#);
            (n.to_string(), Some(format!(r#"{{"n":{n},"place":{place},"t":"{n}"}}"#)))
        })
    };
    send(broker, "ever_more", messages(0..ROUND));
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    let columns = "n bigint, place struct<x int, y struct<z text, w int>>, t text NOT NULL";
    rows(&client, &create_source(broker, "ever_more", columns)).await;
    let reads =
        ["1", "n", "(place).x", "((place).y).z::int", "(place).x + 0", "((place).y).w", "t::int + (place).x - n"];
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    let sending = std::thread::spawn(move || {
        let mut sent = ROUND;
        while sent < 50 * ROUND && !told.load(Ordering::Relaxed) {
            send(broker, "ever_more", messages(sent..sent + ROUND));
            sent += ROUND;
        }
        sent
    });
    for (round, read) in reads.iter().enumerate() {
        rows(&client, &format!("CREATE MATERIALIZED VIEW g{round} AS SELECT {read} AS v, n FROM ever_more")).await;
        if round == 3 {
            rows(&client, "DROP MATERIALIZED VIEW g2").await;
        }
    }
    rows(&client, "CREATE MATERIALIZED VIEW whole AS SELECT place, n FROM ever_more").await;
    over.store(true, Ordering::Relaxed);
    let sent = sending.join().expect("a producer");
    let (count, sum) = ((0..sent).filter(|n| n % 100 != 99).count(), (0..sent).filter(|n| n % 100 != 99).sum::<i64>());
    for round in (0..reads.len()).filter(|round| *round != 2) {
        let view = format!("SELECT count(*), count(v), sum(CASE WHEN v = 1 THEN n ELSE v END) FROM g{round}");
        until(&client, &view, &[&format!("{count}|{count}|{sum}")]).await;
    }
    let whole = "SELECT count(*), sum((place).x), sum(((place).y).z::int), sum(((place).y).w) FROM whole";
    until(&client, whole, &[&format!("{count}|{sum}|{sum}|{sum}")]).await;
    let errors = "SELECT count(*), count(DISTINCT (partition, \"offset\")) FROM levada_catalog.source_errors";
    let bad = sent / 100;
    assert_eq!(rows(&client, errors).await, [format!("{bad}|{bad}")]);
}

/// The server is killed with views in its last checkpoint and with views that are only in its log, while messages come.
#[tokio::test(flavor = "multi_thread")]
async fn views_over_a_source_survive_a_kill() {
    const ROUND: i64 = 500;
    let broker = Broker::shared();
    broker.create_topic("events", 2).await;
    send(broker, "events", numbers(0..ROUND));
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_source(broker, "events", "n bigint, k int")).await;
    let mut sent = ROUND;
    for round in 0..4 {
        let view = format!("CREATE MATERIALIZED VIEW v{round} AS SELECT k, sum(n) AS s, count(*) AS c FROM events");
        rows(&client, &format!("{view} GROUP BY k")).await;
        let all = format!("CREATE MATERIALIZED VIEW w{round} AS SELECT n, p, o FROM events WHERE n % 2 = 0");
        rows(&client, &all).await;
        std::thread::scope(|scope| {
            scope.spawn(|| send(broker, "events", numbers(sent..sent + ROUND)));
        });
        sent += ROUND;
        if round % 2 == 1 {
            rows(&client, "FLUSH").await;
        }
        server.kill();
        server = Server::start(data.path());
        client = connect(&server).await;
    }
    let expected = format!("{sent}|{}", sent * (sent - 1) / 2);
    for round in 0..4 {
        until(&client, &format!("SELECT sum(c), sum(s) FROM v{round}"), &[&expected]).await;
        let places = format!("SELECT count(*), count(DISTINCT n), count(DISTINCT (p, o)) FROM w{round}");
        until(&client, &places, &[&format!("{0}|{0}|{0}", sent / 2)]).await;
    }
}

/// What was written from a view is never ahead of it, not in the first answer after a kill either; where Kafka is away, the
/// server starts all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_never_behind_what_was_written_from_it() {
    const ROUND: i64 = 400;
    let mut broker = Broker::start();
    broker.create_topic("steps", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &create_source(&broker, "steps", "n bigint, k int")).await;
    rows(&client, "CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS c FROM steps").await;
    rows(&client, "CREATE TABLE written (c bigint)").await;
    for round in 1..=3 {
        rows(&client, "FLUSH").await;
        send(&broker, "steps", numbers((round - 1) * ROUND..round * ROUND));
        until(&client, "SELECT c FROM seen", &[&(round * ROUND).to_string()]).await;
        rows(&client, "INSERT INTO written SELECT c FROM seen").await;
        server.kill();
        if round == 3 {
            broker.kill();
        }
        server = Server::start(data.path());
        client = connect(&server).await;
        if round < 3 {
            let both = "SELECT (SELECT max(c) FROM written), (SELECT c FROM seen)";
            assert_eq!(rows(&client, both).await, [format!("{0}|{0}", round * ROUND)]);
        }
    }
    assert_eq!(rows(&client, "SELECT max(c), count(*) FROM written").await, [format!("{}|3", 3 * ROUND)]);
    rows(&client, "SELECT c FROM seen").await;
    let state = "SELECT DISTINCT status = 'running', error IS NULL FROM levada_catalog.sources";
    until(&client, state, &["f|f"]).await;
    broker.resume();
    until(&client, "SELECT c FROM seen", &[&(3 * ROUND).to_string()]).await;
    // What was wrong with the connection is over.
    until(&client, state, &["t|t"]).await;
    send(&broker, "steps", numbers(3 * ROUND..4 * ROUND));
    until(&client, "SELECT c FROM seen", &[&(4 * ROUND).to_string()]).await;
    assert_eq!(rows(&client, state).await, ["t|t"]);
}

/// The ends of transactions have offsets too; what was rolled back is no history.
#[tokio::test(flavor = "multi_thread")]
async fn history_has_transactions() {
    let broker = Broker::shared();
    broker.create_topic("payments", 1).await;
    let producer = broker.producer(&[("transactional.id", "payments")]);
    producer.init_transactions(PATIENCE).expect("a transactional producer");
    let server_data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(server_data.path());
    let client = connect(&server).await;
    rows(&client, &create_source(broker, "payments", "n bigint")).await;
    for (round, commits) in [true, false, true, false].into_iter().enumerate() {
        producer.begin_transaction().expect("a transaction");
        for n in 0..100 {
            let value = format!(r#"{{"n":{}}}"#, round * 100 + n);
            let record = BaseRecord::<(), str>::to("payments").payload(&value);
            producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
        }
        producer.flush(PATIENCE).expect("a broker that takes them");
        match commits {
            true => producer.commit_transaction(PATIENCE).expect("a commit"),
            false => producer.abort_transaction(PATIENCE).expect("an abort"),
        }
    }
    let expected = ["200|0|299"];
    assert_eq!(rows(&client, "SELECT count(*), min(n), max(n) FROM payments").await, expected);
    rows(&client, "CREATE MATERIALIZED VIEW paid AS SELECT count(*) AS c, min(n), max(n) FROM payments").await;
    assert_eq!(rows(&client, "SELECT * FROM paid").await, expected);
    let place = "SELECT next_offset, lag FROM levada_catalog.sources";
    until(&client, place, &["404|0"]).await;
}

/// A view that misses a part of the history says so, and shares nothing with those that saw it.
#[tokio::test(flavor = "multi_thread")]
async fn missing_history_is_told() {
    let broker = Broker::shared();
    broker.create_topic("fading", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let (client, notices) = connect_for_notices(&server).await;
    rows(&client, &create_source(broker, "fading", "n bigint, k int")).await;
    send(broker, "fading", numbers(0..10));
    let view = "AS SELECT count(*) AS c, sum(n) AS s FROM fading";
    rows(&client, &format!("CREATE MATERIALIZED VIEW whole {view}")).await;
    broker.delete_records("fading", 0, 4).await;
    assert_eq!(*notices.lock().expect("a lock"), Vec::<String>::new());
    rows(&client, &format!("CREATE MATERIALIZED VIEW rest {view}")).await;
    rows(&client, &format!("CREATE MATERIALIZED VIEW same {view} WHERE n >= 0")).await;
    let told = |view: &str| format!("4 messages of topic \"fading\" are missing from \"{view}\"");
    assert_eq!(*notices.lock().expect("a lock"), [told("rest"), told("same")]);
    let answers = "SELECT w.c, w.s, r.c, r.s, s.c, s.s FROM whole w, rest r, same s";
    assert_eq!(rows(&client, answers).await, ["10|45|6|39|6|39"]);
    let missing = "SELECT name, missing_messages FROM levada_catalog.views ORDER BY name";
    let expected = ["rest|4", "same|4", "whole|0"];
    assert_eq!(rows(&client, missing).await, expected);
    assert_eq!(rows(&client, "SELECT min(n), count(*) FROM fading").await, ["4|6"]);
    let of_the_answer = "4 messages of topic \"fading\" are missing from the answer";
    assert_eq!(notices.lock().expect("a lock").last().map(String::as_str), Some(of_the_answer));

    send(broker, "fading", numbers(10..12));
    until(&client, answers, &["12|66|8|60|8|60"]).await;
    // Without a checkpoint the whole history would have to be read again, which is no longer there.
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    let client = connect(&server).await;
    until(&client, answers, &["12|66|8|60|8|60"]).await;
    assert_eq!(rows(&client, missing).await, expected);
}

/// A query reads a topic from its start to the end of now, and no further than it must.
#[tokio::test(flavor = "multi_thread")]
async fn queries_read_a_source() {
    let broker = Broker::shared();
    broker.create_topic("readings2", 3).await;
    send(broker, "readings2", numbers(0..30_000));
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let client = connect(&server).await;
    rows(&client, &create_source(broker, "readings2", "n bigint NOT NULL, k int, other text")).await;
    for (sql, expected) in [
        ("SELECT count(*), sum(n), count(other) FROM readings2", "30000|449985000|0"),
        ("SELECT count(*) FROM (SELECT n FROM readings2 LIMIT 7) AS l", "7"),
        ("SELECT n FROM readings2 ORDER BY n DESC LIMIT 1", "29999"),
        ("SELECT n FROM readings2 WHERE n = 17", "17"),
        ("SELECT count(*) FROM (SELECT n FROM readings2 WHERE n IN (3, 5, -1)) AS few", "2"),
        ("SELECT count(*) FROM readings2 a JOIN readings2 b ON a.n = b.n WHERE a.k = 3", "3000"),
        ("SELECT count(*) FROM readings2 WHERE n IN (SELECT k FROM readings2)", "10"),
        ("SELECT count(*) FROM (SELECT DISTINCT p, o FROM readings2) AS d", "30000"),
    ] {
        assert_eq!(rows(&client, sql).await, [expected], "{sql}");
    }
    rows(&client, "CREATE TABLE kept AS SELECT * FROM readings2 WHERE n < 5").await;
    assert_eq!(rows(&client, "SELECT sum(n) FROM kept").await, ["10"]);
    // No reader is left behind by queries.
    assert_eq!(rows(&client, "SELECT DISTINCT status FROM levada_catalog.sources").await, ["idle"]);
    rows(&client, "SET statement_timeout = '1ms'").await;
    refused(&client, "SELECT count(*) FROM readings2", "57014", "canceling statement due to statement timeout").await;
}

/// What a source is in the catalog, and what it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_an_object() {
    let broker = Broker::shared();
    broker.create_topic("things", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(data.path());
    let (client, notices) = connect_for_notices(&server).await;
    let create = create_source(broker, "things", "id int NOT NULL, name text");
    rows(&client, &create).await;
    refused(&client, &create, "42P07", "relation \"things\" already exists").await;
    rows(&client, &create.replacen("SOURCE", "SOURCE IF NOT EXISTS", 1)).await;
    rows(&client, "CREATE VIEW named AS SELECT name FROM things").await;
    rows(&client, "CREATE MATERIALIZED VIEW per_name AS SELECT name, count(*) AS n FROM named GROUP BY name").await;
    assert_eq!(rows(&client, "SHOW SOURCES").await, ["things"]);
    assert_eq!(rows(&client, "SHOW CREATE SOURCE things").await, [format!("things|{create}")]);
    let kinds = "SELECT relname, relkind, (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attnotnull) \
                 FROM pg_class c WHERE relnamespace = 'public'::regnamespace ORDER BY relname";
    assert_eq!(rows(&client, kinds).await, ["named|v|0", "per_name|m|0", "things|f|1"]);
    let dependencies = "SELECT object_name, depends_on_name FROM levada_catalog.dependencies ORDER BY 1, 2";
    assert_eq!(rows(&client, dependencies).await, ["named|things", "per_name|named", "per_name|things"]);
    assert_eq!(
        rows(&client, "SELECT table_type FROM information_schema.tables WHERE table_name = 'things'").await,
        ["FOREIGN"]
    );

    refused(&client, "INSERT INTO things VALUES (1, 'a')", "0A000", "cannot insert into source \"things\"").await;
    refused(&client, "UPDATE things SET id = 2", "0A000", "cannot update source \"things\"").await;
    refused(&client, "DELETE FROM things", "0A000", "cannot delete from source \"things\"").await;
    refused(&client, "DROP TABLE things", "42809", "\"things\" is not a table").await;
    refused(&client, "DROP SOURCE per_name", "42809", "\"per_name\" is not a source").await;
    refused(&client, "SHOW CREATE TABLE things", "42809", "\"things\" is not a table").await;
    let message = "cannot drop source things because other objects depend on it";
    refused(&client, "DROP SOURCE things", "2BP01", message).await;
    rows(&client, "DROP SOURCE things CASCADE").await;
    assert_eq!(rows(&client, "SHOW SOURCES").await, Vec::<String>::new());
    rows(&client, "DROP SOURCE IF EXISTS things, more").await;
    let heard = [
        "relation \"things\" already exists, skipping",
        "the state of materialized view \"per_name\" may grow without bound",
        "drop cascades to 2 other objects",
        "source \"things\" does not exist, skipping",
        "source \"more\" does not exist, skipping",
    ];
    assert_eq!(*notices.lock().expect("a lock"), heard);
}

/// With `on_error = 'fail'` a bad message stops its partition, at the same place for all views and after a restart; the
/// others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_message_stops_its_partition() {
    let broker = Broker::shared();
    broker.create_topic("orderly", 2).await;
    let send = |partition: i32, values: &[&str]| {
        let producer = broker.producer(&[]);
        for value in values {
            let record = BaseRecord::<str, str>::to("orderly").partition(partition).payload(value);
            producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
        }
        producer.flush(PATIENCE).expect("a broker that takes them");
    };
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(data.path());
    let mut client = connect(&server).await;
    rows(&client, &format!("{} (on_error = 'fail')", create_source(broker, "orderly", "n int"))).await;
    let view = "AS SELECT count(*) AS c, sum(n) AS s FROM orderly";
    rows(&client, &format!("CREATE MATERIALIZED VIEW early {view}")).await;
    send(0, &[r#"{"n":1}"#, r#"{"n":"one"}"#, r#"{"n":2}"#]);
    send(1, &[r#"{"n":4}"#, r#"{"n":8}"#]);
    let status = "SELECT partition, status, next_offset, bad_messages, error LIKE 'message at offset 1: %' \
                  FROM levada_catalog.sources ORDER BY 1";
    let stopped = ["0|failed|1|1|t", "1|running|2|0|NULL"];
    until(&client, status, &stopped).await;
    until(&client, "SELECT * FROM early", &["3|13"]).await;
    rows(&client, &format!("CREATE MATERIALIZED VIEW late {view}")).await;
    assert_eq!(rows(&client, "SELECT * FROM late").await, ["3|13"]);
    rows(&client, "FLUSH").await;
    server.kill();
    server = Server::start(data.path());
    client = connect(&server).await;
    send(1, &[r#"{"n":16}"#]);
    until(&client, "SELECT e.c, e.s, l.s FROM early e, late l", &["4|29|29"]).await;
    until(&client, status, &["0|failed|1|1|t", "1|running|3|0|NULL"]).await;
    assert_eq!(rows(&client, "SELECT count(*) FROM levada_catalog.source_errors").await, ["0"]);
}
