//! `json` and `jsonb`: access, containment, construction and aggregation.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::logical_expr::Expr;

use super::aggregate::AggregateCall;
use super::array::build;
use super::cast::column_texts;
use super::category::{Category, category};
use super::gathered::gathered;
use super::signature::T::{Any, AnyArray, AnyElement, Bool, Int4, Json, Jsonb, Record, Text, TextArray};
use super::signature::{Function, Kernel, Volatility, f, rows};
use super::text::output_texts;
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::json::{self, Json as Value, Step, quote};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Call, List, Output, map_rows, map1, map2, text_at};

pub const OPERATORS: &[Function] = &[
    f("->", &[Jsonb, Text], Jsonb, |c| map2(c, |v: &str, key: &str| get(v, |v| v.get(key), Value::to_text))),
    f("->", &[Jsonb, Int4], Jsonb, |c| map2(c, |v: &str, at: i32| get(v, |v| v.element(at.into()), Value::to_text))),
    f("->>", &[Jsonb, Text], Text, |c| map2(c, |v: &str, key: &str| get_text(v, |v| v.get(key)))),
    f("->>", &[Jsonb, Int4], Text, |c| map2(c, |v: &str, at: i32| get_text(v, |v| v.element(at.into())))),
    f("#>", &[Jsonb, TextArray], Jsonb, |c| {
        map2(c, |v: &str, path: List| get(v, |v| follow(v, &path), Value::to_text))
    }),
    f("#>>", &[Jsonb, TextArray], Text, |c| map2(c, |v: &str, path: List| get_text(v, |v| follow(v, &path)))),
    f("->", &[Json, Text], Json, |c| map2(c, |v: &str, key: &str| raw(v, &[Step::Key(key.into())]))),
    f("->", &[Json, Int4], Json, |c| map2(c, |v: &str, at: i32| raw(v, &[Step::Index(at.into())]))),
    f("->>", &[Json, Text], Text, |c| map2(c, |v: &str, key: &str| raw_text(v, &[Step::Key(key.into())]))),
    f("->>", &[Json, Int4], Text, |c| map2(c, |v: &str, at: i32| raw_text(v, &[Step::Index(at.into())]))),
    f("#>", &[Json, TextArray], Json, |c| map2(c, |v: &str, path: List| raw(v, &steps(&path)))),
    f("#>>", &[Json, TextArray], Text, |c| map2(c, |v: &str, path: List| raw_text(v, &steps(&path)))),
    f("@>", &[Jsonb, Jsonb], Bool, |c| map2(c, |a: &str, b: &str| Ok(json::parse(a)?.contains(&json::parse(b)?)))),
    f("<@", &[Jsonb, Jsonb], Bool, |c| map2(c, |a: &str, b: &str| Ok(json::parse(b)?.contains(&json::parse(a)?)))),
    f("?", &[Jsonb, Text], Bool, |c| map2(c, |v: &str, key: &str| Ok(has_key(&json::parse(v)?, key)))),
    f("?|", &[Jsonb, TextArray], Bool, |c| map2(c, |v: &str, keys: List| has_keys(v, &keys, true))),
    f("?&", &[Jsonb, TextArray], Bool, |c| map2(c, |v: &str, keys: List| has_keys(v, &keys, false))),
    f("||", &[Jsonb, Jsonb], Jsonb, |c| {
        map2(c, |a: &str, b: &str| Ok(concat(json::parse(a)?, json::parse(b)?).to_text()))
    }),
    f("-", &[Jsonb, Text], Jsonb, |c| map2(c, |v: &str, key: &str| delete_key(json::parse(v)?, key))),
    f("-", &[Jsonb, Int4], Jsonb, |c| map2(c, |v: &str, at: i32| delete_at(json::parse(v)?, at.into()))),
];

