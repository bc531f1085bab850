//! Event time: the watermarks of sources, from the rows that their partitions deliver.
//!
//! A partition's watermark is the latest time it has brought, less the delay that the source declares. The source's is the
//! least over its partitions that are not idle (the greatest when all are), and never goes back. What was delivered and
//! the step's clock decide it, so it is part of a step's input, and saved with the checkpoint.

mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use source::SourceTime;

use crate::catalog::{Catalog, Item};
use crate::data::ObjectId;
use crate::dataflow::Watermarks;
use crate::engine::clock::Micros;
use crate::engine::history::spec_of;
use crate::error::{Error, Result};
use crate::source::{Delivery, Kafka, Place, Turn, Watermark};

/// How far ahead of the step's clock a time may move a watermark: a producer whose clock is wrong must not close all
/// windows for good. Local times without a zone are ahead of UTC by up to 14 hours.
const MOST_AHEAD: Micros = 24 * 3_600_000_000;

/// All sources with a watermark.
#[derive(Default)]
pub struct EventTimes {
    declared: BTreeMap<ObjectId, Declared>,
    /// Of tables, and of sources while views read them.
    progress: Arc<BTreeMap<ObjectId, SourceTime>>,
    /// What the histories of sources said, until the next step.
    read: BTreeMap<ObjectId, SourceTime>,
    /// When each partition brought its last message, on the step's clock; since when it is waited for, where it has not.
    active: BTreeMap<(ObjectId, i32), Micros>,
}

/// What the catalog says of a source.
struct Declared {
    watermark: Watermark,
    /// Where all reading begins.
    kafka: Kafka,
}

impl EventTimes {
    /// What the last checkpoint had.
    ///
    /// # Errors
    /// XX001 when it does not read.
    pub fn load(saved: &BTreeMap<ObjectId, serde_json::Value>) -> Result<EventTimes> {
        let read = |(id, value): (&ObjectId, &serde_json::Value)| {
            let time = serde_json::from_value(value.clone());
            let broken = |error| Error::corrupt("the event time of a source cannot be read").with_source(error);
            time.map(|time| (*id, time)).map_err(broken)
        };
        let progress = saved.iter().map(read).collect::<Result<_>>()?;
        Ok(EventTimes { progress: Arc::new(progress), ..EventTimes::default() })
    }

    /// What a checkpoint keeps.
    pub fn saved(&self) -> Result<BTreeMap<ObjectId, serde_json::Value>> {
        let write = |(id, time): (&ObjectId, &SourceTime)| {
            let value = serde_json::to_value(time);
            value
                .map(|value| (*id, value))
                .map_err(|error| Error::internal("cannot write event time").with_source(error))
        };
        self.progress.iter().map(write).collect()
    }

    /// Takes note of a relation that is read from outside; gives the column that its watermark is of. Of others there is
    /// nothing to note.
    ///
    /// # Errors
    /// XX001 when what the catalog has of it does not read.
    pub fn add(&mut self, item: &Item) -> Result<Option<usize>> {
        if item.connector().is_none() {
            return Ok(None);
        }
        let spec = spec_of(item)?;
        let Some(watermark) = spec.watermark else { return Ok(None) };
        let (column, kafka) = (watermark.column, spec.kafka);
        if !item.is_source() {
            let time = Arc::make_mut(&mut self.progress).entry(item.id).or_default();
            time.await_all(&kafka.start);
        }
        self.declared.insert(item.id, Declared { watermark, kafka });
        Ok(Some(column))
    }

    /// The steps begin to read a source from here; what is before comes from its history.
    pub fn begin(&mut self, source: ObjectId, read: &Place) {
        let Some(Declared { kafka, .. }) = self.declared.get(&source) else { return };
        let start = kafka.start_in(read.topic.as_ref());
        let mut time = SourceTime::default();
        // A topic that was made anew has partitions of its own.
        time.await_all(if kafka.is_other(read.topic.as_ref()) { &read.offsets } else { &start });
        time.awaits_history = read.offsets.iter().any(|(partition, offset)| offset > start.get(partition).unwrap_or(0));
        Arc::make_mut(&mut self.progress).insert(source, time);
    }

    /// Takes note of what the history of a source said; it counts from the next step on. Only the first time: later views
    /// read the same again.
    pub fn remember(&mut self, source: ObjectId, history: SourceTime) {
        if self.progress.get(&source).is_some_and(|time| time.awaits_history) {
            self.read.insert(source, history);
        }
    }

