//! Functions and operators of arrays, and the set-returning `unnest` and `generate_series`.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::row::{RowConverter, SortField};

use super::array::{build, concatenated, gather, gather_from, lists};
use super::signature::T::{
    AnyArray, AnyCompatible, AnyCompatibleArray, AnyElement, Bool, Int4, Int8, Interval, Numeric, Text, TextArray,
    Timestamp, Timestamptz,
};
use super::signature::{Function, f, rows};
use super::text::output_texts;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::decimal;
use crate::sql::adt::interval::Interval as IntervalValue;
use crate::sql::rows::{Call, List, Micros, Output, Value, map_rows, map1, map2, read, text_at};

pub const OPERATORS: &[Function] = &[
    f("||", &[AnyCompatibleArray, AnyCompatibleArray], AnyCompatibleArray, cat),
    f("||", &[AnyCompatibleArray, AnyCompatible], AnyCompatibleArray, append),
    f("||", &[AnyCompatible, AnyCompatibleArray], AnyCompatibleArray, prepend),
    f("@>", &[AnyArray, AnyArray], Bool, |c| sets(c, |left, right| right.iter().all(|key| is_in(key, left)))),
    f("<@", &[AnyArray, AnyArray], Bool, |c| sets(c, |left, right| left.iter().all(|key| is_in(key, right)))),
    f("&&", &[AnyArray, AnyArray], Bool, |c| sets(c, |left, right| left.iter().any(|key| is_in(key, right)))),
];

pub const FUNCTIONS: &[Function] = &[
    f("array_length", &[AnyArray, Int4], Int4, |c| map2(c, |list: List, dimension: i32| Ok(extent(&list, dimension)))),
    f("cardinality", &[AnyArray], Int4, |c| map1(c, |list: List| Ok(list.0.len() as i32))),
    f("array_ndims", &[AnyArray], Int4, |c| map1(c, |list: List| Ok((!list.0.is_empty()).then_some(1)))),
    f("array_lower", &[AnyArray, Int4], Int4, |c| {
        map2(c, |list: List, dimension: i32| Ok(extent(&list, dimension).map(|_| 1)))
    }),
    f("array_upper", &[AnyArray, Int4], Int4, |c| map2(c, |list: List, dimension: i32| Ok(extent(&list, dimension)))),
    f("array_append", &[AnyCompatibleArray, AnyCompatible], AnyCompatibleArray, append),
    f("array_prepend", &[AnyCompatible, AnyCompatibleArray], AnyCompatibleArray, prepend),
    f("array_cat", &[AnyCompatibleArray, AnyCompatibleArray], AnyCompatibleArray, cat),
    f("array_remove", &[AnyCompatibleArray, AnyCompatible], AnyCompatibleArray, remove),
    f("array_replace", &[AnyCompatibleArray, AnyCompatible, AnyCompatible], AnyCompatibleArray, replace),
    f("array_position", &[AnyCompatibleArray, AnyCompatible], Int4, position),
    f("array_to_string", &[AnyArray, Text], Text, to_string),
    f("array_to_string", &[AnyArray, Text, Text], Text, to_string),
    f("string_to_array", &[Text, Text], TextArray, from_string),
    f("string_to_array", &[Text, Text, Text], TextArray, from_string),
    rows("unnest", &[AnyArray], AnyElement, |c| Ok(c.args[0].clone())),
    rows("generate_series", &[Int4, Int4], Int4, |c| series(c, |a: i32, b: i32| steps::<i32>(a.into(), b.into(), 1))),
    rows("generate_series", &[Int4, Int4, Int4], Int4, |c| {
        series_by(c, |a: i32, b: i32, step: i32| steps::<i32>(a.into(), b.into(), step.into()))
    }),
    rows("generate_series", &[Int8, Int8], Int8, |c| series(c, |a: i64, b: i64| steps::<i64>(a.into(), b.into(), 1))),
    rows("generate_series", &[Int8, Int8, Int8], Int8, |c| {
        series_by(c, |a: i64, b: i64, step: i64| steps::<i64>(a.into(), b.into(), step.into()))
    }),
    rows("generate_series", &[Numeric, Numeric], Numeric, |c| {
        series(c, |a: i128, b: i128| steps::<i128>(a, b, decimal::ONE))
    }),
    rows("generate_series", &[Numeric, Numeric, Numeric], Numeric, |c| series_by(c, steps::<i128>)),
    rows("generate_series", &[Timestamp, Timestamp, Interval], Timestamp, |c| series_by(c, moments)),
    rows("generate_series", &[Timestamptz, Timestamptz, Interval], Timestamptz, |c| {
        let zone = c.zone;
        series_by(c, |a: Micros, b: Micros, step: IntervalValue| {
            let (a, b) = (Micros(zone.to_local(a.0)?), Micros(zone.to_local(b.0)?));
            moments(a, b, step)?.into_iter().map(|local| Ok(Micros(zone.to_utc(local.0)?))).collect()
        })
    }),
    rows("generate_subscripts", &[AnyArray, Int4], Int4, |c| {
        series(c, |list: List, dimension: i32| Ok((1..=extent(&list, dimension).unwrap_or(0)).collect::<Vec<i32>>()))
    }),
];