pub const FUNCTIONS: &[Function] = &[
    f("json_typeof", &[Json], Text, |c| map1(c, |v: &str| Ok(json::parse(v)?.type_name()))),
    f("jsonb_typeof", &[Jsonb], Text, |c| map1(c, |v: &str| Ok(json::parse(v)?.type_name()))),
    f("json_array_length", &[Json], Int4, |c| map1(c, array_length)),
    f("jsonb_array_length", &[Jsonb], Int4, |c| map1(c, array_length)),
    f("json_extract_path", &[Json, Text], Json, |c| extract(c, false)).variadic(),
    f("jsonb_extract_path", &[Jsonb, Text], Jsonb, |c| extract(c, false)).variadic(),
    f("json_extract_path_text", &[Json, Text], Text, |c| extract(c, true)).variadic(),
    f("jsonb_extract_path_text", &[Jsonb, Text], Text, |c| extract(c, true)).variadic(),
    f("json_strip_nulls", &[Json], Json, |c| map1(c, |v: &str| Ok(compact(&strip_nulls(json::parse(v)?))))),
    f("jsonb_strip_nulls", &[Jsonb], Jsonb, |c| map1(c, |v: &str| Ok(strip_nulls(json::parse(v)?).to_text()))),
    f("jsonb_pretty", &[Jsonb], Text, |c| map1(c, |v: &str| Ok(json::parse(v)?.to_pretty_text()))),
    f("to_json", &[AnyElement], Json, |c| convert(c, false)),
    f("to_jsonb", &[AnyElement], Jsonb, |c| convert(c, true)),
    f("row_to_json", &[Record], Json, |c| convert(c, false)),
    f("array_to_json", &[AnyArray], Json, |c| convert(c, false)),
    f("json_build_object", &[], Json, |c| build_object(c, false)),
    f("json_build_object", &[Any], Json, |c| build_object(c, false)).variadic(),
    f("jsonb_build_object", &[], Jsonb, |c| build_object(c, true)),
    f("jsonb_build_object", &[Any], Jsonb, |c| build_object(c, true)).variadic(),
    f("json_build_array", &[], Json, |c| build_array(c, false)),
    f("json_build_array", &[Any], Json, |c| build_array(c, false)).variadic(),
    f("jsonb_build_array", &[], Jsonb, |c| build_array(c, true)),
    f("jsonb_build_array", &[Any], Jsonb, |c| build_array(c, true)).variadic(),
    rows("json_array_elements", &[Json], Json, |c| elements(c, false)),
    rows("jsonb_array_elements", &[Jsonb], Jsonb, |c| elements(c, false)),
    rows("json_array_elements_text", &[Json], Text, |c| elements(c, true)),
    rows("jsonb_array_elements_text", &[Jsonb], Text, |c| elements(c, true)),
    rows("json_object_keys", &[Json], Text, keys),
    rows("jsonb_object_keys", &[Jsonb], Text, keys),
];

fn get<R>(text: &str, find: impl Fn(&Value) -> Option<&Value>, give: impl Fn(&Value) -> R) -> Result<Option<R>> {
    Ok(find(&json::parse(text)?).map(give))
}

fn get_text(text: &str, find: impl Fn(&Value) -> Option<&Value>) -> Result<Option<String>> {
    Ok(get(text, find, Value::as_text)?.flatten())
}

/// Texts of a path; a NULL step leads nowhere.
fn path(list: &List) -> Option<Vec<&str>> {
    list.0.as_string::<i32>().iter().collect()
}

fn follow<'v>(value: &'v Value, list: &List) -> Option<&'v Value> {
    value.path(path(list)?.into_iter())
}

fn steps(list: &List) -> Vec<Step> {
    // A NULL step: no key is that.
    let step = |text: Option<&str>| text.map_or(Step::Index(i64::MAX), |text| Step::Key(text.to_owned()));
    list.0.as_string::<i32>().iter().map(step).collect()
}

fn raw(text: &str, path: &[Step]) -> Result<Option<String>> {
    Ok(json::raw_path(text, path)?.map(str::to_owned))
}

pub(super) fn raw_text(text: &str, path: &[Step]) -> Result<Option<String>> {
    match json::raw_path(text, path)? {
        Some("null") | None => Ok(None),
        Some(value) if value.starts_with('"') => Ok(json::parse(value)?.as_text()),
        Some(value) => Ok(Some(value.to_owned())),
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(_) => value.get(key).is_some(),
        Value::Array(items) => items.iter().any(|item| matches!(item, Value::String(text) if text == key)),
        Value::String(text) => text == key,
        _ => false,
    }
}

fn has_keys(text: &str, keys: &List, any: bool) -> Result<bool> {
    let value = json::parse(text)?;
    let mut keys = keys.0.as_string::<i32>().iter().flatten().map(|key| has_key(&value, key));
    Ok(if any { keys.any(|has| has) } else { keys.all(|has| has) })
}

/// `||`: objects merge, everything else becomes arrays that are joined.
fn concat(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::object(left)
        }
        (left, right) => {
            let items = |value| match value {
                Value::Array(items) => items,
                other => vec![other],
            };
            let mut joined = items(left);
            joined.extend(items(right));
            Value::Array(joined)
        }
    }
}

fn delete_key(value: Value, key: &str) -> Result<String> {
    Ok(match value {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(name, _)| name != key).collect()),
        Value::Array(items) => {
            Value::Array(items.into_iter().filter(|item| *item != Value::String(key.to_owned())).collect())
        }
        _ => return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "cannot delete from scalar")),
    }
    .to_text())
}

