//! Subqueries in expressions: their plans stay whole inside the expression; decorrelation comes after binding.

use datafusion::common::Column;
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr, Subquery, lit};
use sqlparser::ast::{self, Spanned};
use std::sync::Arc;

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::{Binder, Bound, BoundQuery, Scope, column};
use crate::sql::functions::aggregate::{AggregateCall, relabel};

impl Binder<'_> {
    pub(super) fn bind_subquery_expr(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        match expr {
            ast::Expr::Subquery(query) => {
                let bound = self.bind_subquery(query, scope)?;
                let ty = single(&bound).map_err(|error| error.at(self.opening(expr)))?;
                let expr = self.scalar_subquery(bound.plan, scope)?;
                Ok(Bound::new(expr, ty, None))
            }
            ast::Expr::Exists { subquery, negated } => {
                let bound = self.bind_subquery(subquery, scope)?;
                let exists = Exists::new(self.subquery(bound.plan, scope)?, *negated);
                Ok(Bound::new(Expr::Exists(exists), SqlType::Bool, None))
            }
            ast::Expr::InSubquery { expr, subquery, negated } => {
                if let Some(values) = super::operator::row(expr) {
                    return self.row_in_subquery(&values, subquery, *negated, scope);
                }
                let value = self.bind_expr(expr, scope)?;
                self.in_subquery(value, subquery, *negated, scope)
            }
            other => Err(Error::unsupported(format!("the expression {other}"))),
        }
    }

    /// Where the parenthesis before a subquery stands.
    fn opening(&self, subquery: &ast::Expr) -> Option<usize> {
        let start = self.position(subquery.span())?;
        let before: Vec<char> = self.text.text().chars().take(start - 1).collect();
        before.iter().rposition(|c| *c == '(').map(|at| at + 1)
    }

    /// `value IN (query)`.
    fn in_subquery(&mut self, value: Bound, query: &ast::Query, negated: bool, scope: &Scope) -> Result<Bound> {
        let (value, subquery) = self.compared(value, Operator::Eq, query, scope)?;
        let within = InSubquery::new(Box::new(value), subquery, negated);
        Ok(Bound::new(Expr::InSubquery(within), SqlType::Bool, None))
    }

    /// A value and a query whose rows it is compared with, both brought to the type in which they compare.
    fn compared(
        &mut self,
        value: Bound,
        operator: Operator,
        query: &ast::Query,
        scope: &Scope,
    ) -> Result<(Expr, Subquery)> {
        let bound = self.bind_subquery(query, scope)?;
        let ty = single(&bound)
            .map_err(|_| Error::new(SqlState::SYNTAX_ERROR, "subquery has too many columns").at(value.position))?;
        let item = Bound::new(first_column(&bound.plan), ty, None);
        // Binds the comparison to learn its types; its operands are then taken apart.
        let compared = self.apply_comparison(value, operator, item)?;
        let Expr::BinaryExpr(compared) = compared.expr else {
            return Err(Error::internal("a comparison expected"));
        };
        let name = self.fresh();
        let plan = LogicalPlanBuilder::from(bound.plan).project(vec![compared.right.alias(&name)])?.build()?;
        Ok((*compared.left, self.subquery(plan, scope)?))
    }

    /// `value op ANY (query)`: as IN or NOT IN where it is one.
    pub(super) fn bind_quantified_subquery(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        query: &ast::Query,
        any: bool,
        scope: &Scope,
    ) -> Result<Bound> {
        if let Some(values) = super::operator::row(left) {
            return match (symbol, any) {
                ("=", true) => self.row_in_subquery(&values, query, false, scope),
                ("<>", false) => self.row_in_subquery(&values, query, true, scope),
                _ => Err(Error::unsupported(format!("{symbol} ANY or ALL of a row and (SELECT …)"))),
            };
        }
        let value = self.bind_expr(left, scope)?;
        let operator = match (symbol, any) {
            ("=", true) => return self.in_subquery(value, query, false, scope),
            ("<>", false) => return self.in_subquery(value, query, true, scope),
            ("=", false) => Operator::Eq,
            ("<>", true) => Operator::NotEq,
            ("<", _) => Operator::Lt,
            ("<=", _) => Operator::LtEq,
            (">", _) => Operator::Gt,
            (">=", _) => Operator::GtEq,
            _ => {
                return Err(Error::unsupported(format!("{symbol} {} (SELECT …)", if any { "ANY" } else { "ALL" }))
                    .with_hint("Write EXISTS (SELECT … WHERE …) instead."));
            }
        };
        let (value, subquery) = self.compared(value, operator, query, scope)?;
        let quantifier = if any { SetQuantifier::Any } else { SetQuantifier::All };
        let comparison = SetComparison::new(Box::new(value), subquery, operator, quantifier);
        Ok(Bound::new(Expr::SetComparison(comparison), SqlType::Bool, None))
    }

    /// The rows of a one-column query as an array, empty where there are none.
    pub(super) fn collected(&mut self, plan: LogicalPlan, ty: SqlType, scope: &Scope) -> Result<(Expr, SqlType)> {
        let (plan, item, order_by) = ordered(plan);
        let rows_of = AggregateCall::plain(vec![item], ty.clone());
        let args = rows_of.args.clone();
        let call = AggregateCall { order_by, ..rows_of.clone() };
        let (list, rows) = (self.fresh(), self.fresh());
        let aggregates =
            vec![call.of(array_agg_udaf(), args).alias(&list), rows_of.of(count_udaf(), vec![lit(1i64)]).alias(&rows)];
        let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), aggregates)?.build()?;
        let name = self.fresh();
        let gathered = relabel(column(&list), &ty);
        let empty = crate::sql::functions::array::empty(&ty)?;
        let filled = datafusion::logical_expr::when(column(&rows).eq(lit(0i64)), empty).otherwise(gathered)?;
        let plan = LogicalPlanBuilder::from(plan).project(vec![filled.alias(&name)])?.build()?;
        Ok((Expr::ScalarSubquery(self.subquery(plan, scope)?), ty))
    }
}

/// A query's rows, the value it puts out, and the order of its rows: an aggregate over them has to be told it.
fn ordered(plan: LogicalPlan) -> (LogicalPlan, Expr, Vec<SortExpr>) {
    let (limit, inner) = match &plan {
        LogicalPlan::Limit(limit) => (Some(limit), limit.input.as_ref()),
        plan => (None, plan),
    };
    // The projection that drops what is only sorted by.
    let (value, sorted) = match inner {
        LogicalPlan::Projection(projection) => {
            (projection.expr.first().cloned().unwrap_or_default().unalias(), projection.input.as_ref())
        }
        plan => (first_column(plan), plan),
    };
    match sorted {
        LogicalPlan::Sort(sort) => {
            let rows = match limit {
                Some(limit) => LogicalPlan::Limit(Limit { input: Arc::new(sorted.clone()), ..limit.clone() }),
                None => sort.input.as_ref().clone(),
            };
            (rows, value, sort.expr.clone())
        }
        _ => {
            let value = first_column(&plan);
            (plan, value, Vec::new())
        }
    }
}

fn first_column(plan: &LogicalPlan) -> Expr {
    let name = plan.schema().fields().first().map(|field| field.name().clone()).unwrap_or_default();
    Expr::Column(Column::new_unqualified(name))
}

/// The type of a query's only column.
fn single(query: &BoundQuery) -> Result<SqlType> {
    match query.columns.as_slice() {
        [column] => Ok(column.ty.clone()),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column")),
    }
}
