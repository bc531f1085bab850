//! The façade: opening a data directory, sessions on it, and its orderly end.

mod background;
mod catch_up;
mod checkpointer;
mod clock;
mod commit;
mod dataflows;
mod dead_letters;
mod entry;
mod event_time;
mod guard;
mod history;
mod hydrations;
mod keys;
mod locks;
mod memory;
mod metrics;
mod operators;
mod record;
mod recovery;
mod retention;
mod sinks;
mod snapshot;
mod sources;
mod stepper;
mod storage;
mod tally;
#[cfg(test)]
mod tests;
mod upsert;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

pub use clock::{ManualClock, TimeSource};
pub use dataflows::unreadable;
pub use entry::Operation;
pub use history::{partial, spec_of};
pub use hydrations::{HydrationLimit, not_readable};
pub use keys::KeyCheck;
pub use locks::{Locks, TableLock};
pub use memory::{ManualMemory, MemoryGauge, available_memory};
pub use snapshot::{Snapshot, SnapshotLimits};

use crate::data::{ObjectId, STACK};
use crate::dataflow::PlanLine;
use crate::engine::catch_up::CatchUp;
use crate::engine::checkpointer::Checkpointer;
use crate::engine::clock::Clock;
use crate::engine::commit::{Commit, Request};
pub use crate::engine::commit::{Explained, check_size};
use crate::engine::hydrations::Hydrations;
use crate::engine::locks::LockTable;
use crate::engine::memory::{Memory, Watcher, percent};
use crate::engine::metrics::Metrics;
use crate::engine::snapshot::LiveSnapshots;
use crate::engine::sources::Sources;
use crate::engine::stepper::{Stepper, Suspicion, Unsaved};
use crate::engine::storage::{Storage, StorageSizes};
use crate::error::{Error, Result, SqlState};
use crate::query::QueryEngine;
use crate::session::{Activities, Session, SessionParams};
use crate::source::Intake;
use crate::sql::query_rules;
use crate::state::{CheckpointSizes, StoreMemory};

/// How an engine is opened.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where everything durable is; made if it is not there.
    pub data_dir: PathBuf,
    /// Threads that a step may use.
    pub step_threads: usize,
    /// Threads that queries run on.
    pub query_threads: usize,
    /// Views over much that are filled at the same time.
    pub hydrations: HydrationLimit,
    /// Bytes of memory that the process may take before sources pause.
    pub memory_limit: u64,
    /// Where the engine learns how many it takes.
    pub memory_gauge: MemoryGauge,
    /// Bytes of messages that wait to be taken in by a step; sources pause when there are more.
    pub intake_memory: usize,
    /// Bytes of changes that no checkpoint has: from here on one is begun, whenever the last one was.
    pub unsaved_memory: u64,
    /// Bytes that all running queries may hold together.
    pub query_memory: usize,
    /// What transactions that stay open may ask of the others.
    pub snapshots: SnapshotLimits,
    /// Where steps take the time from.
    pub time: TimeSource,
    /// Which checkpoints are written as files.
    pub checkpoints: CheckpointSizes,
}

/// Of the memory there is, in percent, what the process takes if nothing is said.
const DEFAULT_SHARE: u64 = 70;
/// Memory that is taken to be there where the system does not tell.
const ASSUMED_MEMORY: u64 = 8 << 30;
/// Of the process's memory, in percent, what queries may take together.
const QUERY_SHARE: u64 = 25;
/// The same for messages that wait for a step, and how much of it is of use.
const INTAKE_SHARE: u64 = 5;
const MOST_INTAKE: usize = 128 << 20;
/// The same for changes that no checkpoint has, and what is worth one in any case where there is room for it.
const UNSAVED_SHARE: u64 = 1;
const LEAST_UNSAVED: u64 = 64 << 20;
const MOST_UNSAVED_SHARE: u64 = 12;
/// The same for rows that only old snapshots have.
const OLD_SNAPSHOTS_SHARE: u64 = 25;
const MOST_OLD_SNAPSHOTS: u64 = 1 << 30;

impl EngineOptions {
    /// The defaults for a directory: all cores for steps, all but one for queries, 70 % of the memory there is.
    pub fn new(data_dir: impl Into<PathBuf>) -> EngineOptions {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory_limit = percent(available_memory().unwrap_or(ASSUMED_MEMORY), DEFAULT_SHARE);
        let options = EngineOptions {
            data_dir: data_dir.into(),
            step_threads: cores,
            query_threads: cores.max(2) - 1,
            query_memory: 0,
            intake_memory: 0,
            unsaved_memory: 0,
            memory_limit,
            memory_gauge: MemoryGauge::Process,
            snapshots: SnapshotLimits { age: Duration::from_secs(3600), memory: 0 },
            time: TimeSource::System,
            checkpoints: CheckpointSizes::default(),
            hydrations: HydrationLimit::new(4),
        };
        options.with_memory_limit(memory_limit)
    }

