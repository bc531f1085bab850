//! The bank: money moves from account to account, and whoever looks at whatever, whenever, sees as much as there was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use levada_engine::{Engine, EngineOptions};

use crate::in_process::InProcess;

const ACCOUNTS: usize = 20;
const WRITERS: usize = 3;
const TRANSFERS: usize = 40;

/// Each gives 0 if it sees one moment.
const READS: [&str; 6] = [
    "SELECT sum(balance) FROM accounts",
    "SELECT total FROM bank",
    "SELECT sum(total) FROM branches",
    "SELECT sum(a.balance) FROM accounts a JOIN branches b ON b.branch = a.branch",
    "SELECT sum(balance) FROM split",
    "SELECT (SELECT sum(total) FROM branches) - (SELECT total FROM bank)",
];

fn session(engine: &Engine) -> InProcess {
    InProcess::connect(engine, false).expect("a session")
}

async fn bank() -> (Engine, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(EngineOptions::new(data.path())).expect("an engine on an empty folder");
    let mut admin = session(&engine);
    let accounts: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {}, 0)", id % 4)).collect();
    for sql in [
        "CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, balance bigint NOT NULL)",
        "CREATE MATERIALIZED VIEW bank AS SELECT sum(balance) AS total FROM accounts",
        "CREATE MATERIALIZED VIEW branches AS SELECT branch, sum(balance) AS total FROM accounts GROUP BY branch",
        "CREATE MATERIALIZED VIEW split AS SELECT id, balance FROM accounts WHERE id < 7 UNION ALL SELECT id, balance FROM accounts WHERE id >= 7",
        &format!("INSERT INTO accounts VALUES {}", accounts.join(", ")),
    ] {
        admin.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    (engine, data)
}

/// Moves money until it has done so often enough; two that meet do not both succeed.
async fn transfer(mut session: InProcess, writer: usize, done: Arc<AtomicUsize>) {
    for round in 0..TRANSFERS {
        let (from, to) = ((round * 7 + writer) % ACCOUNTS, (round * 11 + writer * 3 + 1) % ACCOUNTS);
        let transfer = format!(
            "UPDATE accounts SET balance = balance - {round} WHERE id = {from}; \
             UPDATE accounts SET balance = balance + {round} WHERE id = {to}"
        );
        while let Err(error) = session.rows(&transfer).await {
            assert_eq!(error.sqlstate, "40001", "{error}");
            tokio::task::yield_now().await;
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bank_has_the_same_sum_at_every_read() {
    let (engine, _data) = bank().await;
    let done = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(transfer(session(&engine), writer, done.clone()))).collect();
    let mut reader = session(&engine);
    let mut reads = 0;
    while done.load(Ordering::SeqCst) < WRITERS * TRANSFERS && !writers.iter().all(|writer| writer.is_finished()) {
        for sql in READS {
            let rows = reader.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(rows, [[Some("0".to_owned())]], "after {reads} reads: {sql}");
            reads += 1;
        }
    }
    for writer in writers {
        writer.await.expect("a writer that ends well");
    }
    assert!(reads > 0, "nobody looked");
}
