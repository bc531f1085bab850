//! Sources that pause while memory is scarce, by what a test says of memory and by what the system does.

use levada_engine::{EngineOptions, ManualClock, ManualMemory, MemoryGauge};
use rdkafka::producer::{BaseRecord, Producer};
use tokio_postgres::Client;

use super::Broker;
use super::broker::PATIENCE;
use super::database::Database;
use super::tables::{connect, rows, send, try_rows, until};
use crate::server::Server;

const LIMIT: u64 = 1 << 30;

fn create_table(broker: &Broker, name: &str, columns: &str) -> String {
    format!(
        "CREATE TABLE {name} ({columns}) WITH (connector = 'kafka', topic = '{name}', \
         properties.bootstrap.server = '{}') FORMAT PLAIN ENCODE JSON",
        broker.address()
    )
}

fn numbers(range: std::ops::Range<i64>) -> impl Iterator<Item = (String, Option<String>)> {
    range.map(|n| (n.to_string(), Some(format!(r#"{{"n":{n}}}"#))))
}

const STATUS: &str = "SELECT DISTINCT status FROM levada_catalog.sources";

/// Nothing is read meanwhile, and nothing is lost; queries and whatever frees memory go on.
#[tokio::test(flavor = "multi_thread")]
async fn sources_pause_while_memory_is_scarce() {
    let broker = Broker::shared();
    broker.create_topic("scarce", 2).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let memory = ManualMemory::default();
    let options = EngineOptions::new(data.path()).with_memory_limit(LIMIT);
    let options = EngineOptions { memory_gauge: MemoryGauge::Manual(memory.clone()), ..options };
    let mut database = Database::open_with(options, &ManualClock::default());
    database.rows(&create_table(broker, "scarce", "n bigint")).await;
    database.rows("CREATE TABLE notes (n int)").await;
    database.rows("INSERT INTO notes SELECT generate_series(1, 20000)").await;
    database.rows("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS c, sum(n) AS s FROM scarce").await;
    send(broker, "scarce", numbers(0..100));
    database.until("SELECT c FROM total", &["100"]).await;

    memory.set(LIMIT / 100 * 95);
    database.until(STATUS, &["paused: memory"]).await;
    let engine_row = "SELECT memory_used, memory_limit, sources_paused FROM levada_catalog.engine";
    assert_eq!(database.rows(engine_row).await, [format!("{}|{LIMIT}|1", LIMIT / 100 * 95)]);
    send(broker, "scarce", numbers(100..200));
    // There is room for a few rows; a new view over many waits, and can be dropped.
    database.rows("INSERT INTO notes VALUES (0)").await;
    database.rows("CREATE MATERIALIZED VIEW halves AS SELECT n / 2 AS half, count(*) AS c FROM notes GROUP BY 1").await;
    database.rows("CREATE MATERIALIZED VIEW thirds AS SELECT n / 3 AS third FROM notes").await;
    let hydration = "SELECT DISTINCT hydration FROM levada_catalog.views WHERE name IN ('halves', 'thirds')";
    database.until(hydration, &["paused: memory"]).await;
    assert!(database.refusal("SELECT * FROM halves").await.contains("55000"));
    database.rows("DROP MATERIALIZED VIEW thirds").await;
    // How much there is to read of a topic is known before it is read.
    let source = create_table(broker, "scarce", "n bigint").replace("TABLE scarce", "SOURCE told");
    database.rows(&source).await;
    database.rows("CREATE MATERIALIZED VIEW told_sum AS SELECT sum(n) AS s FROM told").await;
    let told = "SELECT hydration, hydrated_rows, hydration_total FROM levada_catalog.views WHERE name = 'told_sum'";
    database.until(told, &["paused: memory|0|200"]).await;
    database.rows("DROP MATERIALIZED VIEW told_sum").await;
    database.rows("DROP SOURCE told").await;

    memory.set(LIMIT);
    database.until("SELECT memory_used FROM levada_catalog.engine", &[&LIMIT.to_string()]).await;
    let refusal = database.refusal("INSERT INTO notes VALUES (-1)").await;
    assert!(refusal.contains("53200"), "{refusal}");
    database.rows("UPDATE notes SET n = -n WHERE n > 19000").await;
    database.rows("DELETE FROM notes WHERE n < 0").await;
    assert_eq!(database.rows("SELECT count(*), max(n) FROM notes").await, ["19001|19000"]);
    assert_eq!(database.rows("SELECT c FROM total").await, ["100"]);
    assert_eq!(database.rows(STATUS).await, ["paused: memory"]);
    database.rows("DROP MATERIALIZED VIEW total").await;

    memory.set(LIMIT / 2);
    database.until("SELECT count(*), sum(n) FROM scarce", &["200|19900"]).await;
    database.until(STATUS, &["running"]).await;
    database.until(hydration, &["hydrated"]).await;
    assert_eq!(database.rows("SELECT count(*), sum(c) FROM halves").await, ["9501|19001"]);
    database.rows("INSERT INTO notes VALUES (-1)").await;
    database.engine.shutdown().await.expect("a last checkpoint");
}

/// A server of its own takes in more than it may; it stops at its budget, says so, and goes on when a table is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_stays_in_its_budget() {
    const MESSAGES: usize = 22_000;
    let broker = Broker::shared();
    broker.create_topic("hoard", 2).await;
    broker.create_topic("trickle", 1).await;
    let producer = broker.producer(&[("linger.ms", "20"), ("compression.codec", "lz4")]);
    let padding = "x".repeat(20_000);
    for n in 0..MESSAGES {
        let payload = format!(r#"{{"n":{n},"text":"{n}{padding}"}}"#);
        let mut record = BaseRecord::<(), String>::to("hoard").payload(&payload);
        while let Err((_, again)) = producer.send(record) {
            record = again;
            producer.poll(std::time::Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE).expect("a broker that takes them");
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::run(&["serve", "--memory-limit", "400MB"], data.path());
    let client = connect(&server).await;
    rows(&client, &create_table(broker, "trickle", "n bigint")).await;
    rows(&client, &create_table(broker, "hoard", "n bigint, text text")).await;
    until(&client, STATUS, &["paused: memory"]).await;
    send(broker, "trickle", numbers(0..10));
    let engine = "SELECT memory_limit >> 20, memory_used > memory_limit / 100 * 85, memory_used < memory_limit / 2 * 3 \
                  FROM levada_catalog.engine";
    // What was under way is freed at first, and more is taken in until memory is scarce again.
    until(&client, engine, &["400|t|t"]).await;
    // What was delivered before the pause may still be on its way through a step.
    until(&client, &format!("SELECT count(*) > 0, count(*) < {MESSAGES} FROM hoard"), &["t|t"]).await;
    // What queries may take is bounded too.
    let error = try_rows(
        &client,
        "SELECT count(*) FROM (SELECT DISTINCT a || 'a long text', b FROM \
                generate_series(1, 3000) AS x (a), generate_series(1, 1000) AS y (b))",
    )
    .await;
    let error = error.expect_err("a query over its share");
    assert_eq!(error.code().map(|code| code.code().to_owned()), Some("53200".to_owned()), "{error:?}");
    rows(&client, "DROP TABLE hoard").await;
    until(&client, STATUS, &["running"]).await;
    until(&client, "SELECT count(*), sum(n) FROM trickle", &["10|45"]).await;
}

/// With little memory too a server that was filled goes on once it is emptied, and again: what it keeps for itself is a small
/// part of its budget.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_server_goes_on_when_it_is_emptied() {
    let broker = Broker::shared();
    broker.create_topic("emptied", 1).await;
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Server::run(&["serve", "--memory-limit", "200MB"], data.path());
    let client = connect(&server).await;
    rows(&client, &create_table(broker, "emptied", "n bigint")).await;
    let sums = "SELECT k, count(*) AS c, max(text) AS last FROM filled GROUP BY k";
    let mut sent = 0;
    for (round, emptying) in ["DELETE FROM filled", "DROP TABLE filled CASCADE"].into_iter().enumerate() {
        rows(&client, "CREATE TABLE IF NOT EXISTS filled (n bigint, k bigint, text text)").await;
        let view = format!("CREATE MATERIALIZED VIEW IF NOT EXISTS sums AS {sums}");
        rows(&client, &view).await;
        fill(&client, round).await;
        send(broker, "emptied", numbers(sent..sent + 10));
        sent += 10;
        rows(&client, emptying).await;
        until(&client, STATUS, &["running"]).await;
        let read = format!("{sent}|{}", sent * (sent - 1) / 2);
        until(&client, "SELECT count(*), sum(n) FROM emptied", &[&read]).await;
        let stay = "SELECT sources_paused, memory_used < memory_limit / 100 * 85 FROM levada_catalog.engine";
        until(&client, stay, &["0|t"]).await;
    }
}

/// Writes rows until there is no memory for more, and sources pause.
async fn fill(client: &Client, round: usize) {
    for part in 0..10_000 {
        let insert = format!(
            "INSERT INTO filled SELECT n, n % 1000, repeat(md5('{round} {part} ' || n), 10) FROM generate_series(1, 3000) AS g(n)"
        );
        if let Err(error) = try_rows(client, &insert).await {
            assert_eq!(error.code().map(|code| code.code()), Some("53200"), "{error:?}");
            // What was under way may be freed again.
            if rows(client, STATUS).await == ["paused: memory"] {
                return;
            }
        }
    }
    panic!("10,000 times 1 MB are in 200 MB");
}
