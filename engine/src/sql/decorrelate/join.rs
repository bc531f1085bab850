//! Joins under the domain.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, Join};

use super::fragment::{Domain, Fragment};
use super::node::{self, On};
use super::outer::column;
use super::rewrite::Decorrelator;
use crate::error::{Error, Result};

impl Decorrelator {
    pub(super) fn join(&mut self, join: Join, domain: &Domain) -> Result<Fragment> {
        let Join { left, right, on, filter, join_type, null_equality, .. } = join;
        let left = self.side(Arc::unwrap_or_clone(left), domain)?;
        let right = self.side(Arc::unwrap_or_clone(right), domain)?;
        // Keys of a join cannot be outer columns.
        let (mut pairs, mut conditions) = (Vec::new(), filter.map(split_conjunction_owned).unwrap_or_default());
        for (l, r) in on {
            match (domain.used([&l, &r])?.is_empty(), null_equality) {
                (true, _) => pairs.push((l, r)),
                (false, NullEquality::NullEqualsNothing) => conditions.push(l.eq(r)),
                (false, NullEquality::NullEqualsNull) => conditions.push(datafusion::logical_expr::binary_expr(
                    l,
                    datafusion::logical_expr::Operator::IsNotDistinctFrom,
                    r,
                )),
            }
        }
        let sides = Sides { left, right, pairs, conditions, nulls: null_equality };
        match join_type {
            JoinType::Inner => self.matching_both(sides, domain),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                self.preserving_left(sides, join_type, domain)
            }
            JoinType::Right => self.preserving_right(sides, domain),
            JoinType::Full => self.full(sides, domain),
            other => Err(Error::internal(format!("a {other} join in a bound query"))),
        }
    }

    fn side(&mut self, plan: datafusion::logical_expr::LogicalPlan, domain: &Domain) -> Result<Fragment> {
        let fragment = self.unnest(plan, domain)?;
        self.complete(fragment, domain)?.tidy()
    }

    /// σ(L ⋈ R) over equal keys, where σ are the conditions that name outer columns.
    fn matching_both(&mut self, sides: Sides, domain: &Domain) -> Result<Fragment> {
        let Sides { left, right, pairs, conditions, nulls } = sides;
        let mut local = Vec::new();
        let mut correlated = Vec::new();
        for condition in conditions {
            match domain.used([&condition])?.is_empty() {
                true => local.push(condition),
                false => correlated.push(condition),
            }
        }
        let mut on = On { pairs, filters: local };
        for (outer, key) in &right.keys {
            if let Some(other) = left.keys.get(outer) {
                on.same((&left.plan, column(other)), (&right.plan, column(key)))?;
            }
        }
        let columns = left.columns.iter().chain(&right.columns).cloned().collect();
        let mut keys = right.keys;
        keys.extend(left.keys);
        let plan = on.join_where(left.plan, right.plan, JoinType::Inner, nulls)?;
        let fragment = Fragment { plan, columns, keys, order: Vec::new(), absent: None };
        self.filtered(fragment, correlated, domain)
    }

    /// Joins that keep rows, or not, by whether there is a match: the left rows must stand beside every combination
    /// that decides it.
    fn preserving_left(&mut self, sides: Sides, kind: JoinType, domain: &Domain) -> Result<Fragment> {
        let Sides { left, right, pairs, conditions, nulls } = sides;
        let mut needed: BTreeSet<String> = domain.used(&conditions)?;
        needed.extend(right.keys.keys().cloned());
        let left = self.cover(left, &needed, domain)?.tidy()?;
        let mut on = On { pairs, filters: Vec::new() };
        for condition in conditions {
            on.filters.push(left.inward(condition)?);
        }
        for (outer, key) in &right.keys {
            on.same((&left.plan, column(&left.keys[outer])), (&right.plan, column(key)))?;
        }
        let mut columns = left.columns;
        let plan = match kind {
            // Under the name that the join gives it: what stands above looks for that.
            JoinType::LeftMark => {
                columns.push("mark".into());
                node::mark(left.plan, right.plan, on, "mark")?
            }
            kind => on.join_where(left.plan, right.plan, kind, nulls)?,
        };
        if kind == JoinType::Left {
            columns.extend(right.columns);
        }
        Ok(Fragment { plan, columns, keys: left.keys, order: Vec::new(), absent: None })
    }

    fn preserving_right(&mut self, sides: Sides, domain: &Domain) -> Result<Fragment> {
        let Sides { left, right, pairs, conditions, nulls } = sides;
        let mut needed: BTreeSet<String> = domain.used(&conditions)?;
        needed.extend(left.keys.keys().cloned());
        let right = self.cover(right, &needed, domain)?.tidy()?;
        let mut on = On { pairs, filters: Vec::new() };
        for condition in conditions {
            on.filters.push(right.inward(condition)?);
        }
        for (outer, key) in &left.keys {
            on.same((&left.plan, column(key)), (&right.plan, column(&right.keys[outer])))?;
        }
        let columns = left.columns.into_iter().chain(right.columns).collect();
        let plan = on.join_where(left.plan, right.plan, JoinType::Right, nulls)?;
        Ok(Fragment { plan, columns, keys: right.keys, order: Vec::new(), absent: None })
    }

    /// Both sides stand beside the same combinations; a row's keys are those of the side that it has.
    fn full(&mut self, sides: Sides, domain: &Domain) -> Result<Fragment> {
        let Sides { left, right, pairs, conditions, nulls } = sides;
        let mut needed: BTreeSet<String> = domain.used(&conditions)?;
        needed.extend(left.keys.keys().chain(right.keys.keys()).cloned());
        let left = self.cover(left, &needed, domain)?.tidy()?;
        let right = self.cover(right, &needed, domain)?.tidy()?;
        let mut on = On { pairs, filters: Vec::new() };
        for condition in conditions {
            on.filters.push(left.inward(condition)?);
        }
        let columns: Vec<String> = left.columns.iter().chain(&right.columns).cloned().collect();
        let mut outputs = node::named_columns(&columns);
        let mut keys = std::collections::BTreeMap::new();
        for outer in &needed {
            let (l, r) = (column(&left.keys[outer]), column(&right.keys[outer]));
            on.same((&left.plan, l.clone()), (&right.plan, r.clone()))?;
            let key = self.fresh();
            outputs.push(coalesce(vec![l, r]).alias(&key));
            keys.insert(outer.clone(), key);
        }
        let joined = on.join_where(left.plan, right.plan, JoinType::Full, nulls)?;
        let plan = node::project(joined, outputs)?;
        Ok(Fragment { plan, columns, keys, order: Vec::new(), absent: None })
    }
}

/// A join taken apart.
struct Sides {
    left: Fragment,
    right: Fragment,
    pairs: Vec<(Expr, Expr)>,
    conditions: Vec<Expr>,
    nulls: NullEquality,
}

impl On {
    /// As [`On::join`], for pairs of which some say themselves what NULL equals.
    fn join_where(
        self,
        left: datafusion::logical_expr::LogicalPlan,
        right: datafusion::logical_expr::LogicalPlan,
        kind: JoinType,
        nulls: NullEquality,
    ) -> Result<datafusion::logical_expr::LogicalPlan> {
        match nulls {
            NullEquality::NullEqualsNothing => self.join(left, right, kind),
            NullEquality::NullEqualsNull => {
                let condition = self.filters.into_iter().reduce(Expr::and);
                node::join(left, right, self.pairs, condition, kind, nulls)
            }
        }
    }
}
