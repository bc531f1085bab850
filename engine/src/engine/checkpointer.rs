//! The thread that makes checkpoints durable while steps go on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::data::Epoch;
use crate::engine::background::give_way;
use crate::engine::commit::Request;
use crate::engine::guard::guarded;
use crate::engine::metrics::Metrics;
use crate::engine::storage::Storage;
use crate::error::{Error, Result};
use crate::state::{Checkpoint, LogPosition};

/// The shortest time between the beginnings of two checkpoints.
const INTERVAL: Duration = Duration::from_secs(1);
/// Checkpoints take at most one part in so many of the time.
const SHARE: u32 = 8;

/// A checkpoint to be committed.
struct Job {
    checkpoint: Checkpoint,
    epoch: Epoch,
    position: LogPosition,
}

/// Why the next checkpoint should not wait for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    None,
    /// Memory is scarce, and some is freed by it.
    Early,
    /// What is to be saved takes as much memory as it may.
    Now,
}

/// What became of a checkpoint.
pub struct Done {
    pub epoch: Epoch,
    pub outcome: Result<()>,
}

/// The step thread's end of the checkpoint thread.
pub struct Checkpointer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    began: Instant,
    in_flight: Option<Epoch>,
    pause: Duration,
    metrics: Arc<Metrics>,
}

impl Checkpointer {
    /// Starts the thread. It reports every checkpoint to `reports`.
    ///
    /// # Errors
    /// XX000 when the thread cannot be started.
    pub fn start(storage: Storage, reports: Sender<Request>, metrics: Arc<Metrics>) -> Result<Checkpointer> {
        let ((jobs, inbox), noted) = (channel(), metrics.clone());
        let thread = std::thread::Builder::new()
            .name("levada-checkpoint".into())
            .spawn(move || {
                give_way();
                run(&storage, &inbox, &reports, &noted);
            })
            .map_err(|error| Error::internal("cannot start the checkpoint thread").with_source(error))?;
        let (jobs, thread) = (Some(jobs), Some(thread));
        Ok(Checkpointer { jobs, thread, began: Instant::now(), in_flight: None, pause: INTERVAL, metrics })
    }

    /// Takes over from one before it when the next checkpoint is due: failures, however often they come, put it off no
    /// further, so that what is done between them is not done over and over.
    pub fn keep_pace(&mut self, before: &Checkpointer) {
        (self.began, self.pause) = (before.began, before.pause);
    }

    /// Whether one is being committed: the next must wait for it.
    pub fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// How long until the next one is due; None while one is in flight.
    pub fn due_in(&self, haste: Haste) -> Option<Duration> {
        let pause = match haste {
            Haste::None => self.pause,
            Haste::Early => INTERVAL,
            Haste::Now => Duration::ZERO,
        };
        self.in_flight.is_none().then(|| pause.saturating_sub(self.began.elapsed()))
    }

    /// Hands a checkpoint over; `position` is the last entry of the log that it covers.
    pub fn submit(&mut self, checkpoint: Checkpoint, epoch: Epoch, position: LogPosition) {
        self.began = Instant::now();
        self.metrics.note_checkpoint(|noted| noted.begin(&checkpoint, epoch, position));
        let job = Job { checkpoint, epoch, position };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        self.in_flight = sent.then_some(epoch);
    }

    /// Takes a report; whether it is of the one in flight, and not of one from before a recovery.
    pub fn done(&mut self, epoch: Epoch) -> bool {
        let expected = self.in_flight == Some(epoch);
        if expected {
            self.in_flight = None;
            self.pause = INTERVAL.max(self.began.elapsed() * SHARE);
        }
        expected
    }

    /// Lets the one in flight come to its end, unreported, and the thread with it.
    pub fn stop(&mut self) {
        self.jobs = None;
        self.in_flight = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        // The store must not be open when another engine opens the directory.
        self.stop();
    }
}

fn run(Storage { store, log }: &Storage, jobs: &Receiver<Job>, reports: &Sender<Request>, metrics: &Metrics) {
    for Job { checkpoint, epoch, position } in jobs {
        let (bytes, began) = (checkpoint.bytes(), Instant::now());
        // The log's entries are needed until what they did is durable, and not a moment longer.
        let outcome = guarded(|| store.commit(checkpoint).and_then(|()| log.trim(position)));
        match &outcome {
            Ok(()) => tracing::debug!(%epoch, bytes, duration = ?began.elapsed(), "checkpoint"),
            Err(error) => tracing::error!(%epoch, %error, "a checkpoint failed"),
        }
        metrics.note_checkpoint(|noted| noted.end(outcome.as_ref().map(|_| ())));
        reports.send(Request::Durable(Done { epoch, outcome })).ok();
    }
}
