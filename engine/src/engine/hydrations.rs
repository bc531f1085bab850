//! New views on their way: who fills them, and what becomes of them.
//!
//! A view over little is filled at once, on the step thread, so that it can be read when CREATE returns; any other by a
//! thread of its own, which tells the step thread when its nodes are level with the rest, or lost. A hydration that
//! failed is begun anew after a pause, with new nodes; so is one for which too much is kept while it waits for memory.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rayon::ThreadPoolBuilder;

use crate::catalog::Catalog;
use crate::data::{ObjectId, STACK};
use crate::dataflow::{Hydration, HydrationState, HydrationStatus, Progress, Stage};
use crate::engine::Snapshot;
use crate::engine::background::give_way;
use crate::engine::commit::Request;
use crate::engine::memory::Memory;
use crate::error::{Error, Result, SqlState};

/// Rows of input that are taken in on the step thread.
const FEW_ROWS: u64 = 8192;
/// How often one that waits for a place looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(50);
/// The pause after the first failure; each later one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How the hydrations of all relations are doing.
pub type Hydrating = Arc<BTreeMap<ObjectId, Arc<Progress>>>;

/// The relations that cannot be read yet.
pub struct Hydrations {
    relations: BTreeMap<ObjectId, Entry>,
    /// Where threads report to: the step thread's inbox.
    inbox: Sender<Request>,
    limit: HydrationLimit,
    memory: Arc<Memory>,
    next_run: u64,
}

#[derive(Default)]
struct Entry {
    progress: Arc<Progress>,
    failures: u32,
    /// None while it waits for others.
    run: Option<Run>,
}

/// A thread's work on one relation. Dropping it calls the thread off.
struct Run {
    number: u64,
    control: Arc<Control>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.control.call_off();
    }
}

/// What a thread found out.
pub enum Outcome {
    /// The nodes are level with the graph.
    Level(Box<Hydration>),
    Failed(Error),
    /// The pause after a failure is over.
    Again,
    /// It would fail for ever.
    Hopeless(Error),
}

/// What the step thread and a hydration's thread have in common.
#[derive(Default)]
struct Control {
    state: Mutex<ControlState>,
    wake: Condvar,
}

#[derive(Default)]
struct ControlState {
    called_off: bool,
    outcome: Option<Outcome>,
}

impl Control {
    fn call_off(&self) {
        let mut state = self.state.lock();
        state.called_off = true;
        // A hydration that nobody will take goes with what it holds.
        let unclaimed = state.outcome.take();
        self.wake.notify_all();
        drop(state);
        drop(unclaimed);
    }

    fn is_called_off(&self) -> bool {
        self.state.lock().called_off
    }

    /// Waits; whether there is still something to do.
    fn pause(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        self.wake.wait_while_for(&mut state, |state| !state.called_off, pause);
        !state.called_off
    }

    /// Leaves an outcome for the step thread.
    fn leave(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if !state.called_off {
            state.outcome = Some(outcome);
        }
    }
}

/// How many views over much are filled at the same time; the others wait. Can be changed while the engine runs: with 0, all
/// pause.
#[derive(Clone, Debug)]
pub struct HydrationLimit(Arc<Places>);

#[derive(Debug)]
struct Places {
    /// How many there are, and how many are taken.
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

struct Taken(HydrationLimit);

impl HydrationLimit {
    pub fn new(views: usize) -> HydrationLimit {
        HydrationLimit(Arc::new(Places { state: Mutex::new((views, 0)), changed: Condvar::new() }))
    }

    pub fn set(&self, views: usize) {
        self.0.state.lock().0 = views;
        self.0.changed.notify_all();
    }

    /// Takes a place, when there is one.
    fn take(&self, control: &Control) -> Taken {
        let mut state = self.wait(control, |(all, taken)| taken >= all);
        state.1 += 1;
        drop(state);
        Taken(self.clone())
    }

    /// Waits as long as there are no places at all.
    fn pass(&self, control: &Control) {
        drop(self.wait(control, |(all, _)| *all == 0));
    }

    fn wait(&self, control: &Control, must: impl Fn(&(usize, usize)) -> bool) -> MutexGuard<'_, (usize, usize)> {
        let mut state = self.0.state.lock();
        while must(&state) && !control.is_called_off() {
            self.0.changed.wait_for(&mut state, PATIENCE);
        }
        state
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.state.lock().1 -= 1;
        self.0.0.changed.notify_all();
    }
}

