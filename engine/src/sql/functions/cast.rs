//! Casts as kernels: from the type of the argument to the type of the result, modifiers included.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder, StructArray};
use arrow::datatypes::DataType;

use super::category::{Category, category};
use crate::data::NUMERIC_SCALE;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{self, MICROS_PER_DAY};
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::adt::{decimal, json, out_of_range};
use crate::sql::format::{self, FormatSettings};
use crate::sql::input;
use crate::sql::rows::{Call, Clock, Date, Micros, map1, retype};

/// Casts as an assignment does: a value too long for its declared length is an error.
pub fn assign(call: &Call) -> Result<ArrayRef> {
    cast(call, false)
}

/// Casts as `CAST(…)` does: a value too long is cut.
pub fn explicit(call: &Call) -> Result<ArrayRef> {
    cast(call, true)
}

fn cast(call: &Call, cut: bool) -> Result<ArrayRef> {
    let (from, to) = (&call.types[0], call.result);
    let array = match (category(from), category(to)) {
        _ if from == to => Ok(call.args[0].clone()),
        (Category::Array, Category::Array) => array(call, cut),
        (_, Category::String) => to_string(call, cut),
        (Category::String | Category::Unknown, _) => input::from_text(call),
        (Category::Numeric, Category::Numeric) => number(call),
        (Category::DateTime | Category::Timespan, Category::DateTime | Category::Timespan) => datetime(call),
        _ => other(call, cut),
    }?;
    retype(array, &to.arrow())
}

/// To text, varchar, char or name.
fn to_string(call: &Call, cut: bool) -> Result<ArrayRef> {
    let texts = texts(call)?;
    let args = [texts];
    let call = Call { args: &args, types: &[SqlType::Text], ..*call };
    match call.result {
        SqlType::Varchar(Some(length)) if cut => map1(&call, |text: &str| Ok(first(text, *length))),
        SqlType::Bpchar(Some(length)) if cut => {
            map1(&call, |text: &str| Ok(first(text, *length).trim_end_matches(' ')))
        }
        SqlType::Text | SqlType::Varchar(None) => Ok(args[0].clone()),
        _ => input::from_text(&call),
    }
}

/// The argument's output text. char(n) loses its blanks.
pub fn texts(call: &Call) -> Result<ArrayRef> {
    let (array, from) = (&call.args[0], &call.types[0]);
    if array.data_type() == &DataType::Utf8 {
        return Ok(array.clone());
    }
    if *from == SqlType::Bool {
        return map1(call, |value: bool| Ok(if value { "true" } else { "false" }));
    }
    let settings = FormatSettings::new(call.zone.clone());
    let mut builder = StringBuilder::new();
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        format::text(array, from, row, &settings, &mut text)?;
        builder.append_value(&text);
    }
    Ok(Arc::new(builder.finish()))
}

/// The first `length` characters.
fn first(text: &str, length: u32) -> &str {
    text.char_indices().nth(length as usize).map_or(text, |(end, _)| &text[..end])
}

/// Element by element.
fn array(call: &Call, cut: bool) -> Result<ArrayRef> {
    let element = super::resolve::element;
    let lists = call.args[0].as_list_opt::<i32>().ok_or_else(|| Error::internal("a list expected"))?;
    let (Some(from), Some(to)) = (element(&call.types[0]), element(call.result)) else {
        return Err(Error::internal("an array type expected"));
    };
    let args = [lists.values().clone()];
    let rows = lists.values().len();
    let values =
        cast(&Call { args: &args, constant: &[false], rows, types: &[from], result: &to, zone: call.zone }, cut)?;
    let DataType::List(field) = call.result.arrow() else {
        return Err(Error::internal("a list type expected"));
    };
    Ok(Arc::new(ListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned())?))
}

fn scale(ty: &SqlType) -> i8 {
    match ty {
        SqlType::Numeric(Some((_, scale))) => *scale,
        _ => NUMERIC_SCALE,
    }
}

/// Among numbers and OIDs.
fn number(call: &Call) -> Result<ArrayRef> {
    let from = &call.types[0];
    match from {
        SqlType::Int2 => map_int(call, |call| map1_i64(call, |value: i16| Ok(i64::from(value)))),
        SqlType::Int4 => map_int(call, |call| map1_i64(call, |value: i32| Ok(i64::from(value)))),
        SqlType::Int8 => map_int(call, |call| Ok(call.args[0].clone())),
        SqlType::Numeric(_) => from_numeric(call, scale(from)),
        SqlType::Float4 => {
            let args = [map1(call, |value: f32| Ok(f64::from(value)))?];
            from_float(&Call { args: &args, ..*call }, 6)
        }
        SqlType::Float8 => from_float(call, 15),
        _ => map_int(call, |call| map1_i64(call, |value: u32| Ok(i64::from(value)))),
    }
}

