//! `sum` of numerics, exact or an error: DataFusion's wraps around where 128 bits end.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, TypeSignature, Volatility,
};

use crate::data::{NUMERIC_PRECISION, NUMERIC_SCALE, SqlType};
use crate::error::Result;
use crate::sql::adt::decimal;

/// `sum(numeric)`, under the name all sums have.
pub fn numeric_sum() -> Arc<AggregateUDF> {
    let signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(NumericSum { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NumericSum {
    signature: Signature,
}

fn numerics(values: impl IntoIterator<Item = Option<i128>>) -> DataFusionResult<ArrayRef> {
    let array: Decimal128Array = values.into_iter().collect();
    Ok(Arc::new(array.with_precision_and_scale(NUMERIC_PRECISION, NUMERIC_SCALE)?))
}

/// Adds, if both are there. A sum within 128 bits may be beyond what a numeric holds: only its end is checked.
fn add(sum: Option<i128>, value: i128) -> Result<Option<i128>> {
    let sum = sum.unwrap_or(0);
    sum.checked_add(value).map(Some).ok_or_else(decimal::overflow)
}

fn finished(sum: Option<i128>) -> Result<Option<i128>> {
    sum.map(decimal::check).transpose()
}

impl AggregateUDFImpl for NumericSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(SqlType::NUMERIC.arrow())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        let ty = if args.is_distinct { SqlType::NUMERIC.array() } else { SqlType::NUMERIC };
        Ok(vec![Arc::new(ty.field(format_state_name(args.name, "sum"), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        // Distinct values are kept apart, exactly; there are few enough of them for a set.
        Ok(match args.is_distinct {
            true => Box::new(DistinctSum::default()),
            false => Box::new(Sum::default()),
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(GroupSums::default()))
    }
}

/// The sum of one group.
#[derive(Debug, Default)]
struct Sum {
    sum: Option<i128>,
    /// Values in it: a window that slides on may come to have none.
    count: u64,
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = add(self.sum, value)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for value in values[0].as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = add(self.sum, -value)?;
            self.count -= 1;
        }
        if self.count == 0 {
            self.sum = None;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128(self.sum, NUMERIC_PRECISION, NUMERIC_SCALE)])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::Decimal128(finished(self.sum)?, NUMERIC_PRECISION, NUMERIC_SCALE))
    }

    fn size(&self) -> usize {
        size_of::<Sum>()
    }
}

/// The sum of one group's distinct values.
#[derive(Debug, Default)]
struct DistinctSum {
    values: std::collections::BTreeSet<i128>,
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.values.extend(values[0].as_primitive::<Decimal128Type>().iter().flatten());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[list])?;
        }
        Ok(())
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = (self.values.iter())
            .map(|value| ScalarValue::Decimal128(Some(*value), NUMERIC_PRECISION, NUMERIC_SCALE))
            .collect();
        let list = ScalarValue::new_list_nullable(&values, &SqlType::NUMERIC.arrow());
        Ok(vec![ScalarValue::List(list)])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut sum = None;
        for value in &self.values {
            sum = add(sum, *value)?;
        }
        Ok(ScalarValue::Decimal128(finished(sum)?, NUMERIC_PRECISION, NUMERIC_SCALE))
    }

    fn size(&self) -> usize {
        size_of::<DistinctSum>() + self.values.len() * 2 * size_of::<i128>()
    }
}

/// The sums of many groups.
#[derive(Debug, Default)]
struct GroupSums {
    sums: Vec<Option<i128>>,
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.sums.resize(total, None);
        let values = values[0].as_primitive::<Decimal128Type>();
        let kept = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) && kept(row) {
                self.sums[*group] = add(self.sums[*group], values.value(row))?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        self.update_batch(values, groups, None, total)
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        Ok(vec![numerics(emit.take_needed(&mut self.sums))?])
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums).into_iter().map(finished).collect::<Result<Vec<_>>>()?;
        numerics(sums)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Decimal128Type>();
        let kept = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let state = (0..values.len()).map(|row| (values.is_valid(row) && kept(row)).then(|| values.value(row)));
        Ok(vec![numerics(state)?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}
