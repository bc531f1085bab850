//! Nodes of plans, as the binder makes them.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{
    Column, DFSchema, JoinType, NullEquality, NullHandling, ScalarValue, TableReference, UnnestOptions,
};
use datafusion::logical_expr::{
    Aggregate, Distinct, EmptyRelation, Expr, Filter, Join, JoinConstraint, LogicalPlan, Projection, Sort, SortExpr,
    Union, Unnest, Window,
};

use datafusion::functions_aggregate::first_last::first_value;
use datafusion::functions_aggregate::min_max::min;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::data::SqlType;
use crate::error::Result;
use crate::sql::bind::{Purpose, column};
use crate::sql::functions::comparison::{has_sort_key, sort_key};
use crate::sql::functions::itself;

/// The relation of one row and no columns: what a SELECT without FROM reads.
pub(super) fn one_row() -> LogicalPlan {
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema: Arc::new(DFSchema::empty()) })
}

pub(super) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// The input's columns as they are, and `more` after them.
pub(super) fn extend(input: LogicalPlan, more: Vec<Expr>) -> Result<LogicalPlan> {
    if more.is_empty() {
        return Ok(input);
    }
    let exprs = columns(&input).chain(more).collect();
    project(input, exprs)
}

/// Every column of a plan.
pub(super) fn columns(plan: &LogicalPlan) -> impl Iterator<Item = Expr> {
    plan.schema().columns().into_iter().map(Expr::Column)
}

pub(super) fn filter(input: LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?))
}

pub(super) fn sort(input: LogicalPlan, expr: Vec<SortExpr>) -> LogicalPlan {
    LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: None })
}

/// Whether values of a type are grouped by their [`sort_key`]. A view's operators make keys canonical themselves, but of
/// JSON they see the text, in which equal numbers can be written differently, and no interval is to be shown that no row has.
pub(super) fn keyed(ty: &SqlType, purpose: Purpose) -> bool {
    match purpose {
        Purpose::View => matches!(ty, SqlType::Jsonb | SqlType::Interval),
        Purpose::Query => has_sort_key(ty),
    }
}

/// The value of a group whose key is not the value itself: that of any of its rows, in a view always the same of them.
pub(super) fn shown(name: &str, purpose: Purpose) -> Expr {
    match purpose {
        Purpose::View => min(column(name)),
        Purpose::Query => first_value(column(name), Vec::new()),
    }
}

/// Each row once. Of a view it stays an operator of its own; elsewhere it is an aggregation from the start, because the
/// rule that would make it one skips it where DataFusion believes the rows unique, and it believes so of unnested rows
/// if they were before (DataFusion 55.2).
///
/// `types` are those of the columns: of rows that differ only in how equal values are written, one stays.
pub(super) fn distinct(input: LogicalPlan, types: &[SqlType], purpose: Purpose) -> Result<LogicalPlan> {
    let input = Arc::new(input);
    if purpose == Purpose::View && !types.iter().any(|ty| keyed(ty, purpose)) {
        return Ok(LogicalPlan::Distinct(Distinct::All(input)));
    }
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let names: Vec<String> = input.schema().fields().iter().map(|field| field.name().clone()).collect();
    for (name, ty) in names.iter().zip(types) {
        match keyed(ty, purpose) {
            true => {
                keys.push(sort_key(column(name), ty).alias(format!("{name}_key")));
                values.push(shown(name, purpose).alias(name));
            }
            false => keys.push(column(name)),
        }
    }
    let keyed = !values.is_empty();
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(input, keys, values)?);
    if keyed { project(plan, names.iter().map(column).collect()) } else { Ok(plan) }
}

/// The length of an interval that is constant and has no months, in nanoseconds.
pub(super) fn constant_interval(expr: Expr) -> Result<Option<i128>> {
    const DAY: i128 = 86_400_000_000_000;
    match ExprSimplifier::new(SimplifyContext::default()).simplify(expr)? {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) if interval.months == 0 => {
            Ok(Some(i128::from(interval.days) * DAY + i128::from(interval.nanoseconds)))
        }
        _ => Ok(None),
    }
}

/// Inputs of the same column names and types, one after the other.
pub(super) fn union_all(inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Union(Union::try_new(inputs.into_iter().map(Arc::new).collect())?))
}

/// A join on a condition; the optimizer finds the equalities in it.
pub(super) fn join(left: LogicalPlan, right: LogicalPlan, kind: JoinType, on: Option<Expr>) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    let nulls = NullEquality::NullEqualsNothing;
    Ok(LogicalPlan::Join(Join::try_new(left, right, Vec::new(), on, kind, JoinConstraint::On, nulls, false)?))
}

/// A semi or anti join on whole rows, NULL equal to NULL.
pub(super) fn match_rows(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    on: Vec<(Expr, Expr)>,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    let nulls = NullEquality::NullEqualsNull;
    Ok(LogicalPlan::Join(Join::try_new(left, right, on, None, kind, JoinConstraint::On, nulls, false)?))
}

/// A row for each element of the lists in `lists`, side by side, in place of the lists.
///
/// DataFusion (55.2) takes what was a key of the rows for one of the rows that they become, and leaves out what it then
/// finds to be decided in ORDER BY and GROUP BY. So it must not recognise the columns of a key.
pub(super) fn unnest(input: LogicalPlan, lists: &[String], nulls: NullHandling) -> Result<LogicalPlan> {
    let schema = input.schema().clone();
    let dependencies = schema.functional_dependencies();
    let is_key = |at: usize| dependencies.iter().any(|known| known.source_indices.contains(&at));
    let input = if dependencies.is_empty() {
        input
    } else {
        let column = |(at, (qualifier, field)): (usize, (Option<&TableReference>, &FieldRef))| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            match SqlType::of_field(field).filter(|_| is_key(at)) {
                Some(ty) => itself(column, &ty).alias_qualified(qualifier.cloned(), field.name()),
                None => column,
            }
        };
        let exprs = schema.iter().enumerate().map(column).collect();
        project(input, exprs)?
    };
    let lists = lists.iter().map(Column::new_unqualified).collect();
    let options = UnnestOptions::new().with_null_handling(nulls);
    Ok(LogicalPlan::Unnest(Unnest::try_new(Arc::new(input), lists, options)?))
}

/// The input's columns, and window functions of one partitioning and order after them.
pub(super) fn window(input: LogicalPlan, calls: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Window(Window::try_new(calls, Arc::new(input))?))
}
