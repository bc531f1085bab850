//! What a node of the dataflow does: changes in, change out, state in between.

use std::collections::BTreeSet;
use std::iter::Sum;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::data::{Epoch, ObjectId, OperatorId, Parts, ZSet};
use crate::dataflow::{Maker, Room, Watermarks};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, StateStore};
use crate::view::RowStore;

/// A node's work: given the changes of its inputs, the change of its output.
///
/// An operator is a pure function of its state and what a step brings: no clock, no randomness, no I/O, and an output that
/// depends neither on the number of threads nor on the order in which a hash table iterates.
///
/// With X the sum of all changes an input ever brought and f the relational operation, the sum of all changes returned
/// is f(X), after every step.
pub trait Operator: Send {
    /// The columns of the output. Every batch returned has exactly this schema.
    fn schema(&self) -> &SchemaRef;

    /// One change of each input, in the order of the inputs (empty where an input did not change, and all may be), to
    /// the change of the output. A row may stand several times in an input, with any weights.
    ///
    /// A stateful operator returns its *net* change: each row once, none of weight 0.
    ///
    /// A row (or group) for which there is no answer, say for a division by zero, is left out of the output and handed
    /// to [`StepContext::reject`]; once the input no longer has it, it is handed over again with the opposite weight.
    ///
    /// # Errors
    /// Only for broken invariants, failed I/O, and 54000 where it would make too much: the whole step fails and the engine goes
    /// back to its last checkpoint.
    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet>;

    /// Makes what it needs of others before its first step, such as indexes on their rows, and has not got yet: a node that is
    /// only looked at, by EXPLAIN, does without. Does a bounded piece of that at a time: whether it was the last.
    ///
    /// # Errors
    /// What cannot be read, 54000 where there are too many rows.
    fn open(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// The same operator once more, where it keeps nothing of its own: another thread asks it what it makes of rows.
    /// None where there is state.
    fn again(&self) -> Option<Box<dyn Operator>>;

    /// The sources for whose watermark the operator waits: it is visited whenever the least of them has moved, with
    /// rows or without.
    fn awaits(&self) -> Option<&BTreeSet<ObjectId>> {
        None
    }

    /// What it reads of the rows of its inputs; None where it hands them on as they are, so that what is read is what those
    /// read that follow it.
    fn reads(&self) -> Option<Parts> {
        Some(Parts::All)
    }

    /// The operator's state, where it has one of its own.
    fn state(&mut self) -> Option<&mut dyn Stateful> {
        None
    }
}

/// The part of an operator that remembers.
pub trait Stateful {
    /// What the output has before any input came, such as the one row of an aggregate without GROUP BY. Called once when
    /// a node is new, before its first step, and not after [`load`](Stateful::load).
    fn start(&mut self, _context: &mut StepContext) -> Result<Option<ZSet>> {
        Ok(None)
    }

    /// The output as it is now, the sum of all changes returned: what a view that begins to share the node starts from.
    /// In parts of at most some 64 Ki rows.
    fn contents(&self) -> Result<Vec<ZSet>>;

    /// Writes what changed since the last call. `durable` is the epoch of the checkpoint before this one.
    fn save(&mut self, id: OperatorId, durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()>;

    /// About how many bytes of memory the next save takes while it is written.
    fn unsaved(&self) -> u64;

    /// Takes over what was saved under this id. The operator is new: it has not stepped.
    fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()>;

    /// How much is kept.
    fn size(&self) -> StateSize;
}

/// Rows that one task works on: enough to be worth a task, few enough to stay in cache.
pub const SLICE: usize = 8192;

/// Rows and bytes of memory that a state takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    pub rows: u64,
    pub bytes: u64,
}

impl Sum for StateSize {
    fn sum<I: Iterator<Item = StateSize>>(sizes: I) -> StateSize {
        sizes.fold(StateSize::default(), |sum, size| StateSize {
            rows: sum.rows + size.rows,
            bytes: sum.bytes + size.bytes,
        })
    }
}

/// What an operator may know of the step it works in, and where it puts rows that have no answer.
pub struct StepContext {
    epoch: Epoch,
    rejected: Vec<Rejected>,
    late: Vec<Rejected>,
    watermarks: Watermarks,
    pool: Option<Arc<ThreadPool>>,
    outside: Option<Outside>,
    most_made: usize,
}

/// Stores that others write, as a graph beside them reads them: nodes that are hydrated aside make epochs of their own,
/// which say nothing about the stores of the nodes that they stand on.
#[derive(Clone, Default)]
pub struct Outside {
    /// The stores that the step's own epochs are of; all others are outside.
    pub own: Arc<[Arc<RowStore>]>,
    /// The epoch under which the others read as they were before the step.
    pub before: Epoch,
    /// The epoch under which they read as they are after it.
    pub now: Epoch,
}

/// A row left out of an operator's output because an expression failed on it.
#[derive(Debug)]
pub struct Rejected {
    pub error: Error,
    /// The row (one row of the operator's input or, for an aggregate, the group's key) and how often it came (+) or went (-).
    pub row: ZSet,
}

impl StepContext {
    pub fn new(epoch: Epoch) -> StepContext {
        let (rejected, late, watermarks) = Default::default();
        StepContext { epoch, rejected, late, watermarks, pool: None, outside: None, most_made: usize::MAX }
    }

