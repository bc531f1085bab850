//! d(π(σ(X))) = π(σ(dX)): filter and projection in one node.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::data::{Parts, ZSet};
use crate::dataflow::operators::isolate::isolate;
use crate::dataflow::operators::leaves::Leaves;
use crate::dataflow::operators::program::Program;
use crate::dataflow::{Operator, Rejected, StepContext};
use crate::error::{Error, Result};

/// `SELECT outputs FROM input WHERE predicates`: both are linear, so a change maps to a change and nothing is remembered.
#[derive(Clone)]
pub struct Map {
    schema: SchemaRef,
    /// What is read of the input.
    leaves: Leaves,
    /// Over the leaves.
    program: Program,
    /// Rows that an expression fails on are told by what is read of them.
    narrow: bool,
}

impl Map {
    /// Rows of `input` pass when all predicates are true, each asked only about rows that passed those before it; outputs
    /// are computed of the rows that pass, one for each field of the schema.
    ///
    /// # Errors
    /// XX000 for expressions that cannot be taken apart.
    pub fn new(
        input: &Schema,
        schema: SchemaRef,
        predicates: Vec<Arc<dyn PhysicalExpr>>,
        outputs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Map> {
        let mut leaves = Leaves::new();
        let mut over_leaves =
            |exprs: Vec<_>| exprs.into_iter().map(|expr| leaves.rewrite(expr, input)).collect::<Result<Vec<_>>>();
        let (predicates, outputs) = (over_leaves(predicates)?, over_leaves(outputs)?);
        let program = Program::new(leaves.schema(), predicates, outputs)?;
        Ok(Map { schema, leaves, program, narrow: false })
    }

    /// The same over rows of which only what is read is there: nothing else tells the rows that an expression fails on.
    pub fn narrow(self) -> Map {
        Map { narrow: true, ..self }
    }

    /// What becomes of rows, and those that have no answer.
    fn map(&self, rows: &ZSet) -> Result<(Vec<ZSet>, Vec<Rejected>)> {
        let (mut results, mut rejected) = (Vec::new(), Vec::new());
        if self.narrow {
            let evaluate = |_, leaves: &ZSet| self.program.evaluate(leaves);
            isolate(&self.leaves.of(rows)?, &evaluate, &mut results, &mut rejected);
            let order = self.leaves.in_order();
            for Rejected { row, .. } in &mut rejected {
                *row = row.with_batch(row.batch().project(&order)?);
            }
        } else {
            let evaluate = |_, rows: &ZSet| self.program.evaluate(&self.leaves.of(rows)?);
            isolate(rows, &evaluate, &mut results, &mut rejected);
        }
        let kept = results.into_iter().filter(|(kept, _)| !kept.is_empty());
        Ok((kept.map(|result| self.assemble(result)).collect::<Result<Vec<_>>>()?, rejected))
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
        let parts = context.slices(&inputs[0], |slice| self.map(slice))?;
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

    fn reads(&self) -> Option<Parts> {
        Some(self.leaves.parts())
    }
}
