//! A start does not wait until all state is read: what it answers meanwhile is right all the same.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use levada_engine::{Engine, EngineOptions};

use crate::database::{open, run, session, sql, value};

const RELATIONS: &str = "
    CREATE TABLE account (id bigint PRIMARY KEY, city text, balance bigint, note text);
    CREATE TABLE payment (account bigint, amount bigint);
    CREATE MATERIALIZED VIEW per_account AS
        SELECT account, count(*) AS n, sum(amount) AS total, max(amount) AS most, count(DISTINCT amount) AS amounts
        FROM payment GROUP BY account;
    CREATE MATERIALIZED VIEW large AS
        SELECT p.amount, a.city, a.id FROM payment p JOIN account a ON p.account = a.id WHERE p.amount > 50;
    CREATE MATERIALIZED VIEW cities AS SELECT DISTINCT city FROM account;
    CREATE MATERIALIZED VIEW richest AS SELECT id, balance FROM account ORDER BY balance DESC, id LIMIT 10;";

/// Each of them is the first of its session.
const QUERIES: &[&str] = &[
    "SELECT id, city, balance FROM account WHERE id = 4711",
    "SELECT count(*) FROM account",
    "SELECT n, total, most, amounts FROM per_account WHERE account = 77",
    "SELECT count(*), sum(amount) FROM large WHERE city = 'city 7'",
    "SELECT count(*) FROM cities",
    "SELECT * FROM richest ORDER BY balance DESC, id",
    "SELECT id FROM account WHERE id IN (5, 99999999, 17, 17, 4) ORDER BY id",
    "SELECT a.balance, p.total FROM account a JOIN per_account p ON a.id = p.account WHERE a.id = 123",
    "SELECT count(*), sum(total), sum(amounts) FROM per_account",
];

fn open_with(directory: &Path, threads: usize) -> Engine {
    let options = EngineOptions { step_threads: threads, query_threads: 1, ..EngineOptions::new(directory) };
    Engine::open(options).unwrap()
}

async fn fill(engine: &Engine, rows: usize) {
    let mut ada = session(engine);
    run(&mut ada, RELATIONS).await;
    run(
        &mut ada,
        &format!(
            "INSERT INTO account SELECT n, 'city ' || n % 50, n * 7919 % 10007, md5(n::text) || md5((n + 1)::text)
             FROM generate_series(1, {rows}) AS g(n)"
        ),
    )
    .await;
    let insert =
        format!("INSERT INTO payment SELECT n * 31 % {rows} + 1, n % 97 FROM generate_series(1, {}) AS g(n)", 2 * rows);
    run(&mut ada, &insert).await;
    run(&mut ada, "DELETE FROM account WHERE id % 1000 = 3").await;
    run(&mut ada, "FLUSH").await;
}

/// What only the log has.
async fn leave_a_tail(engine: &Engine, round: usize) {
    let mut ada = session(engine);
    run(&mut ada, &format!("UPDATE account SET balance = balance + {round} WHERE id BETWEEN 4700 AND 4720")).await;
    run(&mut ada, &format!("INSERT INTO payment SELECT n, {round} FROM generate_series(70, 130) AS g(n)")).await;
    run(&mut ada, &format!("DELETE FROM account WHERE id = {}", 1500 + round)).await;
}

async fn answers(engine: &Engine) -> Vec<Vec<String>> {
    let mut answers = Vec::new();
    for query in QUERIES {
        answers.push(run(&mut session(engine), query).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_answers_of_a_start_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path());
    fill(&engine, 30_000).await;
    for (round, threads) in [1, 2, 7].into_iter().enumerate() {
        leave_a_tail(&engine, round).await;
        let expected = answers(&engine).await;
        drop(engine);
        engine = open_with(directory.path(), threads);
        let asked = QUERIES.iter().map(|query| {
            let engine = engine.clone();
            tokio::spawn(async move { run(&mut session(&engine), query).await })
        });
        let asked: Vec<_> = asked.collect();
        for ((task, query), expected) in asked.into_iter().zip(QUERIES).zip(expected) {
            assert_eq!(task.await.unwrap(), expected, "{query} on {threads} threads");
        }
    }
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writing_goes_on_from_the_first_moment() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path());
    fill(&engine, 20_000).await;
    let mut accounts: u64 = value(&mut session(&engine), "SELECT count(*) FROM account").await.parse().unwrap();
    for round in 0..4_u64 {
        drop(engine);
        engine = open_with(directory.path(), 2);
        let (mut ada, mut bob) = (session(&engine), session(&engine));
        let first = 1_000_000 + 100 * round;
        let insert =
            format!("INSERT INTO account SELECT n, 'new', 1, NULL FROM generate_series({first}, {first} + 9) AS g(n)");
        let (_, duplicate) =
            tokio::join!(run(&mut ada, &insert), sql(&mut bob, "INSERT INTO account VALUES (4, 'twice', 0, NULL)"));
        assert_eq!(duplicate.unwrap_err().sqlstate().code(), "23505");
        accounts += 10;
        assert_eq!(value(&mut ada, "SELECT count(*) FROM account").await, accounts.to_string());
        assert_eq!(value(&mut bob, "SELECT count(*) FROM cities WHERE city = 'new'").await, "1");
        let per_account =
            "SELECT account, count(*), sum(amount), max(amount), count(DISTINCT amount) FROM payment GROUP BY account";
        let differ = format!("SELECT count(*) FROM (SELECT * FROM per_account EXCEPT {per_account}) AS d");
        assert_eq!(value(&mut bob, &differ).await, "0");
        if round == 2 {
            run(&mut ada, "FLUSH").await;
        }
    }
    engine.shutdown().await.unwrap();
}

