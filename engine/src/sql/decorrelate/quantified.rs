//! EXISTS, IN, ANY and ALL within expressions: three-valued marks beside the rows.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::SetQuantifier;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit, when};

use super::fragment::Fragment;
use super::node::{self, On};
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use super::scalar::{Beside, only};
use crate::error::{Error, Result};

/// `[NOT] value operator ANY (subquery)`
pub(super) struct Quantified {
    pub value: Expr,
    pub operator: Operator,
    pub subquery: Arc<LogicalPlan>,
    pub negated: bool,
}

impl Quantified {
    /// IN, ANY and ALL in this form: ALL is NOT ANY of the opposite.
    pub fn of(expr: Expr) -> Result<Quantified> {
        match expr {
            Expr::InSubquery(within) => Ok(Quantified {
                value: *within.expr,
                operator: Operator::Eq,
                subquery: within.subquery.subquery,
                negated: within.negated,
            }),
            Expr::SetComparison(comparison) => {
                let negated = comparison.quantifier == SetQuantifier::All;
                let operator = if negated { comparison.op.negate() } else { Some(comparison.op) };
                let comparing = |operator: &Operator| {
                    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
                    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
                };
                match operator.filter(comparing) {
                    Some(operator) => Ok(Quantified {
                        value: *comparison.expr,
                        operator,
                        subquery: comparison.subquery.subquery,
                        negated,
                    }),
                    None => Err(Error::unsupported(format!("{} ANY or ALL over a subquery", comparison.op))),
                }
            }
            other => Err(Error::internal(format!("no subquery expression: {other}"))),
        }
    }
}

impl Decorrelator {
    /// Whether a subquery has rows.
    pub(super) fn exists(&mut self, subquery: Arc<LogicalPlan>, beside: &mut Beside) -> Result<Expr> {
        let (inner, domain) = self.inner(subquery, beside.outer)?;
        let fragment = self.unnest(inner, &domain)?;
        let fragment = self.complete(fragment, &domain)?;
        if fragment.keys.is_empty() {
            let rows = self.fresh();
            self.counted(&fragment, vec![node::count(lit(1i64)).alias(&rows)], beside)?;
            return Ok(column(&rows).gt(lit(0i64)));
        }
        let mark = self.fresh();
        let (right, on) = self.matching(&fragment, None, beside)?;
        let left = std::mem::take(&mut beside.plan);
        beside.plan = node::mark(left, right, on, &mark)?;
        Ok(column(&mark))
    }

    /// IN, ANY or ALL, NULL where it is unknown.
    pub(super) fn quantified(&mut self, expr: Expr, beside: &mut Beside) -> Result<Expr> {
        let Quantified { value, operator, subquery, negated } = Quantified::of(expr)?;
        let (inner, domain) = self.inner(subquery, beside.outer)?;
        let fragment = self.unnest(inner, &domain)?;
        let fragment = self.complete(fragment, &domain)?;
        let mark = self.fresh();
        let (right, on) = self.matching(&fragment, Some((&value, operator)), beside)?;
        let left = std::mem::take(&mut beside.plan);
        beside.plan = node::mark(left, right, on, &mark)?;
        let result = match self.unknown(&fragment, &value, beside)? {
            None => column(&mark),
            Some(unknown) => {
                when(column(&mark), lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))?
            }
        };
        Ok(if negated { Expr::Not(Box::new(result)) } else { result })
    }

    /// The rows of a fragment, and when they match those of `beside`: by the keys, and by a comparison with the
    /// fragment's column.
    pub(super) fn matching(
        &mut self,
        fragment: &Fragment,
        compared: Option<(&Expr, Operator)>,
        beside: &Beside,
    ) -> Result<(LogicalPlan, On)> {
        let mut outputs = Vec::with_capacity(fragment.keys.len() + 1);
        let mut keys = Vec::with_capacity(fragment.keys.len());
        for (outer, key) in &fragment.keys {
            let copy = self.fresh();
            outputs.push(column(key).alias(&copy));
            keys.push((outer, copy));
        }
        let mut on = On::default();
        if let Some((value, operator)) = compared {
            let item = self.fresh();
            outputs.push(column(&only(fragment)?).alias(&item));
            on.filters.push(binary_expr(value.clone(), operator, column(&item)));
        }
        let right = node::project(fragment.plan.clone(), outputs)?;
        for (outer, key) in keys {
            on.same((&beside.plan, outer::key(&beside.plan, outer)?), (&right, column(&key)))?;
        }
        Ok((right, on))
    }

    /// When a comparison that no row makes true is unknown: some row is compared with NULL. None if that cannot be.
    pub(super) fn unknown(&mut self, fragment: &Fragment, value: &Expr, beside: &mut Beside) -> Result<Option<Expr>> {
        let item = column(&only(fragment)?);
        let value_nullable = value.nullable(beside.plan.schema())?;
        let item_nullable = item.nullable(fragment.plan.schema())?;
        if !value_nullable && !item_nullable {
            return Ok(None);
        }
        let (rows, known) = (self.fresh(), self.fresh());
        let calls = vec![node::count(lit(1i64)).alias(&rows), node::count(item).alias(&known)];
        self.counted(fragment, calls, beside)?;
        let no_value = value.clone().is_null().and(column(&rows).gt(lit(0i64)));
        Ok(Some(no_value.or(column(&rows).gt(column(&known)))))
    }
}
