//! How much of each source has come that is no row, for as long as the source is there.
//!
//! Counted by the steps that write the rows of `levada_catalog.source_errors`, and saved with them: both say the same at
//! every epoch, until the oldest of the rows make room for others.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::data::ObjectId;
use crate::error::{Error, Result};
use crate::source::{BadRecord, LostRange};

/// What has come of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Messages that are no rows.
    pub bad: u64,
    /// Offsets that Kafka no longer had.
    pub lost: u64,
}

/// By source and partition.
pub type Tallies = BTreeMap<ObjectId, BTreeMap<i32, Tally>>;

/// The counts as of the last step.
#[derive(Default)]
pub struct Counts(Mutex<Arc<Tallies>>);

impl Counts {
    /// Goes on from what a checkpoint has.
    ///
    /// # Errors
    /// XX001 when it does not read.
    pub fn load(saved: &BTreeMap<ObjectId, serde_json::Value>) -> Result<Counts> {
        let read = |(source, value): (&ObjectId, &serde_json::Value)| {
            let read = serde_json::from_value(value.clone());
            read.map(|read| (*source, read))
                .map_err(|error| Error::corrupt("what was counted of a source cannot be read").with_source(error))
        };
        Ok(Counts(Mutex::new(Arc::new(saved.iter().map(read).collect::<Result<_>>()?))))
    }

    /// What a checkpoint keeps.
    pub fn saved(&self) -> Result<BTreeMap<ObjectId, serde_json::Value>> {
        let write = |(source, read): (&ObjectId, &BTreeMap<i32, Tally>)| {
            let value = serde_json::to_value(read);
            value
                .map(|value| (*source, value))
                .map_err(|error| Error::internal("cannot write counts").with_source(error))
        };
        self.all().iter().map(write).collect()
    }

    /// The counts as they are now.
    pub fn all(&self) -> Arc<Tallies> {
        self.0.lock().clone()
    }

    pub fn bad(&self, source: ObjectId, record: &BadRecord) {
        self.change(source, record.partition, |tally| tally.bad += 1);
    }

    pub fn lost(&self, source: ObjectId, range: &LostRange) {
        self.change(source, range.partition, |tally| tally.lost += (range.to - range.from).unsigned_abs());
    }

    fn change(&self, source: ObjectId, partition: i32, change: impl FnOnce(&mut Tally)) {
        let mut counts = self.0.lock();
        change(Arc::make_mut(&mut counts).entry(source).or_default().entry(partition).or_default());
    }

    /// Forgets sources that are gone.
    pub fn retain(&self, is_there: impl Fn(ObjectId) -> bool) {
        let mut counts = self.0.lock();
        if counts.keys().any(|source| !is_there(*source)) {
            Arc::make_mut(&mut counts).retain(|source, _| is_there(*source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Loss;

    #[test]
    fn counts_come_back() {
        let counts = Counts::default();
        let bad = |partition| BadRecord {
            partition,
            offset: 7,
            timestamp_ms: None,
            key: None,
            value: None,
            error: String::new(),
        };
        let before = counts.all();
        counts.bad(ObjectId(1), &bad(0));
        counts.bad(ObjectId(1), &bad(0));
        counts.bad(ObjectId(2), &bad(3));
        counts.lost(ObjectId(2), &LostRange { partition: 0, from: 5, to: 9, loss: Loss::Deleted });
        assert!(before.is_empty());
        let counts = Counts::load(&counts.saved().unwrap()).unwrap();
        assert_eq!(counts.all()[&ObjectId(1)], [(0, Tally { bad: 2, lost: 0 })].into());
        let second = [(0, Tally { bad: 0, lost: 4 }), (3, Tally { bad: 1, lost: 0 })];
        assert_eq!(counts.all()[&ObjectId(2)], second.into());
        counts.retain(|source| source == ObjectId(2));
        assert_eq!(counts.all().len(), 1);
        let broken = [(ObjectId(1), serde_json::json!("many"))].into();
        assert_eq!(Counts::load(&broken).err().map(|error| error.sqlstate().code().to_owned()), Some("XX001".into()));
    }
}
