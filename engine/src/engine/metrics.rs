//! Numbers of the running engine, for the system relations: not as of an epoch, but when they are looked at.

mod checkpoints;
mod freshness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use checkpoints::Checkpoints;

use freshness::{Ages, Moment};

use crate::catalog::Catalog;
use crate::catalog::system::{CheckpointRecord, Freshness};
use crate::data::{Epoch, ObjectId};
use crate::dataflow::{Sizes, StateSize};
use crate::engine::Snapshot;
use crate::engine::memory::{self, Memory};
use crate::source::{Delivery, Intake};

/// How often it is looked at how much is kept.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

/// What the threads of the engine tell of their work.
pub struct Metrics {
    /// When the engine was opened, in microseconds since 1970.
    pub opened_at: i64,
    intake: Arc<Intake>,
    /// The budget of the process.
    pub memory: Arc<Memory>,
    steps: AtomicU64,
    durable: AtomicU64,
    checkpoints: Mutex<Checkpoints>,
    ages: Mutex<Ages>,
    measured: Mutex<Measured>,
}

/// How much is kept, and when that was looked at.
#[derive(Default)]
struct Measured {
    at: Option<Instant>,
    catalog: Option<Arc<Catalog>>,
    sizes: Sizes,
}

impl Metrics {
    pub fn new(intake: Arc<Intake>, memory: Arc<Memory>, durable: Epoch) -> Metrics {
        Metrics {
            opened_at: now(),
            intake,
            memory,
            steps: AtomicU64::new(0),
            durable: AtomicU64::new(durable.0),
            checkpoints: Mutex::default(),
            ages: Mutex::default(),
            measured: Mutex::default(),
        }
    }

    /// A snapshot was published.
    pub fn published(&self, snapshot: &Snapshot) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.follow(snapshot);
    }

    /// Takes note of the relations that there are.
    pub fn follow(&self, snapshot: &Snapshot) {
        self.ages.lock().follow(&snapshot.catalog, &snapshot.stores, Moment::now());
    }

    /// What deliveries bring was published.
    pub fn delivered(&self, deliveries: &[Delivery]) {
        self.ages.lock().record(deliveries, Moment::now());
    }

    /// How old messages of these sources were when their effect on a view was published; None without sources.
    pub fn freshness(&self, view: ObjectId, sources: impl Iterator<Item = ObjectId>) -> Option<Freshness> {
        self.ages.lock().figures(view, sources, Moment::now())
    }

    /// Snapshots published since the engine was opened.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Everything up to this epoch is in a durable checkpoint.
    pub fn set_durable(&self, epoch: Epoch) {
        self.durable.store(epoch.0, Ordering::Relaxed);
    }

    pub fn durable(&self) -> Epoch {
        Epoch(self.durable.load(Ordering::Relaxed))
    }

    /// Takes note of how much is kept, unless that was done a moment ago for this catalog.
    pub fn measure(&self, catalog: &Arc<Catalog>, sizes: impl FnOnce() -> Sizes) {
        let last = self.measured.lock();
        let same = last.catalog.as_ref().is_some_and(|last| Arc::ptr_eq(last, catalog));
        if !same || last.at.is_none_or(|at| at.elapsed() >= MEASURED_EVERY) {
            drop(last);
            self.measured(catalog, sizes());
        }
    }

    /// Takes note of how much is kept.
    pub fn measured(&self, catalog: &Arc<Catalog>, sizes: Sizes) {
        *self.measured.lock() = Measured { at: Some(Instant::now()), catalog: Some(catalog.clone()), sizes };
    }

    /// What the nodes of a relation's plan keep; None where that is not known yet.
    pub fn kept_by(&self, relation: ObjectId) -> Option<StateSize> {
        self.measured.lock().sizes.relations.get(&relation).copied()
    }

    /// What all nodes keep.
    pub fn kept(&self) -> StateSize {
        self.measured.lock().sizes.total
    }

    /// Changes what is known of the last checkpoints.
    pub fn note_checkpoint(&self, change: impl FnOnce(&mut Checkpoints)) {
        change(&mut self.checkpoints.lock());
    }

    /// The last checkpoints, the oldest first.
    pub fn checkpoints(&self) -> Vec<CheckpointRecord> {
        self.checkpoints.lock().records()
    }

    /// Bytes of messages that wait to be taken in by a step, and how many there may be before sources pause.
    pub fn waiting(&self) -> (usize, usize) {
        (self.intake.used(), self.intake.limit())
    }

    /// Bytes of memory that the process takes, where the system tells.
    pub fn resident(&self) -> Option<u64> {
        memory::resident()
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
