//! Constants and parameters.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use sqlparser::ast::{self, DataType, DateTimeField, Spanned, Value, ValueWithSpan};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::decimal;
use crate::sql::adt::interval::{self, Field, Interval};
use crate::sql::bind::coerce::{Coercion, placeholder};
use crate::sql::bind::{Binder, Bound, Scope};
use crate::sql::type_name::{finest_field, sql_type};

impl Binder<'_> {
    /// A constant, or `$n`. String constants are of unknown type until something asks for one.
    pub(super) fn bind_value(&mut self, value: &ValueWithSpan) -> Result<Bound> {
        let position = self.position(value.span);
        let (expr, ty) = match &value.value {
            Value::Number(digits, false) => number(digits).map_err(|error| error.at(position))?,
            Value::Boolean(value) => (lit(*value), SqlType::Bool),
            Value::Null => (Expr::Literal(ScalarValue::Utf8(None), None), SqlType::Unknown),
            Value::Placeholder(id) => return self.bind_parameter(id, position),
            other => match string(other) {
                Some(text) => (lit(text), SqlType::Unknown),
                None => return Err(Error::unsupported(format!("the constant {other}")).at(position)),
            },
        };
        Ok(Bound::new(expr, ty, position))
    }

    fn bind_parameter(&mut self, id: &str, position: Option<usize>) -> Result<Bound> {
        let number = id.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).ok_or_else(|| {
            Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{id}\"")).at(position)
        })?;
        let ty = self.parameters.used(number).map_err(|error| error.at(position))?.unwrap_or(SqlType::Unknown);
        Ok(Bound::new(placeholder(id.to_owned(), &ty), ty, position))
    }

    /// `DATE '2024-01-01'`, `CAST('…' AS …)` of a constant.
    pub(super) fn bind_typed_string(&mut self, typed: &ast::TypedString) -> Result<Bound> {
        let position = self.position(typed.value.span);
        let literal = self.bind_value(&typed.value)?;
        if let (DataType::Interval { fields: Some(fields), .. }, Expr::Literal(ScalarValue::Utf8(Some(text)), _)) =
            (&typed.data_type, &literal.expr)
        {
            return interval_literal(text, Some(finest_field(fields)), position);
        }
        let ty = sql_type(&typed.data_type).map_err(|error| error.at(position))?;
        self.coerce(literal, &ty, Coercion::Explicit)
    }

    /// `INTERVAL '1' DAY`, `INTERVAL '1 day'`.
    pub(super) fn bind_interval(&mut self, value: &ast::Interval, scope: &Scope) -> Result<Bound> {
        let last = value.last_field.as_ref().or(value.leading_field.as_ref()).map(field).transpose()?;
        let bound = self.bind_expr(&value.value, scope)?;
        let position = self.position(value.value.span());
        match &bound.expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) if bound.ty == SqlType::Unknown => {
                interval_literal(text, last, position)
            }
            _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error: INTERVAL needs a string constant").at(position)),
        }
    }
}

pub(super) fn interval_literal(text: &str, last: Option<Field>, position: Option<usize>) -> Result<Bound> {
    let read = || -> Result<Expr> {
        let value: Interval = interval::parse(text, last)?;
        Ok(Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value.arrow()?)), None))
    };
    Ok(Bound::new(read().map_err(|error| error.at(position))?, SqlType::Interval, position))
}

fn field(field: &DateTimeField) -> Result<Field> {
    Ok(match field {
        DateTimeField::Year | DateTimeField::Years => Field::Year,
        DateTimeField::Month | DateTimeField::Months => Field::Month,
        DateTimeField::Day | DateTimeField::Days => Field::Day,
        DateTimeField::Hour | DateTimeField::Hours => Field::Hour,
        DateTimeField::Minute | DateTimeField::Minutes => Field::Minute,
        DateTimeField::Second | DateTimeField::Seconds => Field::Second,
        other => {
            let message = format!("syntax error at or near \"{other}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
    })
}

/// A number: integer if it fits, else bigint, else numeric.
fn number(digits: &str) -> Result<(Expr, SqlType)> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = digits.parse::<i32>() {
            return Ok((lit(value), SqlType::Int4));
        }
        if let Ok(value) = digits.parse::<i64>() {
            return Ok((lit(value), SqlType::Int8));
        }
    }
    let value = decimal::parse(digits, None)?;
    Ok((Expr::Literal(ScalarValue::Decimal128(Some(value), 38, 18), None), SqlType::NUMERIC))
}

/// The text of a string constant.
pub(super) fn string(value: &Value) -> Option<&str> {
    match value {
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => Some(text),
        Value::DollarQuotedString(quoted) => Some(&quoted.value),
        _ => None,
    }
}
