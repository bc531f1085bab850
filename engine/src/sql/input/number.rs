//! Numbers and booleans.

use std::num::IntErrorKind;
use std::str::FromStr;

use super::integer_out_of_range;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::invalid_text;

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// A whole number in decimal, blanks around it.
pub fn parse_int<T: FromStr<Err = std::num::ParseIntError>>(text: &str, ty: &str) -> Result<T> {
    text.trim_matches(blank).parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => integer_out_of_range(text, ty),
        _ => invalid_text(ty, text),
    })
}

/// An OID; negative numbers wrap, as in PostgreSQL.
pub fn parse_oid(text: &str) -> Result<u32> {
    let value: i64 = parse_int(text, "oid")?;
    if (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(integer_out_of_range(text, "oid"))
    }
}

/// Any prefix of true, false, yes, no, on, off that is unique, or 1 or 0.
pub fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim_matches(blank).to_ascii_lowercase();
    let is = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    if is("true", 1) || is("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid_text("boolean", text))
    }
}

/// A `double precision`.
pub fn parse_float8(text: &str) -> Result<f64> {
    let trimmed = text.trim_matches(blank);
    let value: f64 = parse_float(trimmed).ok_or_else(|| invalid_text("double precision", text))?;
    check_range(value.is_infinite(), value == 0.0, trimmed, "double precision").map(|()| value)
}

/// A `real`.
pub fn parse_float4(text: &str) -> Result<f32> {
    let trimmed = text.trim_matches(blank);
    let value: f32 = parse_float(trimmed).ok_or_else(|| invalid_text("real", text))?;
    check_range(value.is_infinite(), value == 0.0, trimmed, "real").map(|()| value)
}

/// Rust reads the same numbers, but more words: `infinit` and the like do not pass.
fn parse_float<T: FromStr>(text: &str) -> Option<T> {
    let word = text.trim_start_matches(['+', '-']);
    let named = ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name));
    if !named && word.contains(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E')) {
        return None;
    }
    text.parse().ok()
}

/// A written number that became infinite or zero overflowed.
fn check_range(infinite: bool, zero: bool, text: &str, ty: &str) -> Result<()> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let written = mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if written && (infinite || zero) {
        return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("\"{text}\" is out of range for type {ty}")));
    }
    Ok(())
}
