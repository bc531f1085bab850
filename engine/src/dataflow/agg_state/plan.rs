//! What a GROUP BY computes: which states its aggregates need, which they share, and what they see of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema};

use crate::data::ZSet;
use crate::data::hash::Equality;
use crate::data::key::{KeyEncoder, Keys};
use crate::dataflow::agg_state::{Answers, GroupOptions, Groups};
use crate::dataflow::aggregates::{Accumulator, AggregateCall, AggregateFunction, Failures, Finish};
use crate::dataflow::shards::hashes;
use crate::error::{Error, Result};

/// The same for all shards.
#[derive(Debug)]
pub struct Plan {
    keys: Vec<usize>,
    pub(super) encoder: KeyEncoder,
    pub(super) calls: Vec<Call>,
    /// Without states: one for each call.
    pub(super) accumulators: Vec<Accumulator>,
    pub(super) distinct: Vec<Distinct>,
    pub(super) ordered: Vec<Ordered>,
    pub(super) options: GroupOptions,
}

/// One aggregate.
#[derive(Debug)]
pub(super) struct Call {
    pub input: Input,
    pub finish: Finish,
    pub values: Values,
}

/// Which rows of a batch an aggregate sees, and which column of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub argument: Option<usize>,
    pub filter: Option<usize>,
}

/// The state beside the accumulator that an aggregate needs; by position in `distinct`, with that of the condition, or in
/// `ordered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    None,
    Distinct { set: usize, condition: usize },
    Ordered(usize),
}

/// The distinct values of a column, for all aggregates over it.
#[derive(Debug)]
pub(super) struct Distinct {
    argument: usize,
    pub encoder: KeyEncoder,
    /// The filters under which aggregates see them.
    pub filters: Vec<Option<usize>>,
}

/// The values of a column in order, for all aggregates of one filter.
#[derive(Debug)]
pub(super) struct Ordered {
    argument: usize,
    filter: Option<usize>,
    pub encoder: KeyEncoder,
}

/// What is to be known of a batch, the same for all shards.
pub(super) struct Batch<'a> {
    pub columns: &'a [ArrayRef],
    pub weights: Option<&'a [i64]>,
    pub keys: Keys,
    pub hashes: Vec<u64>,
    /// By call: the rows that count, None for all; and the values, where least or greatest are looked for.
    pub calls: Vec<(Option<BooleanBuffer>, Option<Arc<Keys>>)>,
    /// By set of distinct values: the values, and by condition the rows that count.
    pub distinct: Vec<(Arc<Keys>, Vec<Option<BooleanBuffer>>)>,
    pub ordered: Vec<(Arc<Keys>, Option<BooleanBuffer>)>,
}

impl Plan {
    /// Aggregates over groups of the input's columns `keys`; `results` are the types of the aggregates.
    ///
    /// # Errors
    /// 0A000 for an aggregate or a key that is not maintained, XX000 for columns that are not there.
    pub(super) fn new(
        input: &Schema,
        keys: &[usize],
        calls: &[AggregateCall],
        results: &[&DataType],
        options: GroupOptions,
    ) -> Result<Plan> {
        let types = keys.iter().map(|column| Ok(field(input, *column)?.data_type().clone()));
        let mut plan = Plan {
            keys: keys.to_vec(),
            encoder: KeyEncoder::new(&types.collect::<Result<Vec<_>>>()?)?,
            calls: Vec::with_capacity(calls.len()),
            accumulators: Vec::with_capacity(calls.len()),
            distinct: vec![],
            ordered: vec![],
            options,
        };
        for (call, result) in calls.iter().zip(results) {
            plan.add_call(input, call, result)?;
        }
        Ok(plan)
    }

    fn add_call(&mut self, input: &Schema, call: &AggregateCall, result: &DataType) -> Result<()> {
        if let Some(filter) = call.filter
            && field(input, filter)?.data_type() != &DataType::Boolean
        {
            return Err(not_boolean());
        }
        let argument = match call.argument {
            Some(column) => Some((column, field(input, column)?.data_type())),
            None => None,
        };
        let (finish, accumulator) = Finish::plan(call.function, argument.map(|(_, data_type)| data_type), result)?;
        let extreme = matches!(call.function, AggregateFunction::Min | AggregateFunction::Max);
        let truth = matches!(call.function, AggregateFunction::BoolAnd | AggregateFunction::BoolOr);
        let values = match argument {
            // How often a value stands does not matter to these, DISTINCT or not.
            Some((column, data_type)) if extreme && !self.options.append_only => {
                self.ordered(column, call.filter, data_type)?
            }
            _ if extreme || truth => Values::None,
            Some((column, data_type)) if call.distinct => self.distinct(column, call.filter, data_type)?,
            None if call.distinct => return Err(Error::internal("DISTINCT without an argument")),
            _ => Values::None,
        };
        let source = Input { argument: call.argument, filter: call.filter };
        self.calls.push(Call { input: source, finish, values });
        self.accumulators.push(accumulator);
        Ok(())
    }