fn map1_i64<'a, A: crate::sql::rows::Value<'a>>(call: &'a Call, f: impl FnMut(A) -> Result<i64>) -> Result<ArrayRef> {
    map1(call, f)
}

/// From whole numbers, read as `bigint` first.
fn map_int(call: &Call, widen: impl Fn(&Call) -> Result<ArrayRef>) -> Result<ArrayRef> {
    let args = [widen(call)?];
    let call = Call { args: &args, ..*call };
    match call.result {
        SqlType::Int2 => map1(&call, |v: i64| i16::try_from(v).map_err(|_| out_of_range("smallint"))),
        SqlType::Int4 => map1(&call, |v: i64| i32::try_from(v).map_err(|_| out_of_range("integer"))),
        SqlType::Int8 => Ok(args[0].clone()),
        SqlType::Float4 => map1(&call, |v: i64| Ok(v as f32)),
        SqlType::Float8 => map1(&call, |v: i64| Ok(v as f64)),
        SqlType::Numeric(None) => map1(&call, |v: i64| decimal::from_int(v.into())),
        SqlType::Numeric(Some((p, s))) => map1(&call, |v: i64| decimal::fit(v.into(), 0, *p, *s)),
        // A negative integer wraps into the upper half of the OIDs.
        _ => map1(&call, |v: i64| match i32::try_from(v) {
            Ok(value) => Ok(value as u32),
            Err(_) => u32::try_from(v).map_err(|_| out_of_range("OID")),
        }),
    }
}

fn from_numeric(call: &Call, scale: i8) -> Result<ArrayRef> {
    let whole = move |value: i128, ty: &'static str| decimal::to_int(value, scale).ok_or_else(|| out_of_range(ty));
    match call.result {
        SqlType::Int2 => {
            map1(call, |v: i128| whole(v, "smallint")?.try_into().map(|v: i16| v).map_err(|_| out_of_range("smallint")))
        }
        SqlType::Int4 => {
            map1(call, |v: i128| whole(v, "integer")?.try_into().map(|v: i32| v).map_err(|_| out_of_range("integer")))
        }
        SqlType::Int8 => map1(call, |v: i128| whole(v, "bigint")),
        SqlType::Float4 => map1(call, |v: i128| {
            let mut text = String::new();
            decimal::format(v, scale, true, &mut text);
            input::parse_float4(&text)
        }),
        SqlType::Float8 => map1(call, |v: i128| Ok(decimal::to_f64(v, scale))),
        SqlType::Numeric(Some((p, s))) => map1(call, |v: i128| decimal::fit(v, scale, *p, *s)),
        SqlType::Numeric(None) => map1(call, |v: i128| {
            decimal::check(decimal::rescale(v, scale, NUMERIC_SCALE).ok_or_else(decimal::overflow)?)
        }),
        other => Err(no_cast(&call.types[0], other)),
    }
}

/// From a double; `digits` of it are significant.
fn from_float(call: &Call, digits: usize) -> Result<ArrayRef> {
    // Ties round to even here, as rint() does; NaN fits nowhere.
    let whole = |value: f64, least: f64, most: f64, ty: &str| {
        let rounded = value.round_ties_even();
        if rounded >= least && rounded < most { Ok(rounded) } else { Err(out_of_range(ty)) }
    };
    match call.result {
        SqlType::Int2 => map1(call, |v: f64| whole(v, -32_768.0, 32_768.0, "smallint").map(|v| v as i16)),
        SqlType::Int4 => map1(call, |v: f64| whole(v, -2_147_483_648.0, 2_147_483_648.0, "integer").map(|v| v as i32)),
        SqlType::Int8 => map1(call, |v: f64| {
            whole(v, -9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0, "bigint").map(|v| v as i64)
        }),
        SqlType::Float4 => map1(call, |v: f64| {
            let narrow = v as f32;
            let lost = (narrow.is_infinite() && v.is_finite()) || (narrow == 0.0 && v != 0.0);
            let problem = if narrow == 0.0 { "underflow" } else { "overflow" };
            let error = || Error::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("value out of range: {problem}"));
            if lost { Err(error()) } else { Ok(narrow) }
        }),
        SqlType::Float8 => Ok(call.args[0].clone()),
        SqlType::Numeric(None) => map1(call, |v: f64| decimal::from_f64(v, digits)),
        SqlType::Numeric(Some((p, s))) => map1(call, |v: f64| {
            if !v.is_finite() {
                return decimal::from_f64(v, digits);
            }
            decimal::parse(&format!("{v:.*e}", digits - 1), Some((*p, *s)))
        }),
        other => Err(no_cast(&call.types[0], other)),
    }
}

