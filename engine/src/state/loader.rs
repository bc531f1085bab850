//! Reading state back while the database is open already.
//!
//! ```text
//! Loader ── add(job) ──> Load: waiting ──> running ──> readable ──> complete      (or failed)
//!    └─ begin(): one after the other        └─ wait(): what somebody wants now is begun at once
//! ```
//!
//! A [`Load`] is the state of one owner. Nothing of it may be read or changed before it is there, so what is durable of that
//! owner stays as the last checkpoint left it until then, whatever later checkpoints bring for others.
//!
//! Jobs run on threads of their own and wait for nobody, so whoever waits for one waits for it alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::data::{Epoch, STACK};
use crate::error::{Error, Result, SqlState};
use crate::state::StateStore;

/// Reads one owner's state.
type Job = Box<dyn FnOnce(&Load) -> Result<()> + Send>;

/// State that is being read back, or will be.
pub struct Load {
    stage: Mutex<Stage>,
    moved: Condvar,
    readable: AtomicBool,
    complete: AtomicBool,
}

enum Stage {
    Waiting(Job, Arc<ThreadPool>),
    Running,
    Complete,
    Failed(Error),
}

impl Load {
    /// Whether the state can be read, though not yet changed.
    pub fn is_readable(&self) -> bool {
        self.readable.load(Ordering::Acquire)
    }

    /// Whether all of the state is there.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Says that the state can be read. Called by its job, if it has something left to do then.
    pub fn set_readable(&self) {
        let _stage = self.stage.lock();
        self.readable.store(true, Ordering::Release);
        self.moved.notify_all();
    }

    /// Its job begins now if it has not; nobody waits.
    pub fn begin(self: &Arc<Self>) {
        self.begin_at(&mut self.stage.lock());
    }

    /// Returns when the state can be read; its job begins now if it has not.
    ///
    /// # Errors
    /// What kept it from being read: XX001 when it is damaged, 58030 when it cannot be read, 57P01 at the end of the server.
    pub fn wait_readable(self: &Arc<Self>) -> Result<()> {
        self.wait(&self.readable)
    }

    /// The same, when all of the state is there.
    ///
    /// # Errors
    /// As [`wait_readable`](Load::wait_readable).
    pub fn wait_complete(self: &Arc<Self>) -> Result<()> {
        self.wait(&self.complete)
    }

    fn wait(self: &Arc<Self>, reached: &AtomicBool) -> Result<()> {
        if reached.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut stage = self.stage.lock();
        self.begin_at(&mut stage);
        let waits = |stage: &mut Stage| matches!(stage, Stage::Running) && !reached.load(Ordering::Acquire);
        self.moved.wait_while(&mut stage, waits);
        match &*stage {
            Stage::Failed(error) if !reached.load(Ordering::Acquire) => Err(error.duplicate()),
            _ => Ok(()),
        }
    }

    fn begin_at(self: &Arc<Self>, stage: &mut Stage) {
        if matches!(*stage, Stage::Waiting(..))
            && let Stage::Waiting(job, pool) = std::mem::replace(stage, Stage::Running)
        {
            let load = self.clone();
            pool.spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| job(&load)));
                load.end(outcome.unwrap_or_else(|_| Err(Error::internal("reading state panicked"))));
            });
        }
    }

    fn end(&self, outcome: Result<()>) {
        let mut stage = self.stage.lock();
        *stage = match outcome {
            Ok(()) => {
                self.readable.store(true, Ordering::Release);
                self.complete.store(true, Ordering::Release);
                Stage::Complete
            }
            Err(error) => {
                tracing::error!(%error, "state cannot be read");
                self.readable.store(false, Ordering::Release);
                Stage::Failed(error)
            }
        };
        self.moved.notify_all();
    }

    /// Whether all of it is there, or never will be.
    fn has_ended(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Complete | Stage::Failed(_))
    }

    /// Lets one that runs come to its end, and no other begin.
    pub fn call_off(&self) {
        let mut stage = self.stage.lock();
        if let Stage::Waiting(..) = &*stage {
            let stopped = Error::new(SqlState::ADMIN_SHUTDOWN, "the state was closed before it was read");
            let waiting = std::mem::replace(&mut *stage, Stage::Failed(stopped));
            self.moved.notify_all();
            drop(stage);
            drop(waiting);
            return;
        }
        self.moved.wait_while(&mut stage, |stage| matches!(stage, Stage::Running));
    }
}

