//! Nodes of plans, and the null-safe conditions between them.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, EmptyRelation, Expr, ExprSchemable, Filter, Join, JoinConstraint, LogicalPlan, Projection, lit,
};

use super::outer::column;
use crate::error::Result;

pub(super) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

pub(super) fn filter(input: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match conditions.into_iter().reduce(Expr::and) {
        None => Ok(input),
        Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input))?)),
    }
}

pub(super) fn aggregate(input: LogicalPlan, keys: Vec<Expr>, calls: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), keys, calls)?))
}

/// `count(expr)`
pub(super) fn count(argument: Expr) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(count_udaf(), vec![argument], false, None, Vec::new(), None))
}

/// A condition between two plans.
#[derive(Default)]
pub(super) struct On {
    /// Of the left and of the right plan; NULL equals nothing.
    pub pairs: Vec<(Expr, Expr)>,
    pub filters: Vec<Expr>,
}

impl On {
    /// Two values that are equal or both NULL. Written with plain equalities of what is never NULL: DataFusion has one
    /// flag for all keys of a join, and moves other equalities among them whatever it says (55.2).
    pub fn same(&mut self, left: (&LogicalPlan, Expr), right: (&LogicalPlan, Expr)) -> Result<()> {
        let ((left_plan, left), (right_plan, right)) = (left, right);
        let never_null = !left.nullable(left_plan.schema())? || !right.nullable(right_plan.schema())?;
        if never_null {
            self.pairs.push((left, right));
            return Ok(());
        }
        let ty = left.get_type(left_plan.schema())?;
        match ScalarValue::new_default(&ty) {
            Ok(filler) if !ty.is_nested() => {
                self.pairs.push((left.clone().is_null(), right.clone().is_null()));
                let filled = |value: Expr| coalesce(vec![value, lit(filler.clone())]);
                self.pairs.push((filled(left), filled(right)));
            }
            _ => self.filters.push(datafusion::logical_expr::binary_expr(
                left,
                datafusion::logical_expr::Operator::IsNotDistinctFrom,
                right,
            )),
        }
        Ok(())
    }

    pub fn join(self, left: LogicalPlan, right: LogicalPlan, kind: JoinType) -> Result<LogicalPlan> {
        if kind == JoinType::Inner && self.pairs.is_empty() && is_one_row(&left) {
            return filter(right, self.filters);
        }
        if kind == JoinType::Inner && self.pairs.is_empty() && is_one_row(&right) {
            return filter(left, self.filters);
        }
        let condition = self.filters.into_iter().reduce(Expr::and);
        join(left, right, self.pairs, condition, kind, NullEquality::NullEqualsNothing)
    }
}

pub(super) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    pairs: Vec<(Expr, Expr)>,
    condition: Option<Expr>,
    kind: JoinType,
    nulls: NullEquality,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    Ok(LogicalPlan::Join(Join::try_new(left, right, pairs, condition, kind, JoinConstraint::On, nulls, false)?))
}

/// The relation of one row and no columns.
fn is_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema }) if schema.fields().is_empty())
}

/// The left plan's columns, and under `name` whether the right plan has a match.
pub(super) fn mark(left: LogicalPlan, right: LogicalPlan, on: On, name: &str) -> Result<LogicalPlan> {
    let mut outputs: Vec<Expr> = columns(&left);
    let joined = on.join(left, right, JoinType::LeftMark)?;
    let mark = joined.schema().columns().pop().map(Expr::Column);
    outputs.extend(mark.map(|mark| mark.alias(name)));
    project(joined, outputs)
}

/// Every column of a plan.
pub(super) fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

/// The names of a plan's columns.
pub(super) fn names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema().fields().iter().map(|field| field.name().clone()).collect()
}

pub(super) fn named_columns(names: &[String]) -> Vec<Expr> {
    names.iter().map(|name| column(name)).collect()
}
