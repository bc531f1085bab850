//! The domain's way down through a subquery: one rule for each operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, Operator, Projection, lit,
};

use super::fragment::{Absent, Domain, Fragment};
use super::node;
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use crate::error::{Error, Result};

impl Decorrelator {
    /// A plan without subqueries, for all values of the domain.
    pub fn unnest(&mut self, plan: LogicalPlan, domain: &Domain) -> Result<Fragment> {
        let depends =
            self.reads_round(&plan) || outer::of_plan(&plan)?.iter().any(|name| domain.columns.contains(name));
        if !depends && !is_sorted(&plan) {
            return Ok(Fragment::independent(plan));
        }
        match plan {
            LogicalPlan::Filter(filter) => self.filter(filter, domain),
            LogicalPlan::Projection(projection) => self.projection(projection, domain),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, domain),
            LogicalPlan::Join(join) => self.join(join, domain),
            LogicalPlan::Distinct(distinct) => self.distinct(distinct, domain),
            LogicalPlan::Sort(sort) => self.sort(sort, domain),
            LogicalPlan::Limit(limit) => self.limit(limit, domain),
            LogicalPlan::Union(union) => self.union(union, domain),
            LogicalPlan::Window(window) => self.window(window, domain),
            LogicalPlan::Unnest(unnest) => self.spread(unnest, domain),
            LogicalPlan::RecursiveQuery(query) => self.recursive(query, domain),
            LogicalPlan::TableScan(scan) if self.reads_round(&LogicalPlan::TableScan(scan.clone())) => {
                self.round(&scan)
            }
            other => Err(Error::unsupported(format!("a subquery correlated within {}", other.display()))),
        }
    }

    /// Conditions `outer = value` make the value the outer column's key; others need the outer columns they name.
    fn filter(&mut self, filter: Filter, domain: &Domain) -> Result<Fragment> {
        let fragment = self.unnest(Arc::unwrap_or_clone(filter.input), domain)?;
        self.filtered(fragment, split_conjunction_owned(filter.predicate), domain)
    }

    pub fn filtered(&mut self, fragment: Fragment, conditions: Vec<Expr>, domain: &Domain) -> Result<Fragment> {
        let mut fragment = self.complete(fragment, domain)?;
        let mut keys: BTreeMap<String, Expr> = BTreeMap::new();
        let (mut local, mut correlated) = (Vec::new(), Vec::new());
        for condition in conditions {
            match equality(&condition, &fragment, domain)? {
                Some((outer, value)) if !keys.contains_key(&outer) => {
                    local.push(value.clone().is_not_null());
                    keys.insert(outer, value);
                }
                _ if domain.used([&condition])?.is_empty() => local.push(condition),
                _ => correlated.push(condition),
            }
        }
        fragment.plan = node::filter(fragment.plan, local)?;
        if !keys.is_empty() {
            let mut outputs = node::columns(&fragment.plan);
            for (outer, value) in keys {
                let key = self.fresh();
                outputs.push(value.alias(&key));
                fragment.keys.insert(outer, key);
            }
            fragment.plan = node::project(fragment.plan, outputs)?;
        }
        let mut fragment = self.cover(fragment, &domain.used(&correlated)?, domain)?;
        let conditions = correlated.into_iter().map(|condition| fragment.inward(condition)).collect::<Result<_>>()?;
        fragment.plan = node::filter(fragment.plan, conditions)?;
        Ok(fragment)
    }

    fn projection(&mut self, projection: Projection, domain: &Domain) -> Result<Fragment> {
        let columns = projection.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let mut fragment = self.unnest(Arc::unwrap_or_clone(projection.input), domain)?;
        let needed = domain.used(&projection.expr)?;
        if !needed.iter().all(|name| fragment.keys.contains_key(name)) {
            fragment = self.cover(fragment, &needed, domain)?;
        }
        let mut outputs = Vec::with_capacity(columns.len() + fragment.keys.len());
        for (expr, name) in projection.expr.iter().zip(&columns) {
            outputs.push(outer::named(fragment.inward(expr.clone())?, name.clone()));
        }
        outputs.extend(fragment.key_columns());
        let absent = match &fragment.absent {
            None => None,
            Some(absent) => {
                if !fragment.keys.values().any(|key| *key == absent.marker) {
                    outputs.push(column(&absent.marker));
                }
                let values = projection.expr.iter().zip(&columns);
                let values = values.map(|(expr, name)| Ok((name.clone(), substituted(expr, absent)?)));
                Some(Absent { marker: absent.marker.clone(), values: values.collect::<Result<_>>()? })
            }
        };
        let mut order = Vec::with_capacity(fragment.order.len());
        for sort in &fragment.order {
            match &sort.expr {
                Expr::Column(kept) if outputs.contains(&sort.expr) && columns.contains(&kept.name) => {
                    order.push(sort.clone());
                }
                expr => {
                    let hidden = self.fresh();
                    outputs.push(expr.clone().alias(&hidden));
                    order.push(Sort { expr: column(&hidden), ..*sort });
                }
            }
        }
        let plan = node::project(fragment.plan, outputs)?;
        Ok(Fragment { plan, columns, keys: fragment.keys, order, absent })
    }

    /// Groups by the keys too. Without other grouping, a combination without rows has a row nevertheless.
    pub(super) fn aggregate(&mut self, aggregate: Aggregate, domain: &Domain) -> Result<Fragment> {
        let Aggregate { input, group_expr, aggr_expr, schema, .. } = aggregate;
        if group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(Error::unsupported("GROUPING SETS, ROLLUP or CUBE in a correlated subquery"));
        }
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let fragment = self.unnest(Arc::unwrap_or_clone(input), domain)?;
        let fragment = self.cover(fragment, &domain.used(group_expr.iter().chain(&aggr_expr))?, domain)?;
        let (group_names, call_names) = columns.split_at(group_expr.len());
        let inward = |(expr, name): (&Expr, &String)| Ok(outer::named(fragment.inward(expr.clone())?, name.clone()));
        let mut groups = group_expr.iter().zip(group_names).map(inward).collect::<Result<Vec<_>>>()?;
        groups.extend(fragment.key_columns());
        let calls = aggr_expr.iter().zip(call_names).map(inward).collect::<Result<Vec<_>>>()?;
        let calls = calls.into_iter().map(|call| in_order(call, &fragment.order)).collect();
        let mut plan = node::aggregate(fragment.plan, groups, calls)?;
        let mut absent = None;
        if group_expr.is_empty() && !fragment.keys.is_empty() {
            let marker = self.fresh();
            let outputs = node::columns(&plan).into_iter().chain([lit(true).alias(&marker)]).collect();
            plan = node::project(plan, outputs)?;
            let mut values = BTreeMap::new();
            for (call, name) in aggr_expr.iter().zip(call_names) {
                let ty = schema.field_with_unqualified_name(name)?.data_type();
                values.insert(name.clone(), of_nothing(call, ty)?);
            }
            absent = Some(Absent { marker, values });
        }
        Ok(Fragment { plan, columns, keys: fragment.keys, order: Vec::new(), absent })
    }
}

