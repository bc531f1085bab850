//! From an aggregate's states to the column it shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int64Array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::data::key::{Fixed, KeyEncoder, Keys};
use crate::dataflow::aggregates::accumulator::Accumulator;
use crate::dataflow::aggregates::exact::Decimal;
use crate::dataflow::aggregates::float::to_real;
use crate::dataflow::aggregates::function::AggregateFunction;
use crate::dataflow::aggregates::moments::Spread;
use crate::error::{Error, Result};

/// Groups (by position) whose aggregate has no answer, and why.
pub type Failures = BTreeMap<u32, Error>;

/// How the states of an aggregate become its result.
#[derive(Debug)]
pub enum Finish {
    Count,
    SumInt8,
    /// `from`: digits after the point of the argument.
    SumDecimal {
        from: i8,
        to: Decimal,
    },
    SumReal,
    SumDouble,
    MeanDecimal {
        from: i8,
        to: Decimal,
    },
    /// The mean as double precision; `from` as above, of no meaning for floats.
    MeanDouble {
        from: i8,
    },
    Variance {
        sample: bool,
        root: bool,
    },
    SpreadDecimal {
        from: i8,
        to: Decimal,
        spread: Spread,
    },
    Every,
    Any,
    Best(BestValue),
}

/// Least or greatest value: kept as a key, shown as the column's type.
#[derive(Debug)]
pub struct BestValue {
    pub greatest: bool,
    pub encoder: KeyEncoder,
    /// The key of NULL in the layout of bytes, for groups without values.
    null: Vec<u8>,
}

impl BestValue {
    fn new(data_type: &DataType, greatest: bool) -> Result<BestValue> {
        let encoder = KeyEncoder::exact(data_type)?;
        let null = match encoder.encode(&[new_null_array(data_type, 1)], 1)? {
            Keys::Bytes(keys) => keys.value(0).to_vec(),
            Keys::U64(_) | Keys::U128(_) => vec![],
        };
        Ok(BestValue { greatest, encoder, null })
    }
}

impl Finish {
    /// How `function` over an argument of a type comes to a result of a type, and the states it takes.
    ///
    /// # Errors
    /// 0A000 when the function is not maintained for these types.
    pub fn plan(
        function: AggregateFunction,
        argument: Option<&DataType>,
        result: &DataType,
    ) -> Result<(Finish, Accumulator)> {
        use AggregateFunction as F;
        let exact = || Accumulator::Exact(vec![]);
        let float = || Accumulator::Float(vec![]);
        let truth = || Accumulator::Truth(vec![]);
        let from = match argument {
            Some(DataType::Int16 | DataType::Int32 | DataType::Int64) => Some(0),
            Some(DataType::Decimal128(_, scale)) => Some(*scale),
            _ => None,
        };
        let is_float = matches!(argument, Some(DataType::Float32 | DataType::Float64));
        Ok(match (function, from, result) {
            (F::Count, _, DataType::Int64) => (Finish::Count, Accumulator::Count(vec![])),
            (F::Sum, Some(0), DataType::Int64) => (Finish::SumInt8, exact()),
            (F::Sum, Some(from), DataType::Decimal128(precision, scale)) => {
                (Finish::SumDecimal { from, to: Decimal { precision: *precision, scale: *scale } }, exact())
            }
            (F::Avg, Some(from), DataType::Decimal128(precision, scale)) => {
                (Finish::MeanDecimal { from, to: Decimal { precision: *precision, scale: *scale } }, exact())
            }
            (F::Avg, Some(from), DataType::Float64) => (Finish::MeanDouble { from }, exact()),
            (F::Sum, _, DataType::Float32) if is_float => (Finish::SumReal, float()),
            (F::Sum, _, DataType::Float64) if is_float => (Finish::SumDouble, float()),
            (F::Avg, _, DataType::Float64) if is_float => (Finish::MeanDouble { from: 0 }, float()),
            (F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp, _, DataType::Float64)
                if argument == Some(&DataType::Float64) =>
            {
                let Spread { sample, root } = spread(function);
                (Finish::Variance { sample, root }, Accumulator::Moments(vec![]))
            }
            (
                F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp,
                Some(from),
                DataType::Decimal128(precision, scale),
            ) => {
                let to = Decimal { precision: *precision, scale: *scale };
                let finish = Finish::SpreadDecimal { from, to, spread: spread(function) };
                (finish, Accumulator::ExactMoments(vec![]))
            }
            (F::BoolAnd, _, DataType::Boolean) if argument == Some(result) => (Finish::Every, truth()),
            (F::BoolOr, _, DataType::Boolean) if argument == Some(result) => (Finish::Any, truth()),
            (F::Min | F::Max, _, result) if argument == Some(result) => {
                let best = BestValue::new(result, function == F::Max)?;
                let states = match best.encoder.empty() {
                    Keys::U64(_) => Accumulator::Best64(vec![]),
                    Keys::U128(_) => Accumulator::Best128(vec![]),
                    Keys::Bytes(_) => Accumulator::BestBytes(vec![]),
                };
                (Finish::Best(best), states)
            }
            _ => {
                let argument = argument.map_or("*".to_owned(), DataType::to_string);
                return Err(Error::unsupported(format!("{function}({argument}) as {result} in a view")));
            }
        })
    }

