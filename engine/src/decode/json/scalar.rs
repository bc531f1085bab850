//! Numbers, strings and JSON texts as values of columns.

use super::buffer::{Buffer, Values};
use super::{decimal, time};
use crate::data::SqlType;
use crate::decode::NormalizeJsonb;

/// Whole numbers below are exact as a float; this one may have been the next.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// No whole number from here on has 64 bits.
const TOO_LARGE: f64 = 1e19;

/// A number without fraction.
pub fn push_integer(buffer: &mut Buffer, value: i128) -> Result<(), String> {
    let out_of_range = || format!("{value} is out of range");
    match (&mut buffer.values, &buffer.ty) {
        (Values::Int16(values), _) => values.push(i16::try_from(value).map_err(|_| out_of_range())?),
        (Values::Int32(values), SqlType::Int4) => values.push(i32::try_from(value).map_err(|_| out_of_range())?),
        (Values::Int64(values), SqlType::Int8) => values.push(i64::try_from(value).map_err(|_| out_of_range())?),
        (Values::Int64(values), SqlType::Timestamp | SqlType::Timestamptz) => {
            values.push(time::from_millis(value).ok_or_else(out_of_range)?);
        }
        (Values::Float64(values), _) => values.push(value as f64),
        (_, ty) => return Err(format!("expected {ty}, found a number")),
    }
    buffer.set_valid();
    Ok(())
}

/// A number with a fraction or exponent, or one too large for 64 bits.
pub fn push_float(buffer: &mut Buffer, value: f64) -> Result<(), String> {
    match (&mut buffer.values, &buffer.ty) {
        (Values::Float64(values), _) => values.push(value),
        (Values::Int16(_), _)
        | (Values::Int32(_), SqlType::Int4)
        | (Values::Int64(_), SqlType::Int8 | SqlType::Timestamp | SqlType::Timestamptz) => {
            if value.fract() != 0.0 {
                return Err(format!("{value} is not a whole number"));
            }
            return push_integer(buffer, value as i128);
        }
        (_, ty) => return Err(format!("expected {ty}, found a number")),
    }
    buffer.set_valid();
    Ok(())
}

/// Whether a number for the column is a whole one of which the float does not tell which one.
pub fn is_inexact(buffer: &Buffer, value: f64) -> bool {
    let whole = matches!(
        (&buffer.values, &buffer.ty),
        (Values::Int64(_), SqlType::Int8 | SqlType::Timestamp | SqlType::Timestamptz)
    );
    whole && (EXACT..TOO_LARGE).contains(&value.abs())
}

/// A value of a type of whole numbers, from its text.
pub fn push_digits(buffer: &mut Buffer, raw: &str) -> Result<(), String> {
    match raw.as_bytes().first() {
        Some(b'n') => {
            buffer.push_null();
            Ok(())
        }
        Some(b'"') => push_text(buffer, &unquoted(raw).unwrap_or_default()),
        Some(b'-' | b'0'..=b'9') => push_integer(buffer, whole(raw)?),
        _ => Err(format!("expected {}, found {}", buffer.ty, kind(raw))),
    }
}

/// The whole number that is written with a fraction or an exponent, perhaps.
fn whole(text: &str) -> Result<i128, String> {
    if let Ok(value) = text.parse() {
        return Ok(value);
    }
    match text.parse::<f64>() {
        Ok(value) if value.abs() >= TOO_LARGE => Err(format!("{} is out of range", shortened(text))),
        _ => {
            let parts = decimal::parse(text, None).ok().filter(|parts| parts % decimal::BARE_ONE == 0);
            parts
                .map(|parts| parts / decimal::BARE_ONE)
                .ok_or_else(|| format!("{} is not a whole number", shortened(text)))
        }
    }
}

