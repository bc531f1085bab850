//! The state of a GROUP BY: from a group's key to a slot, and the slot's accumulators in typed vectors.
//!
//! A batch goes in by two passes: its keys become slots, then one loop per aggregate adds the rows to the slots' states.
//! A group whose rows are all gone keeps its slot until the next save, which deletes its durable key and frees the slot.

mod durable;
mod plan;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};

use crate::data::ZSet;
use crate::data::key::{KeyEncoder, Keys};
use crate::dataflow::StateSize;
use crate::dataflow::aggregates::{Accumulator, Failures, Finish, Weighted};
use crate::dataflow::group_values::{DistinctValues, OrderedValues};
use crate::dataflow::slot_set::SlotSet;
use crate::dataflow::slots::SlotTable;
use crate::error::{Error, Result};

/// Groups and what is known of each.
#[derive(Debug)]
pub struct AggState {
    keys: Vec<usize>,
    encoder: KeyEncoder,
    slots: SlotTable,
    /// How many rows a group has, by slot.
    rows: Vec<i64>,
    calls: Vec<Call>,
    accumulators: Vec<Accumulator>,
    distinct: Vec<Shared<DistinctValues>>,
    ordered: Vec<Shared<OrderedValues>>,
    append_only: bool,
    global: bool,
    /// The groups of the batch being added; empty between batches.
    touched: SlotSet,
    dirty: SlotSet,
    /// Whether a slot's group has a durable key.
    durable: Vec<bool>,
}

/// What is known of a GROUP BY as a whole.
#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    /// No row ever goes from the input.
    pub append_only: bool,
    /// There is no GROUP BY: one group, which is always there.
    pub global: bool,
}

/// One aggregate.
#[derive(Debug)]
struct Call {
    input: Input,
    finish: Finish,
    values: Values,
}

/// Which rows of a batch an aggregate sees, and which column of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Input {
    argument: Option<usize>,
    filter: Option<usize>,
}

/// The state beside the accumulator that an aggregate needs; by position in `distinct` or `ordered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    None,
    Distinct(usize),
    Ordered(usize),
}

/// Values that several aggregates over the same input share.
#[derive(Debug)]
struct Shared<T> {
    input: Input,
    values: T,
}

/// Groups at one moment: in `slots`' order, how many rows they have and their accumulators.
#[derive(Debug)]
pub struct Groups {
    pub rows: Vec<i64>,
    accumulators: Vec<Accumulator>,
}

/// The groups that a batch touched, in the order of their first row, as they were before it.
#[derive(Debug)]
pub struct Touched {
    pub slots: Vec<u32>,
    pub before: Groups,
}

/// The columns of some groups: one per aggregate, and why some groups have no answer.
#[derive(Debug)]
pub struct Answers {
    pub columns: Vec<ArrayRef>,
    pub failures: Failures,
}

impl AggState {
    /// Adds a batch.
    ///
    /// # Errors
    /// XX000 when a group has fewer than no rows, or rows go from an input declared append-only.
    pub fn update(&mut self, delta: &ZSet) -> Result<Touched> {
        let batch = delta.batch();
        if self.append_only && delta.weights().is_some_and(|weights| weights.iter().any(|weight| *weight < 0)) {
            return Err(Error::internal("a row was deleted from an append-only input"));
        }
        let columns: Vec<ArrayRef> = self.keys.iter().map(|column| batch.column(*column).clone()).collect();
        let keys = self.encoder.encode(&columns, batch.num_rows())?;
        let row_slots = self.slots.slots(&keys)?;
        self.grow();
        row_slots.iter().for_each(|slot| self.touched.insert(*slot));
        let slots = self.touched.take();
        let before = self.groups(&slots);
        self.accumulate(batch, Weighted { slots: &row_slots, weights: delta.weights() }, &slots)?;
        for slot in &slots {
            self.dirty.insert(*slot);
            if self.rows[*slot as usize] < 0 {
                return Err(Error::internal("a group has fewer than no rows"));
            }
        }
        Ok(Touched { slots, before })
    }

    fn grow(&mut self) {
        let capacity = self.slots.capacity();
        if capacity > self.rows.len() {
            self.rows.resize(capacity, 0);
            self.durable.resize(capacity, false);
            self.accumulators.iter_mut().for_each(|accumulator| accumulator.states_mut().grow(capacity));
        }
    }

