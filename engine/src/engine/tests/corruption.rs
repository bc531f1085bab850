//! Entries of the log that are not what was written: an error that says so, never a panic, a hang, or memory without end.

use levada_testing::{Dice, garble, seeds};

use super::*;
use crate::data::codec;
use crate::engine::record::Record;

#[test]
fn entries_of_the_log_that_are_others_are_refused() {
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(Int32Array::from_iter([Some(1), None, Some(3)])) as _),
        ("b", Arc::new(arrow::array::StringArray::from(vec!["x", "", "long enough to be one"])) as _),
    ]);
    let change = ZSet::inserts(batch.unwrap());
    let mut weighted = Vec::new();
    codec::encode(&change.clone().negate(), &mut weighted).unwrap();
    let transaction = vec![Operation::Drop(vec![ObjectId(3)]), Operation::Write { table: ObjectId(9), change }];
    let whole = record::transactions([transaction.as_slice()].into_iter()).unwrap().remove(0).to_vec();
    for seed in seeds(4000) {
        let mut dice = Dice::new(seed);
        let mut bytes = whole.clone();
        garble(&mut bytes, &mut dice);
        let read = record::read(&bytes).and_then(|record| match record {
            Record::Transaction(entry) => entry::decode(entry).map(|_| ()),
            Record::Sources(_) => Ok(()),
        });
        assert!(read.is_ok() || read.is_err_and(|error| error.sqlstate().code() == "XX001"));
        let mut bytes = weighted.clone();
        garble(&mut bytes, &mut dice);
        let read = codec::decode(&bytes);
        assert!(read.is_ok() || read.is_err_and(|error| error.sqlstate().code() == "XX001"));
    }
}
