//! What a statement reads: all relations at one epoch.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::Catalog;
use crate::catalog::system::{
    CheckpointRecord, EngineStatus, Freshness, Hydration, Kept, Partition, SinkStatus, Statistics, ViewError,
};
use crate::data::{Epoch, ObjectId};
use crate::dataflow::{ErrorRow, HydrationStatus, StateSize, ViewErrors};
use crate::engine::clock::Micros;
use crate::engine::event_time::SourceTime;
use crate::engine::history::spec_of;
use crate::engine::hydrations::Hydrating;
use crate::engine::metrics::Metrics;
use crate::engine::sinks::Outlets;
use crate::engine::sources::Watches;
use crate::engine::tally::{Tallies, Tally};
use crate::source::{PartitionState, PartitionStatus, Pause, Watch};
use crate::view::RowStore;

/// The catalog and the stored relations as one epoch left them.
///
/// A statement keeps the one it began with; rows visible to it stay until it lets go.
pub struct Snapshot {
    pub epoch: Epoch,
    pub catalog: Arc<Catalog>,
    /// Rows of tables and materialized views; read them at `epoch`.
    pub stores: Arc<HashMap<ObjectId, Arc<RowStore>>>,
    /// The rows that views lack because an expression failed on them.
    pub errors: ViewErrors,
    /// Relations that are there and cannot be read yet, and how far they are: not as of the epoch, but when it is looked at.
    pub hydrating: Hydrating,
    /// Relations that may still have rows which became too old before a start: nobody reads them so.
    pub overdue: Arc<BTreeSet<ObjectId>>,
    /// The rows that views lack because they came too late.
    pub late: ViewErrors,
    /// How far sources have come in event time.
    pub event_times: Arc<BTreeMap<ObjectId, SourceTime>>,
    /// What of sources is no row.
    pub tallies: Arc<Tallies>,
    /// How sources are doing: not as of the epoch, but when it is looked at.
    pub watches: Watches,
    /// How sinks are doing, likewise.
    pub outlets: Outlets,
    /// The engine's own numbers, live as well.
    pub metrics: Arc<Metrics>,
}

impl Statistics for Snapshot {
    fn rows(&self, relation: ObjectId) -> Option<u64> {
        self.stores.get(&relation).filter(|store| store.is_readable()).map(|store| store.rows())
    }

    fn bytes(&self, relation: ObjectId) -> Option<u64> {
        self.stores.get(&relation).filter(|store| store.is_complete()).map(|store| store.bytes())
    }

    fn error_count(&self, view: ObjectId) -> u64 {
        self.errors.count(view)
    }

    fn errors(&self, view: ObjectId) -> Vec<ViewError> {
        self.errors.rows(view).map(view_error).collect()
    }

    fn late_count(&self, view: ObjectId) -> u64 {
        self.late.count(view)
    }

    fn late(&self, view: ObjectId) -> Vec<ViewError> {
        self.late.rows(view).map(view_error).collect()
    }

    fn hydration(&self, relation: ObjectId) -> Option<Hydration> {
        if self.stores.contains_key(&relation) {
            return None;
        }
        if let Some(why) = self.catalog.by_id(relation).and_then(|item| item.suspended.clone()) {
            return Some(Hydration { state: "suspended", rows: 0, expected: None, error: Some(why) });
        }
        let status = self.hydrating.get(&relation)?.status();
        let state = status.name();
        let HydrationStatus { rows, expected, error, .. } = status;
        Some(Hydration { state, rows, expected, error })
    }

    fn kept(&self, view: ObjectId) -> Option<Kept> {
        self.metrics.kept_by(view).map(kept)
    }

    fn freshness(&self, view: ObjectId) -> Option<Freshness> {
        if self.catalog.by_id(view).is_some_and(|item| item.suspended.is_some()) {
            return None;
        }
        let behind = self.catalog.foundations(view);
        let has_connector = |id: &ObjectId| self.catalog.by_id(*id).is_some_and(|item| item.connector().is_some());
        self.metrics.freshness(view, behind.into_iter().filter(has_connector))
    }

    fn checkpoints(&self) -> Vec<CheckpointRecord> {
        self.metrics.checkpoints()
    }

    fn engine(&self) -> EngineStatus {
        let (used, limit) = self.metrics.waiting();
        let paused = self.watches.read().values().filter(|watch| watch.status().paused.is_some()).count();
        EngineStatus {
            opened_at: self.metrics.opened_at,
            epoch: self.epoch.0,
            durable_epoch: self.metrics.durable().0,
            steps: self.metrics.steps(),
            kept: kept(self.metrics.kept()),
            resident_bytes: self.metrics.resident(),
            memory_used: self.metrics.memory.used(),
            memory_limit: self.metrics.memory.limit(),
            waiting_bytes: used as u64,
            waiting_limit: limit as u64,
            sources_paused: paused as u64,
        }
    }

