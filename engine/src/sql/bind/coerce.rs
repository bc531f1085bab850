//! Conversions of type: which are possible where, and the expressions that make them (`parse_coerce.c`).

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Cast, Expr};
use std::sync::Arc;

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::{Binder, Bound};
use crate::sql::format::FormatSettings;
use crate::sql::functions::category::{Category, can_coerce, category, is_preferred, same};
use crate::sql::functions::signature::Volatility;
use crate::sql::functions::{PgScalar, cast};
use crate::sql::input;
use crate::sql::rows::scalar;

pub use crate::sql::functions::category::Coercion;

impl Binder<'_> {
    /// Converts to `target`, if that is possible in `context`: a literal is read as a value of the type, a parameter
    /// takes it. Else 42804, or 42846 for an explicit cast.
    pub(super) fn coerce(&mut self, bound: Bound, target: &SqlType, context: Coercion) -> Result<Bound> {
        let position = bound.position;
        if bound.ty == SqlType::Unknown && *target != SqlType::Unknown {
            return self.coerce_unknown(bound, target, context);
        }
        if !can_coerce(&bound.ty, target, context) {
            return Err(cannot_coerce(&bound.ty, target, context).at(position));
        }
        if let Some(function) = catalog_cast(&bound.ty, target) {
            let named = self.call_by_name(function, vec![bound])?;
            return self.coerce(named, target, context);
        }
        let zone = self.zone()?;
        let expr = convert(bound.expr, &bound.ty, target, context, &zone).map_err(|error| error.at(position))?;
        Ok(Bound::new(expr, target.clone(), position))
    }

    fn coerce_unknown(&mut self, bound: Bound, target: &SqlType, context: Coercion) -> Result<Bound> {
        let position = bound.position;
        if let Some(resolved) = self.name_constant(&bound, target)? {
            return Ok(resolved);
        }
        let zone = self.zone()?;
        let expr = match bound.expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
                // CAST cuts a text to the declared length where an assignment refuses it.
                let cuts = context == Coercion::Explicit && category(target) == Category::String;
                let read = if cuts { target.bare() } else { target.clone() };
                let value = input::value(&text, &read, &FormatSettings::new(zone.clone()));
                let literal = Expr::Literal(value.map_err(|error| error.at(position))?, None);
                convert(literal, &read, target, context, &zone).map_err(|error| error.at(position))?
            }
            Expr::Literal(value, _) if value.is_null() => null(target)?,
            Expr::Placeholder(Placeholder { id, .. }) => {
                let number = parameter_number(&id)?;
                // A name is looked up when the statement runs, by the cast of a text.
                let is_name = catalog_cast(&SqlType::Text, target).is_some();
                let settled = match self.parameters.used(number)? {
                    Some(known) => known,
                    None => {
                        let wanted = if is_name { SqlType::Text } else { target.bare() };
                        self.parameters.settle(number, &wanted)?;
                        wanted
                    }
                };
                let context = if is_name { Coercion::Explicit } else { context };
                let bound = Bound::new(placeholder(id, &settled), settled, position);
                return self.coerce(bound, target, context);
            }
            other => convert(other, &SqlType::Text, target, Coercion::Explicit, &zone)?,
        };
        Ok(Bound::new(expr, target.clone(), position))
    }

    /// What an output column, or an argument that takes anything, makes of an open literal: text.
    pub(super) fn settle(&mut self, bound: Bound) -> Result<Bound> {
        match bound.ty {
            SqlType::Unknown => self.coerce(bound, &SqlType::Text, Coercion::Implicit),
            _ => Ok(bound),
        }
    }

    /// The type that all items can become (`select_common_type`); 42804 says that `construct` types do not match.
    pub(super) fn common_type(&self, items: &[&Bound], construct: &str) -> Result<SqlType> {
        let mut chosen: Option<&Bound> = None;
        for item in items.iter().filter(|item| item.ty != SqlType::Unknown) {
            let Some(best) = chosen else {
                chosen = Some(item);
                continue;
            };
            if same(&best.ty, &item.ty) {
                continue;
            }
            if category(&best.ty) != category(&item.ty) {
                return Err(mismatch(construct, &best.ty, &item.ty).at(item.position));
            }
            let widens = can_coerce(&best.ty, &item.ty, Coercion::Implicit)
                && !can_coerce(&item.ty, &best.ty, Coercion::Implicit);
            if !is_preferred(&best.ty) && widens {
                chosen = Some(item);
            }
        }
        let Some(best) = chosen else {
            return Ok(SqlType::Text);
        };
        for item in items {
            if !can_coerce(&item.ty, &best.ty, Coercion::Implicit) {
                let message = format!("{construct} could not convert type {} to {}", item.ty.bare(), best.ty.bare());
                return Err(Error::new(SqlState::CANNOT_COERCE, message).at(item.position));
            }
        }
        // The modifier stays where all have the same.
        let agreed = items.iter().all(|item| item.ty == best.ty);
        Ok(if agreed { best.ty.clone() } else { best.ty.bare() })
    }

    /// Brings all items to their common type.
    pub(super) fn unify(&mut self, items: Vec<Bound>, construct: &str) -> Result<(Vec<Expr>, SqlType)> {
        let ty = self.common_type(&items.iter().collect::<Vec<_>>(), construct)?;
        let exprs = items.into_iter().map(|item| Ok(self.coerce(item, &ty, Coercion::Implicit)?.expr));
        Ok((exprs.collect::<Result<_>>()?, ty))
    }

    /// Converts a condition: `clause` names where it stands, as in "argument of WHERE must be type boolean".
    pub(super) fn boolean(&mut self, bound: Bound, clause: &str) -> Result<Expr> {
        let (ty, position) = (bound.ty.clone(), bound.position);
        match ty {
            SqlType::Bool | SqlType::Unknown => Ok(self.coerce(bound, &SqlType::Bool, Coercion::Implicit)?.expr),
            ty => {
                let message = format!("argument of {clause} must be type boolean, not type {}", ty.bare());
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(position))
            }
        }
    }

    /// The session's time zone.
    pub(super) fn zone(&self) -> Result<TimeZone> {
        TimeZone::parse(&self.settings.time_zone)
    }
}

