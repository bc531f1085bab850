//! The select list: `*` written out, expressions bound and named.

use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, AccessExpr, SelectItem, SelectItemQualifiedWildcardKind, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::access::field;
use crate::sql::bind::name::column_name;
use crate::sql::bind::scope::{ScopeColumn, reference};
use crate::sql::bind::{Binder, Bound, OutputColumn, Scope, fold};
use crate::sql::row_star::is_row_star;

/// An expression of the select list, or one that only ORDER BY, DISTINCT ON or GROUP BY need.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub bound: Bound,
    pub column: OutputColumn,
    /// Whether it is part of the result.
    pub visible: bool,
}

impl Target {
    /// One that is computed but not put out.
    pub fn hidden(bound: Bound) -> Target {
        let column = OutputColumn { name: String::new(), ty: bound.ty.clone(), relation: None };
        Target { bound, column, visible: false }
    }
}

impl Binder<'_> {
    /// Binds a select list, or a RETURNING list.
    pub(super) fn targets(&mut self, items: &[SelectItem], scope: &Scope) -> Result<Vec<Target>> {
        let mut targets = Vec::with_capacity(items.len());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(ast::Expr::CompoundFieldAccess { root, access_chain })
                    if access_chain.last().is_some_and(is_row_star) =>
                {
                    targets.extend(self.fields_of(root, access_chain, scope)?);
                }
                SelectItem::UnnamedExpr(expr) => targets.push(self.target(expr, column_name(expr), scope)?),
                SelectItem::ExprWithAlias { expr, alias } => targets.push(self.target(expr, fold(alias), scope)?),
                SelectItem::ExprWithAliases { .. } => return Err(Error::unsupported("AS with several names")),
                SelectItem::Wildcard(options) => {
                    refuse_options(options)?;
                    let position = self.position(options.wildcard_token.0.span);
                    targets.extend(all_columns(scope).map_err(|error| error.at(position))?);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    refuse_options(options)?;
                    let position = self.position(name.span());
                    targets.extend(columns_of(name, scope).map_err(|error| error.at(position))?);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => {
                    let position = self.position(expr.span());
                    return Err(Error::unsupported("expansion of a row value by .*").at(position));
                }
            }
        }
        Ok(targets)
    }

    /// `(row).*`: its fields, each as a column.
    fn fields_of(&mut self, root: &ast::Expr, chain: &[AccessExpr], scope: &Scope) -> Result<Vec<Target>> {
        let way = chain.split_last().map_or(chain, |(_, way)| way);
        let whole = self.bind_access(root, way, scope)?;
        let place = self.position(root.span());
        let SqlType::Record(fields) = whole.ty else {
            let message = format!("type {} is not composite", whole.ty.bare());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(place));
        };
        let of = |(name, ty): (String, SqlType)| {
            let bound = Bound::new(field(whole.expr.clone(), &name), ty.clone(), place);
            Target { bound, column: OutputColumn { name, ty, relation: None }, visible: true }
        };
        Ok(fields.into_iter().map(of).collect())
    }

    fn target(&mut self, expr: &ast::Expr, name: String, scope: &Scope) -> Result<Target> {
        let mut bound = self.bind_expr(expr, scope)?;
        bound.position = bound.position.or(self.position(expr.span()));
        let relation = match &bound.expr {
            Expr::Column(column) => scope.own(&column.name).and_then(|(_, column)| column.origin),
            _ => None,
        };
        let column = OutputColumn { name, ty: bound.ty.clone(), relation };
        Ok(Target { bound, column, visible: true })
    }

    /// Makes text of a target whose type nothing told.
    pub(super) fn settle_target(&mut self, target: &mut Target) -> Result<()> {
        if target.bound.ty == SqlType::Unknown {
            target.bound = self.settle(target.bound.clone())?;
            target.column.ty = target.bound.ty.clone();
        }
        Ok(())
    }
}

/// `*`
fn all_columns(scope: &Scope) -> Result<Vec<Target>> {
    if scope.items.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "SELECT * with no tables specified is not valid"));
    }
    let items = scope.items.iter().filter(|item| item.bare);
    Ok(items.flat_map(|item| &item.columns).map(|column| expanded(0, column)).collect())
}

/// `relation.*`
fn columns_of(name: &ast::ObjectName, scope: &Scope) -> Result<Vec<Target>> {
    let mut parts = name.0.iter().rev().filter_map(|part| part.as_ident()).map(fold);
    let (relation, schema) = (parts.next().unwrap_or_default(), parts.next());
    let (level, item) = scope.relation(schema.as_deref(), &relation).ok_or_else(|| scope.no_relation(&relation))?;
    Ok(item.columns.iter().map(|column| expanded(level, column)).collect())
}

fn expanded(level: usize, column: &ScopeColumn) -> Target {
    let bound = Bound::new(reference(level, column, &ast::Ident::new("")), column.ty.clone(), None);
    let column = OutputColumn { name: column.name.clone(), ty: column.ty.clone(), relation: column.origin };
    Target { bound, column, visible: true }
}

/// Refuses what other dialects add to `*`.
fn refuse_options(options: &ast::WildcardAdditionalOptions) -> Result<()> {
    let refused = [
        (options.opt_ilike.is_some(), "* ILIKE"),
        (options.opt_exclude.is_some(), "* EXCLUDE"),
        (options.opt_except.is_some(), "* EXCEPT"),
        (options.opt_replace.is_some(), "* REPLACE"),
        (options.opt_rename.is_some(), "* RENAME"),
        (options.opt_alias.is_some(), "* AS"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}
