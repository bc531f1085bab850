//! Expressions over the same rows, with conditions between them: what stands in several is computed once.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::data::ZSet;
use crate::dataflow::operators::map::truth;
use crate::error::{Error, Result};

/// Among more parts of expressions than this, nobody looks for those that stand twice: it takes quadratic time.
const MOST_PARTS: usize = 500;

/// Outputs of the rows that pass all conditions, each asked only about rows that passed those before it.
#[derive(Clone)]
pub struct Program {
    conditions: Vec<Stage>,
    outputs: Stage,
}

/// What is computed of the rows that are left at some point.
#[derive(Clone)]
struct Stage {
    /// Computed first, each put behind the columns that are there: the expression, and the columns with it.
    shared: Vec<(Arc<dyn PhysicalExpr>, SchemaRef)>,
    /// A condition, or all outputs.
    roots: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns that are read after this stage.
    read_later: Vec<usize>,
}

impl Program {
    /// Of expressions over columns of this schema.
    ///
    /// # Errors
    /// XX000 for expressions that do not fit it.
    pub fn new(
        columns: &SchemaRef,
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        outputs: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Program> {
        let mut waiting: Vec<Vec<_>> = conditions.into_iter().map(|condition| vec![condition]).collect();
        waiting.push(outputs);
        let few = waiting.iter().flatten().map(parts).sum::<usize>() <= MOST_PARTS;
        let (mut columns, mut stages) = (columns.clone(), Vec::with_capacity(waiting.len()));
        while !waiting.is_empty() {
            let shared = if few { share(&mut columns, &mut waiting)? } else { Vec::new() };
            let roots = waiting.remove(0);
            let mut read_later: Vec<usize> = waiting.iter().flatten().flat_map(columns_of).collect();
            read_later.sort_unstable();
            read_later.dedup();
            for root in waiting.iter_mut().flatten() {
                *root = moved(root, &read_later)?;
            }
            columns = Arc::new(columns.project(&read_later)?);
            stages.push(Stage { shared, roots, read_later });
        }
        let outputs = stages.pop().ok_or_else(|| Error::internal("a program without outputs"))?;
        Ok(Program { conditions: stages, outputs })
    }

    /// The rows that pass, and the outputs of them. Without rows there are no outputs.
    ///
    /// # Errors
    /// Those of the expressions: some row has no answer.
    pub fn evaluate(&self, rows: &ZSet) -> Result<(ZSet, Vec<ArrayRef>)> {
        let mut kept = rows.clone();
        for stage in &self.conditions {
            if kept.is_empty() {
                break;
            }
            kept = stage.prepare(kept)?;
            let mut mask = None;
            for condition in &stage.roots {
                mask = Some(truth(condition, &kept)?);
            }
            if stage.read_later.len() < kept.batch().num_columns() {
                kept = kept.with_batch(kept.batch().project(&stage.read_later)?);
            }
            if let Some(mask) = mask.filter(|mask| mask.true_count() < kept.len()) {
                kept = kept.filter(&mask)?;
            }
        }
        if kept.is_empty() {
            return Ok((kept, Vec::new()));
        }
        kept = self.outputs.prepare(kept)?;
        let value = |output: &Arc<dyn PhysicalExpr>| Ok(output.evaluate(kept.batch())?.into_array(kept.len())?);
        let outputs = self.outputs.roots.iter().map(value).collect::<Result<_>>()?;
        Ok((kept, outputs))
    }
}

impl Stage {
    /// The rows with what is shared.
    fn prepare(&self, mut rows: ZSet) -> Result<ZSet> {
        for (expr, schema) in &self.shared {
            let value = expr.evaluate(rows.batch())?.into_array(rows.len())?;
            let columns = rows.batch().columns().iter().cloned().chain([value]).collect();
            rows = rows.with_batch(RecordBatch::try_new(schema.clone(), columns)?);
        }
        Ok(rows)
    }
}

/// Takes out of the expressions what the first stage computes in any case and what is wanted again, there or later.
/// `columns` are those that the expressions are over, and get what is shared behind them.
fn share(
    columns: &mut SchemaRef,
    stages: &mut [Vec<Arc<dyn PhysicalExpr>>],
) -> Result<Vec<(Arc<dyn PhysicalExpr>, SchemaRef)>> {
    let mut shared = Vec::new();
    while let Some(wanted) = wanted_again(stages) {
        let at = columns.fields().len();
        let field: Field = wanted.return_field(columns)?.as_ref().clone();
        let field = field.with_name(at.to_string()).with_nullable(true);
        let fields = columns.fields().iter().cloned().chain([Arc::new(field)]);
        *columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        for root in stages.iter_mut().flatten() {
            *root = replaced(root, &wanted, at)?;
        }
        shared.push((wanted, columns.clone()));
    }
    Ok(shared)
}

/// A part that the first stage computes in any case and that stands somewhere else too: one that has no such part itself.
fn wanted_again(stages: &[Vec<Arc<dyn PhysicalExpr>>]) -> Option<Arc<dyn PhysicalExpr>> {
    let mut sure = Vec::new();
    stages.first()?.iter().for_each(|root| computed_surely(root, &mut sure));
    let count =
        |part: &Arc<dyn PhysicalExpr>| stages.iter().flatten().map(|root| occurrences(root, part)).sum::<usize>();
    sure.into_iter().find(|part| count(part) > 1).cloned()
}

/// The parts of an expression that are computed for every row, the inner ones first; columns and constants left out.
fn computed_surely<'a>(expr: &'a Arc<dyn PhysicalExpr>, found: &mut Vec<&'a Arc<dyn PhysicalExpr>>) {
    if is_leaf(expr) {
        return;
    }
    let mut inner = expr.children();
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>()
        && matches!(binary.op(), Operator::And | Operator::Or)
    {
        inner.truncate(1);
    } else if expr.is::<InListExpr>() {
        // The value and the first item: those behind the one that it equals are not computed.
        inner.truncate(2);
    } else if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        inner = case.expr().into_iter().chain(case.when_then_expr().first().map(|(when, _)| when)).collect();
    } else if expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.fun().short_circuits()) {
        inner.clear();
    }
    inner.into_iter().for_each(|inner| computed_surely(inner, found));
    found.push(expr);
}