    /// Takes in what was remembered, at a step that is at `now`.
    pub fn settle(&mut self, now: Micros) {
        for (source, history) in std::mem::take(&mut self.read) {
            let Some(Declared { watermark, .. }) = self.declared.get(&source) else { continue };
            let latest = now.saturating_add(MOST_AHEAD).saturating_sub(watermark.delay);
            if let Some(time) = Arc::make_mut(&mut self.progress).get_mut(&source) {
                time.precede(&history, Some(latest));
            }
        }
    }

    pub fn remove(&mut self, source: ObjectId) {
        if self.declared.remove(&source).is_some() {
            self.forget(source);
        }
    }

    /// Forgets how far sources have come that no view reads any more: the next one begins anew.
    pub fn follow(&mut self, catalog: &Catalog) {
        let is_followed =
            |id: &ObjectId| catalog.by_id(*id).is_none_or(|item| !item.is_source() || catalog.is_read(*id));
        let gone: Vec<ObjectId> = self.progress.keys().filter(|id| !is_followed(id)).copied().collect();
        gone.into_iter().for_each(|source| self.forget(source));
    }

    fn forget(&mut self, source: ObjectId) {
        Arc::make_mut(&mut self.progress).remove(&source);
        self.read.remove(&source);
        self.active.retain(|(id, _), _| *id != source);
    }

    /// Takes in the times of what a step brings.
    ///
    /// # Errors
    /// XX000 when a column is not what was declared.
    pub fn observe(&mut self, deliveries: &[Delivery], now: Micros) -> Result<()> {
        for delivery in deliveries {
            let Some(Declared { watermark, .. }) = self.declared.get(&delivery.relation) else { continue };
            let Some(progress) = Arc::make_mut(&mut self.progress).get_mut(&delivery.relation) else { continue };
            for record in &delivery.bad {
                progress.observe(record.partition, watermark.delay, now, std::iter::empty());
                self.active.insert((delivery.relation, record.partition), now);
            }
            if matches!(delivery.turn, Some(Turn::Topic(_))) {
                // Partitions that the topic no longer has are not waited for.
                let is_there = |partition: &i32| delivery.offsets.get(*partition).is_some();
                progress.partitions.retain(|partition, _| is_there(partition));
                self.active.retain(|(id, partition), _| *id != delivery.relation || is_there(partition));
            }
            let latest = now.saturating_add(MOST_AHEAD);
            progress.read(watermark, &delivery.rows, &delivery.runs, delivery.deleted.as_ref(), latest)?;
            for (partition, _) in &delivery.runs {
                self.active.insert((delivery.relation, *partition), now);
            }
            progress.advance();
        }
        Ok(())
    }

    /// When a partition may have become idle; None while there is nothing to wait for.
    pub fn due(&self) -> Option<Micros> {
        let partitions = self.waited_for().map(|(source, partition, timeout)| {
            self.active.get(&(source, partition)).map_or(0, |active| active.saturating_add(timeout))
        });
        partitions.min()
    }

    /// Lets go of the partitions that have brought nothing for too long, though all that they have has been `taken_in`.
    /// Whether there are any.
    pub fn tick(&mut self, now: Micros, taken_in: &dyn Fn(ObjectId, i32) -> bool) -> bool {
        let mut any = false;
        let waited_for: Vec<(ObjectId, i32, Micros)> = self.waited_for().collect();
        for (source, partition, timeout) in waited_for {
            let active = *self.active.entry((source, partition)).or_insert(now);
            if now.saturating_sub(active) < timeout {
                continue;
            }
            if !taken_in(source, partition) {
                self.active.insert((source, partition), now);
                continue;
            }
            let time = Arc::make_mut(&mut self.progress).entry(source).or_default();
            time.partitions.entry(partition).or_default().idle = true;
            time.advance();
            any = true;
        }
        any
    }

    /// The partitions that can become idle, and the time that takes.
    fn waited_for(&self) -> impl Iterator<Item = (ObjectId, i32, Micros)> {
        self.declared.iter().filter_map(|(id, declared)| Some((*id, declared.watermark.idle?))).flat_map(
            |(id, timeout)| {
                let partitions = self.progress.get(&id).into_iter().flat_map(|time| &time.partitions);
                partitions.filter(|(_, time)| !time.idle).map(move |(partition, _)| (id, *partition, timeout))
            },
        )
    }

    /// What the dataflow is told.
    pub fn watermarks(&self) -> Watermarks {
        self.progress.iter().filter_map(|(id, time)| Some((*id, time.watermark?))).collect()
    }

    /// What readers are shown.
    pub fn progress(&self) -> Arc<BTreeMap<ObjectId, SourceTime>> {
        self.progress.clone()
    }
}
