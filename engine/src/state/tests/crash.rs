//! Crashes at every stage: this test program runs itself as a child that dies, then looks at what is on disk.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;

use super::*;

/// Every crash point of this folder, and whether the change is there after a crash at it.
const COMMIT_POINTS: [(&str, Way, bool); 11] = [
    ("checkpoint.begin", Way::Batch, false),
    ("checkpoint.batch", Way::Batch, false),
    ("checkpoint.durable", Way::Batch, true),
    ("checkpoint.reclaim", Way::Batch, true),
    ("checkpoint.begin", Way::Files, false),
    ("checkpoint.sst", Way::Files, false),
    ("checkpoint.sst:2", Way::Files, false),
    ("checkpoint.sst:3", Way::Files, false),
    ("checkpoint.ingest", Way::Files, false),
    ("checkpoint.durable", Way::Files, true),
    ("checkpoint.reclaim", Way::Files, true),
];
const LOG_POINTS: [(&str, u64, u64); 4] =
    [("log.append", 5, 0), ("log.appended", 8, 0), ("log.trim", 8, 0), ("log.trimmed", 8, 6)];

const SEED: u64 = 77;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Batch,
    Files,
}

/// This program again, running one of the tests below that do nothing but for a parent.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("state::tests::crash::{test}"), "--exact", "--nocapture"]);
    command.env("LEVADA_TEST_DIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where a child works; None in the parent's own run of these tests.
fn child_dir() -> Option<PathBuf> {
    std::env::var_os("LEVADA_TEST_DIR").map(PathBuf::from)
}

/// The workload as it was when the store last committed.
fn resume(store: &StateStore) -> Workload {
    let mut workload = Workload::new(SEED);
    let epoch = store.meta().unwrap().map_or(0, |meta| meta.epoch.0);
    while workload.model.epoch() < epoch {
        workload.step();
    }
    workload
}

#[test]
fn a_crash_in_a_commit_leaves_old_or_new() {
    // The fourth checkpoint drops an operator, so that it passes all points.
    let (models, operators) = Workload::models(SEED, 4);
    for (point, way, is_there) in COMMIT_POINTS {
        let dir = tempfile::tempdir().unwrap();
        let store = StateStore::open(dir.path()).unwrap();
        let mut workload = Workload::new(SEED);
        for epoch in 0..3 {
            commit(&store, workload.step(), epoch == 1);
        }
        drop(store);
        let test = if way == Way::Files { "child_commits_files" } else { "child_commits_batch" };
        let died = child(test, dir.path()).env("LEVADA_CRASH_AT", point).output().unwrap();
        assert_eq!(died.status.signal(), Some(SIGABRT), "{point}, {way:?}: {died:?}");

        let store = StateStore::open(dir.path()).unwrap();
        let expected = if is_there { &models[4] } else { &models[3] };
        assert_eq!(Model::of(&store, operators), *expected, "{point}, {way:?}");
        let mut workload = resume(&store);
        commit(&store, workload.step(), way == Way::Files);
        assert_eq!(Model::of(&store, workload.operators), workload.model, "{point}, {way:?}, and on");
    }
}

#[test]
fn child_commits_batch() {
    let Some(dir) = child_dir() else { return };
    let store = StateStore::open(&dir).unwrap();
    commit(&store, resume(&store).step(), false);
}

#[test]
fn child_commits_files() {
    let Some(dir) = child_dir() else { return };
    let store = StateStore::open(&dir).unwrap();
    commit(&store, resume(&store).step(), true);
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Bytes> {
    range.map(|number| number.to_string().into()).collect()
}

/// The log holds exactly the entries from `trimmed` to `last`, which are their own positions.
fn check_log(log: &Log, trimmed: u64, last: u64) {
    assert_eq!(log.last().0, last);
    let found: Vec<_> = log.read_after(LogPosition(trimmed)).unwrap().map(Result::unwrap).collect();
    let expected: Vec<_> = (trimmed + 1..=last).map(LogPosition).zip(numbers(trimmed + 1..=last)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_crash_in_the_log_leaves_old_or_new() {
    for (point, last, trimmed) in LOG_POINTS {
        let dir = tempfile::tempdir().unwrap();
        Log::open(dir.path()).unwrap().append(&numbers(1..=5)).unwrap();
        let died = child("child_writes_log", dir.path()).env("LEVADA_CRASH_AT", point).output().unwrap();
        assert_eq!(died.status.signal(), Some(SIGABRT), "{point}: {died:?}");

        let log = Log::open(dir.path()).unwrap();
        check_log(&log, trimmed, last);
        assert_eq!(log.read_after(LogPosition(0)).is_ok(), trimmed == 0, "{point}");
        assert_eq!(log.append(&numbers(last + 1..=last + 1)).unwrap().0, last + 1, "{point}");
    }
}

#[test]
fn child_writes_log() {
    let Some(dir) = child_dir() else { return };
    let log = Log::open(&dir).unwrap();
    log.append(&numbers(6..=8)).unwrap();
    log.trim(LogPosition(6)).unwrap();
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut acked_epoch, mut acked_position) = (0, 0);
    for lines in [1, 7, 20, 33, 12] {
        let mut writer = child("child_writes_for_ever", dir.path()).stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(writer.stdout.take().unwrap());
        let acks = output.lines().map(Result::unwrap).filter(|line| line.starts_with("acked "));
        for line in acks.take(lines) {
            let mut numbers = line.split(' ').skip(1).map(|number| number.parse().unwrap());
            (acked_epoch, acked_position) = (numbers.next().unwrap(), numbers.next().unwrap());
        }
        writer.kill().unwrap();
        assert_eq!(writer.wait().unwrap().signal(), Some(SIGKILL));

        let store = StateStore::open(dir.path()).unwrap();
        let epoch = store.meta().unwrap().unwrap().epoch.0;
        assert!(epoch >= acked_epoch, "{epoch} < {acked_epoch}");
        let workload = resume(&store);
        assert_eq!(Model::of(&store, workload.operators), workload.model);
        let log = Log::open(dir.path()).unwrap();
        assert!(log.last().0 >= acked_position);
        check_log(&log, log.last().0 / 10 * 10, log.last().0);
    }
}

#[test]
fn child_writes_for_ever() {
    let Some(dir) = child_dir() else { return };
    let store = StateStore::open(&dir).unwrap();
    let log = Log::open(&dir).unwrap();
    let mut workload = resume(&store);
    loop {
        let checkpoint = workload.step();
        let epoch = workload.model.epoch();
        commit(&store, checkpoint, epoch.is_multiple_of(2));
        let last = log.last().0;
        let last = log.append(&numbers(last + 1..=last + 3)).unwrap().0;
        log.trim(LogPosition(last / 10 * 10)).unwrap();
        println!("\nacked {epoch} {last}");
    }
}

#[test]
fn another_process_is_refused_while_open() {
    let dir = tempfile::tempdir().unwrap();
    let _store = StateStore::open(dir.path()).unwrap();
    let refused = child("child_is_refused", dir.path()).output().unwrap();
    assert!(refused.status.success(), "{refused:?}");
}

#[test]
fn child_is_refused() {
    let Some(dir) = child_dir() else { return };
    let error = StateStore::open(&dir).err().unwrap();
    assert_eq!(error.sqlstate().code(), "55006");
    assert!(error.message().contains(dir.to_str().unwrap()));
}

#[test]
fn every_crash_point_is_tried() {
    let sources = [include_str!("../store.rs"), include_str!("../sst.rs"), include_str!("../log.rs")].concat();
    let in_source: BTreeSet<&str> =
        sources.split("crash_point(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let tried = COMMIT_POINTS.iter().map(|(point, ..)| *point).chain(LOG_POINTS.iter().map(|(point, ..)| *point));
    let tried: BTreeSet<&str> = tried.map(|point| point.split(':').next().unwrap()).collect();
    assert_eq!(tried, in_source);
}
