//! Event time: the watermarks of sources, from the rows that their partitions deliver.
//!
//! A partition's watermark is the latest time it has brought, less the delay that the source declares. The source's is the
//! least over its partitions that are not idle, and never goes back. What was delivered and the step's clock decide it,
//! so it is part of a step's input, and saved with the checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::TimestampMicrosecondType;
use serde::{Deserialize, Serialize};

use crate::catalog::Item;
use crate::data::ObjectId;
use crate::dataflow::Watermarks;
use crate::engine::clock::Micros;
use crate::error::{Error, Result};
use crate::source::{Delivery, SourceSpec, Watermark};

/// How far ahead of the step's clock a time may move a watermark: a producer whose clock is wrong must not close all
/// windows for good. Local times without a zone are ahead of UTC by up to 14 hours.
const MOST_AHEAD: Micros = 24 * 3_600_000_000;

/// All sources with a watermark.
#[derive(Default)]
pub struct EventTimes {
    declared: BTreeMap<ObjectId, Watermark>,
    progress: Arc<BTreeMap<ObjectId, SourceTime>>,
    /// When each partition brought its last message, on the step's clock; since when it is waited for, where it has not.
    active: BTreeMap<(ObjectId, i32), Micros>,
}

/// How far a source has come in event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTime {
    /// In microseconds since 1970; None until every partition has brought a time.
    pub watermark: Option<Micros>,
    pub partitions: BTreeMap<i32, PartitionTime>,
}

/// How far a partition has come in event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTime {
    pub watermark: Option<Micros>,
    /// Whether nobody waits for it.
    pub idle: bool,
    /// Rows that were below the watermark when they came.
    pub late: u64,
}

impl SourceTime {
    /// Takes in the times of a partition's rows, in their order; `latest` is the latest that counts.
    fn observe(&mut self, partition: i32, delay: Micros, latest: Micros, times: impl Iterator<Item = Micros>) {
        let source = self.watermark;
        let new = !self.partitions.contains_key(&partition);
        let partition = self.partitions.entry(partition).or_default();
        // One that wakes, or that was added, joins where the others are.
        if new || std::mem::take(&mut partition.idle) {
            partition.watermark = partition.watermark.max(source);
        }
        for time in times {
            partition.late += u64::from(partition.watermark.is_some_and(|watermark| time < watermark));
            partition.watermark = partition.watermark.max(Some(time.min(latest).saturating_sub(delay)));
        }
    }

    /// Moves the source's watermark to where its partitions are.
    fn advance(&mut self) {
        let active = self.partitions.values().filter(|partition| !partition.idle);
        let least = active.map(|partition| partition.watermark).min().flatten();
        self.watermark = self.watermark.max(least);
    }
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

    /// Takes note of a source; gives the column that its watermark is of. Of others there is nothing to note.
    ///
    /// # Errors
    /// XX001 when what the catalog has of it does not read.
    pub fn add(&mut self, item: &Item) -> Result<Option<usize>> {
        let Some(connector) = item.connector() else { return Ok(None) };
        let spec: SourceSpec = serde_json::from_value(connector.clone())
            .map_err(|error| Error::corrupt("a connector cannot be read").with_source(error))?;
        let Some(watermark) = spec.watermark else { return Ok(None) };
        let time = Arc::make_mut(&mut self.progress).entry(item.id).or_default();
        // All that are there from the start are waited for.
        for (partition, _) in spec.kafka.start.iter() {
            time.partitions.entry(partition).or_default();
        }
        let column = watermark.column;
        self.declared.insert(item.id, watermark);
        Ok(Some(column))
    }

    pub fn remove(&mut self, source: ObjectId) {
        if self.declared.remove(&source).is_some() {
            Arc::make_mut(&mut self.progress).remove(&source);
            self.active.retain(|(id, _), _| *id != source);
        }
    }