    /// The result of each state, in order. A group without an answer is NULL and goes to `failures`.
    pub fn evaluate(&self, states: &Accumulator, failures: &mut Failures) -> Result<ArrayRef> {
        use Accumulator as A;
        let column: ArrayRef = match (self, states) {
            (Finish::Count, A::Count(states)) => Arc::new(Int64Array::from(states.clone())),
            (Finish::SumInt8, A::Exact(states)) => {
                let sum = each(states, failures, |sum| (sum.count != 0).then(|| sum.to_int8()));
                Arc::new(sum.collect::<Int64Array>())
            }
            (Finish::SumDecimal { from, to }, A::Exact(states)) => {
                let sum = each(states, failures, |sum| (sum.count != 0).then(|| sum.to_decimal(*from, *to)));
                decimals(sum.collect(), *to)?
            }
            (Finish::MeanDecimal { from, to }, A::Exact(states)) => {
                let mean = each(states, failures, |sum| (sum.count != 0).then(|| sum.mean(*from, *to)));
                decimals(mean.collect(), *to)?
            }
            (Finish::MeanDouble { from }, A::Exact(states)) => {
                let mean = states.iter().map(|sum| (sum.count != 0).then(|| sum.to_f64(*from) / sum.count as f64));
                Arc::new(mean.collect::<Float64Array>())
            }
            (Finish::SumReal, A::Float(states)) => {
                let sum = each(states, failures, |sum| (sum.count != 0).then(|| sum.total().and_then(to_real)));
                Arc::new(sum.collect::<Float32Array>())
            }
            (Finish::SumDouble, A::Float(states)) => {
                let sum = each(states, failures, |sum| (sum.count != 0).then(|| sum.total()));
                Arc::new(sum.collect::<Float64Array>())
            }
            (Finish::MeanDouble { .. }, A::Float(states)) => {
                let mean = states.iter().map(|sum| (sum.count != 0).then(|| sum.mean()));
                Arc::new(mean.collect::<Float64Array>())
            }
            (Finish::Variance { sample, root }, A::Moments(states)) => {
                let variance = each(states, failures, |moments| {
                    let divisor = moments.count() - i64::from(*sample);
                    let variance = (divisor > 0).then(|| moments.variance(divisor));
                    if *root { variance.map(|variance| variance.map(f64::sqrt)) } else { variance }
                });
                Arc::new(variance.collect::<Float64Array>())
            }
            (Finish::SpreadDecimal { from, to, spread }, A::ExactMoments(states)) => {
                let found = each(states, failures, |moments| moments.spread(*from, *to, *spread).transpose());
                decimals(found.collect(), *to)?
            }
            (Finish::Every, A::Truth(states)) => {
                let every = states.iter().map(|truth| (truth.trues + truth.falses != 0).then_some(truth.falses == 0));
                Arc::new(every.collect::<BooleanArray>())
            }
            (Finish::Any, A::Truth(states)) => {
                let any = states.iter().map(|truth| (truth.trues + truth.falses != 0).then_some(truth.trues != 0));
                Arc::new(any.collect::<BooleanArray>())
            }
            (Finish::Best(best), states) => return best.evaluate(states),
            _ => return Err(Error::internal("an aggregate's states are another's")),
        };
        Ok(column)
    }
}

fn spread(function: AggregateFunction) -> Spread {
    use AggregateFunction::{StddevPop, StddevSamp, VarSamp};
    Spread { sample: matches!(function, VarSamp | StddevSamp), root: matches!(function, StddevPop | StddevSamp) }
}

/// The results of fallible states, errors put aside.
fn each<'a, S, T>(
    states: &'a [S],
    failures: &'a mut Failures,
    result: impl Fn(&S) -> Option<Result<T>> + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    states.iter().enumerate().map(move |(position, state)| match result(state)? {
        Ok(value) => Some(value),
        Err(error) => {
            failures.entry(position as u32).or_insert(error);
            None
        }
    })
}

fn decimals(array: Decimal128Array, to: Decimal) -> Result<ArrayRef> {
    Ok(Arc::new(array.with_precision_and_scale(to.precision, to.scale)?))
}

impl BestValue {
    fn evaluate(&self, states: &Accumulator) -> Result<ArrayRef> {
        let keys = match states {
            Accumulator::Best64(states) => Keys::U64(fixed(states)),
            Accumulator::Best128(states) => Keys::U128(fixed(states)),
            Accumulator::BestBytes(states) => {
                let values = states.iter().map(|best| best.as_deref().unwrap_or(&self.null));
                Keys::Bytes(BinaryArray::from_iter_values(values))
            }
            _ => return Err(Error::internal("an aggregate's states are another's")),
        };
        let columns = self.encoder.decode(keys)?;
        columns.into_iter().next().ok_or_else(|| Error::internal("a key without columns"))
    }
}

fn fixed<T: Copy + Default>(states: &[Option<T>]) -> Fixed<T> {
    let nulls: NullBuffer = states.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    let values = states.iter().map(|best| best.unwrap_or_default()).collect();
    Fixed { values, nulls: (nulls.null_count() > 0).then_some(nulls) }
}
