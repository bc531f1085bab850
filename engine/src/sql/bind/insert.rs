//! INSERT: the rows to write, as a query.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, ObjectName, SetExpr, Spanned};

use crate::catalog::RelationSource;
use crate::data::{Column, SqlType};
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::output::{field_column, settled};
use crate::sql::bind::query::mismatch;
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, OutputColumn, Scope, fold, plan};

/// A table to write to.
#[derive(Clone, Debug)]
pub struct WriteTarget {
    pub table: Arc<RelationSource>,
    /// The DEFAULT of each column, as it was declared.
    pub defaults: Vec<Option<ast::Expr>>,
}

impl Binder<'_> {
    /// The rows that an INSERT writes: all columns of the table in its order, each coerced by assignment, defaults
    /// where the statement gives nothing. `listed` is the statement's column list; no `source` is DEFAULT VALUES.
    pub fn bind_insert_source(
        &mut self,
        target: &WriteTarget,
        listed: &[ObjectName],
        source: Option<&ast::Query>,
    ) -> Result<BoundQuery> {
        let explicit = !listed.is_empty();
        let mut order = self.listed_columns(&target.table, listed)?;
        let columns = &target.table.schema.columns;
        let types: Vec<SqlType> = columns.iter().map(|column| column.ty.clone()).collect();
        let plan = match source.map(|query| (query, query.body.as_ref())) {
            None => {
                let row = (0..columns.len()).map(|index| self.default(target, index)).collect::<Result<_>>()?;
                self.constant_rows(vec![row], &types)?
            }
            Some((query, SetExpr::Values(values)))
                if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() =>
            {
                let mut rows = Vec::with_capacity(values.rows.len());
                let width = values.rows.first().map_or(0, |row| row.content.len());
                for row in &values.rows {
                    if row.content.len() != width {
                        let position = row.content.first().and_then(|item| self.position(item.span()));
                        let message = "VALUES lists must all be the same length";
                        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
                    }
                    rows.push(self.inserted_row(target, &order, explicit, &row.content)?);
                }
                self.constant_rows(rows, &types)?
            }
            Some((query, _)) => {
                let bound = self.query(query, None)?;
                check_width(order.len(), bound.columns.len(), explicit)?;
                order.truncate(bound.columns.len());
                self.inserted_query(target, &order, bound)?
            }
        };
        self.check_purpose(&plan)?;
        Ok(BoundQuery { plan, columns: outputs(&target.table) })
    }

    /// Positions of the columns that an INSERT lists; all, if it lists none.
    fn listed_columns(&self, table: &RelationSource, listed: &[ObjectName]) -> Result<Vec<usize>> {
        let mut order = Vec::with_capacity(table.schema.columns.len());
        for name in listed {
            let index = self.column_of(table, name)?;
            if order.contains(&index) {
                let message = format!("column \"{}\" specified more than once", table.schema.columns[index].name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(self.position(name.span())));
            }
            order.push(index);
        }
        if listed.is_empty() {
            order.extend(0..table.schema.columns.len());
        }
        Ok(order)
    }

    /// The position of a column that is written to.
    pub(super) fn column_of(&self, table: &RelationSource, name: &ObjectName) -> Result<usize> {
        let position = self.position(name.span());
        let ident = match &name.0[..] {
            [part] => part.as_ident(),
            _ => return Err(Error::unsupported("assignment to a part of a column").at(position)),
        };
        let column = ident.map(fold).unwrap_or_default();
        let found = table.schema.columns.iter().position(|other| other.name == column);
        found.ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            Error::new(SqlState::UNDEFINED_COLUMN, message).at(position)
        })
    }

    /// A row of VALUES as a row of the table.
    fn inserted_row(
        &mut self,
        target: &WriteTarget,
        order: &[usize],
        explicit: bool,
        items: &[ast::Expr],
    ) -> Result<Vec<Bound>> {
        let at = items.get(order.len()).or(items.first()).and_then(|item| self.position(item.span()));
        check_width(order.len(), items.len(), explicit).map_err(|error| error.at(at))?;
        let mut row = Vec::with_capacity(target.table.schema.columns.len());
        for (index, column) in target.table.schema.columns.iter().enumerate() {
            let item = order.iter().position(|listed| *listed == index).and_then(|listed| items.get(listed));
            row.push(match item {
                Some(item) if !is_default(item) => {
                    refuse_default_within(item).map_err(|error| error.at(self.position(item.span())))?;
                    let scope = Scope::new(None, Clause::Values, self.text.clone());
                    self.assigned(item, column, &scope)?
                }
                _ => self.default(target, index)?,
            });
        }
        Ok(row)
    }

    /// A query's rows as rows of the table; its columns go to those in `order`.
    fn inserted_query(&mut self, target: &WriteTarget, order: &[usize], bound: BoundQuery) -> Result<LogicalPlan> {
        let columns = &target.table.schema.columns;
        let types: Vec<SqlType> = order.iter().map(|index| columns[*index].ty.clone()).collect();
        let was: Vec<SqlType> = bound.columns.iter().map(|column| column.ty.clone()).collect();
        let explain = |index: usize, error| not_assignable(error, &columns[order[index]], &was[index]);
        let bound = self.coerce_columns(bound, &types, Coercion::Assignment, explain)?;
        let mut exprs = Vec::with_capacity(columns.len());
        for index in 0..columns.len() {
            let value = match order.iter().position(|listed| *listed == index) {
                Some(listed) => field_column(&bound.plan, listed),
                None => self.default(target, index)?.expr,
            };
            exprs.push(value.alias(self.fresh()));
        }
        plan::project(bound.plan, exprs)
    }

    /// A column's default, NULL if it has none.
    pub(super) fn default(&mut self, target: &WriteTarget, index: usize) -> Result<Bound> {
        let column = &target.table.schema.columns[index];
        let null = ast::Expr::value(ast::Value::Null);
        let expr = target.defaults.get(index).and_then(Option::as_ref).unwrap_or(&null);
        // Its places are those of the CREATE TABLE.
        let text = std::mem::take(&mut self.text);
        let scope = Scope::new(None, Clause::Default, self.text.clone());
        let bound = self.assigned(expr, column, &scope);
        self.text = text;
        bound
    }

    /// Binds an expression and coerces it by assignment to a column's type.
    pub(super) fn assigned(&mut self, expr: &ast::Expr, column: &Column, scope: &Scope) -> Result<Bound> {
        let position = self.position(expr.span());
        let mut bound = self.bind_expr(expr, scope)?;
        bound.position = bound.position.or(position);
        self.assigned_value(bound, column)
    }

    /// A value as one for `column`.
    pub(super) fn assigned_value(&mut self, value: Bound, column: &Column) -> Result<Bound> {
        let (was, position) = (value.ty.clone(), value.position);
        self.coerce(value, &column.ty, Coercion::Assignment)
            .map_err(|error| not_assignable(error, column, &was).at(position))
    }

    /// An expression over nothing, as a value for `column`: the DEFAULT of a column is checked so.
    pub fn bind_default(&mut self, expr: &ast::Expr, column: &Column) -> Result<Expr> {
        let scope = Scope::new(None, Clause::Default, self.text.clone());
        Ok(self.assigned(expr, column, &scope)?.expr)
    }
}

