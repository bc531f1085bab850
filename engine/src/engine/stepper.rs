//! The step thread: the one place where transactions get their order, and epochs are made.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::data::{Epoch, ObjectId};
use crate::engine::checkpointer::{Checkpointer, Done};
use crate::engine::clock::Clock;
use crate::engine::commit::{Commit, Request};
use crate::engine::dataflows::Dataflows;
use crate::engine::guard::guarded;
use crate::engine::hydrations::{HydrationLimit, Hydrations};
use crate::engine::keys::KeyCheck;
use crate::engine::locks::LockTable;
use crate::engine::metrics::Metrics;
use crate::engine::recovery::{self, Recovered};
use crate::engine::snapshot::{LiveSnapshots, Snapshot, SnapshotLimits};
use crate::engine::sources::Sources;
use crate::engine::storage::Storage;
use crate::engine::{Operation, record};
use crate::error::{Error, Result, SqlState};
use crate::source::Delivery;
use crate::state::{Checkpoint, LogPosition};

/// Transactions taken into one step, so that its length stays bounded.
const MOST_COMMITS: usize = 1024;

/// Bytes of rows that one transaction may write: what a step can hold in one piece, with room to spare.
const MOST_WRITTEN: usize = 512 << 20;

/// Steps that may fail one after the other.
const MOST_FAILURES: u32 = 3;

/// Bytes of deliveries taken into one step.
const MOST_BYTES: usize = 16 << 20;

/// Bytes of changes that wait for hydrations, which they alone hold: what has a row store is read from there.
const MOST_RECORDED: usize = 256 << 20;

/// How often it is looked whether there are fewer again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What becomes one epoch.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    deliveries: Vec<Delivery>,
    bytes: usize,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.deliveries.is_empty()
    }

    /// Whether nothing more fits: there is enough, or a change of the catalog is in it.
    fn is_full(&self) -> bool {
        self.commits.len() >= MOST_COMMITS
            || self.bytes >= MOST_BYTES
            || self.commits.first().is_some_and(Commit::is_ddl)
    }
}

/// The end of the step thread, and whom to tell of it.
struct End(Option<(oneshot::Sender<Result<()>>, Result<()>)>);

