//! A whole query: WITH, body, ORDER BY, LIMIT.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Limit, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use sqlparser::ast::{self, LimitClause, OrderByKind, SetExpr, Spanned};
use sqlparser::tokenizer::Span;

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::{Binder, BoundQuery, Clause, Scope};

/// Queries within queries, so that the stack holds.
const MAX_DEPTH: usize = 64;

impl Binder<'_> {
    /// Binds a statement's query. String literals that nothing typed come out as text.
    pub fn bind_query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let bound = self.query(query, None)?;
        let bound = self.settle_columns(bound)?;
        self.check_purpose(&bound.plan)?;
        Ok(bound)
    }

    /// Binds a query inside `outer`. Columns that are bare literals may still be of unknown type.
    pub(super) fn query(&mut self, query: &ast::Query, outer: Option<&Scope>) -> Result<BoundQuery> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .with_hint("Queries and views nest too deeply."));
        }
        let in_sight = self.common_tables.len();
        self.depth += 1;
        let bound = self.query_clauses(query, outer);
        self.depth -= 1;
        self.common_tables.truncate(in_sight);
        bound
    }

    fn query_clauses(&mut self, query: &ast::Query, outer: Option<&Scope>) -> Result<BoundQuery> {
        self.settings.interrupt.check()?;
        refuse_foreign(query)?;
        if let SetExpr::Query(inner) = query.body.as_ref() {
            return self.query(&self.merged(query, inner)?, outer);
        }
        if let Some(with) = &query.with {
            self.bind_with(with, outer)?;
        }
        let order: &[ast::OrderByExpr] = match query.order_by.as_ref().map(|order| &order.kind) {
            None => &[],
            Some(OrderByKind::Expressions(keys)) => keys,
            Some(OrderByKind::All(_)) => return Err(Error::unsupported("ORDER BY ALL")),
        };
        let mut bound = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, order, outer)?,
            body => {
                let bound = self.set_expr(body, outer)?;
                self.order_outputs(bound, order, matches!(body, SetExpr::Values(_)))?
            }
        };
        if query.limit_clause.is_some() || query.fetch.is_some() {
            bound = self.settle_columns(bound)?;
            bound.plan = self.limit(query, bound.plan, outer)?;
        }
        Ok(bound)
    }

    /// `(query) ORDER BY … LIMIT …`: the clauses outside belong to the query inside.
    fn merged(&self, outside: &ast::Query, inside: &ast::Query) -> Result<ast::Query> {
        let twice = |clause: &str, span| {
            let message = format!("multiple {clause} clauses not allowed");
            Err(Error::new(SqlState::SYNTAX_ERROR, message).at(self.position(span)))
        };
        let mut query = inside.clone();
        if let Some(order) = &outside.order_by {
            if query.order_by.is_some() {
                return twice("ORDER BY", order.span());
            }
            query.order_by = Some(order.clone());
        }
        if outside.limit_clause.is_some() || outside.fetch.is_some() {
            if query.limit_clause.is_some() || query.fetch.is_some() {
                return twice("LIMIT", outside.limit_clause.as_ref().map_or(Span::empty(), Spanned::span));
            }
            query.limit_clause = outside.limit_clause.clone();
            query.fetch = outside.fetch.clone();
        }
        if let Some(with) = &outside.with {
            if query.with.is_some() {
                return twice("WITH", with.span());
            }
            query.with = Some(with.clone());
        }
        Ok(query)
    }

    fn limit(&mut self, query: &ast::Query, input: LogicalPlan, outer: Option<&Scope>) -> Result<LogicalPlan> {
        let (mut limit, offset) = match &query.limit_clause {
            None => (None, None),
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.clone(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(LimitClause::OffsetCommaLimit { offset, .. }) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                    .with_hint("Use separate LIMIT and OFFSET clauses.")
                    .at(self.position(offset.span())));
            }
        };
        if let Some(fetch) = &query.fetch {
            if limit.is_some() {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "multiple LIMIT clauses not allowed"));
            }
            let one = || ast::Expr::value(ast::Value::Number("1".into(), false));
            limit = Some(fetch.quantity.clone().unwrap_or_else(one));
        }
        let mut count = |expr: &ast::Expr, clause| {
            self.row_count(expr, clause).map_err(|error| self.with_variables(query, outer, expr, clause, error))
        };
        let fetch = limit.map(|limit| count(&limit, Clause::Limit)).transpose()?.flatten();
        let skip = offset.map(|offset| count(offset, Clause::Offset)).transpose()?.flatten();
        if fetch.is_none() && skip.is_none() {
            return Ok(input);
        }
        let (skip, fetch) = (skip.map(Box::new), fetch.map(Box::new));
        Ok(LogicalPlan::Limit(Limit { skip, fetch, input: Arc::new(input) }))
    }

    /// The error of a LIMIT or OFFSET: a column that there is must not be named there.
    fn with_variables(
        &mut self,
        query: &ast::Query,
        outer: Option<&Scope>,
        expr: &ast::Expr,
        clause: Clause,
        error: Error,
    ) -> Error {
        let SetExpr::Select(select) = query.body.as_ref() else { return error };
        if !matches!(error.sqlstate(), SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE) {
            return error;
        }
        let Ok((_, scope)) = self.from(&select.from, outer) else { return error };
        match self.bind_expr(expr, &scope.within(clause)) {
            Ok(_) => {
                let message = format!("argument of {} must not contain variables", clause.name());
                Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(error.position())
            }
            Err(error) => error,
        }
    }

    /// The argument of LIMIT or OFFSET as bigint; None where it is NULL, which is no limit.
    fn row_count(&mut self, expr: &ast::Expr, clause: Clause) -> Result<Option<Expr>> {
        let position = self.position(expr.span());
        let scope = Scope::new(None, clause, self.text.clone());
        let bound = self.bind_expr(expr, &scope)?;
        let was = bound.ty.clone();
        let bound = self.coerce(bound, &SqlType::Int8, Coercion::Assignment).map_err(|error| {
            let message = format!("argument of {} must be type bigint, not type {was}", clause.name());
            mismatch(error, message).at(position)
        })?;
        if super::subquery::contains_subquery(&bound.expr) {
            return Err(Error::unsupported(format!("a subquery in {}", clause.name())).at(position));
        }
        match ExprSimplifier::new(SimplifyContext::default()).simplify(bound.expr)? {
            Expr::Literal(value, _) if value.is_null() => Ok(None),
            Expr::Literal(ScalarValue::Int64(Some(count)), _) if count < 0 => {
                let state = if clause == Clause::Limit { SqlState::INVALID_LIMIT } else { SqlState::INVALID_OFFSET };
                Err(Error::new(state, format!("{} must not be negative", clause.name())))
            }
            expr => Ok(Some(expr)),
        }
    }
}

