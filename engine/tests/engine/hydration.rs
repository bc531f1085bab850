//! Views that are filled while the engine goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use levada_engine::{Engine, EngineOptions, HydrationLimit, ManualMemory, MemoryGauge, Session};

use crate::database::{run, session, sql, value};

/// Rows of a table that no view is filled from at once.
const MANY: u32 = 20_000;

const ITEMS: &str = "
    CREATE TABLE item (id int PRIMARY KEY, category int NOT NULL, price bigint NOT NULL);
    CREATE TABLE category (id int, name text);
    INSERT INTO category SELECT n, 'c' || n FROM generate_series(0, 30) AS g(n);";

const PER_CATEGORY: &str = "SELECT c.name, count(*) AS items, sum(i.price) AS total FROM item i JOIN category c ON c.id = i.category GROUP BY c.name";

fn open(directory: &Path, limit: &HydrationLimit, threads: usize) -> Engine {
    let options = EngineOptions::new(directory);
    Engine::open(EngineOptions { step_threads: threads, query_threads: 1, hydrations: limit.clone(), ..options })
        .unwrap()
}

async fn fill(session: &mut Session) {
    run(session, ITEMS).await;
    // There before the rows are, so that it is not one of those that are filled aside.
    create(session, "live", "SELECT count(*) AS n FROM item").await;
    let rows = format!("SELECT n, n % 37, n % 1000 FROM generate_series(1, {MANY}) AS g(n)");
    run(session, &format!("INSERT INTO item {rows}")).await;
}

async fn create(session: &mut Session, name: &str, query: &str) {
    run(session, &format!("CREATE MATERIALIZED VIEW {name} AS {query}")).await;
}

async fn state(session: &mut Session, view: &str) -> String {
    value(session, &format!("SELECT hydration FROM levada_catalog.views WHERE name = '{view}'")).await
}

/// Changes of all kinds.
async fn change(session: &mut Session, round: u32) {
    let first = MANY + 1 + round * 10;
    run(session, &format!("INSERT INTO item SELECT n, n % 37, 5 FROM generate_series({first}, {first} + 9) AS g(n)"))
        .await;
    run(session, &format!("UPDATE item SET price = price + 1, category = id % 31 WHERE id % 997 = {round}")).await;
    run(session, &format!("DELETE FROM item WHERE id % 991 = {round}")).await;
    run(session, &format!("UPDATE category SET name = 'r{round}' WHERE id = {round}")).await;
}

/// Waits until a view is there, and compares it with the batch answer of the same epoch.
async fn check(session: &mut Session, view: &str, query: &str) {
    run(session, "SET wait_for_hydration = on; SET statement_timeout = '60s'").await;
    assert_eq!(value(session, &format!("SELECT count(*) >= 0 FROM {view}")).await, "t");
    run(session, "SET wait_for_hydration = off; SET statement_timeout = 0").await;
    let differences = format!("(SELECT * FROM {view} EXCEPT {query}) UNION ALL ({query} EXCEPT SELECT * FROM {view})");
    assert_eq!(run(session, &differences).await, Vec::<String>::new(), "{view}");
    assert_eq!(state(session, view).await, "hydrated");
}

#[tokio::test]
async fn a_view_is_filled_while_others_step() {
    for threads in [1, 2, 7] {
        let directory = tempfile::tempdir().unwrap();
        let limit = HydrationLimit::new(0);
        let engine = open(directory.path(), &limit, threads);
        let mut ada = session(&engine);
        fill(&mut ada).await;
        create(&mut ada, "per_category", PER_CATEGORY).await;
        create(&mut ada, "large", "SELECT name, total FROM per_category WHERE total > 100").await;
        let error = sql(&mut ada, "SELECT * FROM per_category").await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "55000");
        assert_eq!(error.message(), "materialized view \"per_category\" is still being filled");
        assert!(error.detail().is_some_and(|detail| detail.starts_with("It has read 0 of ")), "{:?}", error.detail());
        assert!(error.hint().is_some_and(|hint| hint.contains("wait_for_hydration")));
        let error = sql(&mut ada, "SELECT 1 FROM category c JOIN large l ON l.name = c.name").await.unwrap_err();
        assert_eq!(error.detail(), Some("It waits for a view that it reads, which is being filled itself."));
        assert_eq!(
            (state(&mut ada, "per_category").await, state(&mut ada, "large").await),
            ("reading".into(), "waiting".into())
        );
        for round in 0..5 {
            change(&mut ada, round).await;
            assert_eq!(value(&mut ada, "SELECT n FROM live").await, value(&mut ada, "SELECT count(*) FROM item").await);
        }
        limit.set(1);
        for round in 5..9 {
            change(&mut ada, round).await;
        }
        check(&mut ada, "per_category", PER_CATEGORY).await;
        check(&mut ada, "large", "SELECT name, total FROM per_category WHERE total > 100").await;
        change(&mut ada, 9).await;
        check(&mut ada, "per_category", PER_CATEGORY).await;
        engine.shutdown().await.unwrap();
    }
}

