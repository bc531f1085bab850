//! A subquery on its way out: evaluated for all values it takes from outside.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::JoinType;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, when};

use super::node::{self, On};
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use crate::error::{Error, Result};

/// The columns that a subquery takes from the plan around it.
pub(super) struct Domain<'a> {
    /// The rows around.
    pub outer: &'a LogicalPlan,
    /// Names of columns of `outer`.
    pub columns: BTreeSet<String>,
}

impl<'a> Domain<'a> {
    /// What a plan takes from another.
    pub fn new(outer: &'a LogicalPlan, inner: &LogicalPlan) -> Result<Domain<'a>> {
        let has = |name: &String| outer.schema().has_column_with_unqualified_name(name);
        let columns = outer::of_plan(inner)?.into_iter().filter(has).collect();
        Ok(Domain { outer, columns })
    }

    /// The columns of this domain that an expression refers to.
    pub fn used<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<BTreeSet<String>> {
        let mut used = BTreeSet::new();
        for expr in exprs {
            used.extend(outer::of_expr(expr)?.into_iter().filter(|name| self.columns.contains(name)));
        }
        Ok(used)
    }
}

/// For every combination `k` of values of the outer columns in `keys` that the domain has (and maybe for others), the
/// rows of a subquery as it is with these values, each beside `k`.
pub(super) struct Fragment {
    pub plan: LogicalPlan,
    /// The subquery's own columns among those of the plan, in order.
    pub columns: Vec<String>,
    /// The plan's column for each outer column; none where the subquery does not depend on any. It has the values' keys
    /// ([`outer::key`]), so what groups by it or joins on it tells apart all values that can be.
    pub keys: BTreeMap<String, String>,
    /// How the subquery sorts its rows.
    pub order: Vec<Sort>,
    /// What a combination without a row has nevertheless.
    pub absent: Option<Absent>,
}

/// An aggregation without grouping has one row even of nothing.
pub(super) struct Absent {
    /// A column of the fragment that is never NULL.
    pub marker: String,
    /// The value of each of the subquery's columns where a combination has no row; it may have outer references.
    pub values: BTreeMap<String, Expr>,
}

impl Absent {
    /// The value of a column of the fragment after a left join with it.
    pub fn complete(&self, name: &str) -> Result<Expr> {
        match self.values.get(name) {
            None => Ok(column(name)),
            Some(Expr::Literal(value, _)) if value.is_null() => Ok(column(name)),
            Some(value) => Ok(when(column(&self.marker).is_null(), value.clone()).otherwise(column(name))?),
        }
    }
}

impl Fragment {
    /// A plan that depends on nothing outside.
    pub fn independent(plan: LogicalPlan) -> Fragment {
        let columns = node::names(&plan);
        Fragment { plan, columns, keys: BTreeMap::new(), order: Vec::new(), absent: None }
    }

    pub fn key_columns(&self) -> Vec<Expr> {
        self.keys.values().map(|name| column(name)).collect()
    }

    /// Replaces outer references by the columns that stand for them.
    pub fn inward(&self, expr: Expr) -> Result<Expr> {
        outer::replace(expr, |name, ty| self.keys.get(name).map(|key| outer::value(key, ty)))
    }

    /// The subquery's columns and the keys, nothing else.
    pub fn tidy(self) -> Result<Fragment> {
        if self.keys.is_empty() && self.plan.schema().fields().len() == self.columns.len() {
            return Ok(Fragment { order: Vec::new(), ..self });
        }
        let exprs = self.columns.iter().chain(self.keys.values()).map(|name| column(name)).collect();
        Ok(Fragment { plan: node::project(self.plan, exprs)?, order: Vec::new(), ..self })
    }
}

impl Decorrelator {
    /// The distinct combinations of the domain's values, with the column of each.
    pub fn combinations(&mut self, domain: &Domain) -> Result<(LogicalPlan, BTreeMap<String, String>)> {
        if reads_work_table(domain.outer) {
            return Err(Error::unsupported("a subquery that depends on a recursive reference in this way")
                .with_hint("Write it as a join."));
        }
        let keys: BTreeMap<String, String> = domain.columns.iter().map(|name| (name.clone(), self.fresh())).collect();
        let exprs = keys.iter().map(|(name, key)| Ok(outer::key(domain.outer, name)?.alias(key)));
        let values = node::project(domain.outer.clone(), exprs.collect::<Result<_>>()?)?;
        let distinct = keys.values().map(|key| column(key)).collect();
        Ok((node::aggregate(values, distinct, Vec::new())?, keys))
    }

    /// A fragment in which these outer columns have keys, and which has all of its rows.
    pub fn cover(&mut self, fragment: Fragment, needed: &BTreeSet<String>, domain: &Domain) -> Result<Fragment> {
        let fragment = self.complete(fragment, domain)?;
        match needed.iter().all(|name| fragment.keys.contains_key(name)) {
            true => Ok(fragment),
            false => self.bind(fragment, domain),
        }
    }

    /// The fragment beside the whole domain.
    pub(super) fn bind(&mut self, fragment: Fragment, domain: &Domain) -> Result<Fragment> {
        let (combinations, keys) = self.combinations(domain)?;
        let mut on = On::default();
        for (outer, key) in &fragment.keys {
            on.same((&combinations, column(&keys[outer])), (&fragment.plan, column(key)))?;
        }
        let plan = on.join(combinations, fragment.plan, JoinType::Inner)?;
        Ok(Fragment { plan, keys, ..fragment })
    }

    /// The fragment with the rows of combinations that have none of their own.
    pub fn complete(&mut self, fragment: Fragment, domain: &Domain) -> Result<Fragment> {
        let Some(absent) = &fragment.absent else { return Ok(fragment) };
        let (combinations, keys) = self.combinations(domain)?;
        let mut outputs: Vec<Expr> = keys.values().map(|key| column(key)).collect();
        for name in &fragment.columns {
            let value =
                outer::replace(absent.complete(name)?, |name, ty| keys.get(name).map(|key| outer::value(key, ty)))?;
            outputs.push(outer::named(value, name.clone()));
        }
        let mut on = On::default();
        for (outer, key) in &fragment.keys {
            on.same((&combinations, column(&keys[outer])), (&fragment.plan, column(key)))?;
        }
        let joined = on.join(combinations, fragment.plan, JoinType::Left)?;
        let plan = node::project(joined, outputs)?;
        Ok(Fragment { plan, keys, columns: fragment.columns, order: Vec::new(), absent: None })
    }
}

/// Rows of a recursive query's last round can be read only once.
fn reads_work_table(plan: &LogicalPlan) -> bool {
    use datafusion::common::tree_node::TreeNode;
    use datafusion::datasource::source_as_provider;
    plan.exists(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(false) };
        let Ok(provider) = source_as_provider(&scan.source) else { return Ok(false) };
        Ok(provider.downcast_ref::<datafusion::catalog::cte_worktable::CteWorkTable>().is_some())
    })
    .unwrap_or(false)
}
