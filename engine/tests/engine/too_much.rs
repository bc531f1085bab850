//! Joins that would make more of a step than there is memory for.

use std::path::Path;

use levada_engine::{Engine, EngineOptions, ManualMemory, MemoryGauge, Session};

use crate::database::{run, session, sql, value};

/// With so little, a join may make as few bytes as it ever may: 64 MB.
const LITTLE: u64 = 100 << 20;

fn open(directory: &Path) -> Engine {
    let options = EngineOptions::new(directory).with_memory_limit(LITTLE);
    let memory_gauge = MemoryGauge::Manual(ManualMemory::default());
    Engine::open(EngineOptions { step_threads: 2, query_threads: 1, memory_gauge, ..options }).unwrap()
}

async fn insert(session: &mut Session, table: &str, rows: u32, bytes: u32) -> String {
    let rows = format!("SELECT 1, repeat('x', {bytes}) FROM generate_series(1, {rows})");
    match sql(session, &format!("INSERT INTO {table} {rows}")).await {
        Ok(_) => "inserted".to_owned(),
        Err(error) => {
            assert!(error.hint().is_some_and(|hint| hint.contains("more selective")), "{error}");
            format!("{} {}", error.sqlstate().code(), error.message())
        }
    }
}

#[tokio::test]
async fn a_statement_of_which_a_join_makes_too_much_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE l (k int, a text); CREATE TABLE r (k int, b text); CREATE TABLE n (k int, s text)")
        .await;
    let longer = "SELECT l.k, length(a || b) AS bytes FROM l JOIN r ON l.k = r.k";
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW longer AS {longer}")).await;
    run(&mut ada, "CREATE MATERIALIZED VIEW same AS SELECT count(*) AS c FROM n x JOIN n y ON x.k = y.k AND x.s = y.s")
        .await;
    run(&mut ada, "CREATE MATERIALIZED VIEW every AS SELECT x.s AS a, y.s AS b FROM n x LEFT JOIN n y ON x.k <= y.k")
        .await;
    assert_eq!(insert(&mut ada, "r", 200, 10_000).await, "inserted");
    // Each row meets 200 others: 4 MB of pairs.
    assert_eq!(insert(&mut ada, "l", 8, 10_000).await, "inserted");
    let refusal = "54000 materialized view \"longer\": a join makes more than 64 MB of rows at once";
    assert_eq!(insert(&mut ada, "l", 60, 10_000).await, refusal);
    // With keys, and with a condition alone: pairs that would take days.
    let refused = insert(&mut ada, "n", 20_000, 100).await;
    assert!(
        refused.starts_with("54000 materialized view \"") && refused.ends_with("64 MB of rows at once"),
        "{refused}"
    );
    for statement in
        ["SELECT count(*), min(bytes), max(bytes) FROM longer", "SELECT count(*) * 200, 20000, 20000 FROM l"]
    {
        assert_eq!(run(&mut ada, statement).await, ["1600|20000|20000"]);
    }
    assert_eq!(value(&mut ada, "SELECT c FROM same").await, "0");
    assert_eq!(insert(&mut ada, "l", 8, 10_000).await, "inserted");
    assert_eq!(insert(&mut ada, "n", 30, 100).await, "inserted");
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(value(&mut ada, "SELECT count(*) FROM longer").await, "3200");
    assert_eq!(value(&mut ada, "SELECT c FROM same").await, "900");
    assert_eq!(value(&mut ada, "SELECT count(*) FROM every").await, "900");
    assert_eq!(value(&mut ada, "SELECT count(*) FROM levada_catalog.views WHERE hydration <> 'hydrated'").await, "0");

    // What is too much for one step may be filled in several, the rows few at a time: of 32, a join makes 128 MB.
    assert_eq!(insert(&mut ada, "l", 8, 10_000).await, "inserted");
    assert_eq!(insert(&mut ada, "l", 8, 10_000).await, "inserted");
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW again AS {longer} AND a <> ''")).await;
    run(&mut ada, "SET statement_timeout = '60s'").await;
    let hydration = "SELECT hydration = 'hydrated' FROM levada_catalog.views WHERE name = 'again'";
    let began = std::time::Instant::now();
    while value(&mut ada, hydration).await != "t" {
        assert!(began.elapsed().as_secs() < 60, "still being filled");
        tokio::task::yield_now().await;
    }
    assert_eq!(value(&mut ada, "SELECT count(*) FROM again").await, "6400");
}

