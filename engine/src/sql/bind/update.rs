//! UPDATE, DELETE and RETURNING: the rows they touch, as queries.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, AssignmentTarget, ObjectName, SelectItem, Spanned, TableAlias, TableWithJoins};

use crate::catalog::RelationSource;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::from::Tables;
use crate::sql::bind::insert::{WriteTarget, is_default, outputs};
use crate::sql::bind::operator::row;
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, Scope, column, plan};

/// The rows an UPDATE changes.
#[derive(Clone, Debug)]
pub struct BoundUpdate {
    /// For each row: the table's columns as they are, then all of them as they become. With FROM a row may come up
    /// more than once; PostgreSQL then updates it by any one of these. Behind them stand then the columns that RETURNING
    /// sees, those of all tables.
    pub query: BoundQuery,
    /// Positions of the columns that are assigned to.
    pub assigned: Vec<usize>,
}

impl Binder<'_> {
    /// The rows that an UPDATE changes, as they are and as they become.
    pub fn bind_update(
        &mut self,
        target: &WriteTarget,
        alias: Option<&TableAlias>,
        assignments: &[ast::Assignment],
        from: &[TableWithJoins],
        selection: Option<&ast::Expr>,
    ) -> Result<BoundUpdate> {
        let (input, scope) = self.written_rows(&target.table, alias, from, selection)?;
        let scope = scope.within(Clause::Update);
        let old: Vec<Expr> = scope.items[0].columns.iter().map(|column| self::column(column.field.name())).collect();
        let (new, assigned) = self.assign(target, assignments, old.clone(), &scope)?;
        let seen = if from.is_empty() { Vec::new() } else { seen(&input, &old, &new) };
        let exprs = old.into_iter().chain(new).chain(seen).map(|expr| expr.alias(self.fresh())).collect();
        let plan = plan::project(input, exprs)?;
        let both = outputs(&target.table).into_iter().chain(outputs(&target.table)).collect();
        Ok(BoundUpdate { query: BoundQuery { plan, columns: both }, assigned })
    }

    /// A row's columns after SET, and the positions of those that it assigns to.
    pub(super) fn assign(
        &mut self,
        target: &WriteTarget,
        assignments: &[ast::Assignment],
        mut row: Vec<Expr>,
        scope: &Scope,
    ) -> Result<(Vec<Expr>, Vec<usize>)> {
        let columns = &target.table.schema.columns;
        let mut assigned = Vec::with_capacity(assignments.len());
        let mut assign = |binder: &mut Self, name: &ObjectName| {
            let index = binder.column_of(&target.table, name)?;
            if assigned.contains(&index) {
                let message = format!("multiple assignments to same column \"{}\"", columns[index].name);
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(binder.position(name.span())));
            }
            assigned.push(index);
            Ok(index)
        };
        for ast::Assignment { target: to, value } in assignments {
            if let (AssignmentTarget::Tuple(names), ast::Expr::Subquery(query)) = (to, value) {
                for (name, value) in names.iter().zip(self.columns_of_row(query, names.len(), scope)?) {
                    let index = assign(self, name)?;
                    row[index] = self.assigned_value(value, &columns[index])?.expr;
                }
                continue;
            }
            for (name, value) in single_assignments(to, value)? {
                let index = assign(self, name)?;
                row[index] = match is_default(&value) {
                    true => self.default(target, index)?.expr,
                    false => self.assigned(&value, &columns[index], scope)?.expr,
                };
            }
        }
        Ok((row, assigned))
    }

    /// The columns of a query's only row, NULL where it has none.
    fn columns_of_row(&mut self, query: &ast::Query, count: usize, scope: &Scope) -> Result<Vec<Bound>> {
        let bound = self.bind_subquery(query, scope)?;
        if bound.columns.len() != count {
            let message = "number of columns does not match number of values";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(self.position(query.span())));
        }
        let exprs: Vec<Expr> = plan::columns(&bound.plan).collect();
        let mut values = Vec::with_capacity(count);
        for (expr, column) in exprs.into_iter().zip(bound.columns) {
            let plan = plan::project(bound.plan.clone(), vec![expr])?;
            values.push(Bound::new(self.scalar_subquery(plan, scope)?, column.ty, None));
        }
        Ok(values)
    }

    /// The rows of a table that a DELETE removes: its columns, where the condition holds. With USING the columns that RETURNING
    /// sees stand behind them.
    pub fn bind_where(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        using: &[TableWithJoins],
        selection: Option<&ast::Expr>,
    ) -> Result<BoundQuery> {
        let (input, scope) = self.written_rows(table, alias, using, selection)?;
        let own: Vec<Expr> = scope.items[0].columns.iter().map(|column| self::column(column.field.name())).collect();
        let seen = if using.is_empty() { Vec::new() } else { seen(&input, &own, &own) };
        let exprs = own.into_iter().chain(seen).map(|expr| expr.alias(self.fresh())).collect();
        Ok(BoundQuery { plan: plan::project(input, exprs)?, columns: outputs(table) })
    }

    fn written_tables(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        more: &[TableWithJoins],
    ) -> Result<Tables> {
        let scanned = self.scan(table)?;
        let mut tables = self.aliased(scanned, alias)?;
        for other in more {
            tables = self.joined(other, tables, None)?;
        }
        Ok(tables)
    }

    fn written_rows(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        more: &[TableWithJoins],
        selection: Option<&ast::Expr>,
    ) -> Result<(LogicalPlan, Scope<'static>)> {
        let tables = self.written_tables(table, alias, more)?;
        let mut scope = Scope::new(None, Clause::Where, self.text.clone());
        scope.items = tables.items;
        let plan = match selection {
            None => tables.plan,
            Some(selection) => {
                let predicate = self.condition(selection, &scope)?;
                plan::filter(tables.plan, predicate)?
            }
        };
        Ok((plan, scope))
    }

    /// RETURNING over written rows: `rows` has the columns of the table in its order, or those that it sees of it and the tables
    /// of FROM or USING. Without `rows` only the columns of the result are asked for.
    pub fn bind_returning(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        others: &[TableWithJoins],
        items: &[SelectItem],
        rows: Option<LogicalPlan>,
    ) -> Result<BoundQuery> {
        let mut tables = self.written_tables(table, alias, others)?;
        if let Some(rows) = rows {
            let exprs = plan::columns(&rows).zip(tables.plan.schema().fields());
            let exprs = exprs.map(|(expr, field)| expr.alias(field.name())).collect();
            tables = Tables { plan: plan::project(rows, exprs)?, items: tables.items };
            Scope::refresh(&mut tables.items, tables.plan.schema());
        }
        let mut scope = Scope::new(None, Clause::Returning, self.text.clone());
        scope.items = tables.items;
        let targets = self.targets(items, &scope)?;
        let exprs = targets.iter().map(|target| target.bound.expr.clone().alias(self.fresh())).collect();
        let columns = targets.into_iter().map(|target| target.column).collect();
        self.settle_columns(BoundQuery { plan: plan::project(tables.plan, exprs)?, columns })
    }
}