/// Among dates, times, timestamps and intervals.
fn datetime(call: &Call) -> Result<ArrayRef> {
    let zone: &TimeZone = call.zone;
    match (&call.types[0], call.result) {
        (SqlType::Date, SqlType::Timestamp) => map1(call, |v: Date| calendar::date_to_timestamp(v.0).map(Micros)),
        (SqlType::Date, SqlType::Timestamptz) => {
            map1(call, |v: Date| zone.to_utc(calendar::date_to_timestamp(v.0)?).map(Micros))
        }
        (SqlType::Timestamp, SqlType::Date) => map1(call, |v: Micros| Ok(Date(calendar::timestamp_to_date(v.0)))),
        (SqlType::Timestamptz, SqlType::Date) => {
            map1(call, |v: Micros| Ok(Date(calendar::timestamp_to_date(zone.to_local(v.0)?))))
        }
        (SqlType::Timestamp, SqlType::Timestamptz) => map1(call, |v: Micros| zone.to_utc(v.0).map(Micros)),
        (SqlType::Timestamptz, SqlType::Timestamp) => map1(call, |v: Micros| zone.to_local(v.0).map(Micros)),
        (SqlType::Timestamp, SqlType::Time) => map1(call, |v: Micros| Ok(time_of(v.0))),
        (SqlType::Timestamptz, SqlType::Time) => map1(call, |v: Micros| Ok(time_of(zone.to_local(v.0)?))),
        (SqlType::Time, SqlType::Interval) => {
            map1(call, |v: Clock| Ok(Interval { micros: v.0, ..Interval::default() }))
        }
        (SqlType::Interval, SqlType::Time) => map1(call, |v: Interval| Ok(Clock(v.micros.rem_euclid(MICROS_PER_DAY)))),
        (from, to) => Err(no_cast(from, to)),
    }
}

/// The time of day; an infinite timestamp has none.
fn time_of(micros: i64) -> Option<Clock> {
    (!calendar::is_infinite(micros)).then(|| Clock(calendar::split_day(micros).1))
}

fn other(call: &Call, cut: bool) -> Result<ArrayRef> {
    match (&call.types[0], call.result) {
        (SqlType::Int4, SqlType::Bool) => map1(call, |value: i32| Ok(value != 0)),
        (SqlType::Bool, SqlType::Int4) => map1(call, |value: bool| Ok(i32::from(value))),
        (SqlType::Char, SqlType::Int4) => {
            map1(call, |value: &str| Ok(value.bytes().next().map_or(0, |byte| i32::from(byte as i8))))
        }
        (SqlType::Json, SqlType::Jsonb) => map1(call, json::normalize),
        (SqlType::Jsonb, SqlType::Json) => Ok(call.args[0].clone()),
        (SqlType::Jsonb, _) => from_jsonb(call),
        (SqlType::Record(from), SqlType::Record(to)) => record(call, from, to, cut),
        (from, to) => Err(no_cast(from, to)),
    }
}

/// jsonb to boolean or a number.
fn from_jsonb(call: &Call) -> Result<ArrayRef> {
    let to = call.result;
    let wrong = |value: &json::Json| {
        let message = format!("cannot cast jsonb {} to type {}", value.type_name(), to.bare());
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    };
    if *to == SqlType::Bool {
        return map1(call, |text: &str| match json::parse(text)? {
            json::Json::Bool(value) => Ok(value),
            other => Err(wrong(&other)),
        });
    }
    let numbers = map1(call, |text: &str| match json::parse(text)? {
        json::Json::Number(digits) => decimal::parse(&digits, None),
        other => Err(wrong(&other)),
    })?;
    let args = [retype(numbers, &SqlType::NUMERIC.arrow())?];
    cast(&Call { args: &args, types: &[SqlType::NUMERIC], ..*call }, false)
}

fn record(call: &Call, from: &[(String, SqlType)], to: &[(String, SqlType)], cut: bool) -> Result<ArrayRef> {
    let values = call.args[0].as_struct_opt().ok_or_else(|| Error::internal("a struct expected"))?;
    let mut columns = Vec::with_capacity(to.len());
    for ((column, (_, from)), (_, to)) in values.columns().iter().zip(from).zip(to) {
        let args = [column.clone()];
        let types = [from.clone()];
        columns.push(cast(&Call { args: &args, types: &types, result: to, ..*call }, cut)?);
    }
    let DataType::Struct(fields) = call.result.arrow() else {
        return Err(Error::internal("a struct type expected"));
    };
    Ok(Arc::new(StructArray::try_new(fields, columns, values.nulls().cloned())?))
}

fn no_cast(from: &SqlType, to: &SqlType) -> Error {
    Error::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}"))
}

/// Texts of a column, for kernels that take anything.
pub fn column_texts(array: &ArrayRef, ty: &SqlType, zone: &TimeZone) -> Result<StringArray> {
    let args = [array.clone()];
    let types = [ty.clone()];
    let call = Call { args: &args, constant: &[false], rows: array.len(), types: &types, result: &SqlType::Text, zone };
    Ok(texts(&call)?.as_string::<i32>().clone())
}