    fn partitions(&self, relation: ObjectId) -> Vec<Partition> {
        let Some(status) = self.watches.read().get(&relation).map(Watch::status) else { return self.idle(relation) };
        // Of a partition that is read, what went wrong is over.
        let connection = |state| status.error.clone().filter(|_| state != PartitionState::Running);
        let for_memory = status.paused == Some(Pause::Memory);
        let times = self.event_times.get(&relation);
        let time = |partition: i32| times.and_then(|times| times.partitions.get(&partition));
        let partition = |(partition, status): (i32, PartitionStatus)| Partition {
            // The message at which it has stopped was not taken in, and is read again by the next reader.
            bad: self.tally(relation, partition).bad + u64::from(status.state == PartitionState::Refused),
            lost: self.tally(relation, partition).lost,
            partition,
            state: match status.state {
                PartitionState::Running if for_memory => "paused: memory",
                state => state.name(),
            },
            next_offset: Some(status.next),
            lag: status.lag(),
            messages: status.messages,
            bytes: status.bytes,
            watermark: time(partition).and_then(|time| time.watermark),
            source_watermark: times.and_then(|times| times.watermark),
            idle: time(partition).map(|time| time.idle),
            late: time(partition).map(|time| time.late),
            error: status.error.or_else(|| connection(status.state)),
        };
        status.partitions.into_iter().map(partition).collect()
    }

    fn sink(&self, sink: ObjectId) -> Option<SinkStatus> {
        self.outlets.get(&sink).map(|outlet| SinkStatus {
            inserted: outlet.inserted(),
            deleted: outlet.deleted(),
            state_bytes: outlet.state_bytes(),
        })
    }
}

fn kept(StateSize { rows, bytes }: StateSize) -> Kept {
    Kept { rows, bytes }
}

impl Snapshot {
    fn tally(&self, relation: ObjectId, partition: i32) -> Tally {
        self.tallies.get(&relation).and_then(|tallies| tallies.get(&partition)).copied().unwrap_or_default()
    }

    /// The partitions of a source that nothing reads now.
    fn idle(&self, relation: ObjectId) -> Vec<Partition> {
        let item = self.catalog.by_id(relation).filter(|item| item.is_source());
        let Some(Ok(spec)) = item.map(|item| spec_of(item)) else { return Vec::new() };
        let idle = |(partition, _)| {
            let Tally { bad, lost } = self.tally(relation, partition);
            Partition { partition, state: "idle", bad, lost, ..Partition::default() }
        };
        spec.kafka.start.iter().map(idle).collect()
    }
}

/// What those who hold old snapshots may ask of the rest.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotLimits {
    /// How long after the next epoch a snapshot can be read.
    pub age: Duration,
    /// Bytes of rows that are kept for old snapshots only.
    pub memory: u64,
}

fn view_error((row, count): (ErrorRow, i64)) -> ViewError {
    ViewError { sqlstate: row.sqlstate, message: row.message, row: row.row, count }
}

/// The snapshots that somebody may still read.
#[derive(Default)]
pub struct LiveSnapshots {
    published: VecDeque<Live>,
    /// How many to note before those that are gone are looked for behind one that is held for long.
    sweep_at: usize,
    /// When the memory that old ones take was looked at.
    looked: Micros,
}

struct Live {
    snapshot: Weak<Snapshot>,
    epoch: Epoch,
    /// When the next one was published: from then on it keeps rows that no other needs.
    superseded: Option<Micros>,
}

/// Fewer are not worth looking through.
const LEAST_SWEPT: usize = 64;

/// How often the memory that old snapshots take is looked at.
const LOOK: Micros = 1_000_000;

impl LiveSnapshots {
    /// Takes note of a snapshot when it is published.
    pub fn add(&mut self, snapshot: &Arc<Snapshot>, now: Micros) {
        if let Some(last) = self.published.back_mut() {
            last.superseded = last.superseded.or(Some(now));
        }
        if self.published.len() >= self.sweep_at {
            self.published.retain(|live| live.snapshot.strong_count() > 0);
            self.sweep_at = LEAST_SWEPT.max(2 * self.published.len());
        }
        let epoch = snapshot.epoch;
        self.published.push_back(Live { snapshot: Arc::downgrade(snapshot), epoch, superseded: None });
    }