/// `outer column = value`, where the value can stand for the outer column: of its type, and of one that has no two
/// equal values which can be told apart.
fn equality(condition: &Expr, fragment: &Fragment, domain: &Domain) -> Result<Option<(String, Expr)>> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return Ok(None) };
    for (outer, value) in [(left, right), (right, left)] {
        let Expr::OuterReferenceColumn(field, outer) = outer.as_ref() else { continue };
        if !domain.columns.contains(&outer.name) || fragment.keys.contains_key(&outer.name) {
            continue;
        }
        if value.column_refs().is_empty() || !outer::of_expr(value)?.is_empty() || value.is_volatile() {
            continue;
        }
        let ty = value.get_type(fragment.plan.schema())?;
        if ty != *field.data_type() || !is_plain(&ty) {
            continue;
        }
        return Ok(Some((outer.name.clone(), value.as_ref().clone())));
    }
    Ok(None)
}

/// Floats have two zeros, intervals days and hours.
fn is_plain(ty: &DataType) -> bool {
    !ty.is_nested() && !ty.is_floating() && !matches!(ty, DataType::Interval(_))
}

/// An expression over an aggregation's columns, where it is one of nothing.
fn substituted(expr: &Expr, absent: &Absent) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let replaced = expr.clone().unalias().transform(|part| {
        Ok(match &part {
            Expr::Column(column) => match absent.values.get(&column.name) {
                Some(value) => Transformed::yes(value.clone()),
                None => Transformed::no(part),
            },
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// What an aggregate is of no rows.
fn of_nothing(call: &Expr, ty: &DataType) -> Result<Expr> {
    match call.clone().unalias() {
        Expr::AggregateFunction(AggregateFunction { func, .. }) => Ok(lit(func.default_value(ty)?)),
        _ => Err(Error::internal("an aggregate that is no call of an aggregate function")),
    }
}

/// An aggregate whose result depends on the order of its rows takes them as its input sorts them.
fn in_order(call: Expr, order: &[Sort]) -> Expr {
    match call {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(in_order(*alias.expr, order));
            Expr::Alias(alias)
        }
        Expr::AggregateFunction(mut call) => {
            let name = call.func.name();
            let ordered = name.ends_with("_agg") || name == "first_value" || name == "last_value";
            if ordered && call.params.order_by.is_empty() && !call.params.distinct {
                call.params.order_by = order.to_vec();
            }
            Expr::AggregateFunction(call)
        }
        other => other,
    }
}

/// Whether the rows come in an order that someone asked for.
pub(super) fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::Filter(filter) => is_sorted(&filter.input),
        LogicalPlan::Limit(limit) => is_sorted(&limit.input),
        _ => false,
    }
}