/// Inserts go on from another session all the while, so that reading and catching up meet steps at any point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_goes_on_while_views_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), &HydrationLimit::new(2), 2);
    let mut ada = session(&engine);
    fill(&mut ada).await;
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut writer = session(&engine);
    let writing = tokio::spawn(async move {
        let mut round = 0;
        while stopped.try_recv().is_err() && round < 400 {
            change(&mut writer, round).await;
            round += 1;
        }
        round
    });
    for round in 0..3 {
        let outer = "SELECT c.id, count(i.id) AS n, max(i.price) AS p FROM category c LEFT JOIN item i ON i.category = c.id GROUP BY c.id";
        create(&mut ada, "per_category", PER_CATEGORY).await;
        create(&mut ada, "per_id", outer).await;
        create(
            &mut ada,
            "alone",
            "SELECT i.id FROM item i WHERE NOT EXISTS (SELECT 1 FROM category c WHERE c.id = i.category)",
        )
        .await;
        check(&mut ada, "per_category", PER_CATEGORY).await;
        check(&mut ada, "per_id", outer).await;
        run(&mut ada, "DROP MATERIALIZED VIEW alone").await;
        if round < 2 {
            run(&mut ada, "DROP MATERIALIZED VIEW per_category; DROP MATERIALIZED VIEW per_id").await;
        }
    }
    stop.send(()).unwrap();
    assert!(writing.await.unwrap() > 0);
    check(&mut ada, "per_category", PER_CATEGORY).await;
}