    /// The oldest epoch that somebody may still read; `epoch`, the last one, when nobody holds any. Who holds one for too
    /// long, or one for which too much is kept (`pinned` bytes, given the oldest epoch), can read it no more.
    pub fn horizon(
        &mut self,
        epoch: Epoch,
        now: Micros,
        limits: SnapshotLimits,
        pinned: impl Fn(Epoch) -> u64,
    ) -> Epoch {
        let age = Micros::try_from(limits.age.as_micros()).unwrap_or(Micros::MAX);
        let mut horizon = self.oldest(epoch, |superseded| now.saturating_sub(superseded) > age);
        if horizon < epoch && now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            while horizon < epoch && pinned(horizon) > limits.memory {
                tracing::warn!(epoch = %horizon, "too much is kept for a snapshot; it can be read no more");
                self.published.pop_front();
                horizon = self.oldest(epoch, |_| false);
            }
        }
        horizon
    }

    /// The oldest that is held, without those in front that nobody holds, or that were superseded too long ago.
    fn oldest(&mut self, epoch: Epoch, too_old: impl Fn(Micros) -> bool) -> Epoch {
        let gone = |live: &Live| live.snapshot.strong_count() == 0 || live.superseded.is_some_and(&too_old);
        while self.published.front().is_some_and(gone) {
            self.published.pop_front();
        }
        // Any of them may go while this looks: the oldest that is still there counts, not the first in the list.
        let held = self.published.iter().find(|live| live.snapshot.strong_count() > 0);
        held.map_or(epoch, |oldest| oldest.epoch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::engine::memory::{ManualMemory, Memory, MemoryGauge};
    use crate::source::Intake;

    static METRICS: LazyLock<Arc<Metrics>> =
        LazyLock::new(|| Arc::new(Metrics::new(Intake::new(1, 1).unwrap(), memory(), Epoch::ZERO)));

    fn memory() -> Arc<Memory> {
        Arc::new(Memory::new(1, MemoryGauge::Manual(ManualMemory::default())))
    }

    fn snapshot(epoch: u64) -> Arc<Snapshot> {
        let (catalog, stores, errors, late, event_times, hydrating, overdue) = Default::default();
        let (watches, outlets, tallies) = Default::default();
        let epoch = Epoch(epoch);
        let metrics = METRICS.clone();
        Arc::new(Snapshot {
            epoch,
            catalog,
            stores,
            errors,
            late,
            event_times,
            tallies,
            hydrating,
            overdue,
            watches,
            outlets,
            metrics,
        })
    }

    const LIMITS: SnapshotLimits = SnapshotLimits { age: Duration::from_micros(100), memory: 10 };

    /// The horizon when nothing is too old or too large.
    fn horizon(live: &mut LiveSnapshots, epoch: u64) -> Epoch {
        live.horizon(Epoch(epoch), 0, LIMITS, |_| 0)
    }

    #[test]
    fn the_horizon_is_the_oldest_that_is_held() {
        let mut live = LiveSnapshots::default();
        let mut held: Vec<_> = (1..=3).map(snapshot).collect();
        held.iter().for_each(|snapshot| live.add(snapshot, 0));
        assert_eq!(horizon(&mut live, 3), Epoch(1));
        held.remove(1);
        assert_eq!(horizon(&mut live, 3), Epoch(1));
        held.remove(0);
        assert_eq!(horizon(&mut live, 3), Epoch(3));
        held.clear();
        assert_eq!(horizon(&mut live, 9), Epoch(9));
    }

    #[test]
    fn a_snapshot_held_for_long_does_not_pile_up_others() {
        let mut live = LiveSnapshots::default();
        let held = snapshot(1);
        live.add(&held, 0);
        for epoch in 2..10_000 {
            live.add(&snapshot(epoch), 0);
            assert_eq!(horizon(&mut live, epoch), Epoch(1));
        }
        assert!(live.published.len() <= 2 * LEAST_SWEPT, "{}", live.published.len());
    }

    /// What is the last epoch for long is not old: age counts from the next.
    #[test]
    fn what_is_held_for_too_long_counts_no_more() {
        let mut live = LiveSnapshots::default();
        let held: Vec<_> = (1..=3).map(snapshot).collect();
        live.add(&held[0], 0);
        live.add(&held[1], 1_000);
        assert_eq!(live.horizon(Epoch(2), 1_100, LIMITS, |_| 0), Epoch(1));
        assert_eq!(live.horizon(Epoch(2), 1_101, LIMITS, |_| 0), Epoch(2));
        assert_eq!(live.horizon(Epoch(2), 9_000, LIMITS, |_| 0), Epoch(2));
        live.add(&held[2], 9_000);
        assert_eq!(live.horizon(Epoch(3), 9_100, LIMITS, |_| 0), Epoch(2));
    }

    #[test]
    fn what_keeps_too_much_counts_no_more() {
        let limits = SnapshotLimits { age: Duration::MAX, memory: 10 };
        let mut live = LiveSnapshots::default();
        let held: Vec<_> = (1..=4).map(snapshot).collect();
        held.iter().for_each(|snapshot| live.add(snapshot, 0));
        // Looked at once a second.
        let pinned = |oldest: Epoch| 8 * (4 - oldest.0);
        assert_eq!(live.horizon(Epoch(4), LOOK - 1, limits, pinned), Epoch(1));
        assert_eq!(live.horizon(Epoch(4), LOOK, limits, pinned), Epoch(3));
    }
}
