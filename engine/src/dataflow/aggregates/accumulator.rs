//! The states of all groups for one aggregate, as one typed vector, and the loops that push a batch into them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};

use crate::data::key::{Fixed, Keys};
use crate::dataflow::aggregates::exact::ExactSum;
use crate::dataflow::aggregates::float::{FloatSum, Moments};
use crate::dataflow::aggregates::moments::ExactMoments;
use crate::dataflow::aggregates::states::{States, Truth};
use crate::error::{Error, Result};

/// Some rows of a batch as accumulators see them.
#[derive(Clone, Copy, Debug)]
pub struct Weighted<'a> {
    /// Positions in the batch.
    pub rows: &'a [u32],
    /// The slot of each row's group, as long as `rows`.
    pub slots: &'a [u32],
    /// The weight of each row, as long as `rows`; None: +1 each. A weight of 0 leaves a row out.
    pub weights: Option<&'a [i64]>,
    /// Which rows of the batch, by position in it, count; None: all.
    pub counting: Option<&'a BooleanBuffer>,
}

impl Weighted<'_> {
    /// Calls `f(row, slot, weight)` for each row that counts.
    #[inline(always)]
    pub fn each(&self, mut f: impl FnMut(usize, usize, i64)) {
        let rows = self.rows.iter().zip(self.slots).map(|(row, slot)| (*row as usize, *slot as usize));
        match (self.counting, self.weights) {
            (None, None) => rows.for_each(|(row, slot)| f(row, slot, 1)),
            (Some(counting), None) => {
                for (row, slot) in rows {
                    if counting.value(row) {
                        f(row, slot, 1);
                    }
                }
            }
            (counting, Some(weights)) => {
                for ((row, slot), weight) in rows.zip(weights) {
                    if *weight != 0 && counting.is_none_or(|counting| counting.value(row)) {
                        f(row, slot, *weight);
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
    ExactMoments(Vec<ExactMoments>),
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
            Accumulator::ExactMoments(states) => states,
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
            Accumulator::ExactMoments(states) => states,
            Accumulator::Truth(states) => states,
            Accumulator::Best64(states) => states,
            Accumulator::Best128(states) => states,
            Accumulator::BestBytes(states) => states,
        }
    }

    /// No states, of the same type.
    pub fn empty(&self) -> Accumulator {
        match self {
            Accumulator::Count(_) => Accumulator::Count(vec![]),
            Accumulator::Exact(_) => Accumulator::Exact(vec![]),
            Accumulator::Float(_) => Accumulator::Float(vec![]),
            Accumulator::Moments(_) => Accumulator::Moments(vec![]),
            Accumulator::ExactMoments(_) => Accumulator::ExactMoments(vec![]),
            Accumulator::Truth(_) => Accumulator::Truth(vec![]),
            Accumulator::Best64(_) => Accumulator::Best64(vec![]),
            Accumulator::Best128(_) => Accumulator::Best128(vec![]),
            Accumulator::BestBytes(_) => Accumulator::BestBytes(vec![]),
        }
    }

    /// Appends a copy of another's states of these slots, in this order.
    ///
    /// # Errors
    /// XX000 where the states are of another type.
    pub fn gather(&mut self, from: &Accumulator, slots: &[u32]) -> Result<()> {
        use Accumulator as A;
        match (self, from) {
            (A::Count(own), A::Count(from)) => pick(own, from, slots),
            (A::Exact(own), A::Exact(from)) => pick(own, from, slots),
            (A::Float(own), A::Float(from)) => pick(own, from, slots),
            (A::Moments(own), A::Moments(from)) => pick(own, from, slots),
            (A::ExactMoments(own), A::ExactMoments(from)) => pick(own, from, slots),
            (A::Truth(own), A::Truth(from)) => pick(own, from, slots),
            (A::Best64(own), A::Best64(from)) => pick(own, from, slots),
            (A::Best128(own), A::Best128(from)) => pick(own, from, slots),
            (A::BestBytes(own), A::BestBytes(from)) => pick(own, from, slots),
            _ => return Err(Error::internal("an aggregate's states are another's")),
        }
        Ok(())
    }

    /// Adds rows of a batch: `argument` is the batch's column, where the aggregate has an argument, and NULLs in it do not
    /// count. Least and greatest values come another way: [`improve`](Accumulator::improve).
    pub fn update(&mut self, rows: Weighted<'_>, argument: Option<&ArrayRef>) -> Result<()> {
        if let Accumulator::Count(counts) = self {
            rows.each(|_, slot, weight| counts[slot] += weight);
            return Ok(());
        }
        let column = argument.ok_or_else(|| Error::internal("an aggregate without its argument"))?;
        match (self, column.data_type()) {
            (Accumulator::Exact(sums), DataType::Int16) => add_integers::<Int16Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Int32) => add_integers::<Int32Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Int64) => add_integers::<Int64Type>(sums, rows, column),
            (Accumulator::Exact(sums), DataType::Decimal128(..)) => {
                let values = column.as_primitive::<Decimal128Type>().values();
                rows.each(|row, slot, weight| sums[slot].add_decimal(values[row], weight));
            }
            (Accumulator::Float(sums), DataType::Float64) => {
                let values = column.as_primitive::<Float64Type>().values();
                rows.each(|row, slot, weight| sums[slot].add(values[row], weight));
            }
            (Accumulator::Float(sums), DataType::Float32) => {
                let values = column.as_primitive::<Float32Type>().values();
                rows.each(|row, slot, weight| sums[slot].add(values[row].into(), weight));
            }
            (Accumulator::Moments(moments), DataType::Float64) => {
                let values = column.as_primitive::<Float64Type>().values();
                rows.each(|row, slot, weight| moments[slot].add(values[row], weight));
            }
            (Accumulator::ExactMoments(moments), DataType::Int16) => add_moments::<Int16Type>(moments, rows, column),
            (Accumulator::ExactMoments(moments), DataType::Int32) => add_moments::<Int32Type>(moments, rows, column),
            (Accumulator::ExactMoments(moments), DataType::Int64) => add_moments::<Int64Type>(moments, rows, column),
            (Accumulator::ExactMoments(moments), DataType::Decimal128(..)) => {
                add_moments::<Decimal128Type>(moments, rows, column);
            }
            (Accumulator::Truth(truths), DataType::Boolean) => add_truths(truths, rows, column),
            (_, other) => return Err(Error::internal(format!("an aggregate got a column of {other}"))),
        }
        Ok(())
    }

    /// Takes the values of rows of an append-only batch in where they are better than the best so far.
    pub fn improve(&mut self, rows: Weighted<'_>, values: &Keys, greatest: bool) {
        match (self, values) {
            (Accumulator::Best64(best), Keys::U64(values)) => improve_fixed(best, rows, values, greatest),
            (Accumulator::Best128(best), Keys::U128(values)) => improve_fixed(best, rows, values, greatest),
            (Accumulator::BestBytes(best), Keys::Bytes(values)) => rows.each(|row, slot, _| {
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

fn pick<S: Clone>(own: &mut Vec<S>, states: &[S], slots: &[u32]) {
    own.extend(slots.iter().map(|slot| states[*slot as usize].clone()));
}

fn add_integers<T: ArrowPrimitiveType>(sums: &mut [ExactSum], rows: Weighted<'_>, column: &ArrayRef)
where
    T::Native: Into<i64>,
{
    let values = column.as_primitive::<T>().values();
    rows.each(|row, slot, weight| sums[slot].add_integer(values[row].into(), weight));
}

fn add_moments<T: ArrowPrimitiveType>(moments: &mut [ExactMoments], rows: Weighted<'_>, column: &ArrayRef)
where
    T::Native: Into<i128>,
{
    let values = column.as_primitive::<T>().values();
    rows.each(|row, slot, weight| moments[slot].add(values[row].into(), weight));
}

fn add_truths(truths: &mut [Truth], rows: Weighted<'_>, column: &ArrayRef) {
    let values = column.as_boolean().values();
    rows.each(|row, slot, weight| {
        if values.value(row) {
            truths[slot].trues += weight;
        } else {
            truths[slot].falses += weight;
        }
    });
}

fn improve_fixed<T: Copy + Ord>(best: &mut [Option<T>], rows: Weighted<'_>, values: &Fixed<T>, greatest: bool) {
    rows.each(|row, slot, _| {
        let value = values.values[row];
        best[slot] = Some(match best[slot] {
            None => value,
            Some(best) if greatest => best.max(value),
            Some(best) => best.min(value),
        });
    });
}