    /// The same with a budget of so many bytes for the process; queries, messages that wait, changes that no checkpoint
    /// has, rows that only old snapshots have, and RocksDB, have their shares of it.
    #[must_use]
    pub fn with_memory_limit(self, bytes: u64) -> EngineOptions {
        let share = |of_it| usize::try_from(percent(bytes, of_it)).unwrap_or(usize::MAX);
        let (query_memory, intake_memory) = (share(QUERY_SHARE), share(INTAKE_SHARE).min(MOST_INTAKE));
        let unsaved_memory = percent(bytes, UNSAVED_SHARE).max(LEAST_UNSAVED.min(percent(bytes, MOST_UNSAVED_SHARE)));
        let old = MOST_OLD_SNAPSHOTS.min(percent(bytes, OLD_SNAPSHOTS_SHARE));
        let snapshots = SnapshotLimits { memory: old, ..self.snapshots };
        EngineOptions { memory_limit: bytes, query_memory, intake_memory, unsaved_memory, snapshots, ..self }
    }
}

/// A database. Cheap to clone; the last clone and the last session to go close it.
///
/// Dropped without [`shutdown`](Engine::shutdown) it is as if the process were killed: nothing that was acknowledged is
/// lost, the next start takes longer.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// What sessions share.
pub struct Shared {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    requests: Sender<Request>,
    pub locks: Arc<LockTable>,
    pub queries: QueryEngine,
    /// The sessions that clients have.
    pub sessions: Arc<Activities>,
    /// Threads that decode, for statements that read topics themselves.
    pub intake: Arc<Intake>,
    memory: Arc<Memory>,
    next_object: AtomicU32,
    _watcher: Watcher,
    /// The step thread; None once it was waited for.
    stepper: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The directory can be opened again when this returns.
        self.requests.send(Request::Abandon).ok();
        if let Some(stepper) = self.stepper.get_mut().take() {
            stepper.join().ok();
        }
    }
}

impl Engine {
    /// Opens a data directory, and recovers what a crash left: everything acknowledged is there when this returns.
    ///
    /// # Errors
    /// 55006 when another process has it open, XX001 and 58030 for what cannot be read.
    pub fn open(options: EngineOptions) -> Result<Engine> {
        let directory = &options.data_dir;
        std::fs::create_dir_all(directory).map_err(|error| {
            let message = format!("cannot create the data directory \"{}\"", directory.display());
            Error::new(SqlState::IO_ERROR, message).with_source(error)
        })?;
        let memory = StoreMemory::of(options.memory_limit);
        let storage_sizes = StorageSizes { checkpoints: options.checkpoints, memory };
        let storage = Storage::open(directory, storage_sizes)?;
        let intake = Intake::new(options.intake_memory, options.step_threads)?;
        let (requests, inbox) = channel();
        let memory = Arc::new(Memory::new(options.memory_limit, options.memory_gauge));
        let hydrations = || Hydrations::new(requests.clone(), options.hydrations.clone(), memory.clone());
        let mut recovered = recovery::recover(&storage, options.step_threads, &hydrations, &intake)?;
        let next_object = AtomicU32::new(recovered.dataflows.next_object());
        let locks = Arc::<LockTable>::default();
        let metrics = Arc::new(Metrics::new(intake.clone(), memory.clone(), recovered.durable));
        let mut sources = Sources::new(recovered.histories, requests.clone());
        sources.follow(&recovered.dataflows, recovered.epoch);
        let (catch_up, waiting) = CatchUp::new(recovered.places, &sources).unzip();
        let clock = Clock::new(options.time, recovered.clock);
        let snapshot = Arc::new(Snapshot {
            epoch: recovered.epoch,
            catalog: recovered.dataflows.catalog().clone(),
            stores: recovered.dataflows.stores().clone(),
            errors: recovered.dataflows.errors(),
            hydrating: recovered.dataflows.hydrating().clone(),
            overdue: recovered.dataflows.overdue(clock.now()),
            late: recovered.dataflows.late_rows(),
            event_times: recovered.dataflows.event_times(),
            tallies: sources.tallies(),
            watches: sources.watches(),
            outlets: recovered.dataflows.sinks().outlets().clone(),
            metrics: metrics.clone(),
        });
        let wake = requests.clone();
        clock.watch(move || wake.send(Request::Time).is_ok());
        metrics.follow(&snapshot);
        metrics.measured(&snapshot.catalog, recovered.dataflows.sizes());
        let mut live = LiveSnapshots::default();
        live.add(&snapshot, clock.now());
        let (published, snapshots) = watch::channel(snapshot);
        let (held, wake) = (intake.clone(), requests.clone());
        let watcher = Watcher::start(memory.clone(), move |scarce| {
            held.hold(scarce);
            // A checkpoint may be due.
            wake.send(Request::Time).ok();
        })?;
        let stepper = Stepper {
            checkpointer: Checkpointer::start(storage.clone(), requests.clone(), metrics.clone())?,
            reports: requests.clone(),
            storage: Some(storage),
            data_dir: options.data_dir.clone(),
            storage_sizes,
            dataflows: recovered.dataflows,
            epoch: recovered.epoch,
            position: recovered.position,
            durable: recovered.durable,
            saved: recovered.durable,
            published,
            live,
            snapshot_limits: options.snapshots,
            locks: locks.clone(),
            unsaved: Unsaved::new(options.unsaved_memory),
            held: VecDeque::new(),
            flushes: Vec::new(),
            catch_up,
            sources,
            clock,
            metrics,
            threads: options.step_threads,
            hydrations: options.hydrations,
            memory: memory.clone(),
            failures: 0,
            suspicion: Suspicion::default(),
            failed: None,
            disk_again: None,
        };
        let stepper = std::thread::Builder::new()
            .name("levada-step".into())
            .stack_size(STACK)
            .spawn(move || stepper.run(&inbox))
            .map_err(|error| Error::internal("cannot start the step thread").with_source(error))?;
        if let Some(waiting) = waiting {
            waiting.wait();
        }
        let queries = QueryEngine::new(options.query_threads, options.query_memory, query_rules())?;
        let stepper = Mutex::new(Some(stepper));
        Ok(Engine(Arc::new(Shared {
            snapshots,
            requests,
            locks,
            queries,
            sessions: Arc::default(),
            intake,
            memory,
            next_object,
            _watcher: watcher,
            stepper,
        })))
    }

