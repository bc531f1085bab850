//! Rows that go by their age: exactly those that are due, at the cost of what they are.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use levada_testing::Dice;

use crate::data::{Epoch, OperatorId, ZSet};
use crate::state::{KeyKind, Meta, StateStore};
use crate::view::{Identity, RowStore};

const OPERATOR: OperatorId = OperatorId(3);
const ALL: usize = usize::MAX;

fn schema() -> SchemaRef {
    let column = |name: &str| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![column("k"), column("v")]))
}

fn rows(rows: &[(i64, i64)]) -> ZSet {
    let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as _;
    let columns = vec![column(rows.iter().map(|row| row.0).collect()), column(rows.iter().map(|row| row.1).collect())];
    ZSet::inserts(RecordBatch::try_new(schema(), columns).unwrap())
}

fn values(batch: &RecordBatch) -> Vec<(i64, i64)> {
    let column = |at: usize| batch.column(at).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
    column(0).into_iter().zip(column(1)).collect()
}

fn contents(store: &Arc<RowStore>, at: Epoch) -> Vec<(i64, i64)> {
    let mut all: Vec<_> = store.snapshot(at).batches().flat_map(|batch| values(&batch.unwrap())).collect();
    all.sort_unstable();
    all
}

/// A relation on disk whose rows arrive at the time that its epoch's number says.
struct Aging {
    store: Arc<RowStore>,
    state: StateStore,
    _dir: tempfile::TempDir,
    identity: Identity,
    epoch: Epoch,
    durable: Epoch,
}

impl Aging {
    fn new(identity: Identity) -> Aging {
        let dir = tempfile::tempdir().unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        let store = Arc::new(RowStore::new(schema(), identity.clone()));
        Aging { store, state, _dir: dir, identity, epoch: Epoch::ZERO, durable: Epoch::ZERO }
    }

    fn apply(&mut self, change: &ZSet) {
        self.epoch = self.epoch.next();
        self.store.arriving(self.epoch.0 as i64);
        self.store.apply(change, self.epoch).unwrap();
    }

    /// What goes, in order.
    fn expire(&mut self, through: i64, at_most: usize) -> Vec<(i64, i64)> {
        self.epoch = self.epoch.next();
        let gone = self.store.expire(through, at_most, self.epoch).unwrap();
        assert!((0..gone.len()).all(|row| gone.weight(row) == -1));
        let mut gone = values(gone.batch());
        gone.sort_unstable();
        gone
    }

    fn compact(&self) {
        while self.store.compact(self.epoch).unwrap() {}
    }

    fn save(&mut self) {
        let mut checkpoint = self.state.checkpoint();
        self.store.save(OPERATOR, self.durable, &mut checkpoint).unwrap();
        checkpoint.set_meta(Meta { epoch: self.epoch, ..Meta::default() });
        self.state.commit(checkpoint).unwrap();
        self.durable = self.epoch;
    }

    fn load(&mut self) {
        self.store = Arc::new(RowStore::new(schema(), self.identity.clone()));
        self.store.load(OPERATOR, &self.state).unwrap();
    }

    fn chunks(&self) -> usize {
        self.state.scan(KeyKind::Rows, OPERATOR).unwrap().count()
    }
}

/// Random rows come, are replaced (by themselves, too) and go; memory is lost now and then.
fn random(identity: &Identity) {
    let keyed = *identity != Identity::FullRow;
    for seed in 0..8 {
        let mut random = Dice::new(seed);
        let mut aging = Aging::new(identity.clone());
        // Row and arrival.
        let mut model: Vec<((i64, i64), i64)> = Vec::new();
        for step in 0..150 {
            let (mut gone, mut came) = (Vec::new(), Vec::new());
            for _ in 0..random.below(40) {
                let key = random.below(30) as i64;
                if came.iter().chain(&gone).any(|(taken, _): &(i64, i64)| keyed && *taken == key) {
                    continue;
                }
                if let Some(at) = model.iter().position(|((other, _), _)| keyed && *other == key) {
                    gone.push(model.swap_remove(at).0);
                }
                if !keyed || random.chance(80) {
                    came.push((key, random.below(2) as i64));
                }
            }
            let arrival = aging.epoch.next().0 as i64;
            model.extend(came.iter().map(|row| (*row, arrival)));
            aging.apply(&ZSet::concat(&schema(), &[rows(&gone).negate(), rows(&came)]).unwrap());
            if random.chance(50) {
                let through = aging.epoch.0 as i64 - random.below(20) as i64;
                let mut expected: Vec<_> =
                    model.extract_if(.., |(_, arrived)| *arrived <= through).map(|(row, _)| row).collect();
                expected.sort_unstable();
                let mut found = Vec::new();
                while found.len() < expected.len() {
                    let part = aging.expire(through, 1 + random.below(30));
                    assert!(!part.is_empty(), "seed {seed}, step {step}");
                    found.extend(part);
                }
                found.sort_unstable();
                assert_eq!(found, expected, "seed {seed}, step {step}");
                assert_eq!(aging.expire(through, ALL), []);
                assert!(aging.store.oldest_arrival().is_none_or(|oldest| oldest > through));
            }
            let mut live: Vec<_> = model.iter().map(|(row, _)| *row).collect();
            live.sort_unstable();
            assert_eq!(contents(&aging.store, aging.epoch), live, "seed {seed}, step {step}");
            assert_eq!(aging.store.rows(), live.len() as u64);
            let oldest = model.iter().map(|(_, arrived)| *arrived).min();
            assert!(aging.store.oldest_arrival().unwrap_or(i64::MAX) <= oldest.unwrap_or(i64::MAX));
            if random.chance(60) {
                aging.compact();
            }
            if random.chance(20) {
                aging.save();
                if random.chance(50) {
                    aging.load();
                }
            }
        }
    }
}

#[test]
fn what_is_due_goes() {
    random(&Identity::FullRow);
}

#[test]
fn a_row_of_a_key_counts_from_its_last_message() {
    random(&Identity::Key(vec![0]));
}

/// A stream that keeps some epochs' rows: neither memory nor disk keeps what has gone, and no row pays for an index.
#[test]
fn what_has_gone_leaves_nothing() {
    const STEP: i64 = 2000;
    const KEPT: i64 = 100;
    let mut aging = Aging::new(Identity::FullRow);
    let mut most = 0;
    for step in 0..400 {
        let first = step * STEP;
        aging.apply(&rows(&(first..first + STEP).map(|key| (key, key % 7)).collect::<Vec<_>>()));
        aging.expire(aging.epoch.0 as i64 - 2 * KEPT, ALL);
        aging.compact();
        if step % 10 == 0 {
            aging.save();
        }
        if step > KEPT {
            most = most.max(aging.store.bytes());
        }
    }
    let live = (STEP * KEPT) as u64;
    assert!(aging.store.rows() >= live && aging.store.rows() <= live + 2 * STEP as u64, "{}", aging.store.rows());
    // Two numbers a row, and the deletion epochs of at most one chunk.
    assert!(most < 20 * live + (2 << 20), "{most} bytes for {live} rows of 16 bytes");
    aging.save();
    aging.save();
    assert!(aging.chunks() <= 12, "{} chunks", aging.chunks());
    aging.expire(i64::MAX - 1, ALL);
    aging.compact();
    aging.save();
    assert_eq!((aging.store.rows(), aging.store.oldest_arrival(), aging.chunks()), (0, None, 0));
}