/// The keyword DEFAULT in place of a value.
pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// DEFAULT as a part of an expression (42601): the parser takes it for a name.
fn refuse_default_within(expr: &ast::Expr) -> Result<()> {
    let found = ast::visit_expressions(expr, |part| match is_default(part) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(()) => Err(Error::new(SqlState::SYNTAX_ERROR, "DEFAULT is not allowed in this context")),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn check_width(targets: usize, given: usize, explicit: bool) -> Result<()> {
    if given > targets {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns"));
    }
    if explicit && given < targets {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions"));
    }
    Ok(())
}

fn not_assignable(error: Error, column: &Column, was: &SqlType) -> Error {
    let (name, ty) = (&column.name, column.ty.bare());
    let message = format!("column \"{name}\" is of type {ty} but expression is of type {}", settled(was));
    match error.sqlstate() {
        SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE => {
            mismatch(error, message).with_hint("You will need to rewrite or cast the expression.")
        }
        _ => error,
    }
}

/// A table's columns as an output.
pub(super) fn outputs(table: &RelationSource) -> Vec<OutputColumn> {
    let column = |(index, column): (usize, &Column)| OutputColumn {
        name: column.name.clone(),
        ty: column.ty.clone(),
        relation: Some((table.id.0, index as i16 + 1)),
    };
    table.schema.columns.iter().enumerate().map(column).collect()
}