/// A string.
pub fn push_text(buffer: &mut Buffer, value: &str) -> Result<(), String> {
    let invalid = |ty: &SqlType| format!("invalid value for {ty}: \"{}\"", shortened(value));
    match (&mut buffer.values, &buffer.ty) {
        (Values::Bytes { .. }, SqlType::Bytea) => {
            let bytes = hexadecimal(value).ok_or_else(|| invalid(&buffer.ty))?;
            return buffer.push_bytes(&bytes);
        }
        (Values::Bytes { .. }, ty) => {
            if value.as_bytes().contains(&0) {
                return Err("a text cannot hold the zero character".to_owned());
            }
            let text = fitted(value, ty)?;
            return buffer.push_bytes(text.as_bytes());
        }
        (Values::Int32(values), SqlType::Date) => values.push(time::date(value).ok_or_else(|| invalid(&buffer.ty))?),
        (Values::Int64(values), SqlType::Time) => values.push(time::time(value).ok_or_else(|| invalid(&buffer.ty))?),
        (Values::Int64(values), SqlType::Timestamp | SqlType::Timestamptz) => {
            values.push(time::timestamp(value).ok_or_else(|| invalid(&buffer.ty))?);
        }
        (Values::Float64(values), _) => values.push(special(value).ok_or_else(|| invalid(&buffer.ty))?),
        (Values::Uuid(values), _) => values.extend(uuid(value).ok_or_else(|| invalid(&buffer.ty))?),
        (_, ty) => return Err(format!("expected {ty}, found a string")),
    }
    buffer.set_valid();
    Ok(())
}

/// A JSON text, for the types of which the text itself counts.
pub fn push_raw(buffer: &mut Buffer, raw: &str, jsonb: NormalizeJsonb) -> Result<(), String> {
    if raw == "null" {
        buffer.push_null();
        return Ok(());
    }
    match (&mut buffer.values, &buffer.ty) {
        (Values::Bytes { .. }, SqlType::Jsonb) => {
            let text = jsonb(raw).map_err(|error| error.message().to_owned())?;
            return buffer.push_bytes(text.as_bytes());
        }
        (Values::Bytes { .. }, _) => return buffer.push_bytes(raw.as_bytes()),
        (Values::Decimal(values), SqlType::Numeric(modifier)) => {
            let text = unquoted(raw).ok_or_else(|| format!("expected {}, found {}", buffer.ty, kind(raw)))?;
            values.push(decimal::parse(&text, *modifier)?);
        }
        (Values::Float32(values), ty) => {
            let text = unquoted(raw).ok_or_else(|| format!("expected {ty}, found {}", kind(raw)))?;
            let value = match raw.starts_with('"') {
                true => special(&text).map(|value| value as f32),
                false => text.parse::<f32>().ok().filter(|value| value.is_finite()),
            };
            values.push(value.ok_or_else(|| format!("{} is out of range", shortened(raw)))?);
        }
        (_, ty) => return Err(format!("expected {ty}, found {}", kind(raw))),
    }
    buffer.set_valid();
    Ok(())
}

/// A number's digits, or a string's characters.
fn unquoted(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => sonic_rs::from_str::<String>(raw).ok().map(Into::into),
        b'-' | b'0'..=b'9' => Some(raw.into()),
        _ => None,
    }
}

fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

/// The floats that JSON has no numbers for.
fn special(value: &str) -> Option<f64> {
    match value {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A text as its type keeps it: blanks at its end may go to make it fit, and those of a char(n) always go.
fn fitted<'a>(value: &'a str, ty: &SqlType) -> Result<&'a str, String> {
    let (value, most) = match ty {
        SqlType::Varchar(most) => (value, *most),
        SqlType::Bpchar(most) => (value.trim_end_matches(' '), *most),
        _ => (value, None),
    };
    let Some(most) = most else { return Ok(value) };
    match value.char_indices().nth(most as usize) {
        Some((cut, _)) if value[cut..].trim_end_matches(' ').is_empty() => Ok(&value[..cut]),
        Some(_) => Err(format!("value too long for type {ty}")),
        None => Ok(value),
    }
}

/// `\x` and pairs of digits.
fn hexadecimal(value: &str) -> Option<Vec<u8>> {
    let digits = value.strip_prefix("\\x")?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// 32 digits, in groups of 8, 4, 4, 4, 12 or without hyphens.
fn uuid(value: &str) -> Option<[u8; 16]> {
    let bytes = value.as_bytes();
    let hyphens: &[usize] = if bytes.len() == 36 { &[8, 13, 18, 23] } else { &[] };
    if bytes.len() != 32 + hyphens.len() || hyphens.iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let mut digits = bytes.iter().enumerate().filter(|(at, _)| !hyphens.contains(at)).map(|(_, byte)| digit(*byte));
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(uuid)
}

fn digit(character: u8) -> Option<u8> {
    (character as char).to_digit(16).map(|digit| digit as u8)
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &value[..cut]),
        None => value.to_owned(),
    }
}