/// `message` in place of a failed coercion's own; other errors stay.
pub(super) fn mismatch(error: Error, message: String) -> Error {
    match error.sqlstate() {
        SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE => Error::new(SqlState::DATATYPE_MISMATCH, message),
        _ => error,
    }
}

/// Refuses clauses that PostgreSQL's grammar does not have, or that we do not support.
fn refuse_foreign(query: &ast::Query) -> Result<()> {
    if let Some(lock) = query.locks.first() {
        return Err(Error::unsupported(format!("FOR {}", lock.lock_type))
            .with_hint("Readers see one consistent epoch and need no locks."));
    }
    let with_ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
    let percent = query.fetch.as_ref().is_some_and(|fetch| fetch.percent);
    let limit_by =
        matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
    let interpolate = query.order_by.as_ref().is_some_and(|order| order.interpolate.is_some());
    let refused = [
        (with_ties, "FETCH … WITH TIES"),
        (percent, "FETCH … PERCENT"),
        (limit_by, "LIMIT BY"),
        (interpolate, "INTERPOLATE"),
        (query.for_clause.is_some(), "FOR XML or JSON"),
        (query.settings.is_some(), "SETTINGS"),
        (query.format_clause.is_some(), "FORMAT"),
        (!query.pipe_operators.is_empty(), "the pipe operator"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}
