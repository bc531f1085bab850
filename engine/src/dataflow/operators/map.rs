//! d(π(σ(X))) = π(σ(dX)): filter and projection in one node.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use crate::data::ZSet;
use crate::dataflow::operators::isolate::isolate;
use crate::dataflow::{Operator, StepContext};
use crate::error::{Error, Result};

/// `SELECT outputs FROM input WHERE predicates`: both are linear, so a change maps to a change and nothing is remembered.
#[derive(Clone)]
pub struct Map {
    schema: SchemaRef,
    predicates: Vec<Arc<dyn PhysicalExpr>>,
    outputs: Vec<Arc<dyn PhysicalExpr>>,
}

impl Map {
    /// Rows pass when all predicates are true, each asked only about rows that passed those before it; outputs are
    /// computed of the rows that pass, one for each field of the schema.
    pub fn new(schema: SchemaRef, predicates: Vec<Arc<dyn PhysicalExpr>>, outputs: Vec<Arc<dyn PhysicalExpr>>) -> Map {
        Map { schema, predicates, outputs }
    }

    fn evaluate(&self, rows: &ZSet) -> Result<(ZSet, Vec<ArrayRef>)> {
        let mut kept = rows.clone();
        for predicate in &self.predicates {
            if kept.is_empty() {
                break;
            }
            let mask = truth(predicate, &kept)?;
            if mask.true_count() < kept.len() {
                kept = kept.filter(&mask)?;
            }
        }
        let value = |output: &Arc<dyn PhysicalExpr>| Ok(output.evaluate(kept.batch())?.into_array(kept.len())?);
        let columns = self.outputs.iter().map(value).collect::<Result<_>>()?;
        Ok((kept, columns))
    }

    /// The columns as a batch. Outside of what is isolated by row: a wrong type would be our mistake, not the row's.
    fn assemble(&self, (kept, columns): (ZSet, Vec<ArrayRef>)) -> Result<ZSet> {
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|error| {
            Error::internal("an expression is not of the type it was planned with").with_source(error)
        })?;
        Ok(kept.with_batch(batch))
    }
}

/// Where a boolean expression is true: not false, not NULL.
pub(super) fn truth(predicate: &Arc<dyn PhysicalExpr>, rows: &ZSet) -> Result<BooleanArray> {
    let value = predicate.evaluate(rows.batch())?.into_array(rows.len())?;
    value.as_boolean_opt().cloned().ok_or_else(|| Error::internal("a condition is not boolean"))
}

impl Operator for Map {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let parts = context.slices(&inputs[0], |slice| {
            let (mut results, mut rejected) = (Vec::new(), Vec::new());
            isolate(slice, &|_, rows| self.evaluate(rows), &mut results, &mut rejected);
            let kept = results.into_iter().filter(|(kept, _)| !kept.is_empty());
            Ok((kept.map(|result| self.assemble(result)).collect::<Result<Vec<_>>>()?, rejected))
        })?;
        let mut outputs = Vec::with_capacity(parts.len());
        for (output, rejected) in parts {
            outputs.extend(output);
            context.reject_all(rejected);
        }
        ZSet::concat(&self.schema, &outputs)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        Some(Box::new(self.clone()))
    }
}
