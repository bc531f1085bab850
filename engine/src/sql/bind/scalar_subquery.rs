//! Scalar subqueries.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection};

use crate::error::Result;
use crate::sql::bind::subquery::contains_subquery;
use crate::sql::bind::{Binder, Scope};

impl Binder<'_> {
    /// The value of a bound query of one column, in an expression that sees `scope`.
    pub(super) fn scalar_subquery(&mut self, query: LogicalPlan, scope: &Scope) -> Result<Expr> {
        match computed_here(&query, scope)? {
            Some(value) => Ok(value),
            None => Ok(Expr::ScalarSubquery(self.subquery(query, scope)?)),
        }
    }
}

/// `(SELECT expression)`: a value of the row around.
fn computed_here(query: &LogicalPlan, scope: &Scope) -> Result<Option<Expr>> {
    let LogicalPlan::Projection(Projection { expr, input, .. }) = query else { return Ok(None) };
    let (LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }), [value]) =
        (input.as_ref(), &expr[..])
    else {
        return Ok(None);
    };
    if contains_subquery(value) {
        return Ok(None);
    }
    let inward = |expr: Expr| match expr {
        Expr::OuterReferenceColumn(_, column) if scope.own(&column.name).is_some() => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        expr => Ok(Transformed::no(expr)),
    };
    Ok(Some(value.clone().unalias().transform(inward)?.data))
}
