//! Variances and standard deviations of integers and numerics, exact until they are rounded: by the states of the views.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int16Type, Int32Type, Int64Type};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, TypeSignature, Volatility,
};

use crate::data::{NUMERIC_PRECISION, NUMERIC_SCALE, SqlType};
use crate::dataflow::aggregates::{Decimal, ExactMoments, Spread, read_state, write_state};
use crate::error::{Error, Result};

/// `var_pop`, `var_samp`, `stddev_pop` or `stddev_samp` of a smallint, integer, bigint or numeric.
pub fn numeric_spread(spread: Spread) -> Arc<AggregateUDF> {
    let signature = Signature::new(TypeSignature::UserDefined, Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(NumericSpread { spread, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NumericSpread {
    spread: Spread,
    signature: Signature,
}

const RESULT: Decimal = Decimal { precision: NUMERIC_PRECISION, scale: NUMERIC_SCALE };

/// Calls `f(row, value)` for each value that is not NULL.
fn each(column: &ArrayRef, f: impl FnMut(usize, i128)) -> DataFusionResult<()> {
    fn all<T: ArrowPrimitiveType>(column: &ArrayRef, mut f: impl FnMut(usize, i128))
    where
        T::Native: Into<i128>,
    {
        let values = column.as_primitive::<T>();
        (0..values.len()).filter(|row| values.is_valid(*row)).for_each(|row| f(row, values.value(row).into()));
    }
    match column.data_type() {
        DataType::Int16 => all::<Int16Type>(column, f),
        DataType::Int32 => all::<Int32Type>(column, f),
        DataType::Int64 => all::<Int64Type>(column, f),
        DataType::Decimal128(..) => all::<Decimal128Type>(column, f),
        other => return Err(Error::internal(format!("a variance got a column of {other}")).into()),
    }
    Ok(())
}

/// Digits after the point of the values that an aggregate is given.
fn scale(args: &AccumulatorArgs) -> i8 {
    match args.expr_fields.first().map(|field| field.data_type()) {
        Some(DataType::Decimal128(_, scale)) => *scale,
        _ => 0,
    }
}

impl AggregateUDFImpl for NumericSpread {
    fn name(&self) -> &str {
        match self.spread {
            Spread { sample: false, root: false } => "var_pop",
            Spread { sample: true, root: false } => "var_samp",
            Spread { sample: false, root: true } => "stddev_pop",
            Spread { sample: true, root: true } => "stddev_samp",
        }
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
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "moments"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        let (from, spread) = (scale(&args), self.spread);
        Ok(match args.is_distinct {
            true => Box::new(OfDistinct { values: BTreeSet::new(), from, spread }),
            false => Box::new(OfAll { moments: ExactMoments::default(), from, spread }),
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(OfGroups { groups: Vec::new(), from: scale(&args), spread: self.spread }))
    }
}

fn shown(moments: &ExactMoments, from: i8, spread: Spread) -> DataFusionResult<ScalarValue> {
    let value = moments.spread(from, RESULT, spread)?;
    Ok(ScalarValue::Decimal128(value, NUMERIC_PRECISION, NUMERIC_SCALE))
}

/// Of one group.
#[derive(Debug)]
struct OfAll {
    moments: ExactMoments,
    from: i8,
    spread: Spread,
}

impl Accumulator for OfAll {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        each(&values[0], |_, value| self.moments.add(value, 1))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        each(&values[0], |_, value| self.moments.add(value, -1))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        for state in states[0].as_binary::<i32>().iter().flatten() {
            self.moments.merge(&read_state(state)?);
        }
        Ok(())
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(write_state(&self.moments)))])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        shown(&self.moments, self.from, self.spread)
    }

    fn size(&self) -> usize {
        size_of::<OfAll>()
    }
}

/// Of one group's distinct values, which are kept apart.
#[derive(Debug)]
struct OfDistinct {
    values: BTreeSet<i128>,
    from: i8,
    spread: Spread,
}

impl Accumulator for OfDistinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        each(&values[0], |_, value| {
            self.values.insert(value);
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        for state in states[0].as_binary::<i32>().iter().flatten() {
            let (values, _) = state.as_chunks::<16>();
            self.values.extend(values.iter().map(|value| i128::from_le_bytes(*value)));
        }
        Ok(())
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.values.iter().flat_map(|value| value.to_le_bytes()).collect()))])
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut moments = ExactMoments::default();
        self.values.iter().for_each(|value| moments.add(*value, 1));
        shown(&moments, self.from, self.spread)
    }

    fn size(&self) -> usize {
        size_of::<OfDistinct>() + self.values.len() * 2 * size_of::<i128>()
    }
}

/// Of many groups.
#[derive(Debug)]
struct OfGroups {
    groups: Vec<ExactMoments>,
    from: i8,
    spread: Spread,
}

impl GroupsAccumulator for OfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.groups.resize(total, ExactMoments::default());
        let kept = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        each(&values[0], |row, value| {
            if kept(row) {
                self.groups[groups[row]].add(value, 1);
            }
        })
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        self.groups.resize(total, ExactMoments::default());
        for (state, group) in values[0].as_binary::<i32>().iter().zip(groups) {
            if let Some(state) = state {
                self.groups[*group].merge(&read_state(state)?);
            }
        }
        Ok(())
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let states = emit.take_needed(&mut self.groups).into_iter().map(|moments| write_state(&moments));
        Ok(vec![Arc::new(BinaryArray::from_iter_values(states))])
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let groups = emit.take_needed(&mut self.groups);
        let found = groups.iter().map(|moments| moments.spread(self.from, RESULT, self.spread));
        let found: Decimal128Array = found.collect::<Result<_>>()?;
        Ok(Arc::new(found.with_precision_and_scale(NUMERIC_PRECISION, NUMERIC_SCALE)?))
    }

    /// A group of each row.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let rows = values[0].len();
        let groups: Vec<usize> = (0..rows).collect();
        let mut own = OfGroups { groups: Vec::new(), from: self.from, spread: self.spread };
        own.update_batch(values, &groups, filter, rows)?;
        own.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<ExactMoments>()
    }
}
