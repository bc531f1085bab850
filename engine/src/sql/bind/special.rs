//! Functions with syntax of their own: EXTRACT, SUBSTRING FROM, TRIM, POSITION, OVERLAY, AT TIME ZONE.

use datafusion::logical_expr::lit;
use sqlparser::ast::{self, CeilFloorKind, DateTimeField, TrimWhereField};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::{Binder, Bound, Scope};

impl Binder<'_> {
    pub(super) fn bind_special(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Bound> {
        use ast::Expr as E;
        match expr {
            E::AtTimeZone { timestamp, time_zone } => {
                let args = [&**time_zone, &**timestamp];
                self.bind_named("timezone", &args, scope)
            }
            E::Extract { field, expr, .. } => {
                let field = Bound::new(lit(field_name(field)), SqlType::Text, None);
                let value = self.bind_expr(expr, scope)?;
                self.call_by_name("extract", vec![field, value])
            }
            E::Ceil { expr, field } => self.bind_rounding("ceil", expr, field, scope),
            E::Floor { expr, field } => self.bind_rounding("floor", expr, field, scope),
            E::Position { expr, r#in } => self.bind_named("position", &[&**r#in, &**expr], scope),
            E::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                let name = if *shorthand { "substr" } else { "substring" };
                self.bind_substring(name, expr, substring_from.as_deref(), substring_for.as_deref(), scope)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut args: Vec<&ast::Expr> = vec![expr];
                args.extend(trim_what.as_deref());
                args.extend(trim_characters.iter().flatten());
                self.bind_named(name, &args, scope)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args: Vec<&ast::Expr> = vec![expr, overlay_what, overlay_from];
                args.extend(overlay_for.as_deref());
                self.bind_named("overlay", &args, scope)
            }
            other => Err(Error::unsupported(format!("the expression {other}"))),
        }
    }

    fn bind_named(&mut self, name: &str, args: &[&ast::Expr], scope: &Scope) -> Result<Bound> {
        let args = args.iter().map(|arg| self.bind_expr(arg, scope)).collect::<Result<Vec<_>>>()?;
        self.call_by_name(name, args)
    }

    fn bind_rounding(&mut self, name: &str, expr: &ast::Expr, field: &CeilFloorKind, scope: &Scope) -> Result<Bound> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => self.bind_named(name, &[expr], scope),
            _ => Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("function {name}() takes one argument"))),
        }
    }

    /// `substring(s FROM n FOR m)`, `substring(s FOR m)`, `substring(s FROM pattern)`.
    fn bind_substring(
        &mut self,
        name: &str,
        expr: &ast::Expr,
        from: Option<&ast::Expr>,
        length: Option<&ast::Expr>,
        scope: &Scope,
    ) -> Result<Bound> {
        let mut args = vec![self.bind_expr(expr, scope)?];
        match (from, length) {
            (Some(from), length) => {
                args.push(self.bind_expr(from, scope)?);
                if let Some(length) = length {
                    args.push(self.bind_expr(length, scope)?);
                }
            }
            (None, Some(length)) => {
                args.push(Bound::new(lit(1i32), SqlType::Int4, None));
                args.push(self.bind_expr(length, scope)?);
            }
            (None, None) => {}
        }
        self.call_by_name(name, args)
    }
}

fn field_name(field: &DateTimeField) -> String {
    match field {
        DateTimeField::Custom(ident) => ident.value.to_lowercase(),
        other => other.to_string().to_lowercase(),
    }
}
