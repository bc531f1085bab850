//! Transactions that stay open: they must not hold on to the past for ever.

use std::time::Duration;

use levada_engine::{Engine, EngineOptions, ManualClock, SnapshotLimits, TimeSource};

use crate::database::{run, session, sql};

/// What an open transaction can read after another has changed all rows twice, this much time later.
async fn read_late(limits: SnapshotLimits, later: Duration) -> Result<Vec<String>, String> {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(1_700_000_000_000_000);
    let options = EngineOptions { step_threads: 1, query_threads: 1, ..EngineOptions::new(directory.path()) };
    let time = TimeSource::Manual(clock.clone());
    let engine = Engine::open(EngineOptions { snapshots: limits, time, ..options }).unwrap();
    let (mut reader, mut writer) = (session(&engine), session(&engine));
    run(&mut writer, "CREATE TABLE t (a int); INSERT INTO t SELECT * FROM generate_series(1, 1000)").await;
    run(&mut reader, "BEGIN").await;
    assert_eq!(run(&mut reader, "SELECT sum(a) FROM t").await, ["500500"]);
    run(&mut writer, "UPDATE t SET a = a + 1000").await;
    clock.advance(later);
    run(&mut writer, "UPDATE t SET a = a + 1000").await;
    let read = match sql(&mut reader, "SELECT sum(a) FROM t").await {
        Ok(_) => Ok(run(&mut reader, "SELECT sum(a) FROM t").await),
        Err(error) => Err(error.sqlstate().code().to_owned()),
    };
    run(&mut reader, "ROLLBACK").await;
    assert_eq!(run(&mut reader, "SELECT sum(a) FROM t").await, ["2500500"]);
    read
}

#[tokio::test]
async fn a_snapshot_can_be_read_for_its_time() {
    let limits = SnapshotLimits { age: Duration::from_secs(60), memory: u64::MAX };
    assert_eq!(read_late(limits, Duration::from_secs(60)).await, Ok(vec!["500500".to_owned()]));
    assert_eq!(read_late(limits, Duration::from_secs(61)).await, Err("72000".to_owned()));
}

#[tokio::test]
async fn a_snapshot_may_keep_so_much() {
    let limits = |memory| SnapshotLimits { age: Duration::MAX, memory };
    assert_eq!(read_late(limits(1 << 30), Duration::from_secs(2)).await, Ok(vec!["500500".to_owned()]));
    assert_eq!(read_late(limits(1 << 10), Duration::from_secs(2)).await, Err("72000".to_owned()));
}
