//! Set-returning functions whose rows have two columns.

use arrow::array::{Array, ArrayRef};

use super::array::build_records;
use super::json::raw_text;
use super::signature::T::{Json, Jsonb, KeyJson, KeyJsonb, KeyText, OptionText, TextArray};
use super::signature::{Function, rows};
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::json::{self, Json as JsonValue};
use crate::sql::rows::{Call, List, Output, read, text_at};

pub const FUNCTIONS: &[Function] = &[
    rows("json_each", &[Json], KeyJson, |c| each(c, "json_each", false)),
    rows("jsonb_each", &[Jsonb], KeyJsonb, |c| each(c, "jsonb_each", false)),
    rows("json_each_text", &[Json], KeyText, |c| each(c, "json_each_text", true)),
    rows("jsonb_each_text", &[Jsonb], KeyText, |c| each(c, "jsonb_each_text", true)),
];

/// What `\d` asks of foreign tables.
pub const CATALOG: &[Function] = &[rows("pg_options_to_table", &[TextArray], OptionText, options)];

type Pair = (String, Option<String>);

/// A list of pairs for each row.
fn pairs(call: &Call, lengths: Vec<usize>, pairs: Vec<Pair>) -> Result<ArrayRef> {
    let (names, values): (Vec<String>, Vec<Option<String>>) = pairs.into_iter().unzip();
    let names = String::build(names.into_iter().map(|name| Ok(Some(name))))?;
    build_records(call.result, lengths, vec![names, String::build(values.into_iter().map(Ok))?])
}

/// The members of JSON objects.
fn each(call: &Call, function: &str, as_text: bool) -> Result<ArrayRef> {
    let mut lengths = Vec::with_capacity(call.rows);
    let mut all: Vec<Pair> = Vec::new();
    for row in 0..call.rows {
        let before = all.len();
        if let Some(text) = text_at(call, 0, row)? {
            for (key, value) in json::members(text).map_err(|error| no_object(text, function, error))? {
                let value = if as_text { raw_text(value, &[])? } else { Some(value.to_owned()) };
                all.push((key, value));
            }
        }
        lengths.push(all.len() - before);
    }
    pairs(call, lengths, all)
}

fn no_object(text: &str, function: &str, error: Error) -> Error {
    let binary = function.starts_with("jsonb");
    let message = match json::parse(text) {
        Err(_) | Ok(JsonValue::Object(_)) => return error,
        _ if binary => format!("cannot call {function} on a non-object"),
        Ok(JsonValue::Array(_)) => "cannot deconstruct an array as an object".to_owned(),
        Ok(_) => "cannot deconstruct a scalar".to_owned(),
    };
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// `name=value` of each element.
fn options(call: &Call) -> Result<ArrayRef> {
    let list = read::<List>(call, 0)?;
    let mut lengths = Vec::with_capacity(call.rows);
    let mut all: Vec<Pair> = Vec::new();
    for row in 0..call.rows {
        let before = all.len();
        if !call.is_null(0, row) {
            let items = list(row).0;
            let items = arrow::array::AsArray::as_string::<i32>(&items);
            for option in (0..items.len()).filter(|at| items.is_valid(*at)).map(|at| items.value(at)) {
                let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
                all.push((name.to_owned(), value.map(str::to_owned)));
            }
        }
        lengths.push(all.len() - before);
    }
    pairs(call, lengths, all)
}
