//! The groups of one shard.

use crate::data::lengthen;
use crate::dataflow::StateSize;
use crate::dataflow::agg_state::plan::{Batch, Call, Plan, Values, no_argument};
use crate::dataflow::agg_state::{Groups, Touched};
use crate::dataflow::aggregates::{Accumulator, Finish, Weighted};
use crate::dataflow::group_values::{Appearances, DistinctValues, OrderedValues};
use crate::dataflow::slot_set::SlotSet;
use crate::dataflow::slots::SlotTable;
use crate::error::{Error, Result};
use crate::state::Checkpoint;

/// Groups and what is known of each. What is by slot is as long as the table has slots.
#[derive(Debug)]
pub(super) struct Shard {
    pub slots: SlotTable,
    /// How many rows a group has, by slot.
    pub rows: Vec<i64>,
    pub accumulators: Vec<Accumulator>,
    pub distinct: Vec<DistinctValues>,
    pub ordered: Vec<OrderedValues>,
    /// The groups of the batch being added; empty between batches.
    touched: SlotSet,
    pub dirty: SlotSet,
    /// Whether a slot's group has a durable key.
    pub durable: Vec<bool>,
}

impl Shard {
    pub fn new(plan: &Plan) -> Shard {
        let distinct = plan.distinct.iter().map(|set| DistinctValues::new(&set.encoder, set.filters.len()));
        Shard {
            slots: SlotTable::new(&plan.encoder),
            rows: vec![],
            accumulators: plan.accumulators.iter().map(Accumulator::empty).collect(),
            distinct: distinct.collect(),
            ordered: plan.ordered.iter().map(|set| OrderedValues::new(&set.encoder)).collect(),
            touched: SlotSet::default(),
            dirty: SlotSet::default(),
            durable: vec![],
        }
    }

    /// Adds rows of a batch, all of them of this shard, and the groups they touch to `out`.
    ///
    /// # Errors
    /// XX000 when a group has fewer than no rows.
    pub fn update(&mut self, plan: &Plan, batch: &Batch<'_>, rows: &[u32], out: &mut Touched) -> Result<()> {
        let mut slots = Vec::with_capacity(rows.len());
        self.slots.slots(&batch.keys, &batch.hashes, rows, &mut slots)?;
        self.grow();
        for (row, slot) in rows.iter().zip(&slots) {
            if self.touched.insert(*slot) {
                out.rows.push(*row);
            }
        }
        let groups = self.touched.take();
        self.gather(&groups, &mut out.before)?;
        let weights: Option<Vec<i64>> =
            batch.weights.map(|weights| rows.iter().map(|row| weights[*row as usize]).collect());
        let rows = Weighted { rows, slots: &slots, weights: weights.as_deref(), counting: None };
        self.accumulate(plan, batch, rows, &groups)?;
        for slot in &groups {
            self.dirty.insert(*slot);
            if self.rows[*slot as usize] < 0 {
                return Err(Error::internal("a group has fewer than no rows"));
            }
        }
        self.gather(&groups, &mut out.after)
    }

    /// Takes the memory for so many groups, in one piece: vectors that grow on the way leave behind what they had before.
    pub fn reserve(&mut self, groups: usize) {
        self.slots.reserve(groups);
        self.rows.reserve_exact(groups.saturating_sub(self.rows.len()));
        self.durable.reserve_exact(groups.saturating_sub(self.durable.len()));
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.states_mut().reserve(groups));
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.slots.len()
    }

    /// Makes what is by slot as long as the table.
    pub fn grow(&mut self) {
        let capacity = self.slots.capacity();
        if capacity > self.rows.len() {
            lengthen(&mut self.rows, capacity, 0);
            lengthen(&mut self.durable, capacity, false);
            self.accumulators.iter_mut().for_each(|accumulator| accumulator.states_mut().grow(capacity));
        }
    }

    fn accumulate(&mut self, plan: &Plan, batch: &Batch<'_>, rows: Weighted<'_>, touched: &[u32]) -> Result<()> {
        let counts = &mut self.rows;
        rows.each(|_, slot, weight| counts[slot] += weight);
        let mut appeared: Vec<Vec<Appearances>> = Vec::with_capacity(self.distinct.len());
        for (set, (values, counting)) in self.distinct.iter_mut().zip(&batch.distinct) {
            appeared.push(set.update(rows, values, counting)?);
        }
        for (set, (values, counting)) in self.ordered.iter_mut().zip(&batch.ordered) {
            set.update(Weighted { counting: counting.as_ref(), ..rows }, values)?;
        }
        let calls = plan.calls.iter().zip(&batch.calls);
        for ((Call { input, finish, values: kept }, (counting, values)), accumulator) in
            calls.zip(&mut self.accumulators)
        {
            let argument = input.argument.map(|column| &batch.columns[column]);
            let counted = Weighted { counting: counting.as_ref(), ..rows };
            match (kept, finish, values) {
                (Values::Ordered(set), Finish::Best(best), _) => {
                    self.ordered[*set].refresh(touched, accumulator, best.greatest)?;
                }
                (Values::Distinct { set, condition }, ..) => {
                    let Appearances { rows, slots, weights } = &appeared[*set][*condition];
                    let rows = Weighted { rows, slots, weights: Some(weights), counting: None };
                    accumulator.update(rows, argument)?;
                }
                (_, Finish::Best(best), values) => {
                    accumulator.improve(counted, values.as_ref().ok_or_else(no_argument)?, best.greatest);
                }
                _ => accumulator.update(counted, argument)?,
            }
            accumulator.states_mut().settle(touched);
        }
        Ok(())
    }

    /// Appends these groups as they are now.
    pub fn gather(&self, slots: &[u32], out: &mut Groups) -> Result<()> {
        out.rows.extend(slots.iter().map(|slot| self.rows[*slot as usize]));
        let mut states = out.accumulators.iter_mut().zip(&self.accumulators);
        states.try_for_each(|(out, own)| out.gather(own, slots))
    }

    /// About how many bytes of memory the next save takes while it is written: as many as the groups and values that it
    /// writes take here.
    pub fn unsaved(&self) -> usize {
        let distinct: usize = self.distinct.iter().map(DistinctValues::unsaved).sum();
        let ordered: usize = self.ordered.iter().map(OrderedValues::unsaved).sum();
        let a_group = self.group_bytes() / self.slots.capacity().max(1);
        self.dirty.len() * (a_group + Checkpoint::OF_A_CHANGE) + distinct + ordered
    }

    /// Bytes of memory of the groups, without their values.
    fn group_bytes(&self) -> usize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.states().bytes()).sum();
        self.slots.bytes() + self.rows.capacity() * size_of::<i64>() + self.durable.capacity() + states
    }

    /// Groups and values, and bytes of memory.
    pub fn size(&self) -> StateSize {
        let distinct: usize = self.distinct.iter().map(DistinctValues::bytes).sum();
        let ordered: usize = self.ordered.iter().map(OrderedValues::bytes).sum();
        let values = self.distinct.iter().map(DistinctValues::len).sum::<usize>()
            + self.ordered.iter().map(OrderedValues::len).sum::<usize>();
        StateSize {
            rows: (self.slots.len() + values) as u64,
            bytes: (distinct + ordered + self.group_bytes() + self.dirty.bytes() + self.touched.bytes()) as u64,
        }
    }
}