impl Hydrations {
    pub fn new(inbox: Sender<Request>, limit: HydrationLimit, memory: Arc<Memory>) -> Hydrations {
        Hydrations { relations: BTreeMap::new(), inbox, limit, memory, next_run: 0 }
    }

    /// Where threads report to: the step thread's inbox.
    pub fn inbox(&self) -> &Sender<Request> {
        &self.inbox
    }

    /// Bytes of rows that an operator may make in one step, here as everywhere.
    pub fn most_made(&self) -> usize {
        self.memory.most_made()
    }

    /// Takes note of a relation that has to be hydrated; of one that is known, it begins anew.
    pub fn add(&mut self, relation: ObjectId) {
        self.relations.entry(relation).or_default().run = None;
    }

    /// Forgets a relation: it is hydrated, or gone.
    pub fn remove(&mut self, relation: ObjectId) {
        self.relations.remove(&relation);
    }

    /// The relations that nobody works on, in the order in which they were made.
    pub fn idle(&self) -> Vec<ObjectId> {
        self.relations.iter().filter(|(_, entry)| entry.run.is_none()).map(|(relation, _)| *relation).collect()
    }

    /// All relations that are not hydrated, in the order in which they were made.
    pub fn relations(&self) -> impl DoubleEndedIterator<Item = ObjectId> {
        self.relations.keys().copied()
    }

    pub fn progress(&self, relation: ObjectId) -> Arc<Progress> {
        self.relations.get(&relation).map(|entry| entry.progress.clone()).unwrap_or_default()
    }

    /// How all of them are doing, now and later.
    pub fn watch(&self) -> Hydrating {
        Arc::new(self.relations.iter().map(|(relation, entry)| (*relation, entry.progress.clone())).collect())
    }

    /// Works on a hydration: here, while it has read few rows, else on a thread. Returns it if it is done.
    pub fn start(&mut self, mut hydration: Hydration) -> Result<Option<Hydration>> {
        if hydration.is_small(FEW_ROWS) {
            let advanced = catch_unwind(AssertUnwindSafe(|| hydration.advance_by(FEW_ROWS)));
            if advanced.unwrap_or_else(|panic| Err(panicked(&*panic)))? {
                return Ok(Some(hydration));
            }
        }
        let relation = hydration.relation();
        let (limit, memory) = (self.limit.clone(), self.memory.clone());
        self.spawn(relation, move |control| match work(&limit, &memory, hydration, control) {
            Ok(Some(level)) => Some(Outcome::Level(Box::new(level))),
            Ok(None) => None,
            Err(error) => Some(Outcome::Failed(error)),
        })?;
        Ok(None)
    }

    /// Takes note of a failure; [`Outcome::Again`] will follow, or [`Outcome::Hopeless`].
    pub fn fail(&mut self, relation: ObjectId, error: &Error) -> Result<()> {
        let Some(entry) = self.relations.get_mut(&relation) else { return Ok(()) };
        entry.progress.failed(error.message());
        let pause = FIRST_PAUSE.saturating_mul(1 << entry.failures.min(16)).min(LONGEST_PAUSE);
        entry.failures += 1;
        if entry.progress.is_hopeless() {
            let why = error.duplicate();
            return self.spawn(relation, move |control| control.pause(pause).then_some(Outcome::Hopeless(why)));
        }
        tracing::warn!(%relation, %error, "a view could not be hydrated; it will be tried again");
        self.spawn(relation, move |control| control.pause(pause).then_some(Outcome::Again))
    }

    /// Gives up what was done for a relation, for want of memory; [`Outcome::Again`] will follow when there is some.
    pub fn give_up(&mut self, relation: ObjectId) -> Result<()> {
        let (memory, progress) = (self.memory.clone(), self.progress(relation));
        self.spawn(relation, move |control| {
            while memory.is_scarce() {
                progress.paused(true);
                if !control.pause(PATIENCE) {
                    return None;
                }
            }
            progress.paused(false);
            Some(Outcome::Again)
        })
    }

    /// What a thread has left; None when the report is of one that was called off.
    pub fn outcome(&mut self, relation: ObjectId, run: u64) -> Option<Outcome> {
        let current = self.relations.get(&relation)?.run.as_ref().filter(|current| current.number == run)?;
        current.control.state.lock().outcome.take()
    }

