//! Which states the aggregates of a GROUP BY need, and which they share.

use arrow::datatypes::{DataType, Schema};

use crate::data::key::KeyEncoder;
use crate::dataflow::agg_state::{AggState, Call, GroupOptions, Input, Shared, Values};
use crate::dataflow::aggregates::{AggregateCall, AggregateFunction, Finish};
use crate::dataflow::group_values::{DistinctValues, OrderedValues};
use crate::dataflow::slot_set::SlotSet;
use crate::dataflow::slots::SlotTable;
use crate::error::{Error, Result};

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
        let types = keys.iter().map(|column| Ok(field(input, *column)?.data_type().clone()));
        let encoder = KeyEncoder::new(&types.collect::<Result<Vec<_>>>()?)?;
        let mut state = AggState {
            keys: keys.to_vec(),
            slots: SlotTable::new(&encoder),
            encoder,
            rows: vec![],
            calls: Vec::with_capacity(calls.len()),
            accumulators: Vec::with_capacity(calls.len()),
            distinct: vec![],
            ordered: vec![],
            append_only: options.append_only,
            global: options.global,
            touched: SlotSet::default(),
            dirty: SlotSet::default(),
            durable: vec![],
        };
        for (call, result) in calls.iter().zip(results) {
            state.add_call(input, call, result)?;
        }
        Ok(state)
    }

    fn add_call(&mut self, input: &Schema, call: &AggregateCall, result: &DataType) -> Result<()> {
        if let Some(filter) = call.filter
            && field(input, filter)?.data_type() != &DataType::Boolean
        {
            return Err(Error::internal("FILTER is not a boolean column"));
        }
        let argument = match call.argument {
            Some(column) => Some(field(input, column)?.data_type()),
            None => None,
        };
        let (finish, accumulator) = Finish::plan(call.function, argument, result)?;
        let source = Input { argument: call.argument, filter: call.filter };
        let extreme = matches!(call.function, AggregateFunction::Min | AggregateFunction::Max);
        let truth = matches!(call.function, AggregateFunction::BoolAnd | AggregateFunction::BoolOr);
        let values = match argument {
            // How often a value stands does not matter to these, DISTINCT or not.
            Some(data_type) if extreme && !self.append_only => {
                Values::Ordered(share(&mut self.ordered, source, || OrderedValues::new(data_type))?)
            }
            _ if extreme || truth => Values::None,
            Some(data_type) if call.distinct => {
                Values::Distinct(share(&mut self.distinct, source, || DistinctValues::new(data_type))?)
            }
            None if call.distinct => return Err(Error::internal("DISTINCT without an argument")),
            _ => Values::None,
        };
        self.calls.push(Call { input: source, finish, values });
        self.accumulators.push(accumulator);
        Ok(())
    }
}

fn field(input: &Schema, column: usize) -> Result<&arrow::datatypes::Field> {
    let field = input.fields().get(column);
    field.map(AsRef::as_ref).ok_or_else(|| Error::internal("an aggregate over a column that is not there"))
}

/// The position of the values of this input, made where there are none yet.
fn share<T>(all: &mut Vec<Shared<T>>, input: Input, new: impl FnOnce() -> Result<T>) -> Result<usize> {
    if let Some(at) = all.iter().position(|shared| shared.input == input) {
        return Ok(at);
    }
    all.push(Shared { input, values: new()? });
    Ok(all.len() - 1)
}