/// One row of the other relation can have all rows of one come or go.
#[tokio::test]
async fn rows_that_come_or_go_by_one_match_are_bounded_too() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE l (k int, a text); CREATE TABLE r (k int)").await;
    let with = "SELECT k, length(a) AS bytes FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k)";
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW present AS {with}")).await;
    let beyond = "SELECT k, length(a) AS bytes FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k > l.k + 10)";
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW lesser AS {beyond}")).await;
    // Columns that are not passed on do not count.
    let keys = "SELECT count(*) AS c FROM l WHERE k IN (SELECT k FROM r)";
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW keys AS {keys}")).await;
    for _ in 0..8 {
        assert_eq!(insert(&mut ada, "l", 10, 1_000_000).await, "inserted");
    }
    for (k, name) in [(1, "present"), (20, "lesser")] {
        let error = sql(&mut ada, &format!("INSERT INTO r VALUES ({k})")).await.unwrap_err();
        let refusal = format!("materialized view \"{name}\": a join makes more than 64 MB of rows at once");
        assert_eq!((error.sqlstate().code(), error.message()), ("54000", refusal.as_str()));
    }
    assert_eq!(run(&mut ada, "SELECT count(*) FROM lesser").await, ["80"]);
    run(&mut ada, "DROP MATERIALIZED VIEW present, lesser").await;
    run(&mut ada, "INSERT INTO r VALUES (1)").await;
    assert_eq!(value(&mut ada, "SELECT c FROM keys").await, "80");
}

/// Of a view for which one row is too much nothing can be filled: it is set aside, as it would be if the row came now.
#[tokio::test]
async fn a_view_that_cannot_be_filled_is_suspended() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE l (k int, a text); CREATE TABLE r (k int, b text)").await;
    run(&mut ada, "INSERT INTO l VALUES (1, 'a')").await;
    for _ in 0..8 {
        assert_eq!(insert(&mut ada, "r", 10, 1_000_000).await, "inserted");
    }
    let pairs = "SELECT l.k, length(a || b) AS bytes FROM l JOIN r ON l.k = r.k";
    run(&mut ada, "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS c FROM r").await;
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW pairs AS {pairs}")).await;
    let state = "SELECT name, hydration, hydration_error FROM levada_catalog.views ORDER BY name";
    let why = "a join makes more than 64 MB of rows at once";
    let expected = ["counted|hydrated|null".to_owned(), format!("pairs|suspended|{why}")];
    let began = std::time::Instant::now();
    while run(&mut ada, state).await != expected {
        assert!(began.elapsed().as_secs() < 60, "{:?}", run(&mut ada, state).await);
        tokio::task::yield_now().await;
    }
    let error = sql(&mut ada, "SELECT * FROM pairs").await.unwrap_err();
    let message = format!("materialized view \"pairs\" is suspended: {why}");
    assert_eq!((error.sqlstate().code(), error.message()), ("55000", message.as_str()));
    run(&mut ada, "INSERT INTO l VALUES (2, 'b')").await;
    drop((ada, engine));
    for _ in 0..2 {
        let engine = open(directory.path());
        let mut ada = session(&engine);
        let began = std::time::Instant::now();
        while run(&mut ada, state).await != expected {
            assert!(began.elapsed().as_secs() < 60, "{:?}", run(&mut ada, state).await);
            tokio::task::yield_now().await;
        }
        assert_eq!(value(&mut ada, "SELECT c FROM counted").await, "80");
        run(&mut ada, "FLUSH").await;
    }
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "DROP MATERIALIZED VIEW pairs; DELETE FROM r").await;
    run(&mut ada, &format!("CREATE MATERIALIZED VIEW pairs AS {pairs}")).await;
    run(&mut ada, "INSERT INTO r VALUES (2, 'c')").await;
    assert_eq!(run(&mut ada, "SELECT * FROM pairs").await, ["2|2"]);
}
