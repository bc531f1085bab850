//! Array constructors, subscripts and fields of rows.

use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{Expr, lit};
use sqlparser::ast::{self, AccessExpr, Subscript};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::{Binder, Bound, Scope, fold};
use crate::sql::functions::signature::Volatility;
use crate::sql::functions::{PgScalar, array, element};
use crate::sql::row_star::is_row_star;

impl Binder<'_> {
    /// `ARRAY[…]`; `wanted` is the element type of a cast around it.
    pub(super) fn bind_array(&mut self, array: &ast::Array, wanted: Option<&SqlType>, scope: &Scope) -> Result<Bound> {
        let mut items = Vec::with_capacity(array.elem.len());
        for item in &array.elem {
            if matches!(item, ast::Expr::Array(_)) {
                return Err(Error::unsupported("an array of more than one dimension"));
            }
            items.push(self.bind_expr(item, scope)?);
        }
        let (values, ty) = match wanted {
            Some(ty) => {
                let values = items.into_iter().map(|item| Ok(self.coerce(item, ty, Coercion::Explicit)?.expr));
                (values.collect::<Result<Vec<_>>>()?, ty.clone())
            }
            None if items.is_empty() => {
                return Err(Error::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                    .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
            }
            None => self.unify(items, "ARRAY")?,
        };
        if matches!(ty, SqlType::Array(_)) {
            return Err(Error::unsupported("an array of more than one dimension"));
        }
        let list = ty.array();
        let types = vec![element(&list).unwrap_or(SqlType::Text); values.len()];
        let expr = if values.is_empty() {
            array::empty(&list)?
        } else if list.arrow() == make_array_type(&list) {
            make_array(values)
        } else {
            PgScalar::new("array", types, list.clone(), TimeZone::UTC, Volatility::Immutable, array::construct)
                .call(values)
        };
        Ok(Bound::new(expr, list, None))
    }

    /// `root[1]`, `root[1:2]`, `(root).field`.
    pub(super) fn bind_access(&mut self, root: &ast::Expr, chain: &[AccessExpr], scope: &Scope) -> Result<Bound> {
        let mut bound = self.bind_expr(root, scope)?;
        for step in chain {
            bound = match step {
                all if is_row_star(all) => {
                    let hint = "Write it as an item of the select list, or name the fields.";
                    return Err(Error::unsupported("(row).* within an expression").with_hint(hint));
                }
                AccessExpr::Dot(ast::Expr::Identifier(name)) => self.bind_field(bound, name)?,
                AccessExpr::Dot(other) => return Err(Error::unsupported(format!("field access by {other}"))),
                AccessExpr::Subscript(subscript) => self.bind_subscript(bound, subscript, scope)?,
            };
        }
        Ok(bound)
    }

    fn bind_field(&mut self, bound: Bound, name: &ast::Ident) -> Result<Bound> {
        let wanted = fold(name);
        let place = self.position(name.span);
        let SqlType::Record(fields) = &bound.ty else {
            let message =
                format!("column notation .{wanted} applied to type {}, which is not a composite type", bound.ty.bare());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(place));
        };
        let Some((_, ty)) = fields.iter().find(|(name, _)| *name == wanted) else {
            let message = format!("column \"{wanted}\" not found in data type record");
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(place));
        };
        Ok(Bound::new(field(bound.expr, &wanted), ty.clone(), bound.position))
    }

    fn bind_subscript(&mut self, bound: Bound, subscript: &Subscript, scope: &Scope) -> Result<Bound> {
        let position = bound.position;
        if bound.ty == SqlType::Jsonb {
            let Subscript::Index { index } = subscript else {
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, "jsonb subscript does not support slices"));
            };
            let index = self.bind_expr(index, scope)?;
            return self.apply_binary(bound, "->", index);
        }
        let Some(item) = element(&bound.ty) else {
            let message = format!("cannot subscript type {} because it does not support subscripting", bound.ty.bare());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(position));
        };
        // The vectors of the catalogs count from 0.
        let from_zero = matches!(bound.ty, SqlType::Int2vector | SqlType::Oidvector);
        let list = item.clone().array();
        let name = if from_zero { "subscript0" } else { "subscript" };
        match subscript {
            Subscript::Index { index } => {
                let index = self.index(index, scope)?;
                let kernel = if from_zero { array::subscript_from_zero } else { array::subscript };
                let types = vec![bound.ty.clone(), SqlType::Int4];
                let call = PgScalar::new(name, types, item.clone(), TimeZone::UTC, Volatility::Immutable, kernel)
                    .call(vec![bound.expr, index]);
                Ok(Bound::new(call, item, position))
            }
            Subscript::Slice { lower_bound, upper_bound, stride: None } if !from_zero => {
                let mut bounds = Vec::with_capacity(2);
                for (limit, open) in [(lower_bound, 1), (upper_bound, i32::MAX)] {
                    bounds.push(match limit {
                        Some(limit) => self.index(limit, scope)?,
                        None => lit(open),
                    });
                }
                let types = vec![bound.ty.clone(), SqlType::Int4, SqlType::Int4];
                let mut args = vec![bound.expr];
                args.extend(bounds);
                let call =
                    PgScalar::new("slice", types, list.clone(), TimeZone::UTC, Volatility::Immutable, array::slice)
                        .call(args);
                Ok(Bound::new(call, list, position))
            }
            other => Err(Error::unsupported(format!("the subscript {other}"))),
        }
    }

    fn index(&mut self, index: &ast::Expr, scope: &Scope) -> Result<Expr> {
        let bound = self.bind_expr(index, scope)?;
        let place = bound.position;
        let wrong = || Error::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer").at(place);
        Ok(self.coerce(bound, &SqlType::Int4, Coercion::Assignment).map_err(|_| wrong())?.expr)
    }

    /// `ARRAY(SELECT …)`.
    pub(super) fn bind_array_subquery(&mut self, query: &ast::Query, scope: &Scope) -> Result<Bound> {
        let bound = self.bind_subquery(query, scope)?;
        let [column] = bound.columns.as_slice() else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column"));
        };
        let ty = column.ty.clone().array();
        let (expr, ty) = self.collected(bound.plan, ty, scope)?;
        Ok(Bound::new(expr, ty, None))
    }
}

/// A field of a row value.
pub(super) fn field(row: Expr, name: &str) -> Expr {
    get_field(row, name)
}

fn make_array_type(list: &SqlType) -> arrow::datatypes::DataType {
    let item = element(list).unwrap_or(SqlType::Text).arrow();
    arrow::datatypes::DataType::new_list(item, true)
}