fn is_leaf(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>() || expr.is::<Literal>()
}

fn parts(expr: &Arc<dyn PhysicalExpr>) -> usize {
    1 + expr.children().into_iter().map(parts).sum::<usize>()
}

fn occurrences(expr: &Arc<dyn PhysicalExpr>, part: &Arc<dyn PhysicalExpr>) -> usize {
    match expr == part {
        true => 1,
        false => expr.children().into_iter().map(|inner| occurrences(inner, part)).sum(),
    }
}

/// An expression that reads column `at` instead of computing a part.
fn replaced(expr: &Arc<dyn PhysicalExpr>, part: &Arc<dyn PhysicalExpr>, at: usize) -> Result<Arc<dyn PhysicalExpr>> {
    let replaced = expr.clone().transform_down(|inner| match &inner == part {
        true => Ok(Transformed::new(column(at), true, TreeNodeRecursion::Jump)),
        false => Ok(Transformed::no(inner)),
    });
    Ok(replaced.data()?)
}

/// The same expression after all columns but these are gone.
fn moved(expr: &Arc<dyn PhysicalExpr>, kept: &[usize]) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.clone().transform_up(|inner| {
        let place = inner.downcast_ref::<Column>().and_then(|column| kept.binary_search(&column.index()).ok());
        Ok(place.map_or_else(|| Transformed::no(inner), |at| Transformed::yes(column(at))))
    });
    Ok(moved.data()?)
}

fn column(at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(&at.to_string(), at))
}

fn columns_of(expr: &Arc<dyn PhysicalExpr>) -> Vec<usize> {
    match expr.downcast_ref::<Column>() {
        Some(column) => vec![column.index()],
        None => expr.children().into_iter().flat_map(columns_of).collect(),
    }
}

#[cfg(test)]
#[path = "program/tests.rs"]
mod tests;