    /// The same with threads for [`slices`](StepContext::slices) and [`each`](StepContext::each).
    pub fn with_pool(self, pool: Option<Arc<ThreadPool>>) -> StepContext {
        StepContext { pool, ..self }
    }

    /// The same with stores that have epochs of their own.
    pub fn beside(self, outside: Option<Outside>) -> StepContext {
        StepContext { outside, ..self }
    }

    /// The same with a bound on the bytes of rows that one operator may make of those it is given.
    pub fn with_most_made(self, most_made: usize) -> StepContext {
        StepContext { most_made, ..self }
    }

    /// Room for what one operator makes of rows that become many each.
    pub fn room(&self, maker: Maker) -> Room {
        Room::new(maker, self.most_made)
    }

    /// Does `work` on each run of at most [`SLICE`] rows, on many threads where there is more than one such run. The
    /// results are in the order of the rows and, as the runs do not depend on the threads, neither do the results.
    pub fn slices<T: Send>(&self, rows: &ZSet, work: impl Fn(&ZSet) -> Result<T> + Sync) -> Result<Vec<T>> {
        let slice = |at: usize| work(&rows.slice(at * SLICE, SLICE.min(rows.len() - at * SLICE)));
        let count = rows.len().div_ceil(SLICE);
        match &self.pool {
            Some(pool) if count > 1 => pool.install(|| (0..count).into_par_iter().map(slice).collect()),
            _ => (0..count).map(slice).collect(),
        }
    }

    /// Does `work` on each item, on many threads where there is more than one. The results are in the order of the items.
    pub fn each<I: Send, T: Send>(&self, items: Vec<I>, work: impl Fn(I) -> Result<T> + Sync + Send) -> Result<Vec<T>> {
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| items.into_par_iter().map(work).collect()),
            _ => items.into_iter().map(work).collect(),
        }
    }

    /// The epoch being made: the step's own stores already have its changes under it.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The epoch under which a store reads as it is after this step.
    pub fn now(&self, rows: &Arc<RowStore>) -> Epoch {
        self.other(rows).map_or(self.epoch, |outside| outside.now)
    }

    /// The epoch under which a store reads as it was before this step.
    pub fn before(&self, rows: &Arc<RowStore>) -> Epoch {
        self.other(rows).map_or(self.epoch.previous(), |outside| outside.before)
    }

    fn other(&self, rows: &Arc<RowStore>) -> Option<&Outside> {
        self.outside.as_ref().filter(|outside| !outside.own.iter().any(|own| Arc::ptr_eq(own, rows)))
    }

    /// Leaves a row out: `row` is a Z-set of that one row and its weight.
    pub fn reject(&mut self, error: Error, row: ZSet) {
        self.rejected.push(Rejected { error, row });
    }

    /// Leaves several rows out.
    pub fn reject_all(&mut self, rejected: impl IntoIterator<Item = Rejected>) {
        self.rejected.extend(rejected);
    }

    /// The rows rejected so far, for the graph, which knows whose they are.
    pub fn take_rejected(&mut self) -> Vec<Rejected> {
        std::mem::take(&mut self.rejected)
    }

    /// Drops a row that came when what it belongs to was closed already.
    pub fn drop_late(&mut self, reason: Error, row: ZSet) {
        self.late.push(Rejected { error: reason, row });
    }

    /// The rows dropped so far.
    pub fn take_late(&mut self) -> Vec<Rejected> {
        std::mem::take(&mut self.late)
    }

    /// Below which time no more rows come from these sources, after those of this step; None while that is not known.
    pub fn watermark(&self, sources: &BTreeSet<ObjectId>) -> Option<i64> {
        self.watermarks.least(sources)
    }

    pub fn set_watermarks(&mut self, watermarks: Watermarks) {
        self.watermarks = watermarks;
    }
}
