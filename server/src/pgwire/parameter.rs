//! The values that clients bind to parameters: text through the engine's input functions, binary as PostgreSQL's
//! `*_recv` functions read it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, IntervalMonthDayNano};
use levada_engine::ScalarValue;
use levada_engine::data::SqlType;
use levada_engine::error::{Error, Result, SqlState};
use levada_engine::format::FormatSettings;
use levada_engine::input;

use super::encode::{EPOCH_DAYS, EPOCH_MICROS, JSONB_VERSION};
use super::frontend::{Bind, Format, utf8};

/// The values of a Bind, one for each parameter of the statement.
///
/// # Errors
/// 08P01 when the numbers do not match, 22P03 and the errors of input functions for values.
pub fn decode_all(bind: &Bind, types: &[SqlType], settings: &FormatSettings) -> Result<Vec<ScalarValue>> {
    let given = bind.parameters.len();
    let protocol = |message| Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    if bind.parameter_formats.len() > 1 && bind.parameter_formats.len() != given {
        let formats = bind.parameter_formats.len();
        return protocol(format!("bind message has {formats} parameter formats but {given} parameters"));
    }
    if given != types.len() {
        let (name, needed) = (&bind.statement, types.len());
        return protocol(format!(
            "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {needed}"
        ));
    }
    let values = bind.parameters.iter().zip(types).enumerate().map(|(index, (value, ty))| {
        let format = match bind.parameter_formats.as_slice() {
            [] => Format::Text,
            [format] => *format,
            formats => formats[index],
        };
        match value {
            None => null(ty),
            Some(bytes) => decode(bytes, format, ty, index + 1, settings),
        }
    });
    values.collect()
}

fn null(ty: &SqlType) -> Result<ScalarValue> {
    Ok(ScalarValue::try_from(&ty.arrow())?)
}

fn decode(bytes: &[u8], format: Format, ty: &SqlType, number: usize, settings: &FormatSettings) -> Result<ScalarValue> {
    match format {
        Format::Text => input::value(utf8(bytes)?, ty, settings),
        Format::Binary => {
            let mut rest = bytes;
            let value = binary(&mut rest, ty, settings)?;
            if !rest.is_empty() {
                let message = format!("incorrect binary data format in bind parameter {number}");
                return Err(Error::new(SqlState::INVALID_BINARY, message));
            }
            Ok(value)
        }
    }
}

/// Reads a value from the front of `bytes`; what is left there does not belong to it.
fn binary(bytes: &mut &[u8], ty: &SqlType, settings: &FormatSettings) -> Result<ScalarValue> {
    let value = match ty {
        SqlType::Bool => ScalarValue::Boolean(Some(take(bytes, 1)?[0] != 0)),
        SqlType::Int2 => ScalarValue::Int16(Some(word(bytes, i16::from_be_bytes)?)),
        SqlType::Int4 => ScalarValue::Int32(Some(word(bytes, i32::from_be_bytes)?)),
        SqlType::Int8 => ScalarValue::Int64(Some(word(bytes, i64::from_be_bytes)?)),
        SqlType::Float4 => ScalarValue::Float32(Some(word(bytes, f32::from_be_bytes)?)),
        SqlType::Float8 => ScalarValue::Float64(Some(word(bytes, f64::from_be_bytes)?)),
        SqlType::Oid | SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace => {
            ScalarValue::UInt32(Some(word(bytes, u32::from_be_bytes)?))
        }
        SqlType::Numeric(_) => input::value(&numeric_text(bytes)?, ty, settings)?,
        SqlType::Jsonb => {
            let version = take(bytes, 1)?[0];
            if version != JSONB_VERSION {
                return Err(Error::new(
                    SqlState::INVALID_BINARY,
                    format!("unsupported jsonb version number {version}"),
                ));
            }
            input::value(utf8(rest(bytes))?, ty, settings)?
        }
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Bpchar(_)
        | SqlType::Name
        | SqlType::Char
        | SqlType::Json
        | SqlType::Unknown => input::value(utf8(rest(bytes))?, ty, settings)?,
        SqlType::Bytea => ScalarValue::Binary(Some(rest(bytes).to_vec())),
        SqlType::Date => ScalarValue::Date32(Some(date(word(bytes, i32::from_be_bytes)?)?)),
        SqlType::Time => ScalarValue::Time64Microsecond(Some(time(word(bytes, i64::from_be_bytes)?)?)),
        SqlType::Timestamp => {
            ScalarValue::TimestampMicrosecond(Some(timestamp(word(bytes, i64::from_be_bytes)?)?), None)
        }
        SqlType::Timestamptz => {
            let micros = timestamp(word(bytes, i64::from_be_bytes)?)?;
            ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
        }
        SqlType::Interval => ScalarValue::IntervalMonthDayNano(Some(interval(bytes)?)),
        SqlType::Uuid => ScalarValue::FixedSizeBinary(16, Some(take(bytes, 16)?.to_vec())),
        SqlType::Array(element) => array(bytes, ty, element, settings)?,
        SqlType::Int2vector => array(bytes, ty, &SqlType::Int2, settings)?,
        SqlType::Oidvector => array(bytes, ty, &SqlType::Oid, settings)?,
        SqlType::Record(_) | SqlType::Void => {
            return Err(Error::unsupported(format!("a parameter of type {ty} in binary format")));
        }
    };
    Ok(value)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    bytes.split_off(..length).ok_or_else(too_short)
}

