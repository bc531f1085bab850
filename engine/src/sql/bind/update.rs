//! UPDATE, DELETE and RETURNING: the rows they touch, as queries.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, AssignmentTarget, ObjectName, SelectItem, Spanned, TableAlias, TableWithJoins};

use crate::catalog::RelationSource;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::from::Tables;
use crate::sql::bind::insert::{WriteTarget, is_default, outputs};
use crate::sql::bind::{Binder, BoundQuery, Clause, Scope, column, plan};

/// The rows an UPDATE changes.
#[derive(Clone, Debug)]
pub struct BoundUpdate {
    /// For each row: the table's columns as they are, then all of them as they become. With FROM a row may come up
    /// more than once; PostgreSQL then updates it by any one of these.
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
        let exprs = old.into_iter().chain(new).map(|expr| expr.alias(self.fresh())).collect();
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
        for ast::Assignment { target: to, value } in assignments {
            for (name, value) in single_assignments(to, value)? {
                let index = self.column_of(&target.table, name)?;
                if assigned.contains(&index) {
                    let message = format!("multiple assignments to same column \"{}\"", columns[index].name);
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(self.position(name.span())));
                }
                assigned.push(index);
                row[index] = match is_default(value) {
                    true => self.default(target, index)?.expr,
                    false => self.assigned(value, &columns[index], scope)?.expr,
                };
            }
        }
        Ok((row, assigned))
    }

    /// The rows of a table that a DELETE removes: its columns, where the condition holds.
    pub fn bind_where(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        using: &[TableWithJoins],
        selection: Option<&ast::Expr>,
    ) -> Result<BoundQuery> {
        let (input, scope) = self.written_rows(table, alias, using, selection)?;
        let exprs = scope.items[0].columns.iter().map(|column| self::column(column.field.name())).collect();
        Ok(BoundQuery { plan: plan::project(input, exprs)?, columns: outputs(table) })
    }

    fn written_rows(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        more: &[TableWithJoins],
        selection: Option<&ast::Expr>,
    ) -> Result<(LogicalPlan, Scope<'static>)> {
        let scanned = self.scan(table)?;
        let mut tables = self.aliased(scanned, alias)?;
        for other in more {
            tables = self.joined(other, tables, None)?;
        }
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

    /// RETURNING over written rows: `rows` has the columns of the table in its order.
    pub fn bind_returning(
        &mut self,
        table: &Arc<RelationSource>,
        alias: Option<&TableAlias>,
        items: &[SelectItem],
        rows: LogicalPlan,
    ) -> Result<BoundQuery> {
        let scanned = self.scan(table)?;
        let names: Vec<String> = scanned.items[0].columns.iter().map(|column| column.field.name().clone()).collect();
        let exprs = plan::columns(&rows).zip(&names).map(|(expr, name)| expr.alias(name)).collect();
        let mut tables = Tables { plan: plan::project(rows, exprs)?, items: scanned.items };
        Scope::refresh(&mut tables.items, tables.plan.schema());
        let tables = self.aliased(tables, alias)?;
        let mut scope = Scope::new(None, Clause::Returning, self.text.clone());
        scope.items = tables.items;
        let targets = self.targets(items, &scope)?;
        let exprs = targets.iter().map(|target| target.bound.expr.clone().alias(self.fresh())).collect();
        let columns = targets.into_iter().map(|target| target.column).collect();
        self.settle_columns(BoundQuery { plan: plan::project(tables.plan, exprs)?, columns })
    }
}

/// `SET a = x`, or `SET (a, b) = (x, y)`.
fn single_assignments<'a>(
    target: &'a AssignmentTarget,
    value: &'a ast::Expr,
) -> Result<Vec<(&'a ObjectName, &'a ast::Expr)>> {
    match (target, value) {
        (AssignmentTarget::ColumnName(name), value) => Ok(vec![(name, value)]),
        (AssignmentTarget::Tuple(names), ast::Expr::Tuple(values)) if names.len() == values.len() => {
            Ok(names.iter().zip(values).collect())
        }
        (AssignmentTarget::Tuple(_), ast::Expr::Tuple(_)) => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values"))
        }
        (AssignmentTarget::Tuple(names), value) if names.len() == 1 => Ok(vec![(&names[0], value)]),
        _ => Err(Error::unsupported("UPDATE of several columns from a subquery")),
    }
}