    /// Why a relation cannot be hydrated at all, if that is what its thread has left.
    pub fn hopeless(&mut self, relation: ObjectId, run: u64) -> Option<Error> {
        let current = self.relations.get(&relation)?.run.as_ref().filter(|current| current.number == run)?;
        match &current.control.state.lock().outcome {
            Some(Outcome::Hopeless(why)) => Some(why.duplicate()),
            _ => None,
        }
    }

    fn spawn(
        &mut self,
        relation: ObjectId,
        work: impl FnOnce(&Control) -> Option<Outcome> + Send + 'static,
    ) -> Result<()> {
        let Some(entry) = self.relations.get_mut(&relation) else { return Ok(()) };
        let control = Arc::new(Control::default());
        let number = self.next_run;
        self.next_run += 1;
        entry.run = Some(Run { number, control: control.clone() });
        let inbox = self.inbox.clone();
        let body = move || {
            give_way();
            if let Some(outcome) = work(&control) {
                control.leave(outcome);
                inbox.send(Request::Hydration(relation, number)).ok();
            }
        };
        // A pool of this one thread: what is done in parallel elsewhere stays on it, takes no more cores, and does not keep
        // threads waiting that steps wait for. The thread ends with its work.
        let pool = ThreadPoolBuilder::new().num_threads(1).stack_size(STACK);
        let pool = pool.thread_name(|_| "levada-hydrate".into()).panic_handler(|_| {}).build();
        pool.map_err(|error| Error::internal("cannot start a thread").with_source(error))?.spawn(body);
        Ok(())
    }
}

/// Drives a hydration until it is level; None when it was called off.
fn work(
    limit: &HydrationLimit,
    memory: &Memory,
    mut hydration: Hydration,
    control: &Control,
) -> Result<Option<Hydration>> {
    // Who waits for a broker must not keep others waiting.
    let _place = hydration.is_inside().then(|| limit.take(control));
    while !control.is_called_off() {
        limit.pass(control);
        if memory.is_scarce() {
            hydration.paused(true);
            while memory.is_scarce() && control.pause(PATIENCE) {}
            hydration.paused(false);
            continue;
        }
        let advanced = catch_unwind(AssertUnwindSafe(|| hydration.advance()));
        if advanced.unwrap_or_else(|panic| Err(panicked(&*panic)))? == Stage::Level {
            return Ok(Some(hydration));
        }
        // Steps and queries come first.
        std::thread::yield_now();
    }
    Ok(None)
}

/// Whether all of some relations can be read, as far as they are there.
///
/// # Errors
/// 55000 when one of them could not be hydrated.
pub fn are_readable(snapshot: &Snapshot, relations: &[ObjectId]) -> Result<bool> {
    let mut readable = true;
    for relation in relations {
        let Some(progress) = snapshot.hydrating.get(relation) else { continue };
        let status = progress.status();
        if status.state == HydrationState::Failed {
            return Err(not_readable(&snapshot.catalog, *relation, &status));
        }
        readable = false;
    }
    Ok(readable)
}

/// Why a relation cannot be read.
pub fn not_readable(catalog: &Catalog, relation: ObjectId, status: &HydrationStatus) -> Error {
    let name = catalog.by_id(relation).map_or("", |item| &item.name);
    let HydrationStatus { state, rows, expected, error, paused, .. } = status;
    if let (HydrationState::Failed, Some(reason)) = (state, error) {
        let message = format!("materialized view \"{name}\" could not be filled: {reason}");
        let error = Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
        return error.with_hint("It is tried again. levada_catalog.views shows how that goes.");
    }
    let message = format!("materialized view \"{name}\" is still being filled");
    let detail = match (state, expected) {
        _ if *paused => "It waits for memory to become free.".to_owned(),
        (HydrationState::Waiting, _) => "It waits for a view that it reads, which is being filled itself.".to_owned(),
        (_, Some(expected)) => format!("It has read {rows} of {expected} rows."),
        (_, None) => format!("It has read {rows} rows."),
    };
    let hint = "SET wait_for_hydration = on lets queries wait for it; levada_catalog.views shows how far it is.";
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_detail(detail).with_hint(hint)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("hydration panicked: {}", text.unwrap_or("no message")))
}