/// What is dropped, or closed, while it is still to be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_may_end_before_it_has_read_all() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    fill(&engine, 20_000).await;
    let expected = answers(&engine).await;
    drop(engine);
    for _ in 0..5 {
        drop(open(directory.path()));
    }
    open(directory.path()).shutdown().await.unwrap();
    let engine = open(directory.path());
    assert_eq!(answers(&engine).await, expected);
    drop(engine);
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "DROP MATERIALIZED VIEW large; DROP MATERIALIZED VIEW per_account").await;
    run(&mut ada, "FLUSH").await;
    drop((ada, engine));
    let engine = open(directory.path());
    let mut ada = session(&engine);
    assert_eq!(run(&mut ada, QUERIES[0]).await, expected[0]);
    assert_eq!(run(&mut ada, QUERIES[5]).await, expected[5]);
    assert_eq!(sql(&mut ada, "SELECT * FROM large").await.unwrap_err().sqlstate().code(), "42P01");
}

/// The largest file with durable state, logs aside: it has the rows.
fn largest(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let data = files.filter(|path| path.extension().is_some_and(|kind| kind == "sst" || kind == "blob"));
    data.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[tokio::test]
async fn damaged_rows_are_an_error_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(&mut ada, "CREATE TABLE large (id int PRIMARY KEY, text text); CREATE TABLE small (id int)").await;
    // Several chunks, more than goes through the write-ahead log, that do not compress: what a start needs is in others than
    // that in the middle.
    let text = (0..8).map(|at| format!("md5((8 * n + {at})::text)")).collect::<Vec<_>>().join(" || ");
    run(&mut ada, &format!("INSERT INTO large SELECT n, {text} FROM generate_series(1, 200000) AS g(n)")).await;
    run(&mut ada, "INSERT INTO small VALUES (1), (2)").await;
    run(&mut ada, "FLUSH").await;
    drop(ada);
    engine.shutdown().await.unwrap();
    let path = largest(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 4 << 20, "{} bytes in {}", bytes.len(), path.display());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    for query in
        ["SELECT count(*) FROM large", "SELECT text FROM large WHERE id = 3", "INSERT INTO large VALUES (-1, '')"]
    {
        let error = sql(&mut ada, query).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "XX001", "{query}: {error}");
    }
    let error = sql(&mut ada, "SELECT id FROM large LIMIT 1").await.unwrap_err();
    assert!(error.message().starts_with("relation \"large\" cannot be read back"), "{error}");
    assert!(error.detail().is_some_and(|detail| detail.contains("operator")), "{error}");
    assert_eq!(value(&mut ada, "SELECT count(*) FROM small").await, "2");
    run(&mut ada, "INSERT INTO small VALUES (3)").await;
    // It can be given up.
    run(&mut ada, "DROP TABLE large").await;
    run(&mut ada, "FLUSH").await;
    assert_eq!(value(&mut ada, "SELECT count(*) FROM small").await, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_told_after_a_start_that_nothing_follows() {
    const KEPT: &str = "SELECT count(*) FROM levada_catalog.views \
                        WHERE name = 'per_account' AND rows > 0 AND state_rows > 0 AND state_bytes > 0";
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    fill(&engine, 1000).await;
    engine.shutdown().await.unwrap();
    drop(engine);
    let engine = open(directory.path());
    let (mut ada, begun) = (session(&engine), Instant::now());
    while value(&mut ada, KEPT).await != "1" {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is told of what is there");
        tokio::task::yield_now().await;
    }
}
