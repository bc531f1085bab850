//! WHERE and HAVING: conditions that are subqueries as a whole keep or drop rows, without a mark.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, lit, when};

use super::node;
use super::outer;
use super::quantified::Quantified;
use super::rewrite::{Decorrelator, restore};
use super::scalar::Beside;
use crate::error::Result;

impl Decorrelator {
    pub(super) fn condition(&mut self, filter: Filter) -> Result<LogicalPlan> {
        let conditions = split_conjunction_owned(filter.predicate);
        let (dependent, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(outer::has_subquery);
        let input = node::filter(Arc::unwrap_or_clone(filter.input), plain)?;
        let mut beside = Beside::new(&input);
        let mut rest = Vec::new();
        for condition in dependent {
            rest.extend(self.keep(condition, false, &mut beside)?);
        }
        restore(node::filter(beside.plan, rest)?, &node::names(&input))
    }

    /// Keeps the rows for which a condition, or its opposite, is true, as far as a join can; returns what is left to
    /// ask for.
    fn keep(&mut self, condition: Expr, negated: bool, beside: &mut Beside) -> Result<Option<Expr>> {
        match condition {
            Expr::Not(inner) if outer::is_subquery(&inner) => self.keep(*inner, !negated, beside),
            Expr::Exists(exists) => {
                let negated = negated != exists.negated;
                self.keep_existing(exists.subquery.subquery, negated, beside)
            }
            Expr::InSubquery(_) | Expr::SetComparison(_) => {
                let mut quantified = Quantified::of(condition)?;
                quantified.negated ^= negated;
                quantified.value = self.inline(quantified.value, beside)?;
                self.keep_matching(quantified, beside)
            }
            condition => {
                let condition = self.inline(condition, beside)?;
                Ok(Some(if negated { Expr::Not(Box::new(condition)) } else { condition }))
            }
        }
    }

    fn keep_existing(
        &mut self,
        subquery: Arc<LogicalPlan>,
        negated: bool,
        beside: &mut Beside,
    ) -> Result<Option<Expr>> {
        let (inner, domain) = self.inner(subquery, beside.outer)?;
        let fragment = self.unnest(inner, &domain)?;
        let fragment = self.complete(fragment, &domain)?;
        if fragment.keys.is_empty() {
            let rows = self.fresh();
            self.counted(&fragment, vec![node::count(lit(1i64)).alias(&rows)], beside)?;
            let none = outer::column(&rows).eq(lit(0i64));
            return Ok(Some(if negated { none } else { Expr::Not(Box::new(none)) }));
        }
        let (right, on) = self.matching(&fragment, None, beside)?;
        let kind = if negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
        let left = std::mem::take(&mut beside.plan);
        beside.plan = on.join(left, right, kind)?;
        Ok(None)
    }

    /// `value NOT IN (…)` is true where no row matches and none is unknown.
    fn keep_matching(&mut self, quantified: Quantified, beside: &mut Beside) -> Result<Option<Expr>> {
        let Quantified { value, operator, subquery, negated } = quantified;
        let (inner, domain) = self.inner(subquery, beside.outer)?;
        let fragment = self.unnest(inner, &domain)?;
        let fragment = self.complete(fragment, &domain)?;
        let (right, on) = self.matching(&fragment, Some((&value, operator)), beside)?;
        let kind = if negated { JoinType::LeftAnti } else { JoinType::LeftSemi };
        let left = std::mem::take(&mut beside.plan);
        beside.plan = on.join(left, right, kind)?;
        if !negated {
            return Ok(None);
        }
        match self.unknown(&fragment, &value, beside)? {
            None => Ok(None),
            Some(unknown) => Ok(Some(when(unknown, lit(false)).otherwise(lit(true))?)),
        }
    }
}
