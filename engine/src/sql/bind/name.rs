//! Names of result columns (`FigureColname` in `parse_target.c`).

use sqlparser::ast::{
    AccessExpr, DataType, Expr, Function, FunctionArguments, Query, SelectItem, SetExpr, TableFactor, TrimWhereField,
};

use crate::sql::bind::fold;
use crate::sql::type_name::{coarse, sql_type};

/// The name that PostgreSQL gives a column of this expression.
pub(super) fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// How sure a name is: a cast yields to a name that is certain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Weak,
    Certain,
}

fn certain(name: impl Into<String>) -> Option<(String, Strength)> {
    Some((name.into(), Strength::Certain))
}

fn figure(expr: &Expr) -> Option<(String, Strength)> {
    match expr {
        Expr::Identifier(ident) => certain(fold(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().and_then(|ident| certain(fold(ident))),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|step| match step {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some(fold(ident)),
                _ => None,
            });
            match field {
                Some(name) => certain(name),
                None => figure(root),
            }
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => function_name(function),
        Expr::Cast { expr, data_type, .. } => cast(figure(expr), data_type),
        Expr::TypedString(typed) => cast(None, &typed.data_type),
        Expr::Interval(_) => Some(("interval".into(), Strength::Weak)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figure) {
            Some(name @ (_, Strength::Certain)) => Some(name),
            _ => Some(("case".into(), Strength::Weak)),
        },
        Expr::Array(_) => certain("array"),
        Expr::Tuple(_) => certain("row"),
        Expr::Exists { negated: false, .. } => certain("exists"),
        Expr::Subquery(query) => subquery(query),
        Expr::Extract { .. } => certain("extract"),
        Expr::Ceil { .. } => certain("ceil"),
        Expr::Floor { .. } => certain("floor"),
        Expr::Position { .. } => certain("position"),
        Expr::Substring { shorthand, .. } => certain(if *shorthand { "substr" } else { "substring" }),
        Expr::Overlay { .. } => certain("overlay"),
        Expr::AtTimeZone { .. } => certain("timezone"),
        Expr::Trim { trim_where, .. } => certain(match trim_where {
            None | Some(TrimWhereField::Both) => "btrim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        }),
        _ => None,
    }
}

fn function_name(function: &Function) -> Option<(String, Strength)> {
    if matches!(function.args, FunctionArguments::Subquery(_)) {
        return certain("array");
    }
    function.name.0.last().and_then(|part| part.as_ident()).and_then(|ident| certain(fold(ident)))
}

/// A cast has the name of what it casts, else that of its type.
fn cast(inner: Option<(String, Strength)>, data_type: &DataType) -> Option<(String, Strength)> {
    match inner {
        Some(name @ (_, Strength::Certain)) => Some(name),
        _ => {
            let fine = coarse(data_type);
            let ty = sql_type(fine.as_ref().map_or(data_type, |(fine, _)| fine)).ok()?;
            let name = ty.type_name();
            Some((name.strip_prefix('_').map(str::to_owned).unwrap_or(name), Strength::Weak))
        }
    }
}

/// A scalar subquery has the name of its only column.
fn subquery(query: &Query) -> Option<(String, Strength)> {
    let mut body = &*query.body;
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &query.body,
            SetExpr::Values(_) => return certain("column1"),
            _ => return None,
        }
    };
    match select.projection.first()? {
        SelectItem::ExprWithAlias { alias, .. } => certain(fold(alias)),
        SelectItem::UnnamedExpr(expr) => certain(column_name(expr)),
        SelectItem::Wildcard(_) => match &select.from.first()?.relation {
            TableFactor::Derived { subquery: rows, .. } => subquery(rows),
            _ => None,
        },
        _ => None,
    }
}
