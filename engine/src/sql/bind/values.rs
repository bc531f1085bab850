//! VALUES.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan, Values};
use sqlparser::ast::{self, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::subquery::{contains_outer, contains_subquery};
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, OutputColumn, Scope, plan};

impl Binder<'_> {
    /// VALUES as a query: columns `column1`, `column2`, …, each of its items' common type.
    pub(super) fn values(&mut self, values: &ast::Values, outer: Option<&Scope>) -> Result<BoundQuery> {
        let mut rows = self.value_rows(values, outer)?;
        let width = rows.first().map_or(0, Vec::len);
        let mut types = Vec::with_capacity(width);
        for index in 0..width {
            let items: Vec<&Bound> = rows.iter().map(|row| &row[index]).collect();
            types.push(self.common_type(&items, "VALUES")?);
        }
        for row in &mut rows {
            for (item, ty) in row.iter_mut().zip(&types) {
                *item = self.coerce(item.clone(), ty, Coercion::Implicit)?;
            }
        }
        let names = (1..=width).map(|number| format!("column{number}"));
        let columns = names.zip(&types).map(|(name, ty)| OutputColumn { name, ty: ty.clone(), relation: None });
        let columns = columns.collect();
        Ok(BoundQuery { plan: self.constant_rows(rows, &types)?, columns })
    }

    /// The rows of a VALUES as expressions, all of one length (42601).
    pub(super) fn value_rows(&mut self, values: &ast::Values, outer: Option<&Scope>) -> Result<Vec<Vec<Bound>>> {
        let scope = Scope::new(outer, Clause::Values, self.text.clone());
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            if row.content.len() != width {
                let position = row.content.first().and_then(|item| self.position(item.span()));
                let message = "VALUES lists must all be the same length";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
            let bound = row.content.iter().map(|item| {
                let mut bound = self.bind_expr(item, &scope)?;
                bound.position = bound.position.or(self.position(item.span()));
                Ok(bound)
            });
            rows.push(bound.collect::<Result<Vec<_>>>()?);
        }
        Ok(rows)
    }

    /// A plan of rows whose items have these types.
    pub(super) fn constant_rows(&mut self, rows: Vec<Vec<Bound>>, types: &[SqlType]) -> Result<LogicalPlan> {
        let names: Vec<String> = types.iter().map(|_| self.fresh()).collect();
        let dependent = |item: &Bound| contains_subquery(&item.expr) || contains_outer(&item.expr);
        if rows.iter().flatten().any(dependent) {
            let row = |row: Vec<Bound>| {
                let exprs = row.into_iter().zip(&names).map(|(item, name)| item.expr.alias(name)).collect();
                plan::project(plan::one_row(), exprs)
            };
            let mut inputs = rows.into_iter().map(row).collect::<Result<Vec<_>>>()?;
            return match inputs.len() {
                1 => Ok(inputs.remove(0)),
                _ => plan::union_all(inputs),
            };
        }
        let fields = names.iter().zip(types).map(|(name, ty)| (None, Arc::new(Field::new(name, ty.arrow(), true))));
        let schema = DFSchema::new_with_metadata(fields.collect(), Default::default())?;
        let values: Vec<Vec<Expr>> =
            rows.into_iter().map(|row| row.into_iter().map(|item| item.expr).collect()).collect();
        Ok(LogicalPlan::Values(Values { schema: Arc::new(schema), values }))
    }
}