fn extent(list: &List, dimension: i32) -> Option<i32> {
    (dimension == 1 && !list.0.is_empty()).then(|| list.0.len() as i32)
}

/// Rows of values from one that holds them: the most a series gives.
const MAX_SERIES: i128 = 100_000_000;

trait SeriesValue: Sized {
    fn of(value: i128) -> Self;
}

impl SeriesValue for i32 {
    fn of(value: i128) -> i32 {
        value as i32
    }
}

impl SeriesValue for i64 {
    fn of(value: i128) -> i64 {
        value as i64
    }
}

impl SeriesValue for i128 {
    fn of(value: i128) -> i128 {
        value
    }
}

fn steps<T: SeriesValue>(start: i128, stop: i128, step: i128) -> Result<Vec<T>> {
    if step == 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
    }
    let count = (stop - start) / step;
    if (stop - start).signum() * step.signum() < 0 {
        return Ok(Vec::new());
    }
    if count >= MAX_SERIES {
        return Err(too_long());
    }
    Ok((0..=count).map(|at| T::of(start + at * step)).collect())
}

fn too_long() -> Error {
    let message = format!("generate_series() of more than {MAX_SERIES} values");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn moments(start: Micros, stop: Micros, step: IntervalValue) -> Result<Vec<Micros>> {
    let sign = step.sort_key().signum();
    if sign == 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
    }
    if crate::sql::adt::calendar::is_infinite(start.0) || crate::sql::adt::calendar::is_infinite(stop.0) {
        return Err(Error::unsupported("generate_series() with infinite bounds"));
    }
    let mut out = Vec::new();
    let mut at = start.0;
    while (sign > 0 && at <= stop.0) || (sign < 0 && at >= stop.0) {
        out.push(Micros(at));
        if out.len() as i128 > MAX_SERIES {
            return Err(too_long());
        }
        at = step.add_to(at)?;
    }
    Ok(out)
}

fn series<'a, A, B, R>(call: &'a Call, make: impl FnMut(A, B) -> Result<Vec<R>>) -> Result<ArrayRef>
where
    A: Value<'a>,
    B: Value<'a>,
    R: Output,
{
    let mut make = make;
    let (a, b) = (read::<A>(call, 0)?, read::<B>(call, 1)?);
    collect(call, 2, |row| make(a(row), b(row)))
}

fn series_by<'a, A, B, C, R>(call: &'a Call, make: impl FnMut(A, B, C) -> Result<Vec<R>>) -> Result<ArrayRef>
where
    A: Value<'a>,
    B: Value<'a>,
    C: Value<'a>,
    R: Output,
{
    let mut make = make;
    let (a, b) = (read::<A>(call, 0)?, read::<B>(call, 1)?);
    let c = read::<C>(call, 2)?;
    collect(call, 3, |row| make(a(row), b(row), c(row)))
}

/// A list a row; NULL arguments give the empty one.
fn collect<R: Output>(call: &Call, arity: usize, mut make: impl FnMut(usize) -> Result<Vec<R>>) -> Result<ArrayRef> {
    let mut values = Vec::new();
    let mut lengths = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let made = if (0..arity).any(|at| call.is_null(at, row)) { Vec::new() } else { make(row)? };
        lengths.push(made.len());
        values.extend(made);
    }
    build(call.result, lengths, R::build(values.into_iter().map(|value| Ok(Some(value))))?, None)
}

/// `array || array`. NULL is as good as nothing.
fn cat(call: &Call) -> Result<ArrayRef> {
    let (left, right) = (lists(call, 0)?, lists(call, 1)?);
    let all = [left.values().clone(), right.values().clone()];
    let shift = left.values().len() as u32;
    gather_from(call, &concatenated(&all)?, |row| {
        if call.is_null(0, row) && call.is_null(1, row) {
            return None;
        }
        let range = |at: usize, list: &arrow::array::ListArray, shift: u32| {
            let index = call.row(at, row);
            let offsets = list.value_offsets();
            let null = list.is_null(index);
            let end = if null { offsets[index] } else { offsets[index + 1] };
            (offsets[index] as u32 + shift)..(end as u32 + shift)
        };
        Some(range(0, left, 0).chain(range(1, right, shift)).collect())
    })
}

/// `array || element`.
fn append(call: &Call) -> Result<ArrayRef> {
    extend(call, 0, 1)
}

/// `element || array`.
fn prepend(call: &Call) -> Result<ArrayRef> {
    extend(call, 1, 0)
}

fn extend(call: &Call, list_at: usize, item_at: usize) -> Result<ArrayRef> {
    let list = lists(call, list_at)?;
    let all = [list.values().clone(), call.args[item_at].clone()];
    let shift = list.values().len() as u32;
    gather_from(call, &concatenated(&all)?, |row| {
        let index = call.row(list_at, row);
        let offsets = list.value_offsets();
        let end = if list.is_null(index) { offsets[index] } else { offsets[index + 1] };
        let elements = offsets[index] as u32..end as u32;
        let item = shift + call.row(item_at, row) as u32;
        Some(if list_at == 0 {
            elements.chain([item]).collect()
        } else {
            std::iter::once(item).chain(elements).collect()
        })
    })
}