/// The columns of the tables of a statement, those of the written one as they become.
fn seen(input: &LogicalPlan, old: &[Expr], new: &[Expr]) -> Vec<Expr> {
    let becomes = |expr: Expr| old.iter().position(|old| *old == expr).map_or(expr, |at| new[at].clone());
    plan::columns(input).map(becomes).collect()
}

/// `SET a = x`, or `SET (a, b) = (x, y)`.
fn single_assignments<'a>(
    target: &'a AssignmentTarget,
    value: &'a ast::Expr,
) -> Result<Vec<(&'a ObjectName, Cow<'a, ast::Expr>)>> {
    let names = match target {
        AssignmentTarget::ColumnName(name) => return Ok(vec![(name, Cow::Borrowed(value))]),
        AssignmentTarget::Tuple(names) => names,
    };
    match row(value) {
        Some(Cow::Borrowed(values)) if names.len() == values.len() => {
            Ok(names.iter().zip(values.iter().map(Cow::Borrowed)).collect())
        }
        Some(Cow::Owned(values)) if names.len() == values.len() => {
            Ok(names.iter().zip(values.into_iter().map(Cow::Owned)).collect())
        }
        Some(_) => Err(Error::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values")),
        None if names.len() == 1 => Ok(vec![(&names[0], Cow::Borrowed(value))]),
        None => {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
            Err(Error::unsupported(message))
        }
    }
}
