//! The step thread: the one place where transactions get their order, and epochs are made.

mod durability;
mod failure;
mod held;
mod suspicion;
mod transactions;
mod unsaved;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::data::{Epoch, ObjectId};
use crate::engine::catch_up::CatchUp;
use crate::engine::checkpointer::Checkpointer;
use crate::engine::clock::Clock;
use crate::engine::commit::Request;
use crate::engine::dataflows::Dataflows;
use crate::engine::guard::guarded;
use crate::engine::hydrations::HydrationLimit;
use crate::engine::locks::LockTable;
use crate::engine::memory::Memory;
use crate::engine::metrics::Metrics;
use crate::engine::snapshot::{LiveSnapshots, Snapshot, SnapshotLimits};
use crate::engine::sources::Sources;
use crate::engine::storage::{Storage, StorageSizes};
use crate::error::{Error, Result};
use crate::state::LogPosition;
pub use suspicion::Suspicion;

pub use unsaved::Unsaved;

/// How often it is looked whether there are fewer again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The end of the step thread, and whom to tell of it.
struct End(Option<(oneshot::Sender<Result<()>>, Result<()>)>);

/// Everything that the step thread owns.
pub struct Stepper {
    pub data_dir: PathBuf,
    pub storage_sizes: StorageSizes,
    /// None only when opening it again has failed, and then for good.
    pub storage: Option<Storage>,
    pub dataflows: Dataflows,
    pub epoch: Epoch,
    /// The last entry of the log that the dataflows have seen.
    pub position: LogPosition,
    /// The epoch of the last durable checkpoint, and of the one begun last.
    pub durable: Epoch,
    pub saved: Epoch,
    pub published: watch::Sender<Arc<Snapshot>>,
    pub live: LiveSnapshots,
    pub snapshot_limits: SnapshotLimits,
    pub locks: Arc<LockTable>,
    pub checkpointer: Checkpointer,
    /// Where the checkpointer reports to: this thread's own inbox.
    pub reports: Sender<Request>,
    pub sources: Sources,
    /// What a start waits for; None once it is so far.
    pub catch_up: Option<CatchUp>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Changes that no checkpoint has.
    pub unsaved: Unsaved,
    /// Deliveries that wait until hydrations have caught up, and all that waits for a checkpoint.
    pub held: VecDeque<Request>,
    pub flushes: Vec<(Epoch, oneshot::Sender<Result<()>>)>,
    /// Threads that a step may use.
    pub threads: usize,
    /// Views that may be filled at the same time.
    pub hydrations: HydrationLimit,
    /// The budget of the process.
    pub memory: Arc<Memory>,
    /// Steps that failed since the last that did not, through nobody's fault.
    pub failures: u32,
    /// Whose fault the last step was that failed, and what followed.
    pub suspicion: Suspicion,
    /// Why nothing can be written any more, or for now.
    pub failed: Option<Error>,
    /// When it is looked whether a full disk has room again.
    pub disk_again: Option<Instant>,
}

impl Stepper {
    /// Works until it is told to stop, or until nobody is left to ask for anything.
    pub fn run(mut self, requests: &Receiver<Request>) {
        let mut carried = None;
        loop {
            match guarded(|| Ok(self.serve(&mut carried, requests))) {
                Ok(None) => {}
                Ok(Some(End(reply))) => {
                    drop(self);
                    if let Some((reply, outcome)) = reply {
                        reply.send(outcome).ok();
                    }
                    return;
                }
                // Whatever it was, only what is durable is to be trusted now.
                Err(error) => self.recover_and_publish(&error),
            }
        }
    }

    /// Does what the next request asks for.
    fn serve(&mut self, carried: &mut Option<Request>, requests: &Receiver<Request>) -> Option<End> {
        let carried_over = carried.take().inspect(|_| self.do_what_is_due());
        let Some(request) = carried_over.or_else(|| self.next(requests)) else { return Some(End(None)) };
        match request {
            Request::Commit(_) | Request::Delivery(..) => *carried = self.gather(request, requests),
            Request::Flush(reply) => self.flush(reply),
            Request::Explain(explained, reply) => drop(reply.send(self.dataflows.explain(&explained))),
            Request::Durable(done) => self.checkpoint_done(done),
            // Looked at before the next request.
            Request::Time => {}
            Request::Loaded => {
                self.dataflows.loaded();
                self.measure();
            }
            Request::Settle(relations, reply) => self.settle(relations, reply),
            Request::Hydration(relation, run) => self.hydration(relation, run),
            Request::Shutdown(reply) => {
                let outcome = self.shut_down(requests);
                return Some(End(Some((reply, outcome))));
            }
            Request::Abandon => return Some(End(None)),
        }
        None
    }

