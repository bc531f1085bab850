//! How much of each source has come that is no row, for as long as the source is there.
//!
//! Counted by the steps that write the rows of `levada_catalog.source_errors`, and saved with them: both say the same at
//! every epoch, until the oldest of the rows make room for others.

mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use told::Told;

use crate::data::ObjectId;
use crate::error::{Error, Result};
use crate::source::{Delivery, LostRange, Offsets, Place, TopicId};

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

/// What a checkpoint keeps, by source.
type Saved = BTreeMap<ObjectId, serde_json::Value>;

/// The counts as of the last step.
#[derive(Default)]
pub struct Counts(Mutex<State>);

#[derive(Default)]
struct State {
    tallies: Arc<Tallies>,
    /// Of which messages it is known whether they count, for sources that views have read.
    told: BTreeMap<ObjectId, Told>,
}

impl Counts {
    /// Goes on from what a checkpoint has.
    ///
    /// # Errors
    /// XX001 when it does not read.
    pub fn load(tallies: &Saved, told: &Saved) -> Result<Counts> {
        Ok(Counts(Mutex::new(State { tallies: Arc::new(read(tallies)?), told: read(told)? })))
    }

    /// What a checkpoint keeps: the counts, and what is counted.
    pub fn saved(&self) -> Result<(Saved, Saved)> {
        let state = self.0.lock();
        Ok((write(&state.tallies)?, write(&state.told)?))
    }

    /// The counts as they are now.
    pub fn all(&self) -> Arc<Tallies> {
        self.0.lock().tallies.clone()
    }

    /// So many messages of a partition are no rows.
    pub fn bad(&self, source: ObjectId, partition: i32, bad: u64) {
        self.change(source, partition, |tally| tally.bad += bad);
    }

    pub fn lost(&self, source: ObjectId, range: &LostRange) {
        self.change(source, range.partition, |tally| tally.lost += (range.to - range.from).unsigned_abs());
    }

    fn change(&self, source: ObjectId, partition: i32, change: impl FnOnce(&mut Tally)) {
        let mut state = self.0.lock();
        change(Arc::make_mut(&mut state.tallies).entry(source).or_default().entry(partition).or_default());
    }

    /// Whether a message of a topic has been counted, should it be no row.
    pub fn is_told(&self, source: ObjectId, topic: Option<&TopicId>, partition: i32, offset: i64) -> bool {
        let state = self.0.lock();
        state.told.get(&source).is_some_and(|told| !told.is_of_another(topic) && told.has(partition, offset))
    }

    /// Whether a topic is not the one of which the messages of a source count.
    pub fn is_of_another(&self, source: ObjectId, topic: Option<&TopicId>) -> bool {
        self.0.lock().told.get(&source).is_some_and(|told| told.is_of_another(topic))
    }

    /// What was looked through has been counted.
    pub fn tell(&self, source: ObjectId, told: &Told) {
        self.0.lock().told.entry(source).or_default().add_all(told);
    }

    /// The steps begin to read a source from here.
    pub fn begin(&self, source: ObjectId, read: &Place) {
        self.0.lock().told.entry(source).or_default().begin(read);
    }

    /// A step has taken in a delivery, `before` which the source was at these offsets. Tables have no history that would find
    /// the same again.
    pub fn advance(&self, delivery: &Delivery, before: &Offsets) {
        if let Some(told) = self.0.lock().told.get_mut(&delivery.relation) {
            told.advance(delivery, before);
        }
    }

    /// Forgets sources that are gone.
    pub fn retain(&self, is_there: impl Fn(ObjectId) -> bool) {
        let mut state = self.0.lock();
        state.told.retain(|source, _| is_there(*source));
        if state.tallies.keys().any(|source| !is_there(*source)) {
            Arc::make_mut(&mut state.tallies).retain(|source, _| is_there(*source));
        }
    }
}

fn read<T: DeserializeOwned>(saved: &Saved) -> Result<BTreeMap<ObjectId, T>> {
    let read = |(source, value): (&ObjectId, &serde_json::Value)| {
        let read = serde_json::from_value(value.clone());
        read.map(|read| (*source, read))
            .map_err(|error| Error::corrupt("what was counted of a source cannot be read").with_source(error))
    };
    saved.iter().map(read).collect()
}

fn write<T: Serialize>(counted: &BTreeMap<ObjectId, T>) -> Result<Saved> {
    let write = |(source, counted): (&ObjectId, &T)| {
        let value = serde_json::to_value(counted);
        value.map(|value| (*source, value)).map_err(|error| Error::internal("cannot write counts").with_source(error))
    };
    counted.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Loss;

    #[test]
    fn counts_come_back() {
        let counts = Counts::default();
        let before = counts.all();
        counts.bad(ObjectId(1), 0, 1);
        counts.bad(ObjectId(1), 0, 1);
        counts.bad(ObjectId(2), 3, 1);
        counts.lost(ObjectId(2), &LostRange { partition: 0, from: 5, to: 9, loss: Loss::Deleted });
        assert!(before.is_empty());
        for source in [ObjectId(1), ObjectId(2)] {
            let mut told = Told::default();
            told.add(4, 10, 20);
            told.add(4, 30, 40);
            counts.tell(source, &told);
        }
        let (tallies, told) = counts.saved().unwrap();
        let counts = Counts::load(&tallies, &told).unwrap();
        assert_eq!(counts.all()[&ObjectId(1)], [(0, Tally { bad: 2, lost: 0 })].into());
        let second = [(0, Tally { bad: 0, lost: 4 }), (3, Tally { bad: 1, lost: 0 })];
        assert_eq!(counts.all()[&ObjectId(2)], second.into());
        let is_told = |source| [9, 10, 19, 20, 35].map(|offset| counts.is_told(ObjectId(source), None, 4, offset));
        assert_eq!(is_told(2), [false, true, true, false, true]);
        counts.retain(|source| source == ObjectId(2));
        assert_eq!(counts.all().len(), 1);
        assert_eq!(is_told(1), [false; 5]);
        let broken = [(ObjectId(1), serde_json::json!("many"))].into();
        for (tallies, told) in [(&broken, &told), (&tallies, &broken)] {
            assert_eq!(Counts::load(tallies, told).err().unwrap().sqlstate().code(), "XX001");
        }
    }
}
