//! Opening, refusing, and single properties of the state store.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use levada_testing::Dice;
use rocksdb::LiveFile;

use super::*;
use crate::state::{Loader, sst};

const OPERATOR: OperatorId = OperatorId(9);

fn store_with(dir: &Path, value: &[u8]) -> StateStore {
    let store = StateStore::open(dir).unwrap();
    put(&store, b"key", value);
    store
}

fn put(store: &StateStore, key: &[u8], value: &[u8]) {
    let mut checkpoint = store.checkpoint();
    checkpoint.put(KeyKind::Keyed, OPERATOR, key, value);
    store.commit(checkpoint).unwrap();
}

fn refusal<T>(result: crate::error::Result<T>) -> crate::error::Error {
    result.err().expect("an error")
}

fn files_of(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir.join("state")).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(&dir.path().join("new/directory")).unwrap();
    assert!(store.meta().unwrap().is_none());
    let mut workload = Workload::new(1);
    for _ in 0..6 {
        store.commit(workload.step()).unwrap();
    }
    drop(store);
    let store = StateStore::open(&dir.path().join("new/directory")).unwrap();
    assert_eq!(Model::of(&store, workload.operators), workload.model);
}

/// Files that no compaction has taken yet.
fn at_level_zero(store: &StateStore) -> usize {
    store.db().live_files().unwrap().iter().filter(|file| file.level == 0).count()
}

#[test]
fn files_are_compacted_once_all_has_been_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(StateStore::open(dir.path()).unwrap());
    for round in 0..20_u8 {
        let mut checkpoint = store.checkpoint();
        [b"first", b"later"].iter().for_each(|key| checkpoint.put(KeyKind::Keyed, OPERATOR, *key, &[round]));
        store.commit_files(checkpoint, 1 << 20).unwrap();
    }
    // The first has gone to the lowest level, where nothing was.
    assert_eq!(at_level_zero(&store), 19);
    let mut loader = Loader::new(store.clone(), 1).unwrap();
    loader.add(|_, _| Ok(()));
    loader.begin(|| ()).unwrap();
    loader.finish();
    drop(loader);
    let begun = std::time::Instant::now();
    while at_level_zero(&store) > 8 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "nothing is compacted");
        std::thread::yield_now();
    }
}

#[test]
fn scans_one_operator_in_key_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut checkpoint = store.checkpoint();
    for key in [&[2, 0][..], &[0xff, 0xff, 0xff], &[], &[2]] {
        checkpoint.put(KeyKind::Keyed, OPERATOR, key, b"mine");
        checkpoint.put(KeyKind::Keyed, OperatorId(10), key, b"another's");
        checkpoint.put(KeyKind::Rows, OPERATOR, key, b"another kind");
    }
    assert_eq!(checkpoint.len(), 12);
    store.commit(checkpoint).unwrap();
    let keys: Vec<Vec<u8>> = store.scan(KeyKind::Keyed, OPERATOR).unwrap().map(|pair| pair.unwrap().0.into()).collect();
    assert_eq!(keys, [&[][..], &[2], &[2, 0], &[0xff, 0xff, 0xff]]);
}

#[test]
fn large_checkpoints_leave_no_files_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), b"old");
    let mut checkpoint = store.checkpoint();
    let value = Dice::new(1).bytes(1 << 20);
    for chunk in 0..40_u32 {
        checkpoint.put(KeyKind::Rows, OPERATOR, &chunk.to_be_bytes(), &value);
    }
    checkpoint.put(KeyKind::Keyed, OPERATOR, b"key", b"new");
    assert!(checkpoint.bytes() > CheckpointSizes::default().file_bytes);
    store.commit(checkpoint).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
    assert!(files_of(dir.path(), "sst").len() >= 3);
    drop(store);
    let store = StateStore::open(dir.path()).unwrap();
    let chunks: Vec<_> = store.scan(KeyKind::Rows, OPERATOR).unwrap().map(|pair| pair.unwrap().1).collect();
    assert_eq!(chunks.len(), 40);
    assert!(chunks.iter().all(|chunk| **chunk == value));
    let (_, keyed) = store.scan(KeyKind::Keyed, OPERATOR).unwrap().next().unwrap().unwrap();
    assert_eq!(&*keyed, b"new");
}

#[test]
fn only_large_values_go_to_blob_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), &[1; 1_000]);
    compact(&store);
    assert!(files_of(dir.path(), "blob").is_empty());
    put(&store, b"chunk", &[1; 20_000]);
    compact(&store);
    assert!(!files_of(dir.path(), "blob").is_empty());
    let values: Vec<usize> = store.scan(KeyKind::Keyed, OPERATOR).unwrap().map(|pair| pair.unwrap().1.len()).collect();
    assert_eq!(values, [20_000, 1_000]);
}

#[test]
fn files_of_rows_go_to_the_lowest_level() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut workload = Workload::new(5);
    for chunk in 0..4_u32 {
        let mut checkpoint = workload.step();
        for operator in [100, 101] {
            checkpoint.put(KeyKind::Rows, OperatorId(operator), &chunk.to_be_bytes(), &[7; 2_000]);
        }
        store.commit_files(checkpoint, 1_000).unwrap();
    }
    let files = store.db().live_files().unwrap();
    let rows = |file: &&LiveFile| file.start_key.as_deref().is_some_and(|key| key.starts_with(&[0x10, 0, 0, 0, 101]));
    let levels: Vec<i32> = files.iter().filter(rows).map(|file| file.level).collect();
    assert_eq!(levels, [6; 4]);
    assert!(files.iter().any(|file| file.level == 0));
}

