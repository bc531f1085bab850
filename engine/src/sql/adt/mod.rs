//! PostgreSQL's data types as values: arithmetic, calendar, zones, intervals, JSON and patterns. Named after
//! PostgreSQL's `utils/adt`; nothing here knows Arrow arrays or plans.

pub mod calendar;
pub mod decimal;
pub mod interval;
pub mod json;
pub mod json_order;
mod json_scanner;
pub mod number_template;
pub mod pattern;
pub mod template;
pub mod time_zone;

use crate::error::{Error, SqlState};

/// `integer out of range`, `timestamp out of range`, ...
pub fn out_of_range(what: &str) -> Error {
    let state = match what {
        "date" | "timestamp" | "interval" | "time" => SqlState::DATETIME_OVERFLOW,
        _ => SqlState::NUMERIC_OUT_OF_RANGE,
    };
    Error::new(state, format!("{what} out of range"))
}

/// `division by zero`.
pub fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// `invalid input syntax for type integer: "x"`.
pub fn invalid_text(ty: &str, text: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT, format!("invalid input syntax for type {ty}: \"{text}\""))
}