#[tokio::test]
async fn what_is_being_filled_can_be_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let limit = HydrationLimit::new(0);
    let engine = open(directory.path(), &limit, 1);
    let mut ada = session(&engine);
    fill(&mut ada).await;
    let totals = "SELECT category, sum(price) AS total FROM item GROUP BY category";
    create(&mut ada, "first", totals).await;
    // The same groups: it waits for the first, and must not go with it.
    create(&mut ada, "second", &format!("SELECT total FROM ({totals}) t WHERE total > 5")).await;
    create(&mut ada, "above", "SELECT max(total) AS most FROM first").await;
    assert_eq!(state(&mut ada, "second").await, "waiting");
    let error = sql(&mut ada, "DROP MATERIALIZED VIEW first").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "2BP01");
    run(&mut ada, "DROP MATERIALIZED VIEW first CASCADE").await;
    for gone in ["first", "above"] {
        let error = sql(&mut ada, &format!("SELECT * FROM {gone}")).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "42P01");
    }
    change(&mut ada, 1).await;
    limit.set(1);
    check(&mut ada, "second", &format!("SELECT total FROM ({totals}) t WHERE total > 5")).await;
    limit.set(0);
    create(&mut ada, "third", PER_CATEGORY).await;
    run(&mut ada, "DROP TABLE item CASCADE").await;
    assert_eq!(run(&mut ada, "SELECT name FROM levada_catalog.views").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_restart_fills_what_was_not_filled() {
    let directory = tempfile::tempdir().unwrap();
    let limit = HydrationLimit::new(0);
    let engine = open(directory.path(), &limit, 2);
    let mut ada = session(&engine);
    fill(&mut ada).await;
    create(&mut ada, "per_category", PER_CATEGORY).await;
    create(&mut ada, "large", "SELECT name, total FROM per_category WHERE total > 100").await;
    change(&mut ada, 0).await;
    let mut engine = Some(engine);
    // In turn: closed in order, left as a crash leaves it, and that after a checkpoint.
    for round in 1..5 {
        drop(ada);
        let left = engine.take().unwrap();
        if round % 2 == 1 {
            left.shutdown().await.unwrap();
        }
        drop(left);
        let again = open(directory.path(), &limit, 2);
        ada = session(&again);
        assert_eq!(state(&mut ada, "per_category").await, "reading", "round {round}");
        assert_eq!(state(&mut ada, "live").await, "hydrated");
        change(&mut ada, round).await;
        assert_eq!(value(&mut ada, "SELECT n FROM live").await, value(&mut ada, "SELECT count(*) FROM item").await);
        if round == 3 {
            run(&mut ada, "FLUSH").await;
        }
        engine = Some(again);
    }
    limit.set(4);
    check(&mut ada, "per_category", PER_CATEGORY).await;
    check(&mut ada, "large", "SELECT name, total FROM per_category WHERE total > 100").await;
    // Filled, and saved with the next checkpoint.
    limit.set(0);
    for shutdown in [true, false] {
        drop(ada);
        let left = engine.take().unwrap();
        if shutdown {
            left.shutdown().await.unwrap();
        }
        drop(left);
        let again = open(directory.path(), &limit, 2);
        ada = session(&again);
        check(&mut ada, "per_category", PER_CATEGORY).await;
        engine = Some(again);
    }
}

#[tokio::test]
async fn waiting_for_a_view_ends_with_the_statements_time() {
    let directory = tempfile::tempdir().unwrap();
    let limit = HydrationLimit::new(0);
    let engine = open(directory.path(), &limit, 1);
    let mut ada = session(&engine);
    fill(&mut ada).await;
    create(&mut ada, "per_category", PER_CATEGORY).await;
    run(&mut ada, "SET wait_for_hydration = on; SET statement_timeout = '100ms'").await;
    let error = sql(&mut ada, "SELECT * FROM per_category").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "57014");
    // A transaction that has read is of its epoch: there the view will never be.
    run(&mut ada, "RESET statement_timeout; BEGIN").await;
    run(&mut ada, "SELECT count(*) FROM item").await;
    limit.set(1);
    let error = sql(&mut ada, "SELECT * FROM per_category").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "55000");
    run(&mut ada, "ROLLBACK").await;
    check(&mut ada, "per_category", PER_CATEGORY).await;
}

/// A view over few rows is there when CREATE returns, whatever else is being filled.
#[tokio::test]
async fn a_small_view_is_there_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), &HydrationLimit::new(0), 1);
    let mut ada = session(&engine);
    fill(&mut ada).await;
    create(&mut ada, "large", PER_CATEGORY).await;
    let began = Instant::now();
    create(&mut ada, "names", "SELECT count(DISTINCT name) AS n FROM category").await;
    assert_eq!(value(&mut ada, "SELECT n FROM names").await, "31");
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// A view that waits for memory does not keep all that is changed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_a_view_that_waits_for_memory_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (memory, limit) = (ManualMemory::default(), HydrationLimit::new(0));
    let options = EngineOptions::new(directory.path()).with_memory_limit(256 << 20);
    let memory_gauge = MemoryGauge::Manual(memory.clone());
    let engine = Engine::open(EngineOptions { memory_gauge, hydrations: limit.clone(), ..options }).unwrap();
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE wide (id int PRIMARY KEY, price bigint, note text)").await;
    let rows = format!("SELECT n, n, repeat('x', 200) FROM generate_series(1, {MANY}) AS g(n)");
    run(&mut ada, &format!("INSERT INTO wide {rows}")).await;
    let query = "SELECT price % 10 AS last, count(*) AS n FROM wide GROUP BY price % 10";
    create(&mut ada, "lasts", query).await;
    memory.set(234 << 20);
    let begun = Instant::now();
    while value(&mut ada, "SELECT memory_used >> 20 FROM levada_catalog.engine").await != "234" {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    for _ in 0..12 {
        run(&mut ada, "UPDATE wide SET price = price + 1").await;
    }
    let bytes: u64 = value(&mut ada, "SELECT state_bytes FROM levada_catalog.tables").await.parse().unwrap();
    // Each update leaves 4 MB.
    assert!(bytes < 26 << 20, "{bytes} bytes");
    assert_eq!(state(&mut ada, "lasts").await, "paused: memory");
    limit.set(1);
    memory.set(0);
    check(&mut ada, "lasts", query).await;
}