#[test]
fn files_of_rows_hold_nothing_else() {
    let mut checkpoint = Checkpoint::default();
    for operator in 0..50 {
        for kind in KINDS {
            checkpoint.put(kind, OperatorId(operator), b"key", &[0; 100]);
        }
    }
    checkpoint.drop_operator(OperatorId(20));
    let changes = checkpoint.freeze().unwrap();
    let files = sst::cut(&changes, 1_000).unwrap();
    let kinds =
        |file: &Range<usize>| changes.writes(file.clone()).map(|write| write.key()[0]).collect::<BTreeSet<u8>>();
    assert_eq!(files.iter().map(|file| file.len()).sum::<usize>(), 4 * 50);
    assert!(files.len() > 4 && files.iter().all(|file| !kinds(file).contains(&0x10) || kinds(file).len() == 1));
}

#[test]
fn dropped_operators_release_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut checkpoint = store.checkpoint();
    for operator in [8, 9, 10] {
        checkpoint.put(KeyKind::Keyed, OperatorId(operator), &[], &Dice::new(1).bytes(10_000));
    }
    store.commit_files(checkpoint, 1).unwrap();
    compact(&store);
    let mut checkpoint = store.checkpoint();
    checkpoint.drop_operator(OPERATOR);
    store.commit(checkpoint).unwrap();
    for (operator, left) in [(8, 1), (9, 0), (10, 1)] {
        assert_eq!(store.scan(KeyKind::Keyed, OperatorId(operator)).unwrap().count(), left);
    }
}

#[test]
fn is_refused_while_open() {
    let dir = tempfile::tempdir().unwrap();
    let _store = StateStore::open(dir.path()).unwrap();
    let error = refusal(StateStore::open(dir.path()));
    assert_eq!(error.sqlstate().code(), "55006");
    assert!(error.message().contains(&dir.path().display().to_string()), "{error}");
}

#[test]
fn another_format_is_refused_by_number() {
    let dir = tempfile::tempdir().unwrap();
    drop(StateStore::open(dir.path()).unwrap());
    fs::write(dir.path().join("FORMAT"), "700\n").unwrap();
    let error = refusal(StateStore::open(dir.path()));
    assert_eq!(error.sqlstate().code(), "0A000");
    assert!(error.message().contains("format 700"), "{error}");
    assert_eq!(refusal(Log::open(dir.path())).sqlstate().code(), "0A000");
    fs::write(dir.path().join("FORMAT"), [0xff, 0xfe]).unwrap();
    assert_eq!(refusal(StateStore::open(dir.path())).sqlstate().code(), "XX001");
    fs::remove_file(dir.path().join("FORMAT")).unwrap();
    assert_eq!(refusal(StateStore::open(dir.path())).sqlstate().code(), "XX001");
}

#[test]
fn a_directory_that_is_none_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refusal(StateStore::open(&file)).sqlstate().code(), "58030");
}

#[test]
fn a_lost_current_file_is_no_new_database() {
    let dir = tempfile::tempdir().unwrap();
    drop(store_with(dir.path(), b"value"));
    fs::remove_file(dir.path().join("state/CURRENT")).unwrap();
    assert_eq!(refusal(StateStore::open(dir.path())).sqlstate().code(), "XX001");
}

#[test]
fn a_damaged_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    for key in 0..200_u32 {
        put(&store, &key.to_be_bytes(), &Dice::new(key.into()).bytes(200));
    }
    compact(&store);
    drop(store);
    for path in files_of(dir.path(), "sst") {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0x5a);
        fs::write(&path, bytes).unwrap();
    }
    let read = || StateStore::open(dir.path())?.scan(KeyKind::Keyed, OPERATOR)?.collect::<Result<Vec<_>, _>>();
    assert_eq!(refusal(read()).sqlstate().code(), "XX001");
}

#[test]
fn a_torn_write_leaves_the_checkpoint_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), b"old");
    put(&store, b"key", b"new");
    drop(store);
    let newest = files_of(dir.path(), "log").into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let length = fs::metadata(&newest).unwrap().len();
    fs::File::options().write(true).open(&newest).unwrap().set_len(length - 3).unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let (_, value) = store.scan(KeyKind::Keyed, OPERATOR).unwrap().next().unwrap().unwrap();
    assert_eq!(&*value, b"old");
}

#[test]
fn a_value_beyond_the_limit_fails_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut checkpoint = store.checkpoint();
    checkpoint.put(KeyKind::Keyed, OPERATOR, b"key", &vec![0; (1 << 30) + 1]);
    checkpoint.put(KeyKind::Keyed, OPERATOR, b"other", b"value");
    assert_eq!(refusal(store.commit(checkpoint)).sqlstate().code(), "54000");
    assert_eq!(store.scan(KeyKind::Keyed, OPERATOR).unwrap().count(), 0);
}
