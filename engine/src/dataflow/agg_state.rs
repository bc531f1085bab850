//! The state of a GROUP BY: from a group's key to a slot, and the slot's accumulators in typed vectors.
//!
//! ```text
//! batch ──► keys ──► hashes ──► rows by shard ──┬─► shard 0: slots ──► accumulators ──► groups before and after
//!                                               ├─► shard 1 …
//! ```
//!
//! A batch goes in by two passes: the keys of a shard's rows become slots, then one loop per aggregate adds the rows to the
//! slots' states. What comes out is in the order of the shards, however many threads work on them.
//! A group whose rows are all gone keeps its slot until the next save, which deletes its durable key and frees the slot.

mod durable;
mod plan;
mod shard;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Schema};

use crate::data::ZSet;
use crate::dataflow::aggregates::{Accumulator, AggregateCall, Failures};
use crate::dataflow::shards::{RowsByShard, SHARDS, hashes, shard_of};
use crate::dataflow::{StateSize, StepContext};
use crate::error::{Error, Result};
pub use plan::Plan;
use shard::Shard;

/// Rows that are worth a task of their own.
const TASK_ROWS: usize = 4096;

/// Groups and what is known of each.
#[derive(Debug)]
pub struct AggState {
    plan: Plan,
    /// [`SHARDS`] of them, each made when its first group comes.
    shards: Vec<Option<Box<Shard>>>,
}

/// What is known of a GROUP BY as a whole.
#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    /// No row ever goes from the input.
    pub append_only: bool,
    /// There is no GROUP BY: one group, which is always there.
    pub global: bool,
}

/// Groups at one moment: how many rows they have and their accumulators.
#[derive(Debug)]
pub struct Groups {
    pub rows: Vec<i64>,
    accumulators: Vec<Accumulator>,
}

/// Groups that a batch touched.
#[derive(Debug)]
pub struct Touched {
    /// Of each group its first row in the batch.
    pub rows: Vec<u32>,
    pub before: Groups,
    pub after: Groups,
}

/// The columns of some groups: one per aggregate, and why some groups have no answer.
#[derive(Debug)]
pub struct Answers {
    pub columns: Vec<ArrayRef>,
    pub failures: Failures,
}

/// Groups of a shard, by slot.
pub struct Slots<'a> {
    shard: &'a Shard,
    slots: Vec<u32>,
}

impl AggState {
    /// No groups yet, of the input's columns `keys`; `results` are the types of the aggregates.
    ///
    /// # Errors
    /// 0A000 for an aggregate or a key that is not maintained, XX000 for columns that are not there.
    pub fn new(
        input: &Schema,
        keys: &[usize],
        calls: &[AggregateCall],
        results: &[&DataType],
        options: GroupOptions,
    ) -> Result<AggState> {
        let plan = Plan::new(input, keys, calls, results, options)?;
        Ok(AggState { plan, shards: std::iter::repeat_with(|| None).take(SHARDS).collect() })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Adds a batch, on several threads if it is large. The groups that it touches come back in some parts.
    ///
    /// # Errors
    /// XX000 when a group has fewer than no rows, or rows go from an input declared append-only.
    pub fn update(&mut self, delta: &ZSet, context: &StepContext) -> Result<Vec<Touched>> {
        let AggState { plan, shards } = self;
        if plan.options.append_only && delta.weights().is_some_and(|weights| weights.iter().any(|weight| *weight < 0)) {
            return Err(Error::internal("a row was deleted from an append-only input"));
        }
        let batch = plan.look_at(delta)?;
        let rows = RowsByShard::new(&batch.hashes);
        let tasks = rows.tasks(TASK_ROWS);
        let shards = shards.chunks_mut(SHARDS / tasks.len());
        context.each(tasks.into_iter().zip(shards).collect(), |(numbers, shards)| {
            let mut touched = Touched { rows: vec![], before: plan.no_groups(), after: plan.no_groups() };
            for (rows, shard) in numbers.map(|number| rows.rows(number)).zip(shards) {
                if !rows.is_empty() {
                    let shard = shard.get_or_insert_with(|| Box::new(Shard::new(plan)));
                    shard.update(plan, &batch, rows, &mut touched)?;
                }
            }
            Ok(touched)
        })
    }

    /// Makes the one group of an aggregate without GROUP BY.
    pub fn start_global(&mut self) -> Result<()> {
        let keys = self.plan.encoder.encode(&[], 1)?;
        let (hashes, mut slots) = (hashes(&keys), vec![]);
        for hash in &hashes {
            let shard = self.shard(shard_of(*hash))?;
            shard.slots.slots(&keys, &hashes, &[0], &mut slots)?;
            shard.grow();
            for slot in &slots {
                shard.dirty.insert(*slot);
            }
        }
        Ok(())
    }

    /// A shard, made if it is not there.
    fn shard(&mut self, number: usize) -> Result<&mut Shard> {
        let shard = self.shards.get_mut(number).ok_or_else(|| Error::internal("there is no such shard"))?;
        Ok(shard.get_or_insert_with(|| Box::new(Shard::new(&self.plan))))
    }

    /// The groups there are, in the order of shards, in runs of at most so many.
    pub fn present(&self, at_most: usize) -> Vec<Slots<'_>> {
        let mut runs = Vec::new();
        for shard in self.shards.iter().flatten() {
            let mut slots = shard.slots.in_use();
            slots.retain(|slot| self.plan.is_present(shard.rows[*slot as usize]));
            runs.extend(slots.chunks(at_most).map(|slots| Slots { shard, slots: slots.to_vec() }));
        }
        runs
    }

    /// These groups as they are now.
    pub fn groups(&self, of: &Slots<'_>) -> Result<Groups> {
        let mut groups = self.plan.no_groups();
        of.shard.gather(&of.slots, &mut groups)?;
        Ok(groups)
    }

    /// The key columns of these groups.
    pub fn key_columns(&self, of: &Slots<'_>) -> Result<Vec<ArrayRef>> {
        self.plan.encoder.decode(of.shard.slots.keys(&of.slots))
    }

    /// About how many bytes of memory the next save takes while it is written.
    pub fn unsaved(&self) -> u64 {
        self.shards.iter().flatten().map(|shard| shard.unsaved() as u64).sum()
    }

    /// Groups and values, and bytes of memory.
    pub fn size(&self) -> StateSize {
        self.shards.iter().flatten().map(|shard| shard.size()).sum()
    }
}