    /// A session, as a client's connection has one.
    ///
    /// # Errors
    /// 3D000 for a database that is not there, 22023 and others for settings.
    pub fn session(&self, params: SessionParams) -> Result<Session> {
        Session::new(self.0.clone(), params)
    }

    /// Makes everything durable and closes the directory. Statements still running fail.
    ///
    /// # Errors
    /// Whatever the last checkpoint gives; nothing acknowledged is lost even then.
    pub async fn shutdown(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.0.requests.send(Request::Shutdown(reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Shared {
    /// What is published now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// An identifier for a new object.
    pub fn new_object(&self) -> ObjectId {
        ObjectId(self.next_object.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a transaction may write so many bytes of rows more than there are.
    ///
    /// # Errors
    /// 54000 when they are more than any may write, 53200 when there is no memory for them now.
    pub fn admit(&self, bytes: usize) -> Result<()> {
        commit::check_size(bytes)?;
        self.memory.admit(bytes as u64)
    }

    /// Makes a transaction durable and visible; returns when it is both.
    ///
    /// The transaction goes its way even if the future is dropped.
    pub async fn commit(&self, operations: Vec<Operation>, locks: Locks) -> Result<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        let commit = Commit { operations, locks, reply };
        self.requests.send(Request::Commit(commit)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Has the rows taken away that are too old, of all that the relations are made of. Returns a snapshot without them; where
    /// state cannot be read, or nothing can be written, they are still there.
    pub async fn settled(&self, relations: Vec<ObjectId>) -> Result<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Settle(relations, reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Waits until all of the relations can be read. Returns a snapshot that has them; those that are gone meanwhile, it has
    /// not.
    ///
    /// # Errors
    /// 55000 when one of them could not be hydrated; it will be tried again.
    pub async fn hydrated(&self, relations: &[ObjectId]) -> Result<Arc<Snapshot>> {
        let mut snapshots = self.snapshots.clone();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            if hydrations::are_readable(&snapshot, relations)? {
                return Ok(snapshot);
            }
            snapshots.changed().await.map_err(|_| stopped())?;
        }
    }

    /// The nodes of an object's dataflow.
    pub async fn explain(&self, explained: Explained) -> Result<Vec<PlanLine>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Explain(explained, reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| Error::internal("the dataflow was lost while it was explained"))?
    }

    /// Waits until all that is published now is in a durable checkpoint.
    pub async fn flush(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Flush(reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down")
}

/// What another transaction did stands against this one.
pub fn serialization_failure() -> Error {
    let message = "could not serialize access due to concurrent update";
    Error::new(SqlState::SERIALIZATION_FAILURE, message).with_hint("The transaction might succeed if retried.")
}
