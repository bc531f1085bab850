//! Random changes, compactions and reads, compared with the model after every step.

use std::sync::Arc;

use levada_testing::Dice;

use super::model::{Model, Row, batch, printed, printed_all, same_float, schema, zset};
use crate::data::{Epoch, OperatorId};
use crate::state::{Meta, StateStore};
use crate::view::{HeldIndex, Identity, RowSnapshot, RowStore};

const OPERATOR: OperatorId = OperatorId(7);

/// Prints the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

struct Run {
    random: Dice,
    store: Arc<RowStore>,
    model: Model,
    /// Positions of the indexed columns of each index.
    indexes: Vec<(HeldIndex, Vec<usize>)>,
    /// The columns of one that is not there now.
    without: Option<Vec<usize>>,
    snapshots: Vec<RowSnapshot>,
    epoch: Epoch,
    horizon: Epoch,
    keyed: bool,
    disk: Option<Disk>,
}

/// Durable storage, what it has and what it was heard to have.
struct Disk {
    _dir: tempfile::TempDir,
    state: StateStore,
    committed: Epoch,
    heard: Epoch,
}

impl Disk {
    fn new() -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        Disk { _dir: dir, state, committed: Epoch::ZERO, heard: Epoch::ZERO }
    }
}

impl Run {
    fn new(seed: u64, keyed: bool) -> Run {
        let identity = if keyed { Identity::Key(vec![0]) } else { Identity::FullRow };
        Run {
            random: Dice::new(seed),
            store: Arc::new(RowStore::new(schema(), identity)),
            model: Model::default(),
            indexes: Vec::new(),
            without: None,
            snapshots: Vec::new(),
            epoch: Epoch(0),
            horizon: Epoch(0),
            keyed,
            disk: None,
        }
    }

    /// Saves; the checkpoint is committed, or lost, or committed without our hearing of it.
    fn save(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let mut checkpoint = disk.state.checkpoint();
        self.store.save(OPERATOR, disk.heard, &mut checkpoint).unwrap();
        checkpoint.set_meta(Meta { epoch: self.epoch, ..Meta::default() });
        let fate = self.random.below(10);
        if fate > 1 {
            disk.state.commit(checkpoint).unwrap();
            disk.committed = self.epoch;
        }
        if fate > 2 {
            disk.heard = self.epoch;
        }
    }

    /// Loses memory and reads what was committed.
    fn crash(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        self.store = Arc::new(RowStore::new(schema(), self.store.identity().clone()));
        let columns: Vec<Vec<usize>> =
            std::mem::take(&mut self.indexes).into_iter().map(|(_, columns)| columns).collect();
        let before = &columns[..self.random.below(columns.len() + 1)];
        let held: Vec<HeldIndex> = before.iter().map(|columns| self.store.add_index(columns).unwrap()).collect();
        self.store.load(OPERATOR, &disk.state).unwrap();
        self.indexes = columns.into_iter().map(|columns| (self.store.add_index(&columns).unwrap(), columns)).collect();
        for (before, (now, _)) in held.iter().zip(&self.indexes) {
            assert!(Arc::ptr_eq(&before.0, &now.0), "what was there before the rows is used again");
        }
        self.model.forget_after(disk.committed);
        (self.epoch, self.horizon, disk.heard) = (disk.committed, disk.committed, disk.committed);
        self.snapshots.clear();
        self.check();
    }

    fn add_index(&mut self, columns: Vec<usize>) {
        let index = self.store.add_index(&columns).unwrap();
        assert!(Arc::ptr_eq(&index.0, &self.store.add_index(&columns).unwrap().0));
        self.indexes.push((index, columns));
    }

    /// Lets go of an index, and makes it again at some later step.
    fn renew_indexes(&mut self) {
        match self.without.take() {
            Some(columns) if self.random.chance(30) => self.add_index(columns),
            Some(columns) => self.without = Some(columns),
            None if self.random.chance(20) => {
                let at = self.random.below(self.indexes.len());
                let (index, columns) = self.indexes.swap_remove(at);
                let there = self.store.indexes().len();
                drop(index);
                let is_own = self.keyed && columns == [0];
                assert_eq!(self.store.indexes().len(), there - usize::from(!is_own), "{columns:?}");
                self.without = Some(columns);
            }
            None => {}
        }
    }

    /// A change that fits the relation, in random order, with rows that come and go in it.
    fn change(&mut self) -> Vec<(Row, i64)> {
        let now = self.model.at(self.epoch).to_vec();
        let mut change: Vec<(Row, i64)> = Vec::new();
        let mut keys: Vec<i64> = now.iter().filter_map(|(row, _)| row.key).collect();
        for (row, weight) in &now {
            if self.random.chance(30) {
                let taken = 1 + self.random.below(*weight as usize) as i64;
                change.push((row.clone(), -taken));
                if self.random.chance(60) {
                    change.push((Row::random(&mut self.random, row.key), 1));
                } else {
                    keys.retain(|key| Some(*key) != row.key);
                }
            }
        }
        for _ in 0..self.random.below(30) {
            let key = self.random.below(60) as i64;
            if !self.keyed {
                let key = (!self.random.chance(10)).then_some(key % 5);
                change.push((Row::random(&mut self.random, key), 1 + self.random.below(3) as i64));
            } else if !keys.contains(&key) {
                keys.push(key);
                change.push((Row::random(&mut self.random, Some(key)), 1));
            }
        }
        if self.random.chance(50) {
            let key = self.random.below(60) as i64;
            let row = Row::random(&mut self.random, Some(key));
            change.extend([(row.clone(), -1), (row, 1)]);
        }
        for index in (1..change.len()).rev() {
            change.swap(index, self.random.below(index + 1));
        }
        change
    }