    fn accumulate(&mut self, batch: &RecordBatch, rows: Weighted<'_>, touched: &[u32]) -> Result<()> {
        let counts = &mut self.rows;
        rows.each(None, |_, slot, weight| counts[slot] += weight);
        let mut distinct = Vec::with_capacity(self.distinct.len());
        for shared in &mut self.distinct {
            let (filtered, column) = shared.input.of(batch, rows)?;
            let rows = Weighted { slots: rows.slots, weights: filtered.as_deref().or(rows.weights) };
            distinct.push(shared.values.update(rows, column.ok_or_else(no_argument)?)?);
        }
        for shared in &mut self.ordered {
            let (filtered, column) = shared.input.of(batch, rows)?;
            let rows = Weighted { slots: rows.slots, weights: filtered.as_deref().or(rows.weights) };
            shared.values.update(rows, column.ok_or_else(no_argument)?)?;
        }
        for (call, accumulator) in self.calls.iter().zip(&mut self.accumulators) {
            match (call.values, &call.finish) {
                (Values::Ordered(values), Finish::Best(best)) => {
                    self.ordered[values].values.refresh(touched, accumulator, best.greatest)?;
                }
                (Values::Distinct(values), _) => {
                    let rows = Weighted { slots: rows.slots, weights: Some(&distinct[values]) };
                    accumulator.update(rows, call.input.argument.map(|column| batch.column(column)))?;
                }
                (_, finish) => {
                    let (filtered, column) = call.input.of(batch, rows)?;
                    let rows = Weighted { slots: rows.slots, weights: filtered.as_deref().or(rows.weights) };
                    if let Finish::Best(best) = finish {
                        let column = column.ok_or_else(no_argument)?;
                        let values = best.encoder.encode(std::slice::from_ref(column), column.len())?;
                        accumulator.improve(rows, column.logical_nulls().as_ref(), &values, best.greatest);
                    } else {
                        accumulator.update(rows, column)?;
                    }
                }
            }
            accumulator.states_mut().settle(touched);
        }
        Ok(())
    }

    /// These groups as they are now.
    pub fn groups(&self, slots: &[u32]) -> Groups {
        Groups {
            rows: slots.iter().map(|slot| self.rows[*slot as usize]).collect(),
            accumulators: self.accumulators.iter().map(|accumulator| accumulator.gather(slots)).collect(),
        }
    }

    /// What the aggregates show for these groups.
    pub fn answers(&self, groups: &Groups) -> Result<Answers> {
        let mut failures = Failures::new();
        let columns = self.calls.iter().zip(&groups.accumulators);
        let columns =
            columns.map(|(call, states)| call.finish.evaluate(states, &mut failures)).collect::<Result<_>>()?;
        // A group that is not there has no answer to fail.
        failures.retain(|position, _| self.is_present(groups.rows[*position as usize]));
        Ok(Answers { columns, failures })
    }

    /// The key columns of these groups.
    pub fn key_columns(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.encoder.decode(self.slots.keys(slots))
    }

    /// Whether a group of so many rows is there.
    pub fn is_present(&self, rows: i64) -> bool {
        rows != 0 || self.global
    }

    /// Makes the one group of an aggregate without GROUP BY.
    pub fn start_global(&mut self) -> Result<u32> {
        let keys: Keys = self.encoder.encode(&[], 1)?;
        let slot = self.slots.slots(&keys)?.first().copied();
        let slot = slot.ok_or_else(|| Error::internal("a key got no slot"))?;
        self.grow();
        self.dirty.insert(slot);
        Ok(slot)
    }

    /// The slots of the groups there are.
    pub fn present(&self) -> Vec<u32> {
        let mut slots = self.slots.in_use();
        slots.retain(|slot| self.is_present(self.rows[*slot as usize]));
        slots
    }

    /// Groups, and bytes of memory.
    pub fn size(&self) -> StateSize {
        let states: usize = self.accumulators.iter().map(|accumulator| accumulator.states().bytes()).sum();
        let distinct: usize = self.distinct.iter().map(|shared| shared.values.bytes()).sum();
        let ordered: usize = self.ordered.iter().map(|shared| shared.values.bytes()).sum();
        let own = self.slots.bytes() + self.rows.capacity() * size_of::<i64>() + self.durable.capacity();
        let values = self.distinct.iter().map(|shared| shared.values.len()).sum::<usize>()
            + self.ordered.iter().map(|shared| shared.values.len()).sum::<usize>();
        StateSize {
            rows: (self.slots.len() + values) as u64,
            bytes: (states + distinct + ordered + own + self.dirty.bytes() + self.touched.bytes()) as u64,
        }
    }
}

fn no_argument() -> Error {
    Error::internal("an aggregate without its argument")
}

impl Input {
    /// The weights of the rows that pass the filter, if there is one, and the argument's column.
    fn of<'a>(&self, batch: &'a RecordBatch, rows: Weighted<'_>) -> Result<(Option<Vec<i64>>, Option<&'a ArrayRef>)> {
        let column = self.argument.map(|column| batch.column(column));
        let Some(filter) = self.filter else { return Ok((None, column)) };
        let filter = batch.column(filter).as_boolean_opt();
        let filter = filter.ok_or_else(|| Error::internal("FILTER is not a boolean column"))?;
        let passes = |row: usize| filter.is_valid(row) && filter.value(row);
        let weight = |row: usize| rows.weights.map_or(1, |weights| weights[row]);
        let weights = (0..rows.slots.len()).map(|row| if passes(row) { weight(row) } else { 0 });
        Ok((Some(weights.collect()), column))
    }
}
