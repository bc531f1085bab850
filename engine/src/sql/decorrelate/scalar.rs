//! Rows with the values of subqueries beside them; scalar subqueries.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::min_max::min_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{EmptyRelation, Expr, ExprSchemable, FetchType, LogicalPlan, lit};

use super::fragment::{Domain, Fragment};
use super::guard::SingleValue;
use super::node::{self, On};
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use crate::error::{Error, Result};

/// The rows that expressions are over, growing by a column for each subquery.
pub(super) struct Beside<'a> {
    /// The rows as they were.
    pub outer: &'a LogicalPlan,
    /// The same rows, one for one, with more columns.
    pub plan: LogicalPlan,
    /// Subqueries, and what stands for them over `plan`.
    pub known: Vec<(Expr, Expr)>,
}

impl<'a> Beside<'a> {
    pub fn new(outer: &'a LogicalPlan) -> Beside<'a> {
        Beside { outer, plan: outer.clone(), known: Vec::new() }
    }

    /// Joins a plan that has at most one row (or `always` one) for each combination of its keys.
    fn add(&mut self, right: LogicalPlan, keys: &[(String, String)], also: Option<Expr>, always: bool) -> Result<()> {
        let mut on = On::default();
        for (outer, key) in keys {
            on.same((&self.plan, outer::key(&self.plan, outer)?), (&right, column(key)))?;
        }
        on.filters.extend(also);
        let kind = if keys.is_empty() && always { JoinType::Inner } else { JoinType::Left };
        let left = std::mem::take(&mut self.plan);
        self.plan = on.join(left, right, kind)?;
        Ok(())
    }
}

impl Decorrelator {
    /// A scalar subquery: its value or NULL where there is no row.
    pub(super) fn scalar(&mut self, subquery: Arc<LogicalPlan>, beside: &mut Beside) -> Result<Expr> {
        let (inner, domain) = self.inner(subquery, beside.outer)?;
        let (most_one, always) = (at_most_one(&inner)?, always_one(&inner));
        let fragment = self.unnest(inner, &domain)?;
        if !most_one {
            return self.guarded(fragment, &domain, beside);
        }
        let name = only(&fragment)?;
        let value = self.fresh();
        let mut outputs = vec![column(&name).alias(&value)];
        outputs.extend(fragment.key_columns());
        let mut result = column(&value);
        if let Some(absent) = &fragment.absent {
            outputs.push(column(&absent.marker));
            let completed = outer::replace(absent.complete(&name)?, |outer, _| {
                domain.columns.contains(outer).then(|| column(outer))
            })?;
            result = renamed(completed, &name, &value)?;
        }
        let keys: Vec<_> = fragment.keys.into_iter().collect();
        beside.add(node::project(fragment.plan, outputs)?, &keys, None, always)?;
        Ok(result)
    }

    /// A scalar subquery that may have several rows: one of the values with the number of rows.
    fn guarded(&mut self, fragment: Fragment, domain: &Domain, beside: &mut Beside) -> Result<Expr> {
        let fragment = self.complete(fragment, domain)?;
        let name = only(&fragment)?;
        let ty = column(&name).get_type(fragment.plan.schema())?;
        let (value, rows) = (self.fresh(), self.fresh());
        let mut calls = vec![node::count(lit(1i64)).alias(&rows)];
        let any = any_value(&ty).map(|function| {
            let call = AggregateFunction::new_udf(function, vec![column(&name)], false, None, Vec::new(), None);
            Expr::AggregateFunction(call).alias(&value)
        });
        let aggregated = any.is_some();
        calls.extend(any);
        let counted = node::aggregate(fragment.plan.clone(), fragment.key_columns(), calls)?;
        let keys: Vec<_> = fragment.keys.clone().into_iter().collect();
        beside.add(counted, &keys, None, true)?;
        if !aggregated {
            // The same rows again, where there is just one.
            let mut outputs = vec![column(&name).alias(&value)];
            let mut again = Vec::with_capacity(keys.len());
            for (outer, key) in keys {
                let copy = self.fresh();
                outputs.push(column(&key).alias(&copy));
                again.push((outer, copy));
            }
            let single = column(&rows).eq(lit(1i64));
            beside.add(node::project(fragment.plan, outputs)?, &again, Some(single), false)?;
        }
        Ok(SingleValue::call(column(&value), column(&rows)))
    }

    /// Aggregates of a subquery's rows beside the rows around; NULL, or those of no rows, where there are none.
    pub(super) fn counted(&mut self, fragment: &Fragment, calls: Vec<Expr>, beside: &mut Beside) -> Result<()> {
        let mut keys = Vec::with_capacity(fragment.keys.len());
        let mut groups = Vec::with_capacity(fragment.keys.len());
        for (outer, key) in &fragment.keys {
            let copy = self.fresh();
            groups.push(column(key).alias(&copy));
            keys.push((outer.clone(), copy));
        }
        let counted = node::aggregate(fragment.plan.clone(), groups, calls)?;
        beside.add(counted, &keys, None, true)
    }
}

/// The name of the only column of a subquery that is a value.
pub(super) fn only(fragment: &Fragment) -> Result<String> {
    match &fragment.columns[..] {
        [name] => Ok(name.clone()),
        _ => Err(Error::internal("a subquery that is a value has not one column")),
    }
}

fn renamed(expr: Expr, from: &str, to: &str) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let replaced = expr.transform(|part| {
        Ok(match &part {
            Expr::Column(named) if named.relation.is_none() && named.name == from => Transformed::yes(column(to)),
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// An aggregate that gives the value back if there is only one, for types that every engine can compare.
fn any_value(ty: &DataType) -> Option<Arc<datafusion::logical_expr::AggregateUDF>> {
    match ty {
        DataType::Boolean => Some(bool_and_udaf()),
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Utf8
        | DataType::Date32
        | DataType::Timestamp(..) => Some(min_udaf()),
        _ => None,
    }
}

/// Whether a plan never has more than one row, whatever the outer columns are.
fn at_most_one(plan: &LogicalPlan) -> Result<bool> {
    Ok(match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Projection(projection) => at_most_one(&projection.input)?,
        LogicalPlan::Filter(filter) => at_most_one(&filter.input)?,
        LogicalPlan::Sort(sort) => at_most_one(&sort.input)?,
        LogicalPlan::Window(window) => at_most_one(&window.input)?,
        LogicalPlan::Distinct(distinct) => at_most_one(distinct.input())?,
        LogicalPlan::Limit(limit) => {
            matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0 | 1))) || at_most_one(&limit.input)?
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right => at_most_one(&join.left)? && at_most_one(&join.right)?,
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => at_most_one(&join.left)?,
            _ => false,
        },
        _ => false,
    })
}

/// Whether a plan always has exactly one row.
fn always_one(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row, .. }) => *produce_one_row,
        LogicalPlan::Projection(projection) => always_one(&projection.input),
        LogicalPlan::Sort(sort) => always_one(&sort.input),
        _ => false,
    }
}