/// Keys by which elements are equal.
fn keys(values: &ArrayRef) -> Result<arrow::row::Rows> {
    let values = crate::data::hash::canonical(values);
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(converter.convert_columns(&[values])?)
}

fn remove(call: &Call) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let (elements, items) = (keys(list.values())?, keys(&call.args[1])?);
    gather(call, |row| {
        if call.is_null(0, row) {
            return None;
        }
        let index = call.row(0, row);
        let range = list.value_offsets()[index] as usize..list.value_offsets()[index + 1] as usize;
        let item = items.row(call.row(1, row));
        Some(range.filter(|at| elements.row(*at) != item).map(|at| at as u32).collect())
    })
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let (elements, items) = (keys(list.values())?, keys(&call.args[1])?);
    let values = concatenated(&[list.values().clone(), call.args[2].clone()])?;
    let new = list.values().len();
    let (mut lengths, mut places) = (Vec::with_capacity(call.rows), Vec::new());
    for row in 0..call.rows {
        let before = places.len();
        if !call.is_null(0, row) {
            let index = call.row(0, row);
            let range = list.value_offsets()[index] as usize..list.value_offsets()[index + 1] as usize;
            let item = items.row(call.row(1, row));
            let place = |at| if elements.row(at) == item { new + call.row(2, row) } else { at };
            places.extend(range.map(|at| place(at) as u32));
        }
        lengths.push(places.len() - before);
    }
    let valid = (0..call.rows).map(|row| !call.is_null(0, row)).collect();
    build(call.result, lengths, take(&values, &UInt32Array::from(places), None)?, Some(valid))
}

fn position(call: &Call) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let (elements, items) = (keys(list.values())?, keys(&call.args[1])?);
    map_rows(call, |row| {
        if call.is_null(0, row) {
            return Ok(None);
        }
        let index = call.row(0, row);
        let mut range = list.value_offsets()[index] as usize..list.value_offsets()[index + 1] as usize;
        let item = items.row(call.row(1, row));
        Ok(range.position(|at| elements.row(at) == item).map(|at| at as i32 + 1))
    })
}

/// An element's key; NULL has none.
type Element = Option<arrow::row::OwnedRow>;

fn is_in(key: &Element, elements: &[Element]) -> bool {
    key.is_some() && elements.contains(key)
}

/// Containment and overlap: NULL elements equal nothing.
fn sets(call: &Call, test: fn(&[Element], &[Element]) -> bool) -> Result<ArrayRef> {
    map2(call, |left: List, right: List| {
        let owned = |list: &List| -> Result<Vec<Element>> {
            let keys = keys(&list.0)?;
            Ok((0..list.0.len()).map(|at| list.0.is_valid(at).then(|| keys.row(at).owned())).collect())
        };
        Ok(test(&owned(&left)?, &owned(&right)?))
    })
}

/// `array_to_string()`.
pub fn to_string(call: &Call) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let element = super::element(&call.types[0]).unwrap_or(SqlType::Text);
    let texts = output_texts(list.values(), &element, call.zone)?;
    map_rows(call, |row| {
        let Some(delimiter) = text_at(call, 1, row)? else {
            return Ok(None);
        };
        if call.is_null(0, row) {
            return Ok(None);
        }
        let replacement = if call.args.len() > 2 { text_at(call, 2, row)? } else { None };
        let index = call.row(0, row);
        let range = list.value_offsets()[index] as usize..list.value_offsets()[index + 1] as usize;
        let items: Vec<&str> =
            range.filter_map(|at| if texts.is_null(at) { replacement } else { Some(texts.value(at)) }).collect();
        Ok(Some(items.join(delimiter)))
    })
}

fn from_string(call: &Call) -> Result<ArrayRef> {
    let mut lengths = Vec::with_capacity(call.rows);
    let mut valid = Vec::with_capacity(call.rows);
    let mut items: Vec<Option<String>> = Vec::new();
    for row in 0..call.rows {
        let text = text_at(call, 0, row)?;
        valid.push(text.is_some());
        let text = text.unwrap_or_default();
        let parts: Vec<String> = match text_at(call, 1, row)? {
            _ if text.is_empty() => Vec::new(),
            None => text.chars().map(String::from).collect(),
            Some("") => vec![text.to_owned()],
            Some(delimiter) => text.split(delimiter).map(str::to_owned).collect(),
        };
        let null = if call.args.len() > 2 { text_at(call, 2, row)? } else { None };
        lengths.push(parts.len());
        items.extend(parts.into_iter().map(|part| (Some(part.as_str()) != null).then_some(part)));
    }
    let values = String::build(items.into_iter().map(Ok))?;
    build(call.result, lengths, values, Some(arrow::buffer::NullBuffer::from(valid)))
}
