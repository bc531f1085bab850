//! A view that keeps failing its step is suspended, and nothing else.

use std::collections::BTreeMap;

use arrow::array::Int64Array;

use super::*;
use crate::catalog::{Item, ItemKind};
use crate::data::{Column, RelationSchema, SqlType};
use crate::source::{Encoding, Envelope, Kafka, Offsets, OnError, OnGap, Origin, SourceColumn, SourceSpec};

const VIEWS: &str = "
    CREATE TABLE t (a int);
    CREATE TABLE u (a int);
    CREATE MATERIALIZED VIEW pairs AS SELECT x.a FROM t x JOIN t y ON x.a = y.a;
    CREATE MATERIALIZED VIEW shifted AS SELECT x.a + 1 AS b FROM t x JOIN t y ON x.a = y.a;
    CREATE MATERIALIZED VIEW over AS SELECT count(*) AS c FROM pairs;
    CREATE VIEW plain AS SELECT * FROM pairs;
    CREATE SINK gone FROM pairs WITH (connector = 'blackhole');
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS c FROM t;
    CREATE MATERIALIZED VIEW both AS SELECT t.a FROM t JOIN u ON t.a = u.a;";

/// Rows so often that how often a pair of them stands has no number.
fn too_often(engine: &Engine, table: ObjectId) -> Vec<Operation> {
    let change = rows(engine, table, vec![7]);
    vec![Operation::Write { table, change: ZSet::new(change.batch().clone(), Int64Array::from(vec![1_i64 << 40])) }]
}

/// What is suspended says so; what is not, is as if the others had never been.
async fn check(engine: &Engine, counted: i64) {
    let suspended =
        "SELECT name, hydration_error FROM levada_catalog.views WHERE hydration = 'suspended' ORDER BY name";
    let why = "the weight of a joined row overflows";
    let names = ["over", "pairs", "shifted"];
    assert_eq!(run(engine, suspended).await, names.map(|name| format!("{name}|{why}")));
    let sinks = "SELECT name, hydration, hydration_error FROM levada_catalog.sinks";
    assert_eq!(run(engine, sinks).await, [format!("gone|suspended|{why}")]);
    for (read, named) in [("pairs", "pairs"), ("shifted", "shifted"), ("over", "over"), ("plain", "pairs")] {
        let error = refusal(engine, &format!("SELECT * FROM {read}")).await;
        let expected = format!("materialized view \"{named}\" is suspended: {why}");
        assert_eq!((error.sqlstate().code(), error.message()), ("55000", expected.as_str()));
        assert!(error.hint().is_some_and(|hint| hint.contains("DROP")));
    }
    let error = refusal(engine, "CREATE MATERIALIZED VIEW late AS SELECT a FROM plain").await;
    assert_eq!(error.sqlstate().code(), "55000", "{error}");
    assert_eq!(run(engine, "SELECT c FROM counted").await, [counted.to_string()]);
    assert_eq!(run(engine, "SELECT a FROM both").await, ["2"]);
}

