//! Aggregates over frames that move.
//!
//! DataFusion (55.2) takes the rows that leave a frame out of the accumulator again, and refuses accumulators that cannot do
//! that. Of floats they should not: what a large number or NaN has taken from a sum does not come back. PostgreSQL then computes
//! each frame anew (`eval_windowaggregates`), and so do we.

use std::collections::VecDeque;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

/// The aggregate, over frames whose first row moves too.
pub fn sliding(function: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(Sliding { function }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sliding {
    function: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Sliding {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.function.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn default_value(&self, ty: &DataType) -> Result<ScalarValue> {
        self.function.default_value(ty)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.function.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !args.expr_fields.iter().any(|field| field.data_type().is_floating()) {
            let accumulator = self.function.create_sliding_accumulator(copy(&args))?;
            if accumulator.supports_retract_batch() {
                return Ok(accumulator);
            }
        }
        let call = Call {
            function: self.function.clone(),
            return_field: args.return_field,
            nothing: RecordBatch::new_empty(Arc::new(args.schema.clone())),
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            fields: args.expr_fields.to_vec(),
        };
        Ok(Box::new(Anew { call, rows: VecDeque::new() }))
    }
}

fn copy<'a>(args: &AccumulatorArgs<'a>) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: args.return_field.clone(), ..*args }
}

/// What an accumulator is made of.
#[derive(Debug)]
struct Call {
    function: Arc<AggregateUDF>,
    return_field: FieldRef,
    /// No rows, of the columns that the arguments read.
    nothing: RecordBatch,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
}

impl Call {
    /// Asks the arguments, which fail where nobody waits for the query any more: a long frame takes long, and there is one for
    /// each row.
    fn is_wanted(&self) -> Result<()> {
        self.exprs.iter().try_for_each(|expr| expr.evaluate(&self.nothing).map(drop))
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: self.return_field.clone(),
            schema: self.nothing.schema_ref(),
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.fields,
        })
    }
}

/// The rows of the frame, aggregated when they are asked for.
#[derive(Debug)]
struct Anew {
    call: Call,
    /// The arguments, in pieces; none is empty.
    rows: VecDeque<Vec<ArrayRef>>,
}

fn length(piece: &[ArrayRef]) -> usize {
    piece.first().map_or(0, |array| array.len())
}

impl Anew {
    /// Makes one piece of all.
    fn join(&mut self) -> Result<()> {
        if self.rows.len() < 2 {
            return Ok(());
        }
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = self.rows.iter().map(|piece| piece[at].as_ref()).collect();
            Ok(concat(&parts)?)
        };
        let whole = (0..self.rows[0].len()).map(column).collect::<Result<Vec<_>>>()?;
        self.rows = VecDeque::from([whole]);
        Ok(())
    }
}

impl Accumulator for Anew {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if length(values) > 0 {
            self.rows.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut count = length(values);
        while count > 0 {
            let Some(first) = self.rows.front_mut() else { return internal_err!("a frame has no rows to leave it") };
            let there = length(first);
            if there <= count {
                self.rows.pop_front();
            } else {
                first.iter_mut().for_each(|array| *array = array.slice(count, there - count));
            }
            count = count.saturating_sub(there);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.call.is_wanted()?;
        self.join()?;
        let mut accumulator = self.call.accumulator()?;
        for piece in &self.rows {
            accumulator.update_batch(piece)?;
        }
        accumulator.evaluate()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("windows do not merge aggregates")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("windows do not merge aggregates")
    }

    fn size(&self) -> usize {
        let arrays =
            self.rows.iter().flatten().map(|array| array.to_data().get_slice_memory_size().unwrap_or_default());
        size_of_val(self) + arrays.sum::<usize>()
    }
}