/// Makes [`Load`]s, and does them one after the other.
///
/// When it goes, nothing is read any more: the store can be closed, or if all was read, compact its files.
pub struct Loader {
    store: Arc<StateStore>,
    epoch: Epoch,
    pool: Arc<ThreadPool>,
    loads: Vec<Arc<Load>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Reads of this store as it is now, by so many threads: two at least, so that nothing waits for what is large.
    ///
    /// # Errors
    /// XX000 when the threads cannot be started, 58030 when the store cannot be read.
    pub fn new(store: Arc<StateStore>, threads: usize) -> Result<Loader> {
        let builder = ThreadPoolBuilder::new()
            .num_threads(threads.max(2))
            // While it waits for others to do parts of its job it may take up another one.
            .stack_size(STACK)
            .thread_name(|at| format!("load-{at}"));
        let failed = |error| Error::internal("the threads that read state did not start").with_source(error);
        let pool = Arc::new(builder.build().map_err(failed)?);
        let epoch = store.meta()?.map_or(Epoch::ZERO, |meta| meta.epoch);
        Ok(Loader { store, epoch, pool, loads: Vec::new(), stop: Arc::default(), thread: None })
    }

    pub fn store(&self) -> &StateStore {
        &self.store
    }

    /// The epoch of the checkpoint that is read.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Notes what is to be read: `job` is called once at most, on one of the threads, and may use them all. Between pieces of
    /// its work other jobs that somebody waits for get their turn.
    pub fn add(&mut self, job: impl FnOnce(&StateStore, &Load) -> Result<()> + Send + 'static) -> Arc<Load> {
        let store = self.store.clone();
        let job: Job = Box::new(move |load| job(&store, load));
        let load = Arc::new(Load {
            stage: Mutex::new(Stage::Waiting(job, self.pool.clone())),
            moved: Condvar::new(),
            readable: AtomicBool::new(false),
            complete: AtomicBool::new(false),
        });
        self.loads.push(load.clone());
        load
    }

    /// Reads all that was added, in that order but for what somebody waits for; `ended` is called when all is there or has
    /// failed.
    ///
    /// # Errors
    /// XX000 when the thread that goes through them cannot be started.
    pub fn begin(&mut self, ended: impl FnOnce() + Send + 'static) -> Result<()> {
        let (loads, stopped) = (self.loads.clone(), self.stop.clone());
        let run = move || {
            for load in loads {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever needs it gets the error; it is in the server's log too.
                load.wait_complete().ok();
            }
            ended();
        };
        let thread = std::thread::Builder::new().name("levada-load".into()).spawn(run);
        self.thread =
            Some(thread.map_err(|error| Error::internal("cannot start the loading thread").with_source(error))?);
        Ok(())
    }

    /// Whether everything is there, or has failed.
    pub fn has_ended(&self) -> bool {
        self.loads.iter().all(|load| load.has_ended())
    }

    /// Returns when everything is there, or has failed.
    pub fn finish(&self) {
        self.loads.iter().for_each(|load| drop(load.wait_complete()));
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let all_read = self.has_ended();
        self.stop.store(true, Ordering::Relaxed);
        self.loads.iter().for_each(|load| load.call_off());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        if all_read && let Err(error) = self.store.compact_from_now_on() {
            tracing::error!(%error, "the files of the state become ever more until the next start");
        }
    }
}
