//! What saving writes: as much as changed, and nothing that a lost checkpoint would miss.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::data::{Epoch, OperatorId, ZSet};
use crate::state::{KeyKind, Loader, Meta, StateStore};
use crate::view::{Identity, RowStore};

const OPERATOR: OperatorId = OperatorId(3);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Utf8, true)]))
}

fn inserts(keys: std::ops::Range<i64>) -> ZSet {
    // Text that does not compress to nothing.
    let text = |key: i64| format!("{:x}", key.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64));
    let values = StringArray::from_iter_values(keys.clone().map(text));
    ZSet::inserts(
        RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(keys)), Arc::new(values)]).unwrap(),
    )
}

struct Database {
    _dir: tempfile::TempDir,
    state: StateStore,
    store: Arc<RowStore>,
    durable: Epoch,
}

impl Database {
    fn new() -> Database {
        let dir = tempfile::tempdir().unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        Database { _dir: dir, state, store: empty(), durable: Epoch::ZERO }
    }

    fn apply(&self, delta: &ZSet, epoch: u64) {
        self.store.apply(delta, Epoch(epoch)).unwrap();
        while self.store.compact(Epoch(epoch)).unwrap() {}
    }

    /// Saves and commits; returns the bytes written.
    fn save(&mut self, epoch: u64) -> usize {
        let mut checkpoint = self.state.checkpoint();
        self.store.save(OPERATOR, self.durable, &mut checkpoint).unwrap();
        let bytes = checkpoint.bytes();
        checkpoint.set_meta(Meta { epoch: Epoch(epoch), ..Meta::default() });
        self.state.commit(checkpoint).unwrap();
        self.durable = Epoch(epoch);
        bytes
    }

    fn count(&self, kind: KeyKind) -> usize {
        self.state.scan(kind, OPERATOR).unwrap().count()
    }

    fn loaded(&self) -> Arc<RowStore> {
        let store = empty();
        store.load(OPERATOR, &self.state).unwrap();
        store
    }
}

fn empty() -> Arc<RowStore> {
    Arc::new(RowStore::new(schema(), Identity::Key(vec![0])))
}

fn all(store: &Arc<RowStore>, at: Epoch) -> RecordBatch {
    let batches: Vec<RecordBatch> = store.snapshot(at).batches().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema(), &batches).unwrap()
}

#[test]
fn a_growing_relation_is_not_written_again_and_again() {
    let mut database = Database::new();
    let (mut written, mut most) = (0, 0);
    for epoch in 1..=300 {
        let first = epoch as i64 * 100;
        database.apply(&inserts(first..first + 50), epoch);
        database.apply(&inserts(first + 50..first + 100), epoch);
        let bytes = database.save(epoch);
        written += bytes;
        most = most.max(bytes);
        assert_eq!(database.save(epoch), 0, "nothing changed since");
    }
    let mut whole = database.state.checkpoint();
    let copy = empty();
    copy.apply(&inserts(100..30_100), Epoch(1)).unwrap();
    copy.save(OPERATOR, Epoch::ZERO, &mut whole).unwrap();
    assert!(written < 8 * whole.bytes(), "{written} bytes written for {} bytes", whole.bytes());
    assert!(database.count(KeyKind::Rows) <= 36, "{} chunks", database.count(KeyKind::Rows));
    assert_eq!(all(&database.loaded(), Epoch(300)), all(&copy, Epoch(1)));
}

#[test]
fn deletions_cost_what_they_are() {
    let mut database = Database::new();
    database.apply(&inserts(0..60_000), 1);
    let whole = database.save(1);
    let mut written = 0;
    for epoch in 2..=200 {
        database.apply(&inserts(epoch as i64 * 200..epoch as i64 * 200 + 100).negate(), epoch);
        written += database.save(epoch);
    }
    assert!(written < whole, "{written} bytes for deletions, {whole} for the rows");
    assert_eq!(database.save(201), 0);
    assert!(database.count(KeyKind::Deletions) <= 64);
    let loaded = database.loaded();
    assert_eq!(loaded.rows(), 60_000 - 199 * 100);
    assert_eq!(all(&loaded, Epoch(201)), all(&database.store, Epoch(201)));
}

#[test]
fn a_relation_that_came_and_went_leaves_nothing() {
    let mut database = Database::new();
    database.apply(&inserts(0..10), 1);
    database.apply(&inserts(0..10).negate(), 2);
    assert_eq!(database.save(2), 0);
    database.apply(&inserts(0..10), 3);
    database.save(3);
    database.apply(&inserts(0..10).negate(), 4);
    database.save(4);
    assert_eq!((database.count(KeyKind::Rows), database.count(KeyKind::Deletions)), (0, 0));
    assert_eq!(database.loaded().rows(), 0);
}

#[test]
fn rows_without_columns_are_saved() {
    let schema = Arc::new(Schema::empty());
    let new = || Arc::new(RowStore::new(schema.clone(), Identity::FullRow));
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let batch = RecordBatch::try_new_with_options(schema.clone(), vec![], &options).unwrap();
    let mut database = Database { store: new(), ..Database::new() };
    database.apply(&ZSet::new(batch, Int64Array::from(vec![1, 1, 2, 1, 1])), 1);
    database.save(1);
    let loaded = new();
    loaded.load(OPERATOR, &database.state).unwrap();
    assert_eq!((loaded.rows(), loaded.snapshot(Epoch(1)).row_count().unwrap()), (6, 6));
    assert!(loaded.load(OPERATOR, &database.state).is_err());
}

/// Checkpoints of others come before the rows are read: whoever reads at the start's epoch sees them.
#[test]
fn rows_that_are_read_late_stand_at_the_epoch_of_the_start() {
    let mut database = Database::new();
    database.apply(&inserts(0..10), 2);
    database.save(3);
    let state = Arc::new(database.state);
    let mut loader = Loader::new(state.clone(), 2).unwrap();
    let late = empty();
    late.load_later(OPERATOR, &mut loader).unwrap();
    let mut others = state.checkpoint();
    others.set_meta(Meta { epoch: Epoch(5), ..Meta::default() });
    state.commit(others).unwrap();
    assert_eq!(all(&late, Epoch(3)), all(&database.store, Epoch(3)));
    late.apply(&inserts(10..20), Epoch(6)).unwrap();
    assert_eq!(all(&late, Epoch(5)).num_rows(), 10);
    assert_eq!(all(&late, Epoch(6)).num_rows(), 20);
    // What they were before is not known.
    assert!(late.snapshot(Epoch(2)).row_count().is_err());
}