    /// Takes in the times of what a step brings.
    ///
    /// # Errors
    /// XX000 when a column is not what was declared.
    pub fn observe(&mut self, deliveries: &[Delivery], now: Micros) -> Result<()> {
        for delivery in deliveries {
            let Some(watermark) = self.declared.get(&delivery.relation) else { continue };
            let progress = Arc::make_mut(&mut self.progress).entry(delivery.relation).or_default();
            for record in &delivery.bad {
                progress.observe(record.partition, watermark.delay, now, std::iter::empty());
                self.active.insert((delivery.relation, record.partition), now);
            }
            let times = delivery.rows.column(watermark.column).as_primitive_opt::<TimestampMicrosecondType>();
            let times = times.ok_or_else(|| Error::internal("a watermark of a column that is no time"))?;
            let deleted =
                |row: usize| delivery.deleted.as_ref().is_some_and(|deleted: &BooleanArray| deleted.value(row));
            let mut first = 0;
            for (partition, rows) in &delivery.runs {
                let run = first..first + rows;
                first = run.end;
                let counts = |row: &usize| times.is_valid(*row) && !is_infinite(times.value(*row)) && !deleted(*row);
                let values = run.filter(counts).map(|row| times.value(row));
                progress.observe(*partition, watermark.delay, now.saturating_add(MOST_AHEAD), values);
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
        self.declared.iter().filter_map(|(id, watermark)| Some((*id, watermark.idle?))).flat_map(|(id, timeout)| {
            let partitions = self.progress.get(&id).into_iter().flat_map(|time| &time.partitions);
            partitions.filter(|(_, time)| !time.idle).map(move |(partition, _)| (id, *partition, timeout))
        })
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

fn is_infinite(micros: Micros) -> bool {
    micros == Micros::MIN || micros == Micros::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(partitions: &[i32]) -> SourceTime {
        let partitions = partitions.iter().map(|partition| (*partition, PartitionTime::default())).collect();
        SourceTime { watermark: None, partitions }
    }

    fn observe(source: &mut SourceTime, partition: i32, times: &[Micros]) -> Option<Micros> {
        source.observe(partition, 5, 1000, times.iter().copied());
        source.advance();
        source.watermark
    }

    #[test]
    fn a_source_is_where_its_slowest_partition_is() {
        let mut source = source(&[0, 1]);
        assert_eq!(observe(&mut source, 0, &[10, 30, 20]), None);
        assert_eq!(observe(&mut source, 1, &[12]), Some(7));
        assert_eq!(observe(&mut source, 1, &[50]), Some(25));
        // Nothing goes back, and what is below its own partition's watermark is late.
        assert_eq!(observe(&mut source, 0, &[1, 24, 25]), Some(25));
        assert_eq!((source.partitions[&0].late, source.partitions[&1].late), (3, 0));
    }

    #[test]
    fn a_partition_that_wakes_or_comes_joins_the_others() {
        let mut source = source(&[0, 1]);
        observe(&mut source, 0, &[105]);
        source.partitions.get_mut(&1).unwrap().idle = true;
        source.advance();
        assert_eq!(source.watermark, Some(100));
        assert_eq!(observe(&mut source, 1, &[50]), Some(100));
        assert_eq!((source.partitions[&1].watermark, source.partitions[&1].late), (Some(100), 1));
        assert_eq!(observe(&mut source, 2, &[101]), Some(100));
        assert_eq!(observe(&mut source, 0, &[205]), Some(100));
        source.partitions.values_mut().for_each(|partition| partition.idle = true);
        source.advance();
        assert_eq!(source.watermark, Some(100));
    }

    #[test]
    fn a_time_that_cannot_be_yet_moves_the_watermark_to_what_can() {
        let mut source = source(&[0]);
        assert_eq!(observe(&mut source, 0, &[i64::MAX - 1]), Some(995));
        assert_eq!(observe(&mut source, 0, &[i64::MIN + 1]), Some(995));
    }
}