    fn step(&mut self) {
        let change = self.change();
        self.epoch = self.epoch.next();
        self.store.apply(&zset(&change), self.epoch).unwrap();
        self.model.apply(&change, self.epoch);
        if self.random.chance(50) {
            self.snapshots.push(self.store.snapshot(self.epoch));
        }
        self.check();
        if self.random.chance(40) {
            let back = self.random.below(4) as u64;
            self.horizon = self.horizon.max(Epoch(self.epoch.0.saturating_sub(back)));
            while self.store.compact(self.horizon).unwrap() {}
            self.check();
        }
        if self.random.chance(30) {
            self.save();
            self.check();
        }
        if self.random.chance(10) {
            self.crash();
        }
        if self.snapshots.len() > 5 {
            let oldest = self.random.below(self.snapshots.len());
            self.snapshots.swap_remove(oldest);
        }
    }

    fn check(&mut self) {
        for epoch in self.horizon.0..=self.epoch.0 {
            self.check_snapshot(&self.store.snapshot(Epoch(epoch)));
        }
        for snapshot in &self.snapshots {
            self.check_snapshot(snapshot);
        }
        let rows: i64 = self.model.at(self.epoch).iter().map(|(_, weight)| weight).sum();
        assert_eq!(self.store.rows(), rows as u64);
        let previous = self.epoch.previous().max(self.horizon);
        for at in [self.epoch, previous] {
            let nulls_match = self.random.chance(50);
            self.check_probe(at, nulls_match);
        }
        for snapshot in self.snapshots.clone() {
            self.check_lookup(&snapshot);
        }
    }

    fn check_snapshot(&self, snapshot: &RowSnapshot) {
        let expected = self.model.printed(snapshot.epoch());
        assert_eq!(snapshot.row_count().unwrap(), expected.len() as u64);
        assert_eq!(printed_all(snapshot.batches().map(Result::unwrap)), expected);
    }

    fn check_probe(&mut self, at: Epoch, nulls_match: bool) {
        for (index, columns) in self.indexes.clone() {
            let probing: Vec<Row> = (0..5).map(|key| Row::random(&mut self.random, (key > 0).then_some(key))).collect();
            let keys = batch(&probing).project(&columns).unwrap();
            let matches = self.store.probe(&index, keys.columns(), at, nulls_match).unwrap();
            assert!(matches.probe_rows().is_sorted());
            let found = matches.rows(0..matches.len(), None).unwrap();
            for (number, wanted) in probing.iter().enumerate() {
                let rows = matches.probe_rows().iter().map(|row| *row as usize == number).collect::<Vec<_>>();
                let rows = found.filter(&rows.into()).unwrap().expand().unwrap();
                let null = columns.iter().any(|column| batch(std::slice::from_ref(wanted)).column(*column).is_null(0));
                let expected =
                    self.model.printed_where(at, |row| equal(row, wanted, &columns) && (nulls_match || !null));
                assert_eq!(printed(&rows), expected, "{columns:?} at {at}");
            }
        }
    }

    fn check_lookup(&mut self, snapshot: &RowSnapshot) {
        for (index, columns) in self.indexes.clone() {
            let Some((wanted, _)) = self.model.at(snapshot.epoch()).first().cloned() else { continue };
            let keys = batch(std::slice::from_ref(&wanted)).project(&columns).unwrap();
            let null = keys.columns().iter().any(|column| column.null_count() > 0);
            let found = snapshot.lookup(&index, keys.columns()).unwrap();
            let expected = self.model.printed_where(snapshot.epoch(), |row| equal(row, &wanted, &columns) && !null);
            assert_eq!(printed(&found), expected, "{columns:?} at {}", snapshot.epoch());
        }
    }
}

fn equal(left: &Row, right: &Row, columns: &[usize]) -> bool {
    columns.iter().all(|column| match column {
        0 => left.key == right.key,
        1 => left.text == right.text,
        2 => same_float(left.float, right.float),
        _ => left.list == right.list,
    })
}

fn run(keyed: bool, durable: bool) {
    for seed in 0..12 {
        let _seed = Seed(seed);
        let mut run = Run::new(seed, keyed);
        run.disk = durable.then(Disk::new);
        run.add_index(vec![0]);
        run.add_index(vec![1, 2]);
        for step in 0..60 {
            if step == 20 {
                run.add_index(vec![3, 0]);
            }
            run.renew_indexes();
            run.step();
        }
    }
}

#[test]
fn a_relation_with_a_key_is_what_the_model_says() {
    run(true, false);
}

#[test]
fn a_relation_of_repeated_rows_is_what_the_model_says() {
    run(false, false);
}

#[test]
fn a_relation_with_a_key_comes_back_from_the_last_checkpoint() {
    run(true, true);
}

#[test]
fn a_relation_of_repeated_rows_comes_back_from_the_last_checkpoint() {
    run(false, true);
}
