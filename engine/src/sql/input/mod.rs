//! Texts as values, as PostgreSQL's input functions read them.
//!
//! What does not read is 22P02 (22007 and 22008 for dates and times), what does not fit 22003, with PostgreSQL's words.

mod bytea;
mod datetime;
mod nested;
mod number;

pub use bytea::parse_bytea;
pub use datetime::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use nested::{array_elements, record_fields};
pub use number::{parse_bool, parse_float4, parse_float8, parse_int, parse_oid};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use datafusion::common::ScalarValue;

use super::adt::{decimal, interval, invalid_text, json, out_of_range};
use super::rows::{Call, Clock, Date, Micros, Uuid, map1, retype, scalar};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};

/// What of a session decides how texts read.
pub type InputSettings = super::format::FormatSettings;

/// Bytes as text.
///
/// # Errors
/// 22021 when they are not UTF-8, or have a zero character.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let wrong = match (std::str::from_utf8(bytes), bytes.iter().position(|byte| *byte == 0)) {
        (Ok(text), None) => return Ok(text),
        (Ok(_), Some(zero)) => &bytes[zero..=zero],
        (Err(error), _) => {
            let from = error.valid_up_to();
            // What makes one character, or would if more came: PostgreSQL names as many bytes as the first one announces.
            let announced = match bytes.get(from) {
                Some(0xf0..) => 4,
                Some(0xe0..) => 3,
                Some(0xc0..) => 2,
                _ => 1,
            };
            &bytes[from..bytes.len().min(from + announced)]
        }
    };
    let wrong: Vec<String> = wrong.iter().map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", wrong.join(" "));
    Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
}

/// The texts of a column as values of `ty`.
pub fn column(texts: &StringArray, ty: &SqlType, settings: &InputSettings) -> Result<ArrayRef> {
    let args: [ArrayRef; 1] = [Arc::new(texts.clone())];
    let call = Call {
        args: &args,
        constant: &[false],
        rows: texts.len(),
        types: &[SqlType::Text],
        result: ty,
        zone: &settings.time_zone,
    };
    from_text(&call)
}

/// One text as a value of `ty`.
pub fn value(text: &str, ty: &SqlType, settings: &InputSettings) -> Result<ScalarValue> {
    let array = column(&StringArray::from(vec![text]), ty, settings)?;
    scalar(&array, 0)
}

/// The kernel of casts from text: reads its argument as `call.result`.
pub fn from_text(call: &Call) -> Result<ArrayRef> {
    let zone = call.zone;
    let array = match call.result {
        SqlType::Bool => map1(call, parse_bool),
        SqlType::Int2 => map1(call, |text: &str| parse_int::<i16>(text, "smallint")),
        SqlType::Int4 => map1(call, |text: &str| parse_int::<i32>(text, "integer")),
        SqlType::Int8 => map1(call, |text: &str| parse_int::<i64>(text, "bigint")),
        SqlType::Float4 => map1(call, parse_float4),
        SqlType::Float8 => map1(call, parse_float8),
        SqlType::Numeric(modifier) => map1(call, |text: &str| decimal::parse(text, *modifier)),
        SqlType::Text | SqlType::Unknown => map1(call, |text: &str| Ok(text)),
        SqlType::Varchar(None) => map1(call, |text: &str| Ok(text)),
        SqlType::Varchar(Some(length)) => map1(call, |text: &str| limited(text, *length, "character varying")),
        SqlType::Bpchar(length) => map1(call, |text: &str| {
            let limit = length.unwrap_or(u32::MAX);
            Ok(limited(text, limit, "character")?.trim_end_matches(' '))
        }),
        SqlType::Name => map1(call, |text: &str| Ok(name(text))),
        SqlType::Char => map1(call, |text: &str| Ok(text.get(..1).unwrap_or_default())),
        SqlType::Json => map1(call, |text: &str| json::validate(text).map(|()| text)),
        SqlType::Jsonb => map1(call, json::normalize),
        SqlType::Bytea => map1(call, parse_bytea),
        SqlType::Date => map1(call, |text: &str| parse_date(text).map(Date)),
        SqlType::Time => map1(call, |text: &str| parse_time(text).map(Clock)),
        SqlType::Timestamp => map1(call, |text: &str| parse_timestamp(text).map(Micros)),
        SqlType::Timestamptz => map1(call, |text: &str| parse_timestamptz(text, zone).map(Micros)),
        SqlType::Interval => map1(call, |text: &str| interval::parse(text, None)),
        SqlType::Uuid => map1(call, |text: &str| uuid(text).map(Uuid)),
        SqlType::Oid => map1(call, parse_oid),
        SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace => map1(call, |text: &str| {
            // Names were looked up when the statement was bound; what is left are numbers.
            parse_oid(text).map_err(|_| Error::unsupported(format!("looking up \"{text}\" as {}", call.result)))
        }),
        SqlType::Array(_) | SqlType::Int2vector | SqlType::Oidvector | SqlType::Record(_) => nested::from_text(call),
        SqlType::Void => Ok(call.nulls()),
    }?;
    retype(array, &call.result.arrow())
}

/// At most `length` characters: more is 22001, unless only blanks are beyond.
fn limited<'t>(text: &'t str, length: u32, ty: &str) -> Result<&'t str> {
    match text.char_indices().nth(length as usize) {
        None => Ok(text),
        Some((end, _)) if text[end..].bytes().all(|byte| byte == b' ') => Ok(&text[..end]),
        Some(_) => {
            let message = format!("value too long for type {ty}({length})");
            Err(Error::new(SqlState::STRING_TOO_LONG, message))
        }
    }
}

/// At most 63 bytes; the rest is dropped.
pub fn name(text: &str) -> &str {
    let end = (0..=63.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// 32 hexadecimal digits, a hyphen after any group of four, braces around it or not.
fn uuid(text: &str) -> Result<[u8; 16]> {
    let bad = || invalid_text("uuid", text);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(bad)?,
        None => text,
    };
    let mut bytes = [0; 16];
    let mut digits = 0;
    let mut after_hyphen = true;
    for c in inner.chars() {
        match c.to_digit(16) {
            Some(digit) if digits < 32 => {
                bytes[digits / 2] = bytes[digits / 2] << 4 | digit as u8;
                digits += 1;
                after_hyphen = false;
            }
            None if c == '-' && digits % 4 == 0 && digits < 32 && !after_hyphen => after_hyphen = true,
            _ => return Err(bad()),
        }
    }
    if digits == 32 { Ok(bytes) } else { Err(bad()) }
}

/// A value too long or large for what an integer type holds.
fn integer_out_of_range(text: &str, ty: &str) -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("value \"{text}\" is out of range for type {ty}"))
}

fn date_range() -> Error {
    out_of_range("date")
}
