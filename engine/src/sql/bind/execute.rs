//! EXECUTE: the values that a prepared statement is run with.

use std::ops::ControlFlow;

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{self, Spanned, Visit, Visitor};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::output::settled;
use crate::sql::bind::query::mismatch;
use crate::sql::bind::{Binder, Clause, Scope};

impl Binder<'_> {
    /// The arguments of EXECUTE as one row, each coerced by assignment to the type of its parameter.
    ///
    /// # Errors
    /// 42804 for a value that cannot be of its parameter's type, 0A000 for a subquery, and whatever binding gives.
    pub fn bind_arguments(&mut self, arguments: &[ast::Expr], types: &[SqlType]) -> Result<LogicalPlan> {
        let scope = Scope::new(None, Clause::Execute, self.text.clone());
        let mut row = Vec::with_capacity(types.len());
        for (index, (argument, ty)) in arguments.iter().zip(types).enumerate() {
            let position = self.position(argument.span());
            if argument.visit(&mut AnyQuery).is_break() {
                let message = "cannot use subquery in EXECUTE parameter";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
            }
            let bound = self.bind_expr(argument, &scope)?;
            let position = bound.position.or(position);
            let was = settled(&bound.ty);
            let value = self.coerce(bound, ty, Coercion::Assignment).map_err(|error| {
                let number = index + 1;
                let message =
                    format!("parameter ${number} of type {was} cannot be coerced to the expected type {}", ty.bare());
                match error.sqlstate() {
                    SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE => mismatch(error, message)
                        .with_hint("You will need to rewrite or cast the expression.")
                        .at(position),
                    _ => error,
                }
            })?;
            row.push(value);
        }
        self.constant_rows(vec![row], types)
    }
}

/// Stops at a query.
struct AnyQuery;

impl Visitor for AnyQuery {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