    /// The next request; what becomes due meanwhile is done: checkpoints, and what time brings about. None when all senders
    /// are gone.
    ///
    /// Nothing is left to a pause between requests: under load there is none. Of what time brings about, a bounded part is
    /// done before each request.
    fn next(&mut self, requests: &Receiver<Request>) -> Option<Request> {
        loop {
            self.do_what_is_due();
            if let Some(held) = self.release() {
                return Some(held);
            }
            let look = (!self.held.is_empty()).then_some(LOOK_AGAIN);
            let received = match self.wait().into_iter().chain(look).min() {
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => requests.recv_timeout(wait),
            };
            match received {
                Ok(request) => {
                    if let Some(request) = self.hold(request) {
                        return Some(request);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn do_what_is_due(&mut self) {
        if self.checkpoint_in() == Some(Duration::ZERO) {
            self.begin_checkpoint();
        }
        if self.tick_in() == Some(Duration::ZERO) {
            self.tick();
        }
        if self.disk_in() == Some(Duration::ZERO) {
            self.try_disk();
        }
    }

    /// How long until something becomes due.
    fn wait(&self) -> Option<Duration> {
        self.checkpoint_in().into_iter().chain(self.tick_in()).chain(self.disk_in()).min()
    }

    /// How long until time brings something about; None while nothing is waited for.
    fn tick_in(&self) -> Option<Duration> {
        let due = self.dataflows.due().filter(|_| self.failed.is_none());
        due.and_then(|due| self.clock.until(due))
    }

    /// The step that time makes.
    fn tick(&mut self) {
        let (epoch, now) = (self.epoch.next(), self.clock.read());
        let sources = &self.sources;
        let taken_in = |source, partition| sources.has_taken_in(source, partition);
        let most = self.suspicion.most_expired();
        match guarded(|| self.dataflows.tick(epoch, now, &taken_in, most)) {
            Ok(false) => {}
            Ok(true) => {
                self.failures = 0;
                self.suspicion.time = None;
                self.epoch = epoch;
                self.publish();
            }
            Err(error) => self.recover_and_publish(&error),
        }
    }

    /// Lets go what is too old of the tables that relations are made of: the first who reads them after a start asks for it.
    /// A bounded part at a time: others get their turn between.
    fn settle(&mut self, relations: Vec<ObjectId>, reply: oneshot::Sender<Arc<Snapshot>>) {
        self.dataflows.look_at(&relations);
        let overdue = self.dataflows.overdue(self.clock.read());
        let waits = relations.iter().any(|relation| overdue.contains(relation));
        if waits && self.failed.is_none() && self.tick_in() == Some(Duration::ZERO) {
            self.tick();
            self.reports.send(Request::Settle(relations, reply)).ok();
        } else {
            reply.send(self.publish()).ok();
        }
    }

    /// Takes note of how much is kept.
    fn measure(&mut self) {
        let sizes = self.dataflows.sizes();
        self.metrics.measured(self.dataflows.catalog(), sizes);
    }

    fn publish(&mut self) -> Arc<Snapshot> {
        let snapshot = Arc::new(Snapshot {
            epoch: self.epoch,
            catalog: self.dataflows.catalog().clone(),
            stores: self.dataflows.stores().clone(),
            errors: self.dataflows.errors(),
            hydrating: self.dataflows.hydrating().clone(),
            overdue: self.dataflows.overdue(self.clock.now()),
            late: self.dataflows.late_rows(),
            event_times: self.dataflows.event_times(),
            tallies: self.sources.tallies(),
            watches: self.sources.watches(),
            outlets: self.dataflows.sinks().outlets().clone(),
            metrics: self.metrics.clone(),
        });
        self.live.add(&snapshot, self.clock.now());
        self.published.send_replace(snapshot.clone());
        self.catch_up.take_if(|catch_up| catch_up.look(&self.sources));
        self.metrics.published(&snapshot);
        self.metrics.measure(&snapshot.catalog, || self.dataflows.sizes());
        self.unsaved.measure(|| self.dataflows.unsaved());
        let (now, dataflows) = (self.clock.now(), &self.dataflows);
        let kept_since = |epoch| dataflows.kept_since(epoch);
        let horizon = self.live.horizon(self.epoch, now, self.snapshot_limits, kept_since);
        let most = self.memory.is_scarce().then(|| self.memory.most_kept());
        // A store whose chunks were half merged is not to be trusted.
        if let Err(error) = guarded(|| {
            most.map_or(Ok(()), |most| self.dataflows.give_up_hydrations(most))?;
            self.dataflows.compact(horizon)
        }) {
            self.recover_and_publish(&error);
        }
        snapshot
    }

    /// A hydration has come to its end, or failed: between two steps its nodes become part of the graph.
    fn hydration(&mut self, relation: ObjectId, run: u64) {
        if self.failed.is_some() {
            return;
        }
        if let Some(culprit) = self.dataflows.hopeless(relation, run)
            && self.suspend(culprit)
        {
            return;
        }
        let (epoch, now) = (self.epoch, self.clock.read());
        let taken = guarded(|| {
            let Some(last) = self.dataflows.hydration(relation, run, epoch)? else { return Ok(None) };
            // An epoch of its own, so that the next checkpoint has it, and what was found on the way.
            let operations = self.sources.operations(&[], &mut self.dataflows, last)?;
            self.dataflows.step(last.next(), now, &operations)?;
            Ok(Some(last.next()))
        });
        match taken {
            Ok(None) => {}
            Ok(Some(last)) => {
                self.epoch = last;
                // Who has waited for it sees at once what it keeps.
                self.measure();
                self.publish();
            }
            Err(error) => self.recover_and_publish(&error),
        }
    }
}
