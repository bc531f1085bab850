//! Joins that depend on their own rows: LATERAL, and subqueries in ON.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, Join, LogicalPlan};

use super::node::{self, On};
use super::outer::{self, column};
use super::rewrite::{Decorrelator, restore};
use super::scalar::Beside;
use crate::error::{Error, Result};

impl Decorrelator {
    /// A join whose right side is evaluated for each left row.
    pub(super) fn lateral(&mut self, join: Join) -> Result<LogicalPlan> {
        let names: Vec<String> = join.schema.fields().iter().map(|field| field.name().clone()).collect();
        let Join { left, right, filter, join_type, .. } = join;
        let LogicalPlan::Subquery(subquery) = Arc::unwrap_or_clone(right) else {
            return Err(Error::internal("a lateral join without a subquery"));
        };
        let left = Arc::unwrap_or_clone(left);
        let conditions = filter.map(split_conjunction_owned).unwrap_or_default();
        let (dependent, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(outer::has_subquery);
        if !matches!(join_type, JoinType::Inner | JoinType::Left)
            || (join_type == JoinType::Left && !dependent.is_empty())
        {
            return Err(Error::unsupported(format!("{join_type} JOIN LATERAL on a subquery")));
        }
        let (inner, domain) = self.inner(subquery.subquery, &left)?;
        let mut fragment = self.unnest(inner, &domain)?;
        if !(plain.is_empty() && dependent.is_empty()) {
            fragment = self.complete(fragment, &domain)?;
        }
        let kind = if fragment.absent.is_some() { JoinType::Left } else { join_type };
        let mut on = On { pairs: Vec::new(), filters: plain };
        for (outer, key) in &fragment.keys {
            on.same((&left, outer::key(&left, outer)?), (&fragment.plan, column(key)))?;
        }
        let mut outputs = node::columns(&left);
        for name in &fragment.columns {
            let value = match &fragment.absent {
                None => column(name),
                Some(absent) => outer::replace(absent.complete(name)?, |outer, _| {
                    domain.columns.contains(outer).then(|| column(outer))
                })?,
            };
            outputs.push(outer::named(value, name.clone()));
        }
        let joined = node::project(on.join(left.clone(), fragment.plan, kind)?, outputs)?;
        match dependent.into_iter().reduce(Expr::and) {
            None => restore(joined, &names),
            Some(condition) => self.condition(Filter::try_new(condition, Arc::new(joined))?),
        }
    }

    /// A join with subqueries in its condition: each is computed beside the rows of the side that it depends on.
    pub(super) fn join_condition(&mut self, mut join: Join) -> Result<LogicalPlan> {
        let conditions = join.filter.take().map(split_conjunction_owned).unwrap_or_default();
        let (dependent, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(outer::has_subquery);
        if join.join_type == JoinType::Inner {
            join.filter = plain.into_iter().reduce(Expr::and);
            let joined = LogicalPlan::Join(join);
            let condition = dependent.into_iter().reduce(Expr::and);
            let condition = condition.ok_or_else(|| Error::internal("a subquery as the key of a join"))?;
            return self.condition(Filter::try_new(condition, Arc::new(joined))?);
        }
        let names: Vec<String> = join.schema.fields().iter().map(|field| field.name().clone()).collect();
        let Join { left, right, on, join_type, null_equality, .. } = join;
        let (mut left, mut right) = (Arc::unwrap_or_clone(left), Arc::unwrap_or_clone(right));
        let mut filters = plain;
        let mut one_sided = Vec::new();
        for condition in dependent {
            match straddles(&condition, &left, &right)? {
                false => one_sided.push(condition),
                true => filters.extend(self.verdict(condition, &mut left, &mut right, join_type)?),
            }
        }
        let (own_left, own_right) = (left.clone(), right.clone());
        let (mut beside_left, mut beside_right) = (Beside::new(&own_left), Beside::new(&own_right));
        for condition in one_sided {
            let inlined = condition.transform_up(|part| {
                if !outer::is_subquery(&part) {
                    return Ok(Transformed::no(part));
                }
                let of_right = taken(&part)?.iter().any(|name| has(&own_right, name));
                let beside = if of_right { &mut beside_right } else { &mut beside_left };
                Ok(Transformed::yes(self.inline(part, beside)?))
            })?;
            filters.push(inlined.data);
        }
        let condition = filters.into_iter().reduce(Expr::and);
        let joined = node::join(beside_left.plan, beside_right.plan, on, condition, join_type, null_equality)?;
        restore(joined, &names)
    }

    /// A condition on both sides of an outer join: decided for each pair of the values that it is about. The side that
    /// may stay alone is asked for its values; the other is paired with those of which the condition is true.
    fn verdict(
        &mut self,
        condition: Expr,
        left: &mut LogicalPlan,
        right: &mut LogicalPlan,
        kind: JoinType,
    ) -> Result<Vec<Expr>> {
        let (kept, paired) = match kind {
            JoinType::Left => (&*left, right),
            JoinType::Right => (&*right, left),
            _ => return Err(Error::unsupported("FULL JOIN on a subquery that depends on both sides")),
        };
        let about = taken(&condition)?;
        let own = |plan: &LogicalPlan| about.iter().filter(|name| has(plan, name)).cloned().collect::<BTreeSet<_>>();
        let (kept_columns, paired_columns) = (own(kept), own(paired));
        let kept_values = self.values(kept, &kept_columns)?;
        let pairs = On::default().join(kept_values, self.values(paired, &paired_columns)?, JoinType::Inner)?;
        let decided = self.condition(Filter::try_new(condition, Arc::new(pairs))?)?;
        let all: Vec<&String> = kept_columns.iter().chain(&paired_columns).collect();
        let copies: Vec<String> = all.iter().map(|_| self.fresh()).collect();
        let outputs = all.iter().zip(&copies).map(|(name, copy)| Ok(outer::key(&decided, name)?.alias(copy)));
        let outputs = outputs.collect::<Result<_>>()?;
        let decided = node::project(decided, outputs)?;
        let mut on = On::default();
        for (name, copy) in all.iter().zip(&copies).skip(kept_columns.len()) {
            on.same((&*paired, outer::key(paired, name)?), (&decided, column(copy)))?;
        }
        let mut verdict = On::default();
        for (name, copy) in all.iter().zip(&copies).take(kept_columns.len()) {
            verdict.same((kept, outer::key(kept, name)?), (&decided, column(copy)))?;
        }
        *paired = on.join(std::mem::take(paired), decided, JoinType::Inner)?;
        let equal = verdict.pairs.into_iter().map(|(kept, decided)| kept.eq(decided));
        Ok(equal.chain(verdict.filters).collect())
    }

    /// The distinct combinations of values of these columns.
    fn values(&mut self, plan: &LogicalPlan, columns: &BTreeSet<String>) -> Result<LogicalPlan> {
        let keys: Vec<String> = columns.iter().map(|_| self.fresh()).collect();
        let values = columns.iter().zip(&keys).map(|(name, key)| Ok(outer::key(plan, name)?.alias(key)));
        let values = node::project(plan.clone(), values.collect::<Result<_>>()?)?;
        let distinct = node::aggregate(values, node::named_columns(&keys), Vec::new())?;
        let back = columns.iter().zip(&keys).map(|(name, key)| {
            let ty = column(name).get_type(plan.schema())?;
            Ok(outer::named(outer::value(key, &ty), name.clone()))
        });
        node::project(distinct, back.collect::<Result<_>>()?)
    }
}

fn has(plan: &LogicalPlan, name: &str) -> bool {
    plan.schema().has_column_with_unqualified_name(name)
}

/// Whether some subquery in a condition takes columns from both sides.
fn straddles(condition: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    condition.apply(|part| {
        if outer::is_subquery(part) {
            let names = taken(part)?;
            found |= names.iter().any(|name| has(left, name)) && names.iter().any(|name| has(right, name));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The columns around that an expression names, itself or in its subqueries.
fn taken(expr: &Expr) -> datafusion::common::Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = expr.column_refs().into_iter().map(|column| column.name.clone()).collect();
    expr.apply(|part| {
        let plan = match part {
            Expr::ScalarSubquery(subquery) => &subquery.subquery,
            Expr::Exists(exists) => &exists.subquery.subquery,
            Expr::InSubquery(within) => &within.subquery.subquery,
            Expr::SetComparison(comparison) => &comparison.subquery.subquery,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                names.extend(outer::of_expr(expr)?);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}