fn too_short() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn rest<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    std::mem::take(bytes)
}

/// A number in network order, by the function that reads it.
fn word<T, const N: usize>(bytes: &mut &[u8], read: impl Fn([u8; N]) -> T) -> Result<T> {
    let (number, rest) = bytes.split_first_chunk::<N>().ok_or_else(too_short)?;
    *bytes = rest;
    Ok(read(*number))
}

/// Days since 1970, from days since 2000. The ends of the range are the infinities.
fn date(days: i32) -> Result<i32> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        days => days.checked_add(EPOCH_DAYS).ok_or_else(|| out_of_range("date")),
    }
}

/// Microseconds since 1970, likewise.
fn timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        micros => micros.checked_add(EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp")),
    }
}

/// Microseconds of a day, 24:00 included.
fn time(micros: i64) -> Result<i64> {
    match micros {
        0..=86_400_000_000 => Ok(micros),
        _ => Err(out_of_range("time")),
    }
}

fn interval(bytes: &mut &[u8]) -> Result<IntervalMonthDayNano> {
    let micros = word(bytes, i64::from_be_bytes)?;
    let (days, months) = (word(bytes, i32::from_be_bytes)?, word(bytes, i32::from_be_bytes)?);
    let nanoseconds = micros.checked_mul(1000).ok_or_else(|| out_of_range("interval"))?;
    Ok(IntervalMonthDayNano { months, days, nanoseconds })
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_OVERFLOW, format!("{what} out of range"))
}

/// `numeric_recv`, as text: the engine's input function knows what fits.
fn numeric_text(bytes: &mut &[u8]) -> Result<String> {
    let invalid =
        |what: &str| Error::new(SqlState::INVALID_BINARY, format!("invalid {what} in external \"numeric\" value"));
    let count = word(bytes, u16::from_be_bytes)?;
    let weight = word(bytes, i16::from_be_bytes)?;
    let sign = word(bytes, u16::from_be_bytes)?;
    let scale = word(bytes, u16::from_be_bytes)?;
    let digits: Vec<u16> = (0..count).map(|_| word(bytes, u16::from_be_bytes)).collect::<Result<_>>()?;
    if digits.iter().any(|digit| *digit >= 10_000) {
        return Err(invalid("digit"));
    }
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => "-".to_owned(),
        0xc000 => return Ok("NaN".to_owned()),
        0xd000 => return Ok("Infinity".to_owned()),
        0xf000 => return Ok("-Infinity".to_owned()),
        _ => return Err(invalid("sign")),
    };
    // The digit with an exponent of 10,000; those not sent are zeros.
    let digit = |exponent: i32| {
        let index = i32::from(weight) - exponent;
        usize::try_from(index).ok().and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let mut append = |digit: u16| {
        // Writing to a String does not fail.
        let _ = write!(text, "{digit:04}");
    };
    (0..=i32::from(weight).max(0)).rev().for_each(|exponent| append(digit(exponent)));
    if scale > 0 {
        let groups = (i32::from(scale) + 3) / 4;
        let mut fraction = String::with_capacity(groups as usize * 4);
        for exponent in 1..=groups {
            let _ = write!(fraction, "{:04}", digit(-exponent));
        }
        text.push('.');
        text.push_str(&fraction[..usize::from(scale)]);
    }
    Ok(text)
}

/// `array_recv`.
fn array(bytes: &mut &[u8], ty: &SqlType, element: &SqlType, settings: &FormatSettings) -> Result<ScalarValue> {
    let dimensions = word(bytes, i32::from_be_bytes)?;
    let _has_nulls = word(bytes, i32::from_be_bytes)?;
    let oid = word(bytes, u32::from_be_bytes)?;
    if oid != element.oid() {
        let message = format!("binary data has array element type {oid} instead of expected {}", element.oid());
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = word(bytes, i32::from_be_bytes)?;
            let _lower_bound = word(bytes, i32::from_be_bytes)?;
            length
        }
        _ => return Err(Error::unsupported(format!("a parameter of {dimensions} dimensions in binary format"))),
    };
    let items = (0..length).map(|_| match word(bytes, i32::from_be_bytes)? {
        -1 => null(element),
        length => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let mut item = take(bytes, length)?;
            let value = binary(&mut item, element, settings)?;
            if !item.is_empty() {
                return Err(Error::new(SqlState::INVALID_BINARY, "improper binary format in an array element"));
            }
            Ok(value)
        }
    });
    let items: Vec<ScalarValue> = items.collect::<Result<_>>()?;
    let DataType::List(field) = ty.arrow() else {
        return Err(Error::internal(format!("{ty} is not a list")));
    };
    let values: ArrayRef = match items.is_empty() {
        true => new_empty_array(field.data_type()),
        false => ScalarValue::iter_to_array(items)?,
    };
    let list = ListArray::try_new(field, OffsetBuffer::from_lengths([values.len()]), values, None)?;
    Ok(ScalarValue::List(Arc::new(list)))
}

#[cfg(test)]
mod tests;