    /// The values of a column under a filter, made where there are none yet.
    fn distinct(&mut self, argument: usize, filter: Option<usize>, data_type: &DataType) -> Result<Values> {
        let set = match self.distinct.iter().position(|distinct| distinct.argument == argument) {
            Some(set) => set,
            None => {
                let encoder = KeyEncoder::new(std::slice::from_ref(data_type))?;
                self.distinct.push(Distinct { argument, encoder, filters: vec![] });
                self.distinct.len() - 1
            }
        };
        let filters = &mut self.distinct[set].filters;
        let condition = filters.iter().position(|other| *other == filter).unwrap_or_else(|| {
            filters.push(filter);
            filters.len() - 1
        });
        Ok(Values::Distinct { set, condition })
    }

    fn ordered(&mut self, argument: usize, filter: Option<usize>, data_type: &DataType) -> Result<Values> {
        let same = |ordered: &Ordered| ordered.argument == argument && ordered.filter == filter;
        if let Some(at) = self.ordered.iter().position(same) {
            return Ok(Values::Ordered(at));
        }
        let encoder = KeyEncoder::exact(data_type)?;
        self.ordered.push(Ordered { argument, filter, encoder });
        Ok(Values::Ordered(self.ordered.len() - 1))
    }

    /// Looks at a batch as a whole.
    pub(super) fn look_at<'a>(&self, delta: &'a ZSet) -> Result<Batch<'a>> {
        let batch = delta.batch();
        let keys: Vec<ArrayRef> = self.keys.iter().map(|column| batch.column(*column).clone()).collect();
        let keys = self.encoder.encode(&keys, batch.num_rows())?;
        let mut encoded: BTreeMap<(usize, Equality), Arc<Keys>> = BTreeMap::new();
        let mut values = |encoder: &KeyEncoder, column: usize| -> Result<Arc<Keys>> {
            if let Some(keys) = encoded.get(&(column, encoder.equality())) {
                return Ok(keys.clone());
            }
            let keys = Arc::new(encoder.encode(std::slice::from_ref(batch.column(column)), batch.num_rows())?);
            encoded.insert((column, encoder.equality()), keys.clone());
            Ok(keys)
        };
        let mut calls = Vec::with_capacity(self.calls.len());
        for Call { input, finish, values: kept } in &self.calls {
            calls.push(match (kept, finish) {
                (Values::None, Finish::Best(best)) => {
                    (input.counting(batch)?, Some(values(&best.encoder, input.argument.ok_or_else(no_argument)?)?))
                }
                (Values::None, _) => (input.counting(batch)?, None),
                (Values::Distinct { .. } | Values::Ordered(_), _) => (None, None),
            });
        }
        let mut distinct = Vec::with_capacity(self.distinct.len());
        for Distinct { argument, encoder, filters } in &self.distinct {
            let counting =
                filters.iter().map(|filter| Input { argument: Some(*argument), filter: *filter }.counting(batch));
            distinct.push((values(encoder, *argument)?, counting.collect::<Result<_>>()?));
        }
        let mut ordered = Vec::with_capacity(self.ordered.len());
        for Ordered { argument, filter, encoder } in &self.ordered {
            let counting = Input { argument: Some(*argument), filter: *filter }.counting(batch)?;
            ordered.push((values(encoder, *argument)?, counting));
        }
        let (columns, weights) = (batch.columns(), delta.weights());
        Ok(Batch { columns, weights, hashes: hashes(&keys), keys, calls, distinct, ordered })
    }

    /// The group's columns of some rows of a batch.
    pub fn keys_of(&self, delta: &ZSet) -> Vec<ArrayRef> {
        self.keys.iter().map(|column| delta.column(*column).clone()).collect()
    }

    /// No groups.
    pub(super) fn no_groups(&self) -> Groups {
        Groups { rows: vec![], accumulators: self.accumulators.iter().map(Accumulator::empty).collect() }
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

    /// Whether a group of so many rows is there.
    pub fn is_present(&self, rows: i64) -> bool {
        rows != 0 || self.options.global
    }
}

impl Input {
    /// The rows that count: those that pass the filter and are not NULL. None: all.
    fn counting(self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let nulls = self.argument.and_then(|column| batch.column(column).logical_nulls());
        let present = nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.into_inner());
        let Some(filter) = self.filter else { return Ok(present) };
        let filter = batch.column(filter).as_boolean_opt().ok_or_else(not_boolean)?;
        let passes = match filter.nulls() {
            Some(nulls) => filter.values() & nulls.inner(),
            None => filter.values().clone(),
        };
        Ok(Some(match present {
            Some(present) => &passes & &present,
            None => passes,
        }))
    }
}

fn field(input: &Schema, column: usize) -> Result<&Field> {
    let field = input.fields().get(column);
    field.map(AsRef::as_ref).ok_or_else(|| Error::internal("an aggregate over a column that is not there"))
}

fn not_boolean() -> Error {
    Error::internal("FILTER is not a boolean column")
}

pub(super) fn no_argument() -> Error {
    Error::internal("an aggregate without its argument")
}