/// Everything that the step thread owns.
pub struct Stepper {
    pub data_dir: PathBuf,
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
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Deliveries that wait until hydrations have caught up.
    pub held: VecDeque<Request>,
    pub flushes: Vec<(Epoch, oneshot::Sender<Result<()>>)>,
    /// Threads that a step may use.
    pub threads: usize,
    /// Views that may be filled at the same time.
    pub hydrations: HydrationLimit,
    /// Steps that failed since the last that did not.
    pub failures: u32,
    /// Why nothing can be written any more.
    pub failed: Option<Error>,
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
        let Some(request) = carried.take().map_or_else(|| self.next(requests), Some) else { return Some(End(None)) };
        match request {
            Request::Commit(_) | Request::Delivery(..) => *carried = self.gather(request, requests),
            Request::Flush(reply) => self.flush(reply),
            Request::Explain(explained, reply) => drop(reply.send(self.dataflows.explain(&explained))),
            Request::Durable(done) => self.checkpoint_done(done),
            // Looked at before the next request.
            Request::Time => {}
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
            if self.checkpoint_in() == Some(Duration::ZERO) {
                self.begin_checkpoint();
            }
            if self.tick_in() == Some(Duration::ZERO) {
                self.tick();
            }
            if !self.is_full()
                && let Some(held) = self.held.pop_front()
            {
                return Some(held);
            }
            let look = (!self.held.is_empty()).then_some(LOOK_AGAIN);
            let received = match self.checkpoint_in().into_iter().chain(self.tick_in()).chain(look).min() {
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

    /// Whether hydrations have so many changes to catch up on that there must not be more of them now.
    fn is_full(&self) -> bool {
        self.dataflows.recorded() > MOST_RECORDED
    }

    /// Puts a delivery aside as long as there is no room for what it changes: with the bytes that it keeps of the intake,
    /// readers pause in the end. Returns any other request.
    fn hold(&mut self, request: Request) -> Option<Request> {
        if matches!(request, Request::Delivery(..)) && (!self.held.is_empty() || self.is_full()) {
            self.held.push_back(request);
            return None;
        }
        Some(request)
    }

    /// How long until a checkpoint is due; None while there is nothing to save.
    fn checkpoint_in(&self) -> Option<Duration> {
        let unsaved = self.saved < self.epoch && self.failed.is_none();
        if unsaved { self.checkpointer.due_in() } else { None }
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
        match guarded(|| self.dataflows.tick(epoch, now, &taken_in)) {
            Ok(false) => {}
            Ok(true) => {
                self.failures = 0;
                self.epoch = epoch;
                self.publish();
            }
            Err(error) => self.recover_and_publish(&error),
        }
    }

    /// Takes in what else is waiting: deliveries, and transactions that only write rows, share a step and an fsync; one
    /// that changes the catalog has a step to itself. Returns the request that did not fit.
    fn gather(&mut self, first: Request, requests: &Receiver<Request>) -> Option<Request> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut left = None;
        while let Some(request) = next.take() {
            match request {
                Request::Commit(commit) if batch.is_empty() || !commit.is_ddl() => {
                    batch.bytes += commit.bytes();
                    batch.commits.push(commit);
                }
                Request::Delivery(run, delivery) => {
                    if self.sources.expects(run, &delivery) {
                        batch.bytes += delivery.permit.bytes();
                        batch.deliveries.push(*delivery);
                    }
                }
                other => {
                    left = Some(other);
                    break;
                }
            }
            if !batch.is_full() {
                next = requests.try_recv().ok().and_then(|request| self.hold(request));
            }
        }
        self.take_in(batch);
        left
    }

    /// Makes transactions durable and visible, and deliveries visible, all at one epoch.
    fn take_in(&mut self, Batch { commits, deliveries, .. }: Batch) {
        if let Some(error) = &self.failed {
            let error = error.duplicate();
            return commits.into_iter().for_each(|commit| commit.finish(Err(error.duplicate())));
        }
        let commits = self.accepted(commits);
        if commits.is_empty() && deliveries.is_empty() {
            return;
        }
        match self.log_and_step(&commits, &deliveries) {
            Ok(mut voided) => {
                let snapshot = self.publish();
                // After a step that failed they are read again.
                if self.failures == 0 {
                    self.metrics.delivered(&deliveries);
                }
                if commits.iter().any(Commit::is_ddl) {
                    self.sources.follow(&snapshot.catalog);
                }
                for (index, commit) in commits.into_iter().enumerate() {
                    commit.finish(voided.remove(&index).map_or_else(|| Ok(snapshot.clone()), Err));
                }
            }
            Err(error) => commits.into_iter().for_each(|commit| commit.finish(Err(error.duplicate()))),
        }
    }

    /// Answers the transactions that cannot be, and returns the others.
    fn accepted(&mut self, group: Vec<Commit>) -> Vec<Commit> {
        let catalog = self.dataflows.catalog().clone();
        let mut keys = KeyCheck::new(self.dataflows.stores().clone(), self.epoch);
        let mut accepted = Vec::with_capacity(group.len());
        for commit in group {
            let fits = match commit.bytes() {
                bytes if bytes > MOST_WRITTEN => Err(too_large()),
                _ => Ok(()),
            };
            match fits.and_then(|()| guarded(|| keys.accept(&catalog, &commit.operations))) {
                Ok(()) => accepted.push(commit),
                Err(error) => commit.finish(Err(error)),
            }
        }
        accepted
    }

    /// One step. An error before the log has the entries leaves everything as it was; one after it sends the engine back
    /// to its last checkpoint, from where the log and the sources bring it here again. Returned are the transactions that
    /// turned out not to be possible then.
    fn log_and_step(&mut self, commits: &[Commit], deliveries: &[Delivery]) -> Result<BTreeMap<usize, Error>> {
        let records = record::transactions(commits.iter().map(|commit| commit.operations.as_slice()))?;
        if let Some(first) = commits.first().filter(|_| commits.iter().any(Commit::is_ddl)) {
            self.create(&first.operations)?;
        }
        let acknowledged = self.position;
        if !records.is_empty() {
            match Storage::of(&self.storage)?.log.append(&records) {
                Ok(position) => self.position = position,
                Err(error) => {
                    let voided = self.recover(&error, Some(acknowledged))?;
                    // A failed write may be there all the same, and then it was applied.
                    let there = self.position.0 >= acknowledged.0 + records.len() as u64;
                    return if there { Ok(by_index(voided, acknowledged)) } else { Err(error) };
                }
            }
        }
        let (epoch, now) = (self.epoch.next(), self.clock.read());
        let stepped = guarded(|| {
            let mut operations: Vec<Operation> =
                commits.iter().flat_map(|commit| commit.operations.iter().cloned()).collect();
            operations.extend(self.sources.operations(deliveries, self.dataflows.stores(), self.epoch)?);
            self.dataflows.observe(deliveries, now)?;
            self.dataflows.step(epoch, now, &operations)?;
            // A hydration that begins now reads up to here.
            self.sources.advance(deliveries);
            self.dataflows.finish(&operations, epoch)
        });
        match stepped {
            Ok((gone, last)) => {
                self.failures = 0;
                self.epoch = last;
                gone.into_iter().for_each(|table| self.locks.forget(table));
                Ok(BTreeMap::new())
            }
            Err(error) => Ok(by_index(self.recover(&error, Some(acknowledged))?, acknowledged)),
        }
    }

    /// Adds what a transaction creates. An error leaves everything as it was; after a panic nothing is sure.
    fn create(&mut self, operations: &[Operation]) -> Result<()> {
        let epoch = self.epoch;
        self.sources.begin(operations);
        let created = guarded(|| Ok(self.dataflows.create(operations, epoch)));
        match created {
            Ok(Ok(created)) => self.epoch = created,
            Ok(Err(error)) => {
                self.sources.follow(self.dataflows.catalog());
                return Err(error);
            }
            Err(panic) => {
                self.recover(&panic, None)?;
                return Err(panic);
            }
        }
        Ok(())
    }

    /// Drops all memory and comes back from the last checkpoint and the log's tail. Of the entries after `acknowledged`,
    /// those that cannot be applied become void; they are returned.
    fn recover(&mut self, cause: &Error, acknowledged: Option<LogPosition>) -> Result<BTreeMap<LogPosition, Error>> {
        tracing::error!(error = %cause, "a step failed; going back to the last checkpoint");
        self.failures += 1;
        if self.failures > MOST_FAILURES {
            return Err(self.fail(cause));
        }
        // What a commit in flight makes durable is part of what recovery must read.
        self.checkpointer.stop();
        match self.reopen(acknowledged.unwrap_or(self.position)) {
            Ok(recovered) => {
                // Epochs never go back: readers hold snapshots of those that were published.
                self.epoch = self.epoch.max(recovered.epoch).next();
                self.dataflows = recovered.dataflows;
                self.position = recovered.position;
                (self.durable, self.saved) = (recovered.durable, recovered.durable);
                self.metrics.set_durable(self.durable);
                self.sources.restart(self.dataflows.catalog(), recovered.histories);
                if !recovered.voided.is_empty() {
                    // What made the step fail has gone.
                    self.failures = 0;
                }
                Ok(recovered.voided)
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Gives up writing: what memory holds must reach no disk. Reading goes on.
    fn fail(&mut self, cause: &Error) -> Error {
        tracing::error!(error = %cause, "nothing gets better by trying again; the server accepts no more writes");
        self.sources.stop();
        for (_, reply) in self.flushes.drain(..) {
            reply.send(Err(cause.duplicate())).ok();
        }
        self.failed = Some(cause.duplicate());
        cause.duplicate()
    }

    fn reopen(&mut self, acknowledged: LogPosition) -> Result<Recovered> {
        Storage::reopen(&mut self.storage, &self.data_dir)?;
        let storage = Storage::of(&self.storage)?;
        self.checkpointer = Checkpointer::start(storage.clone(), self.reports.clone(), self.metrics.clone())?;
        let hydrations = || Hydrations::new(self.reports.clone(), self.hydrations.clone());
        recovery::recover(storage, self.threads, &hydrations, self.sources.intake(), Some(acknowledged))
    }

    fn publish(&mut self) -> Arc<Snapshot> {
        let snapshot = Arc::new(Snapshot {
            epoch: self.epoch,
            catalog: self.dataflows.catalog().clone(),
            stores: self.dataflows.stores().clone(),
            errors: self.dataflows.errors(),
            hydrating: self.dataflows.hydrating().clone(),
            late: self.dataflows.late_rows(),
            event_times: self.dataflows.event_times(),
            watches: self.sources.watches(),
            outlets: self.dataflows.sinks().outlets().clone(),
            metrics: self.metrics.clone(),
        });
        self.live.add(&snapshot, self.clock.now());
        self.published.send_replace(snapshot.clone());
        self.metrics.published(&snapshot);
        self.metrics.measure(&snapshot.catalog, || self.dataflows.sizes());
        let (now, dataflows) = (self.clock.now(), &self.dataflows);
        let kept_since = |epoch| dataflows.kept_since(epoch);
        let horizon = self.live.horizon(self.epoch, now, self.snapshot_limits, kept_since);
        // A store whose chunks were half merged is not to be trusted.
        if let Err(error) = guarded(|| self.dataflows.compact(horizon)) {
            self.recover_and_publish(&error);
        }
        snapshot
    }

    /// A hydration has come to its end, or failed: between two steps its nodes become part of the graph.
    fn hydration(&mut self, relation: ObjectId, run: u64) {
        if self.failed.is_some() {
            return;
        }
        let (epoch, now) = (self.epoch, self.clock.read());
        let taken = guarded(|| {
            let Some(last) = self.dataflows.hydration(relation, run, epoch)? else { return Ok(None) };
            // An epoch of its own, so that the next checkpoint has it, and what was found on the way.
            let operations = self.sources.operations(&[], self.dataflows.stores(), last)?;
            self.dataflows.step(last.next(), now, &operations)?;
            Ok(Some(last.next()))
        });
        match taken {
            Ok(None) => {}
            Ok(Some(last)) => {
                self.epoch = last;
                self.publish();
            }
            Err(error) => self.recover_and_publish(&error),
        }
    }

    fn begin_checkpoint(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let (mut checkpoint, sizes) = (Checkpoint::default(), self.dataflows.sizes());
        let saved = guarded(|| self.dataflows.save(self.durable, &mut checkpoint));
        let meta = || {
            let sources = self.sources.saved()?;
            self.dataflows.meta(self.epoch, self.position, self.clock.now(), sources)
        };
        match saved.and_then(|()| meta()) {
            Ok(meta) => {
                checkpoint.set_meta(meta);
                self.saved = self.epoch;
                self.metrics.measured(self.dataflows.catalog(), sizes);
                self.checkpointer.submit(checkpoint, self.epoch, self.position);
            }
            // What was taken for the checkpoint is lost to the next: only a fresh start has it all.
            Err(error) => self.recover_and_publish(&error),
        }
    }

    /// As [`recover`](Stepper::recover), where no transaction waits for what it brings.
    fn recover_and_publish(&mut self, cause: &Error) {
        if self.recover(cause, None).is_ok() {
            self.publish();
        }
    }

    fn checkpoint_done(&mut self, done: Done) {
        if !self.checkpointer.done(done.epoch) {
            return;
        }
        match done.outcome {
            Ok(()) => {
                self.durable = done.epoch;
                self.metrics.set_durable(self.durable);
            }
            Err(error) => self.recover_and_publish(&error),
        }
        let durable = self.durable;
        for (_, reply) in self.flushes.extract_if(.., |(epoch, _)| *epoch <= durable) {
            reply.send(Ok(())).ok();
        }
        if !self.flushes.is_empty() {
            self.begin_checkpoint();
        }
    }

    fn flush(&mut self, reply: oneshot::Sender<Result<()>>) {
        if let Some(error) = &self.failed {
            reply.send(Err(error.duplicate())).ok();
            return;
        }
        if self.durable >= self.epoch {
            reply.send(Ok(())).ok();
            return;
        }
        self.flushes.push((self.epoch, reply));
        if !self.checkpointer.in_flight() {
            self.begin_checkpoint();
        }
    }

    /// Brings everything into a last checkpoint.
    fn shut_down(&mut self, requests: &Receiver<Request>) -> Result<()> {
        let stopping = || Error::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down");
        while self.failed.is_none() && self.durable < self.epoch {
            if !self.checkpointer.in_flight() {
                self.begin_checkpoint();
            }
            match requests.recv() {
                Ok(Request::Durable(Done { outcome: Err(error), .. })) => return Err(error),
                Ok(Request::Durable(done)) => self.checkpoint_done(done),
                Ok(Request::Commit(commit)) => commit.finish(Err(stopping())),
                // Not taken in: the next start reads it again.
                Ok(Request::Delivery(..) | Request::Time | Request::Hydration(..)) => {}
                Ok(Request::Flush(reply) | Request::Shutdown(reply)) => drop(reply.send(Err(stopping()))),
                Ok(Request::Explain(_, reply)) => drop(reply.send(Err(stopping()))),
                Ok(Request::Abandon) | Err(_) => break,
            }
        }
        Ok(())
    }
}

fn too_large() -> Error {
    let message = "a transaction writes too much";
    let hint = format!("Write at most {} MiB of rows in one transaction.", MOST_WRITTEN >> 20);
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_hint(hint)
}

/// Which transactions of a group are void, given the position before the first of them.
fn by_index(voided: BTreeMap<LogPosition, Error>, before: LogPosition) -> BTreeMap<usize, Error> {
    voided.into_iter().map(|(at, error)| ((at.0 - before.0 - 1) as usize, error)).collect()
}