fn delete_at(value: Value, at: i64) -> Result<String> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match value {
        Value::Array(mut items) => {
            let at = if at < 0 { at + items.len() as i64 } else { at };
            if let Ok(at) = usize::try_from(at)
                && at < items.len()
            {
                items.remove(at);
            }
            Ok(Value::Array(items).to_text())
        }
        Value::Object(_) => invalid("cannot delete from object using integer index"),
        _ => invalid("cannot delete from scalar"),
    }
}

fn array_length(text: &str) -> Result<i32> {
    match json::parse(text)? {
        Value::Array(items) => Ok(items.len() as i32),
        other => {
            let what = if matches!(other, Value::Object(_)) { "a non-array" } else { "a scalar" };
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("cannot get array length of {what}")))
        }
    }
}

fn extract(call: &Call, as_text: bool) -> Result<ArrayRef> {
    map_rows(call, |row| {
        let Some(text) = text_at(call, 0, row)? else {
            return Ok(None);
        };
        let mut path = Vec::with_capacity(call.args.len() - 1);
        for at in 1..call.args.len() {
            match text_at(call, at, row)? {
                Some(step) => path.push(Step::Key(step.to_owned())),
                None => return Ok(None),
            }
        }
        if as_text { raw_text(text, &path) } else { raw(text, &path) }
    })
}

/// Removes members that are null.
fn strip_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| *value != Value::Null)
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(strip_nulls).collect()),
        other => other,
    }
}

/// Without blanks, as functions of json print.
fn compact(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let member = |(key, value): &(String, Value)| {
                let mut out = String::new();
                quote(key, &mut out);
                format!("{out}:{}", compact(value))
            };
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
        other => other.to_text(),
    }
}

/// Values as keys of an object.
pub(super) fn key_texts(array: &ArrayRef, ty: &SqlType, zone: &TimeZone) -> Result<StringArray> {
    match ty {
        SqlType::Bpchar(_) => output_texts(array, ty, zone),
        ty => column_texts(array, ty, zone),
    }
}

/// Appends any value as JSON (`to_json`).
pub(super) fn write(array: &ArrayRef, ty: &SqlType, row: usize, zone: &TimeZone, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match ty {
        SqlType::Bool => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        SqlType::Json | SqlType::Jsonb => out.push_str(array.as_string::<i32>().value(row)),
        SqlType::Array(element) => {
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for at in 0..items.len() {
                if at > 0 {
                    out.push(',');
                }
                write(&items, element, at, zone, out)?;
            }
            out.push(']');
        }
        SqlType::Record(fields) => {
            out.push('{');
            for (at, ((name, ty), column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                write(column, ty, row, zone, out)?;
            }
            out.push('}');
        }
        SqlType::Bpchar(Some(_)) => quote(output_texts(&array.slice(row, 1), ty, zone)?.value(0), out),
        ty => {
            let text = column_texts(&array.slice(row, 1), ty, zone)?;
            let text = text.value(0);
            let finite = text.bytes().last().is_some_and(|byte| byte.is_ascii_digit());
            match category(ty) {
                Category::Numeric if finite && !is_registered(ty) => out.push_str(text),
                _ if matches!(ty, SqlType::Timestamp | SqlType::Timestamptz) => quote(&iso_8601(text), out),
                _ => quote(text, out),
            }
        }
    }
    Ok(())
}

/// ISO 8601 wants a T between date and time, and minutes behind the hours of a zone.
fn iso_8601(text: &str) -> String {
    let Some((date, time)) = text.split_once(' ') else { return text.to_owned() };
    let zone = time.rfind(['+', '-']).map_or(0, |sign| time.len() - sign);
    format!("{date}T{time}{}", if zone == "+00".len() { ":00" } else { "" })
}

fn is_registered(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Oid | SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace)
}

/// A value as JSON text, in jsonb's form if `binary`.
fn value(call: &Call, at: usize, row: usize, binary: bool) -> Result<String> {
    let mut out = String::new();
    write(&call.args[at], &call.types[at], call.row(at, row), call.zone, &mut out)?;
    if binary { json::normalize(&out) } else { Ok(out) }
}

fn convert(call: &Call, binary: bool) -> Result<ArrayRef> {
    map_rows(call, |row| if call.is_null(0, row) { Ok(None) } else { value(call, 0, row, binary).map(Some) })
}

