//! Numbers of the running engine, for the system relations: not as of an epoch, but when they are looked at.

mod checkpoints;
mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use checkpoints::Checkpoints;

use crate::catalog::system::CheckpointRecord;
use crate::data::Epoch;
use crate::source::Intake;

/// What the threads of the engine tell of their work.
pub struct Metrics {
    /// When the engine was opened, in microseconds since 1970.
    pub opened_at: i64,
    intake: Arc<Intake>,
    steps: AtomicU64,
    durable: AtomicU64,
    checkpoints: Mutex<Checkpoints>,
}

impl Metrics {
    pub fn new(intake: Arc<Intake>, durable: Epoch) -> Metrics {
        Metrics {
            opened_at: now(),
            intake,
            steps: AtomicU64::new(0),
            durable: AtomicU64::new(durable.0),
            checkpoints: Mutex::default(),
        }
    }

    /// An epoch was made by a step.
    pub fn stepped(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Steps since the engine was opened.
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
