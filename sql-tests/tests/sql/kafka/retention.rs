//! Rows of a topic that go by their age, under a clock that the test sets.

use std::time::Duration;

use levada_engine::ManualClock;

use super::Broker;
use super::database::Database;
use super::tables::send;

fn create(broker: &Broker, name: &str, columns: &str, format: &str) -> String {
    format!(
        "CREATE TABLE {name} ({columns}) WITH (connector = 'kafka', topic = '{name}', retention = '1 minute', \
         properties.bootstrap.server = '{}') FORMAT {format} ENCODE JSON",
        broker.address()
    )
}

fn reading(n: i64) -> (String, Option<String>) {
    (n.to_string(), Some(format!(r#"{{"n":{n},"g":{}}}"#, n % 2)))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Rows go from the table and from all views when they are a minute old, whatever happened to the server meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn rows_go_when_they_are_old() {
    let broker = Broker::shared();
    broker.create_topic("aging", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let clock = ManualClock::new(1_700_000_000_000_000);
    let mut database = Database::open(data.path(), &clock);
    let create = create(broker, "aging", "n bigint, g int", "PLAIN");
    database.rows(&create).await;
    assert_eq!(database.rows("SHOW CREATE TABLE aging").await, [format!("aging|{create}")]);
    let tables = "SELECT name, retention, retention = INTERVAL '1 minute' FROM levada_catalog.tables";
    assert_eq!(database.rows(tables).await, ["aging|00:01:00|t"]);
    let view = "CREATE MATERIALIZED VIEW ages AS \
                SELECT g, count(*) AS c, min(n) AS least, max(n) AS most FROM aging GROUP BY g";
    database.rows(view).await;
    let ages = "SELECT * FROM ages ORDER BY g";

    send(broker, "aging", (10..20).map(reading));
    database.until(ages, &["0|5|10|18", "1|5|11|19"]).await;
    clock.advance(seconds(30));
    send(broker, "aging", [reading(3), reading(15), reading(4)]);
    database.until(ages, &["0|6|4|18", "1|7|3|19"]).await;
    clock.advance(seconds(29));
    database.rows("FLUSH").await;
    assert_eq!(database.rows(ages).await, ["0|6|4|18", "1|7|3|19"]);
    clock.advance(seconds(2));
    database.until(ages, &["0|1|4|4", "1|2|3|15"]).await;
    assert_eq!(database.rows("SELECT n FROM aging ORDER BY n").await, ["3", "4", "15"]);

    // As a kill leaves it, with the checkpoint behind.
    database.rows("FLUSH").await;
    drop(database);
    let mut database = Database::open(data.path(), &clock);
    assert_eq!(database.rows(ages).await, ["0|1|4|4", "1|2|3|15"]);
    clock.advance(seconds(15));
    send(broker, "aging", [reading(7)]);
    database.until(ages, &["0|1|4|4", "1|3|3|15"]).await;
    database.engine.shutdown().await.expect("an orderly end");
    drop(database);
    // Time passes while nobody is there.
    clock.advance(seconds(20));
    let mut database = Database::open(data.path(), &clock);
    // Nobody sees what has become too old, whatever is read first.
    assert_eq!(database.rows(ages).await, ["1|1|7|7"]);
    assert_eq!(database.rows("SELECT n FROM aging").await, ["7"]);
    drop(database);
    let mut database = Database::open(data.path(), &clock);
    assert_eq!(database.rows("SELECT n FROM aging").await, ["7"]);
    assert_eq!(database.rows(ages).await, ["1|1|7|7"]);
    clock.advance(seconds(60));
    database.until(ages, &[]).await;
    assert_eq!(database.rows("SELECT count(*) FROM aging").await, ["0"]);
    assert_eq!(database.rows("SELECT rows FROM levada_catalog.tables").await, ["0"]);

    // No row goes with one that came a little sooner.
    send(broker, "aging", [reading(1)]);
    database.until(ages, &["1|1|1|1"]).await;
    clock.advance(Duration::from_millis(150));
    send(broker, "aging", [reading(2)]);
    database.until(ages, &["0|1|2|2", "1|1|1|1"]).await;
    clock.advance(Duration::from_millis(59_950));
    database.until(ages, &["0|1|2|2"]).await;
    clock.advance(Duration::from_millis(250));
    database.until(ages, &[]).await;
}

/// A row counts from the last message of its key, even one that says the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_heard_of_stays() {
    let broker = Broker::shared();
    broker.create_topic("alive", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let clock = ManualClock::new(1_700_000_000_000_000);
    let mut database = Database::open(data.path(), &clock);
    database.rows(&create(broker, "alive", "id int PRIMARY KEY, v int", "UPSERT")).await;
    database.rows("CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, sum(v) AS v FROM alive").await;
    let message = |id: i32, v: i32| (format!(r#"{{"id":{id}}}"#), Some(format!(r#"{{"v":{v}}}"#)));
    send(broker, "alive", [message(1, 10), message(2, 20), message(3, 30), message(4, 40)]);
    database.until("SELECT * FROM sums", &["4|100"]).await;
    clock.advance(seconds(40));
    // The first says the same again, the second something new, the third goes; the fourth is not heard of.
    let last = (r#"{"id":3}"#.to_owned(), None);
    send(broker, "alive", [message(1, 10), message(2, 21), last]);
    database.until("SELECT * FROM sums", &["3|71"]).await;
    database.rows("FLUSH").await;
    clock.advance(seconds(40));
    database.until("SELECT id, v FROM alive ORDER BY id", &["1|10", "2|21"]).await;
    assert_eq!(database.rows("SELECT * FROM sums").await, ["2|31"]);
    drop(database);
    // What went after the last checkpoint is not there again.
    let mut database = Database::open(data.path(), &clock);
    assert_eq!(database.rows("SELECT * FROM sums").await, ["2|31"]);
    clock.advance(seconds(21));
    database.until("SELECT * FROM sums", &["0|NULL"]).await;
}