fn build_object(call: &Call, binary: bool) -> Result<ArrayRef> {
    if !call.args.len().is_multiple_of(2) {
        let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, "argument list must have even number of elements");
        return Err(
            error.with_hint("The arguments of json_build_object() must consist of alternating keys and values.")
        );
    }
    let keys = (0..call.args.len()).step_by(2).map(|at| key_texts(&call.args[at], &call.types[at], call.zone));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    map_rows(call, |row| {
        let mut out = String::from("{");
        for (pair, texts) in keys.iter().enumerate() {
            if call.is_null(pair * 2, row) {
                let message = format!("argument {} cannot be null", pair * 2 + 1);
                return Err(
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint("Object keys should be text.")
                );
            }
            out.push_str(if pair > 0 { ", " } else { "" });
            quote(texts.value(call.row(pair * 2, row)), &mut out);
            out.push_str(" : ");
            write(
                &call.args[pair * 2 + 1],
                &call.types[pair * 2 + 1],
                call.row(pair * 2 + 1, row),
                call.zone,
                &mut out,
            )?;
        }
        out.push('}');
        if binary { json::normalize(&out).map(Some) } else { Ok(Some(out)) }
    })
}

fn build_array(call: &Call, binary: bool) -> Result<ArrayRef> {
    map_rows(call, |row| {
        let items = (0..call.args.len()).map(|at| value(call, at, row, false)).collect::<Result<Vec<_>>>()?;
        let out = format!("[{}]", items.join(", "));
        if binary { json::normalize(&out).map(Some) } else { Ok(Some(out)) }
    })
}

fn elements(call: &Call, as_text: bool) -> Result<ArrayRef> {
    lists(call, |text| {
        let items = match json::elements(text) {
            Ok(items) => items,
            Err(error) => {
                let what = match json::parse(text) {
                    Ok(Value::Object(_)) => "an object",
                    Ok(_) => "a scalar",
                    Err(_) => return Err(error),
                };
                let message = format!("cannot extract elements from {what}");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
        items.into_iter().map(|item| if as_text { raw_text(item, &[]) } else { Ok(Some(item.to_owned())) }).collect()
    })
}

fn keys(call: &Call) -> Result<ArrayRef> {
    lists(call, |text| {
        let members = json::members(text).map_err(|error| match json::parse(text) {
            Ok(Value::Array(_)) => {
                Error::new(SqlState::INVALID_PARAMETER_VALUE, "cannot call json_object_keys on an array")
            }
            Ok(_) => Error::new(SqlState::INVALID_PARAMETER_VALUE, "cannot call json_object_keys on a scalar"),
            Err(_) => error,
        })?;
        Ok(members.into_iter().map(|(key, _)| Some(key)).collect())
    })
}

fn lists(call: &Call, make: impl Fn(&str) -> Result<Vec<Option<String>>>) -> Result<ArrayRef> {
    let mut lengths = Vec::with_capacity(call.rows);
    let mut items = Vec::new();
    for row in 0..call.rows {
        let made = text_at(call, 0, row)?.map(&make).transpose()?.unwrap_or_default();
        lengths.push(made.len());
        items.extend(made);
    }
    build(call.result, lengths, String::build(items.into_iter().map(Ok))?, None)
}

/// `json_agg`: the array of the values, as JSON.
pub fn aggregate(call: AggregateCall, result: SqlType) -> Result<Expr> {
    let item = call.types.first().cloned().unwrap_or(SqlType::Text);
    let list = item.array();
    let values = gathered(&call, &list)?;
    let kernel: Kernel = match result {
        SqlType::Jsonb => |call| map_rows(call, |row| gather(call, row, true)),
        _ => |call| map_rows(call, |row| gather(call, row, false)),
    };
    let name = if result == SqlType::Jsonb { "jsonb_agg_final" } else { "json_agg_final" };
    Ok(PgScalar::new(name, vec![list], result, call.zone, Volatility::Immutable, kernel).call(vec![values]))
}

fn gather(call: &Call, row: usize, binary: bool) -> Result<Option<String>> {
    if call.is_null(0, row) {
        return Ok(None);
    }
    let SqlType::Array(element) = &call.types[0] else {
        return Err(Error::internal("an array expected"));
    };
    let items = call.args[0].as_list::<i32>().value(call.row(0, row));
    let mut texts = Vec::with_capacity(items.len());
    for at in 0..items.len() {
        let mut out = String::new();
        write(&items, element, at, call.zone, &mut out)?;
        texts.push(out);
    }
    // PostgreSQL begins a line with each element that has parts.
    let has_parts = matches!(**element, SqlType::Array(_) | SqlType::Record(_));
    let separator = if has_parts { ", \n " } else { ", " };
    let out = format!("[{}]", texts.join(separator));
    if binary { json::normalize(&out).map(Some) } else { Ok(Some(out)) }
}
