//! Readers on other threads while the writer applies and compacts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use crate::data::{Epoch, ZSet};
use crate::error::SqlState;
use crate::view::{HeldIndex, Identity, RowSnapshot, RowStore};

const ACCOUNTS: i64 = 500;
const STEPS: u64 = 400;

fn schema() -> SchemaRef {
    let field = |name| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![field("account"), field("balance")]))
}

fn accounts(rows: &[(i64, i64)]) -> RecordBatch {
    let column = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let (accounts, balances) = rows.iter().copied().unzip();
    RecordBatch::try_new(schema(), vec![column(accounts), column(balances)]).unwrap()
}

/// Money moves from account to account: the sum of the balances is 0 at every epoch.
fn transfers(balances: &mut [i64], epoch: u64) -> ZSet {
    let touched: Vec<i64> = (0..20).map(|n| (epoch as i64 * 7 + n * 13) % ACCOUNTS).collect();
    let rows = |balances: &[i64]| accounts(&touched.iter().map(|a| (*a, balances[*a as usize])).collect::<Vec<_>>());
    let before = ZSet::inserts(rows(balances)).negate();
    for pair in touched.chunks(2) {
        balances[pair[0] as usize] -= epoch as i64;
        balances[pair[1] as usize] += epoch as i64;
    }
    ZSet::concat(&schema(), &[before, ZSet::inserts(rows(balances))]).unwrap()
}

fn read(snapshot: &RowSnapshot) -> Result<(), crate::error::Error> {
    let (mut sum, mut rows) = (0, 0);
    for batch in snapshot.batches() {
        let batch = batch?;
        sum += batch.column(1).as_primitive::<Int64Type>().values().iter().sum::<i64>();
        rows += batch.num_rows() as i64;
    }
    assert_eq!((sum, rows), (0, ACCOUNTS), "at {}", snapshot.epoch());
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ACCOUNTS));
    let index = snapshot.store().primary_index().unwrap();
    let found = snapshot.lookup(&index, &[keys])?;
    let balances = found.column(1).as_primitive::<Int64Type>();
    assert_eq!(found.num_rows() as i64, ACCOUNTS, "at {}", snapshot.epoch());
    assert_eq!(balances.values().iter().sum::<i64>(), 0, "at {}", snapshot.epoch());
    Ok(())
}

#[test]
fn readers_see_one_epoch_while_the_writer_goes_on() {
    let store = Arc::new(RowStore::new(schema(), Identity::Key(vec![0])));
    let mut balances = vec![0; ACCOUNTS as usize];
    store.apply(&ZSet::inserts(accounts(&(0..ACCOUNTS).map(|a| (a, 0)).collect::<Vec<_>>())), Epoch(1)).unwrap();
    let published = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (store, published) = (store.clone(), &published);
            scope.spawn(move || {
                let mut held: Option<RowSnapshot> = None;
                while published.load(Ordering::Acquire) < STEPS {
                    let snapshot = store.snapshot(Epoch(published.load(Ordering::Acquire)));
                    match read(&snapshot) {
                        Ok(()) => {}
                        Err(error) => assert_eq!(error.sqlstate(), SqlState::SNAPSHOT_TOO_OLD),
                    }
                    // One snapshot is held across many steps and compactions.
                    let old = held.get_or_insert_with(|| snapshot.clone());
                    if read(old).is_err() || snapshot.epoch().0 > old.epoch().0 + 50 * (reader + 1) {
                        held = None;
                    }
                }
            });
        }
        for epoch in 2..=STEPS {
            store.apply(&transfers(&mut balances, epoch), Epoch(epoch)).unwrap();
            published.store(epoch, Ordering::Release);
            store.compact(Epoch(epoch - epoch % 3)).unwrap();
        }
    });
    read(&store.snapshot(Epoch(STEPS))).unwrap();
}

/// An index is made while rows come, go and move: it has those of every epoch from then on.
#[test]
fn an_index_is_made_while_the_writer_goes_on() {
    const ROWS: i64 = 20_000;
    let rows = |keys: std::ops::Range<i64>| accounts(&keys.map(|key| (key, key % 100)).collect::<Vec<_>>());
    let store = Arc::new(RowStore::new(schema(), Identity::FullRow));
    store.apply(&ZSet::inserts(rows(0..ROWS)), Epoch(1)).unwrap();
    let published = AtomicU64::new(1);
    let check = |index: &HeldIndex| {
        let at = Epoch(published.load(Ordering::Acquire));
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        // At every epoch there are as many rows, in a run of keys.
        match store.snapshot(at).lookup(index, &[keys]) {
            Ok(found) => {
                let keys = found.column(0).as_primitive::<Int64Type>().values();
                assert_eq!(found.num_rows() as i64, ROWS, "at {at}");
                let (least, most) = (keys.iter().min().unwrap(), keys.iter().max().unwrap());
                assert_eq!(most - least + 1, ROWS, "at {at}");
            }
            Err(error) => assert_eq!(error.sqlstate(), SqlState::SNAPSHOT_TOO_OLD),
        }
    };
    std::thread::scope(|scope| {
        let builder = scope.spawn(|| {
            for _ in 0..10 {
                let index = store.add_index(&[1]).unwrap();
                check(&index);
                let at = published.load(Ordering::Acquire);
                while published.load(Ordering::Acquire) < at + 3 {
                    std::thread::yield_now();
                }
                check(&index);
            }
        });
        let mut epoch = 1;
        while !builder.is_finished() {
            epoch += 1;
            let first = (epoch as i64 - 2) * 1000;
            let change = [
                ZSet::inserts(rows(first..first + 1000)).negate(),
                ZSet::inserts(rows(first + ROWS..first + ROWS + 1000)),
            ];
            store.apply(&ZSet::concat(&schema(), &change).unwrap(), Epoch(epoch)).unwrap();
            published.store(epoch, Ordering::Release);
            store.compact(Epoch(epoch - epoch % 3)).unwrap();
        }
    });
    assert!(store.indexes().is_empty(), "nobody holds any of them");
}
