//! `WATERMARK FOR column AS column [- INTERVAL '…']`

use sqlparser::ast::{self, BinaryOperator, Spanned};

use crate::data::{Column, SqlType};
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::{Binder, fold};

use super::ast::CreateConnector;

const FORM: &str = "The expression is the column, or the column less a constant interval: ts - INTERVAL '5 seconds'.";

/// The column of the watermark that a statement declares over these, and its delay in microseconds.
///
/// # Errors
/// 42703 for a column that is not there, 42804 for one that is no time, 0A000 for another expression or several
/// watermarks, 22023 for a delay that is negative or has months.
pub fn watermark(
    create: &CreateConnector,
    columns: &[Column],
    binder: &mut Binder<'_>,
) -> Result<Option<(usize, i64)>> {
    let [declared, more @ ..] = create.watermarks.as_slice() else { return Ok(None) };
    if let Some(second) = more.first() {
        return Err(Error::unsupported("more than one WATERMARK").at(binder.position(second.column.span)));
    }
    let name = fold(&declared.column);
    let position = binder.position(declared.column.span);
    let found = columns.iter().enumerate().find(|(_, column)| column.name == name);
    let Some((column, declaration)) = found else {
        let message = format!("column \"{name}\" of WATERMARK does not exist");
        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(position));
    };
    let ty = &declaration.ty;
    if !matches!(ty, SqlType::Timestamp | SqlType::Timestamptz) {
        let message = format!("the column of a watermark must be a timestamp, not {ty}");
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(position));
    }
    let is_column = |expr: &ast::Expr| matches!(expr, ast::Expr::Identifier(ident) if fold(ident) == name);
    let delay = match strip(&declared.expression) {
        expr if is_column(expr) => 0,
        ast::Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if is_column(strip(left)) => {
            let wrong = "the delay of a watermark must be a constant interval, not negative, without months";
            match binder.constant_micros(right, wrong)? {
                delay if delay >= 0 => delay,
                _ => {
                    let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, wrong);
                    return Err(error.at(binder.position(right.span())));
                }
            }
        }
        other => {
            let position = binder.position(other.span());
            return Err(Error::unsupported("this expression of a watermark").with_hint(FORM).at(position));
        }
    };
    Ok(Some((column, delay)))
}

fn strip(expr: &ast::Expr) -> &ast::Expr {
    match expr {
        ast::Expr::Nested(inner) => strip(inner),
        other => other,
    }
}
