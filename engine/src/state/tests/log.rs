//! The log: positions, trimming, reopening.

use std::thread;

use bytes::Bytes;
use levada_testing::Dice;

use super::*;

fn entries(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

fn read(log: &Log, after: u64) -> Vec<(u64, String)> {
    let entries = log.read_after(LogPosition(after)).unwrap();
    entries
        .map(|entry| entry.map(|(position, bytes)| (position.0, String::from_utf8(bytes.into()).unwrap())).unwrap())
        .collect()
}

#[test]
fn positions_are_consecutive_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    assert_eq!(log.last(), LogPosition(0));
    assert_eq!(log.append(&[]).unwrap(), LogPosition(0));
    assert_eq!(log.append(&entries(&["a", ""])).unwrap(), LogPosition(2));
    assert_eq!(log.append(&entries(&["c"])).unwrap(), LogPosition(3));
    assert_eq!(read(&log, 0), [(1, "a".into()), (2, "".into()), (3, "c".into())]);
    assert_eq!(read(&log, 2), [(3, "c".into())]);
    assert_eq!(read(&log, 3), []);
}

#[test]
fn positions_survive_trim_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    log.append(&entries(&["a", "b", "c"])).unwrap();
    log.trim(LogPosition(2)).unwrap();
    drop(log);
    let log = Log::open(dir.path()).unwrap();
    assert_eq!(read(&log, 2), [(3, "c".into())]);
    log.trim(LogPosition(3)).unwrap();
    log.trim(LogPosition(1)).unwrap();
    drop(log);
    let log = Log::open(dir.path()).unwrap();
    assert_eq!(log.last(), LogPosition(3));
    assert_eq!(log.append(&entries(&["d"])).unwrap(), LogPosition(4));
    drop(log);
    assert_eq!(read(&Log::open(dir.path()).unwrap(), 3), [(4, "d".into())]);
}

#[test]
fn refuses_positions_it_does_not_have() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    log.append(&entries(&["a", "b", "c"])).unwrap();
    log.trim(LogPosition(2)).unwrap();
    let refused = |position| log.read_after(LogPosition(position)).err().unwrap().sqlstate().code();
    assert_eq!((refused(0), refused(1), refused(4)), ("XX001", "XX001", "XX001"));
    assert_eq!(log.trim(LogPosition(4)).unwrap_err().sqlstate().code(), "XX000");
}

#[test]
fn appends_of_many_threads_get_positions_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).unwrap();
    let mut positions: Vec<u64> = thread::scope(|scope| {
        let append = || (0..20).map(|_| log.append(&entries(&["x"])).unwrap().0).collect::<Vec<u64>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(append)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    positions.sort_unstable();
    assert_eq!(positions, (1..=80).collect::<Vec<u64>>());
    assert_eq!(read(&log, 0).len(), 80);
}

#[test]
fn equals_a_list() {
    for seed in 1..=6 {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path()).unwrap();
        let mut random = Dice::new(seed);
        let (mut model, mut trimmed) = (Vec::new(), 0);
        for _ in 0..60 {
            match random.below(6) {
                0 => {
                    trimmed += random.below(model.len() - trimmed + 1);
                    log.trim(LogPosition(trimmed as u64)).unwrap();
                }
                1 => {
                    drop(log);
                    log = Log::open(dir.path()).unwrap();
                }
                _ => {
                    let group: Vec<Bytes> = (0..=random.below(5)).map(|_| random.bytes(300).into()).collect();
                    model.extend(group.iter().cloned());
                    assert_eq!(log.append(&group).unwrap().0, model.len() as u64);
                }
            }
            let found: Vec<Bytes> =
                log.read_after(LogPosition(trimmed as u64)).unwrap().map(|entry| entry.unwrap().1).collect();
            assert_eq!(found, model[trimmed..], "seed {seed}");
        }
    }
}
