//! Values as text, as PostgreSQL's output functions print them (`DateStyle = ISO`, `IntervalStyle = postgres`,
//! `bytea_output = hex`).

mod nested;
mod number;

pub use number::{float4, float8};

use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};

use super::adt::calendar;
use super::adt::decimal;
use super::adt::interval::Interval;
pub use super::adt::time_zone::TimeZone;
use crate::catalog::{Catalog, system};
use crate::data::{NUMERIC_SCALE, SqlType, quote_ident};
use crate::error::{Error, Result};

/// What of a session decides how values print.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FormatSettings {
    pub time_zone: TimeZone,
    /// `extra_float_digits`: the shortest digits that read back as the same value from 1 on, else how many more than
    /// always suffice.
    pub float_digits: i32,
    pub relations: RelationNames,
}

impl FormatSettings {
    /// Settings by which relations print as their OIDs.
    pub fn new(time_zone: TimeZone) -> FormatSettings {
        FormatSettings { time_zone, float_digits: 1, relations: RelationNames::default() }
    }
}

impl Default for FormatSettings {
    fn default() -> FormatSettings {
        FormatSettings::new(TimeZone::UTC)
    }
}

/// The catalog that `regclass` values print by. All are equal: within a statement there is one.
#[derive(Clone, Debug, Default)]
pub struct RelationNames(pub Option<Arc<Catalog>>);

impl PartialEq for RelationNames {
    fn eq(&self, _: &RelationNames) -> bool {
        true
    }
}

impl Eq for RelationNames {}

impl Hash for RelationNames {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Appends the value of `row`, which is not NULL. `array` has the Arrow type of `ty`.
pub fn text(array: &ArrayRef, ty: &SqlType, row: usize, settings: &FormatSettings, out: &mut String) -> Result<()> {
    match ty {
        SqlType::Bool => out.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
        SqlType::Int2 => append(out, array.as_primitive::<Int16Type>().value(row)),
        SqlType::Int4 => append(out, array.as_primitive::<Int32Type>().value(row)),
        SqlType::Int8 => append(out, array.as_primitive::<Int64Type>().value(row)),
        SqlType::Float4 => {
            number::float4_digits(array.as_primitive::<Float32Type>().value(row), settings.float_digits, out);
        }
        SqlType::Float8 => {
            number::float8_digits(array.as_primitive::<Float64Type>().value(row), settings.float_digits, out);
        }
        SqlType::Numeric(modifier) => {
            let scale = modifier.map_or(NUMERIC_SCALE, |(_, scale)| scale);
            decimal::format(array.as_primitive::<Decimal128Type>().value(row), scale, modifier.is_none(), out);
        }
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Name
        | SqlType::Char
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Unknown => out.push_str(array.as_string::<i32>().value(row)),
        SqlType::Bpchar(length) => bpchar(array.as_string::<i32>().value(row), *length, out),
        SqlType::Bytea => hex(array.as_binary::<i32>().value(row), out),
        SqlType::Date => calendar::format_date(array.as_primitive::<Date32Type>().value(row), out),
        SqlType::Time => calendar::format_time(array.as_primitive::<Time64MicrosecondType>().value(row), out),
        SqlType::Timestamp => {
            calendar::format_timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row), None, out);
        }
        SqlType::Timestamptz => {
            timestamptz(array.as_primitive::<TimestampMicrosecondType>().value(row), &settings.time_zone, out);
        }
        SqlType::Interval => {
            Interval::from(array.as_primitive::<IntervalMonthDayNanoType>().value(row)).format(out);
        }
        SqlType::Uuid => uuid(array.as_fixed_size_binary().value(row), out),
        SqlType::Oid => append(out, array.as_primitive::<UInt32Type>().value(row)),
        SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace => {
            let names = settings.relations.0.as_deref();
            out.push_str(&object_name(ty, array.as_primitive::<UInt32Type>().value(row), names));
        }
        SqlType::Int2vector => nested::vector(array, &SqlType::Int2, row, settings, out)?,
        SqlType::Oidvector => nested::vector(array, &SqlType::Oid, row, settings, out)?,
        SqlType::Array(element) => nested::array(array, element, row, settings, out)?,
        SqlType::Record(fields) => nested::record(array, fields, row, settings, out)?,
        SqlType::Void => {}
    }
    Ok(())
}

/// An object's name, its number where there is none, `-` for none.
pub fn object_name(ty: &SqlType, oid: u32, catalog: Option<&Catalog>) -> String {
    let name = match ty {
        _ if oid == 0 => None,
        SqlType::Regtype => {
            let row_type = || system::composite_name(catalog?, oid);
            SqlType::from_oid(oid).map(|ty| ty.to_string()).or_else(row_type)
        }
        SqlType::Regproc => system::function_name(oid).map(quote_ident),
        SqlType::Regnamespace => system::namespace_name(oid).map(quote_ident),
        _ => catalog.and_then(|catalog| system::relation_name(catalog, oid)),
    };
    name.unwrap_or_else(|| if oid == 0 { "-".to_owned() } else { oid.to_string() })
}

/// One value, None for NULL.
pub fn value_text(array: &ArrayRef, ty: &SqlType, row: usize, settings: &FormatSettings) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let mut out = String::new();
    text(array, ty, row, settings, &mut out)?;
    Ok(Some(out))
}

/// One value as messages show it, NULL as `null`.
pub fn shown(array: &ArrayRef, ty: &SqlType, row: usize) -> String {
    let text = value_text(array, ty, row, &FormatSettings::default());
    text.unwrap_or_default().unwrap_or_else(|| "null".to_owned())
}

fn append(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
}

/// Blank-padded to the declared length; values are stored without the blanks.
fn bpchar(value: &str, length: Option<u32>, out: &mut String) {
    out.push_str(value);
    let missing = (length.unwrap_or(0) as usize).saturating_sub(value.chars().count());
    out.extend(std::iter::repeat_n(' ', missing));
}

/// `\x` and two hexadecimal digits a byte.
fn hex(bytes: &[u8], out: &mut String) {
    out.push_str("\\x");
    for byte in bytes {
        append(out, format_args!("{byte:02x}"));
    }
}

fn uuid(bytes: &[u8], out: &mut String) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        append(out, format_args!("{byte:02x}"));
    }
}

fn timestamptz(micros: i64, zone: &TimeZone, out: &mut String) {
    if calendar::is_infinite(micros) {
        return calendar::format_timestamp(micros, None, out);
    }
    let offset = zone.offset_at(micros);
    let local = micros.saturating_add(i64::from(offset) * calendar::MICROS_PER_SECOND);
    calendar::format_timestamp(local, Some(offset), out);
}

fn expected(what: &str) -> Error {
    Error::internal(format!("array of {what} expected"))
}