/// The function that looks up a name for a cast.
fn catalog_cast(from: &SqlType, to: &SqlType) -> Option<&'static str> {
    let is_string = |ty: &SqlType| category(ty) == Category::String;
    match (from, to) {
        (SqlType::Regclass, to) if is_string(to) => Some("regclassout"),
        (SqlType::Regtype, to) if is_string(to) => Some("regtypeout"),
        (SqlType::Regproc, to) if is_string(to) => Some("regprocout"),
        (SqlType::Regnamespace, to) if is_string(to) => Some("regnamespaceout"),
        (from, SqlType::Regclass) if is_string(from) => Some("regclassin"),
        (from, SqlType::Regtype) if is_string(from) => Some("regtypein"),
        _ => None,
    }
}

/// NULL of a type.
pub(super) fn null(ty: &SqlType) -> Result<Expr> {
    Ok(Expr::Literal(ScalarValue::try_from(&ty.arrow())?, None))
}

/// `$n` of a settled type.
pub(super) fn placeholder(id: String, ty: &SqlType) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(ty.field("", true)))))
}

fn parameter_number(id: &str) -> Result<usize> {
    let number = id.strip_prefix('$').and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Error::internal(format!("parameter {id}")))
}

fn mismatch(construct: &str, left: &SqlType, right: &SqlType) -> Error {
    let message = format!("{construct} types {} and {} cannot be matched", left.bare(), right.bare());
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

fn cannot_coerce(from: &SqlType, to: &SqlType, context: Coercion) -> Error {
    match context {
        Coercion::Explicit => {
            Error::new(SqlState::CANNOT_COERCE, format!("cannot cast type {} to {}", from.bare(), to.bare()))
        }
        _ => {
            let message = format!("cannot convert type {} to {} without a cast", from.bare(), to.bare());
            Error::new(SqlState::DATATYPE_MISMATCH, message)
        }
    }
}

/// An expression of type `from` as one of type `to`. The cast exists.
pub(super) fn convert(expr: Expr, from: &SqlType, to: &SqlType, context: Coercion, zone: &TimeZone) -> Result<Expr> {
    if from == to || is_relabel(from, to) {
        return Ok(expr);
    }
    if let Expr::Literal(value, _) = &expr
        && value.is_null()
    {
        return null(to);
    }
    if is_widening(from, to) {
        return Ok(match expr {
            Expr::Literal(value, _) => Expr::Literal(value.cast_to(&to.arrow())?, None),
            expr => Expr::Cast(Cast::new(Box::new(expr), to.arrow())),
        });
    }
    let kernel = if context == Coercion::Explicit { cast::explicit } else { cast::assign };
    let name = match context {
        Coercion::Explicit => to.to_string(),
        _ => format!("assign {to}"),
    };
    let zone = if depends_on_zone(from, to) { zone.clone() } else { TimeZone::UTC };
    let function = PgScalar::new(name, vec![from.clone()], to.clone(), zone, Volatility::Immutable, kernel);
    if let Expr::Literal(value, _) = &expr
        && let Ok(array) = function.run(&[value.to_array()?], &[true], 1)
    {
        return Ok(Expr::Literal(scalar(&array, 0)?, None));
    }
    Ok(function.call(vec![expr]))
}

/// Whether the values are the same as they stand.
fn is_relabel(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{Bpchar, Json, Jsonb, Name, Oid, Regclass, Regnamespace, Regproc, Regtype, Text, Varchar};
    match (from, to) {
        (Text | Varchar(_) | Bpchar(_) | Name | SqlType::Char, Text | Varchar(None)) => true,
        (Varchar(Some(from)), Varchar(Some(to))) => from <= to,
        (Bpchar(Some(from)), Bpchar(Some(to))) => from <= to,
        (Bpchar(_), Bpchar(None)) => true,
        (Json | Jsonb, Text | Varchar(None)) | (Jsonb, Json) => true,
        (Oid | Regclass | Regtype | Regproc | Regnamespace, Oid | Regclass | Regtype | Regproc | Regnamespace) => true,
        (SqlType::Int2vector, SqlType::Array(element)) => **element == SqlType::Int2,
        (SqlType::Oidvector, SqlType::Array(element)) => **element == SqlType::Oid,
        (SqlType::Array(from), SqlType::Array(to)) => {
            from.arrow() == to.arrow() && is_relabel(from, to) && from.field("", true) == to.field("", true)
        }
        _ => false,
    }
}

/// Whether Arrow's own cast does the same and never fails.
fn is_widening(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{Float4, Float8, Int2, Int4, Int8, Numeric};
    matches!(
        (from, to),
        (Int2, Int4 | Int8 | Float4 | Float8)
            | (Int4, Int8 | Float8)
            | (Int8, Float8)
            | (Float4, Float8)
            | (Int2 | Int4 | Int8, Numeric(None))
    )
}

/// Whether a conversion means something else in another time zone.
fn depends_on_zone(from: &SqlType, to: &SqlType) -> bool {
    is_zoned(from) || is_zoned(to)
}

/// Whether values of a type are read or shown by the session's time zone.
pub(super) fn is_zoned(ty: &SqlType) -> bool {
    match ty {
        SqlType::Timestamptz => true,
        SqlType::Array(element) => is_zoned(element),
        SqlType::Record(fields) => fields.iter().any(|(_, ty)| is_zoned(ty)),
        _ => false,
    }
}
