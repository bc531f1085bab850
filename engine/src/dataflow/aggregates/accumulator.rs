//! The states of all groups for one aggregate, as one typed vector, and the loops that push a batch into them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};

use crate::data::key::{Fixed, Keys};
use crate::dataflow::aggregates::exact::ExactSum;
use crate::dataflow::aggregates::float::{FloatSum, Moments};
use crate::dataflow::aggregates::states::{States, Truth};
use crate::error::{Error, Result};

/// The rows of a batch as accumulators see them: the slot of each row's group, and its weight (None: +1 each). A weight
/// of 0 leaves a row out.
#[derive(Clone, Copy, Debug)]
pub struct Weighted<'a> {
    pub slots: &'a [u32],
    pub weights: Option<&'a [i64]>,
}

impl Weighted<'_> {
    /// Calls `f(row, slot, weight)` for each row that counts: not NULL, not of weight 0.
    #[inline(always)]
    pub fn each(&self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize, i64)) {
        match (nulls.filter(|nulls| nulls.null_count() > 0), self.weights) {
            (None, None) => {
                for (row, slot) in self.slots.iter().enumerate() {
                    f(row, *slot as usize, 1);
                }
            }
            (None, Some(weights)) => {
                for (row, (slot, weight)) in self.slots.iter().zip(weights).enumerate() {
                    if *weight != 0 {
                        f(row, *slot as usize, *weight);
                    }
                }
            }
            (Some(nulls), weights) => {
                for (row, slot) in self.slots.iter().enumerate() {
                    let weight = weights.map_or(1, |weights| weights[row]);
                    if weight != 0 && nulls.is_valid(row) {
                        f(row, *slot as usize, weight);
                    }
                }
            }
        }
    }
}

/// The states of one aggregate, by slot.
#[derive(Clone, Debug)]
pub enum Accumulator {
    Count(Vec<i64>),
    Exact(Vec<ExactSum>),
    Float(Vec<FloatSum>),
    Moments(Vec<Moments>),
    Truth(Vec<Truth>),
    /// Least or greatest key, in the three layouts of keys.
    Best64(Vec<Option<u64>>),
    Best128(Vec<Option<u128>>),
    BestBytes(Vec<Option<Arc<[u8]>>>),
}

impl Accumulator {
    /// The states, whatever their type.
    pub fn states(&self) -> &dyn States {
        match self {
            Accumulator::Count(states) => states,
            Accumulator::Exact(states) => states,
            Accumulator::Float(states) => states,
            Accumulator::Moments(states) => states,
            Accumulator::Truth(states) => states,
            Accumulator::Best64(states) => states,
            Accumulator::Best128(states) => states,
            Accumulator::BestBytes(states) => states,
        }
    }

    /// The states, whatever their type.
    pub fn states_mut(&mut self) -> &mut dyn States {
        match self {
            Accumulator::Count(states) => states,
            Accumulator::Exact(states) => states,
            Accumulator::Float(states) => states,
            Accumulator::Moments(states) => states,
            Accumulator::Truth(states) => states,
            Accumulator::Best64(states) => states,
            Accumulator::Best128(states) => states,
            Accumulator::BestBytes(states) => states,
        }
    }

    /// A copy of the states of these slots, in this order.
    pub fn gather(&self, slots: &[u32]) -> Accumulator {
        match self {
            Accumulator::Count(states) => Accumulator::Count(pick(states, slots)),
            Accumulator::Exact(states) => Accumulator::Exact(pick(states, slots)),
            Accumulator::Float(states) => Accumulator::Float(pick(states, slots)),
            Accumulator::Moments(states) => Accumulator::Moments(pick(states, slots)),
            Accumulator::Truth(states) => Accumulator::Truth(pick(states, slots)),
            Accumulator::Best64(states) => Accumulator::Best64(pick(states, slots)),
            Accumulator::Best128(states) => Accumulator::Best128(pick(states, slots)),
            Accumulator::BestBytes(states) => Accumulator::BestBytes(pick(states, slots)),
        }
    }