#[tokio::test]
async fn a_view_that_keeps_failing_is_suspended() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path());
    run(&engine, VIEWS).await;
    run(&engine, "INSERT INTO t VALUES (1), (2)").await;
    run(&engine, "INSERT INTO u VALUES (2)").await;
    // The checkpoint from which the first start goes on has the views with their nodes.
    run(&engine, "FLUSH").await;
    let (t, mut counted) = (table(&engine, "t"), 2);
    let ones = commit(&engine, vec![Operation::Write { table: t, change: rows(&engine, t, vec![3]) }]);
    // The transaction can be, once the views are out of its way; as can those beside it.
    let (often, one) = tokio::join!(commit(&engine, too_often(&engine, t)), ones);
    assert!(often.is_ok() && one.is_ok(), "{:?} {:?}", often.err(), one.err());
    counted += (1 << 40) + 1;
    check(&engine, counted).await;
    // As after kill -9: from the log alone, from a checkpoint and the log, from a checkpoint alone.
    for statement in ["INSERT INTO t VALUES (4)", "FLUSH", "INSERT INTO t VALUES (5)", "FLUSH"] {
        drop(engine);
        engine = open(directory.path());
        check(&engine, counted).await;
        run(&engine, statement).await;
        counted += i64::from(statement != "FLUSH");
        check(&engine, counted).await;
    }
    engine.shutdown().await.unwrap();
    drop(engine);
    let engine = open(directory.path());
    check(&engine, counted).await;

    run(&engine, "DROP SINK gone; DROP VIEW plain; DROP MATERIALIZED VIEW over, pairs, shifted").await;
    assert_eq!(run(&engine, "SELECT count(*) FROM levada_catalog.views WHERE hydration = 'suspended'").await, ["0"]);
    run(&engine, "CREATE MATERIALIZED VIEW pairs AS SELECT x.a FROM u x JOIN u y ON x.a = y.a").await;
    run(&engine, "INSERT INTO u VALUES (2)").await;
    assert_eq!(run(&engine, "SELECT count(*) FROM pairs").await, ["4"]);
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(run(&engine, "SELECT count(*) FROM pairs").await, ["4"]);
    assert_eq!(run(&engine, "SELECT c FROM counted").await, [counted.to_string()]);
}

/// A transaction that makes the view at which it fails has nobody to suspend.
#[tokio::test]
async fn a_transaction_that_makes_a_failing_view_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS c FROM t").await;
    run(&engine, "CREATE MATERIALIZED VIEW pairs AS SELECT x.a FROM t x JOIN t y ON x.a = y.a").await;
    let (t, pairs) = (table(&engine, "t"), engine.0.snapshot().catalog.by_name("pairs").unwrap().clone());
    run(&engine, "DROP MATERIALIZED VIEW pairs").await;
    let made = Item { id: engine.0.new_object(), ..(*pairs).clone() };
    let operations = [vec![Operation::Create(made.clone())], too_often(&engine, t)].concat();
    let error = commit(&engine, operations).await.err().unwrap();
    assert_eq!(error.message(), "the weight of a joined row overflows");
    assert_eq!(run(&engine, "SELECT name FROM levada_catalog.views").await, ["counted"]);
    assert_eq!(run(&engine, "SELECT c FROM counted").await, ["0"]);
    commit(&engine, vec![Operation::Create(made)]).await.unwrap();
    run(&engine, "INSERT INTO t VALUES (1), (1)").await;
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(run(&engine, "SELECT a FROM pairs").await, ["1"; 4]);
}

/// A row that goes because of its age takes with it all that a join made of it; if that is too much of many, fewer go at once.
#[tokio::test]
async fn rows_that_are_too_old_go_fewer_at_a_time_where_joins_make_much_of_them() {
    const KEPT: Duration = Duration::from_secs(3600);
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(1_700_000_000_000_000);
    let options = EngineOptions::new(directory.path()).with_memory_limit(100 << 20);
    let memory_gauge = MemoryGauge::Manual(ManualMemory::default());
    let time = TimeSource::Manual(clock.clone());
    let options = EngineOptions { step_threads: 1, query_threads: 1, memory_gauge, time, ..options };
    let engine = Engine::open(options).unwrap();
    let aged = aged_table(&engine, KEPT);
    commit(&engine, vec![Operation::Create(aged.clone())]).await.unwrap();
    run(&engine, "CREATE TABLE d (a int, s text)").await;
    run(&engine, "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c, sum(length(s)) AS l FROM aged JOIN d USING (a)")
        .await;
    run(&engine, "INSERT INTO d SELECT 1, repeat('x', 100000) FROM generate_series(1, 20)").await;
    // Of each ten, the join makes 20 MB.
    for _ in 0..10 {
        let change = rows(&engine, aged.id, vec![1; 10]);
        commit(&engine, vec![Operation::Write { table: aged.id, change }]).await.unwrap();
    }
    assert_eq!(run(&engine, "SELECT c, l FROM v").await, ["2000|200000000"]);
    clock.advance(2 * KEPT);
    let begun = std::time::Instant::now();
    while run(&engine, "SELECT count(*) FROM aged").await != ["0"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "they are still there");
    }
    assert_eq!(run(&engine, "SELECT hydration FROM levada_catalog.views").await, ["hydrated"]);
    assert_eq!(run(&engine, "SELECT c FROM v").await, ["0"]);
}

