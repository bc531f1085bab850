//! Outer references: which a plan has, and what is put in their place.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::error::Result;
use crate::sql::functions::exact_form::{exact_form, of_exact_form};

/// The column of this name.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The outer columns, by name, that a plan refers to; it has no subqueries any more.
pub(super) fn of_plan(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            found.extend(of_expr(expr)?);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// The outer columns, by name, that an expression refers to.
pub(super) fn of_expr(expr: &Expr) -> datafusion::common::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    expr.apply(|part| {
        if let Expr::OuterReferenceColumn(_, column) = part {
            found.insert(column.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The expression with each outer reference replaced for which there is something.
pub(super) fn replace(expr: Expr, replacement: impl Fn(&str, &DataType) -> Option<Expr>) -> Result<Expr> {
    let replaced = expr.transform(|part| {
        Ok(match &part {
            Expr::OuterReferenceColumn(field, column) => match replacement(&column.name, field.data_type()) {
                Some(other) => Transformed::yes(other),
                None => Transformed::no(part),
            },
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// The key of an outer column, in the plan that has the column: what tells its values apart, those too that are equal.
pub(super) fn key(plan: &LogicalPlan, name: &str) -> Result<Expr> {
    let column = column(name);
    let ty = column.get_type(plan.schema())?;
    Ok(exact_form(column, &ty))
}

/// The outer column's value, of a key that stands in a column.
pub(super) fn value(key: &str, ty: &DataType) -> Expr {
    of_exact_form(column(key), ty)
}

/// Whether a subquery stands anywhere in an expression.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|part| Ok(is_subquery(part))).unwrap_or(false)
}

pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

/// A changed expression under the name that its column had.
pub(super) fn named(expr: Expr, name: String) -> Expr {
    match &expr {
        Expr::Column(column) if column.relation.is_none() && column.name == name => expr,
        Expr::Alias(alias) if alias.relation.is_none() && alias.name == name => expr,
        _ => expr.alias(name),
    }
}