    /// Adds a batch: the argument's column, where the aggregate has an argument. Least and greatest values come another
    /// way: [`improve`](Accumulator::improve).
    pub fn update(&mut self, rows: Weighted<'_>, argument: Option<&ArrayRef>) -> Result<()> {
        let nulls = argument.and_then(|column| column.logical_nulls());
        if let Accumulator::Count(counts) = self {
            rows.each(nulls.as_ref(), |_, slot, weight| counts[slot] += weight);
            return Ok(());
        }
        let column = argument.ok_or_else(|| Error::internal("an aggregate without its argument"))?;
        match (self, column.data_type()) {
            (Accumulator::Exact(sums), DataType::Int16) => add_integers::<Int16Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Int32) => add_integers::<Int32Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Int64) => add_integers::<Int64Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Decimal128(..)) => {
                let values = column.as_primitive::<Decimal128Type>().values();
                rows.each(column.nulls(), |row, slot, weight| sums[slot].add_decimal(values[row], weight));
            }
            (Accumulator::Float(sums), DataType::Float64) => {
                let values = column.as_primitive::<Float64Type>().values();
                rows.each(column.nulls(), |row, slot, weight| sums[slot].add(values[row], weight));
            }
            (Accumulator::Float(sums), DataType::Float32) => {
                let values = column.as_primitive::<Float32Type>().values();
                rows.each(column.nulls(), |row, slot, weight| sums[slot].add(values[row].into(), weight));
            }
            (Accumulator::Moments(moments), DataType::Float64) => {
                let values = column.as_primitive::<Float64Type>().values();
                rows.each(column.nulls(), |row, slot, weight| moments[slot].add(values[row], weight));
            }
            (Accumulator::Truth(truths), DataType::Boolean) => add_truths(truths, rows, column),
            (_, other) => return Err(Error::internal(format!("an aggregate got a column of {other}"))),
        }
        Ok(())
    }

    /// Takes the values of an append-only batch in where they are better than the best so far.
    pub fn improve(&mut self, rows: Weighted<'_>, nulls: Option<&NullBuffer>, values: &Keys, greatest: bool) {
        match (self, values) {
            (Accumulator::Best64(best), Keys::U64(values)) => improve_fixed(best, rows, nulls, values, greatest),
            (Accumulator::Best128(best), Keys::U128(values)) => improve_fixed(best, rows, nulls, values, greatest),
            (Accumulator::BestBytes(best), Keys::Bytes(values)) => rows.each(nulls, |row, slot, _| {
                let value = values.value(row);
                let better = match &best[slot] {
                    None => true,
                    Some(best) => (value > &best[..]) == greatest && value != &best[..],
                };
                if better {
                    best[slot] = Some(value.into());
                }
            }),
            _ => {}
        }
    }
}

fn pick<S: Clone>(states: &[S], slots: &[u32]) -> Vec<S> {
    slots.iter().map(|slot| states[*slot as usize].clone()).collect()
}

fn add_integers<T: ArrowPrimitiveType>(sums: &mut [ExactSum], rows: Weighted<'_>, column: &ArrayRef)
where
    T::Native: Into<i64>,
{
    let values = column.as_primitive::<T>().values();
    rows.each(column.nulls(), |row, slot, weight| sums[slot].add_integer(values[row].into(), weight));
}

fn add_truths(truths: &mut [Truth], rows: Weighted<'_>, column: &ArrayRef) {
    let values = column.as_boolean().values();
    rows.each(column.nulls(), |row, slot, weight| {
        if values.value(row) {
            truths[slot].trues += weight;
        } else {
            truths[slot].falses += weight;
        }
    });
}

fn improve_fixed<T: Copy + Ord>(
    best: &mut [Option<T>],
    rows: Weighted<'_>,
    nulls: Option<&NullBuffer>,
    values: &Fixed<T>,
    greatest: bool,
) {
    rows.each(nulls, |row, slot, _| {
        let value = values.values[row];
        best[slot] = Some(match best[slot] {
            None => value,
            Some(best) if greatest => best.max(value),
            Some(best) => best.min(value),
        });
    });
}