/// A table of which rows go when they have been there for long enough; nobody writes to its topic.
fn aged_table(engine: &Engine, kept: Duration) -> Item {
    let column = Column::new("a", SqlType::Int4, true);
    let (brokers, topic) = ("127.0.0.1:1".to_owned(), "nobody".to_owned());
    let spec = SourceSpec {
        kafka: Kafka { brokers, topic, properties: BTreeMap::new(), start: Offsets::default(), topic_id: None },
        envelope: Envelope::Plain,
        encoding: Encoding::Json,
        columns: vec![SourceColumn { column: column.clone(), origin: Origin::Member }],
        primary_key: None,
        on_error: OnError::DeadLetter,
        on_gap: OnGap::Stop,
        retention: Some(kept.as_micros() as i64),
        watermark: None,
    };
    Item {
        id: engine.0.new_object(),
        name: "aged".into(),
        kind: ItemKind::Table { defaults: vec![None], connector: Some(serde_json::to_value(&spec).unwrap()) },
        schema: RelationSchema { columns: vec![column], primary_key: None },
        create_sql: String::new(),
        depends_on: Vec::new(),
        suspended: None,
    }
}

/// What fails at a view when the log is applied suspends the view, and keeps nobody from opening the database.
#[tokio::test]
async fn an_entry_of_the_log_that_fails_at_views_suspends_them() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, VIEWS).await;
    run(&engine, "INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (2); FLUSH").await;
    // In the log alone, with views over one that will have been suspended, one upon the other.
    let catalog = engine.0.snapshot().catalog.clone();
    let found = |name: &str| Item::clone(catalog.items().find(|item| item.name == name).unwrap());
    let named = |name: &str, over: &str, like: Item| Item {
        id: engine.0.new_object(),
        name: name.to_owned(),
        create_sql: like.create_sql.replace("pairs", over),
        ..like
    };
    let later = named("later", "pairs", found("over"));
    let between = Item { depends_on: vec![later.id], ..named("between", "later", found("plain")) };
    let latest = Item { depends_on: vec![between.id], ..named("latest", "between", found("over")) };
    let created = [later, between, latest].map(Operation::Create);
    let group = [too_often(&engine, table(&engine, "t")), created.to_vec()];
    drop(engine);
    let records = record::transactions(group.iter().map(Vec::as_slice)).unwrap();
    Storage::open(directory.path(), StorageSizes::default()).unwrap().log.append(&records).unwrap();
    let mut counted = 2 + (1 << 40);
    for round in 0..4 {
        let engine = open(directory.path());
        if round == 0 {
            assert_eq!(refusal(&engine, "SELECT * FROM later").await.sqlstate().code(), "55000");
            assert_eq!(refusal(&engine, "SELECT * FROM latest").await.sqlstate().code(), "55000");
            run(&engine, "DROP MATERIALIZED VIEW later CASCADE").await;
        }
        check(&engine, counted).await;
        run(&engine, "INSERT INTO t VALUES (5)").await;
        counted += 1;
        check(&engine, counted).await;
        if round == 2 {
            run(&engine, "FLUSH").await;
        }
    }
    let engine = open(directory.path());
    run(&engine, "DROP SINK gone; DROP VIEW plain; DROP MATERIALIZED VIEW over, pairs, shifted").await;
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(run(&engine, "SELECT count(*) FROM levada_catalog.views WHERE hydration = 'suspended'").await, ["0"]);
    assert_eq!(run(&engine, "SELECT c FROM counted").await, [counted.to_string()]);
}
