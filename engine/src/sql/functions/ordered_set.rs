//! Aggregates over an ordered set, computed of the list of its values in their order.
//!
//! <https://www.postgresql.org/docs/15/functions-aggregate.html#FUNCTIONS-ORDEREDSET-TABLE>

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Float64Type;

use crate::error::{Error, Result, SqlState};
use crate::sql::functions::array::build;
use crate::sql::functions::gathered::element_keys;
use crate::sql::rows::{Call, map_rows};

/// The values of a row's list: where they begin and how many they are. None for NULL and for the empty list.
fn run(lists: &ListArray, row: usize) -> Option<(usize, usize)> {
    let (start, length) = (lists.value_offsets()[row] as usize, lists.value_length(row) as usize);
    (!lists.is_null(row) && length > 0).then_some((start, length))
}

fn list<'a>(call: &'a Call, at: usize) -> Result<&'a ListArray> {
    let list = call.args.get(at).and_then(|array| array.as_list_opt::<i32>());
    list.ok_or_else(|| Error::internal("an ordered set is a list"))
}

/// A row's fraction; None for NULL.
fn fraction(call: &Call, row: usize) -> Result<Option<f64>> {
    match call.is_null(0, row) {
        true => Ok(None),
        false => checked(call.args[0].as_primitive::<Float64Type>().value(call.row(0, row))).map(Some),
    }
}

fn checked(fraction: f64) -> Result<f64> {
    match (0.0..=1.0).contains(&fraction) {
        true => Ok(fraction),
        false => {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message))
        }
    }
}

/// The place of the first of `length` values whose place is at least the fraction.
fn place(fraction: f64, length: usize) -> usize {
    let place = (fraction * length as f64).ceil().max(1.0) as usize;
    place.min(length) - 1
}

/// The value at the fraction of `length` values from `start` on, between two of them if need be.
fn between(values: &Float64Array, (start, length): (usize, usize), fraction: f64) -> f64 {
    let place = fraction * (length - 1) as f64;
    let [low, high] = [place.floor(), place.ceil()].map(|place| values.value(start + place as usize));
    if place.floor() == place.ceil() { low } else { low + (high - low) * (place - place.floor()) }
}

/// `percentile_disc(fraction)` of the list in the second argument: the first value whose place is at least the fraction.
pub fn percentile_disc(call: &Call) -> Result<ArrayRef> {
    let lists = list(call, 1)?;
    let picks = (0..call.rows).map(|row| {
        let Some(fraction) = fraction(call, row)? else { return Ok(None) };
        let Some((start, length)) = run(lists, call.row(1, row)) else { return Ok(None) };
        Ok(Some((start + place(fraction, length)) as u32))
    });
    let picks = picks.collect::<Result<UInt32Array>>()?;
    Ok(take(lists.values(), &picks, None)?)
}

/// `percentile_cont(fraction)` of the list of floats in the second argument, between two values if need be.
pub fn percentile_cont(call: &Call) -> Result<ArrayRef> {
    let lists = list(call, 1)?;
    let values = lists.values().as_primitive::<Float64Type>();
    map_rows(call, |row| {
        let Some(fraction) = fraction(call, row)? else { return Ok(None) };
        Ok(run(lists, call.row(1, row)).map(|run| between(values, run, fraction)))
    })
}

/// `percentile_disc(fractions)`: the list of the values at each of a list of fractions.
pub fn percentiles_disc(call: &Call) -> Result<ArrayRef> {
    let lists = list(call, 1)?;
    let (mut picks, mut lengths, mut there) = (Vec::new(), Vec::new(), Vec::new());
    each_fractions(call, lists, |run, fractions| {
        there.push(run.is_some());
        let Some((start, length)) = run else { return lengths.push(0) };
        lengths.push(fractions.len());
        picks.extend(fractions.iter().map(|fraction| fraction.map(|at| (start + place(at, length)) as u32)));
    })?;
    let values = take(lists.values(), &UInt32Array::from(picks), None)?;
    build(call.result, lengths, values, Some(there.into()))
}

/// `percentile_cont(fractions)`: the list of the values at each of a list of fractions.
pub fn percentiles_cont(call: &Call) -> Result<ArrayRef> {
    let lists = list(call, 1)?;
    let values = lists.values().as_primitive::<Float64Type>();
    let (mut found, mut lengths, mut there) = (Vec::new(), Vec::new(), Vec::new());
    each_fractions(call, lists, |run, fractions| {
        there.push(run.is_some());
        let Some(run) = run else { return lengths.push(0) };
        lengths.push(fractions.len());
        found.extend(fractions.iter().map(|fraction| fraction.map(|at| between(values, run, at))));
    })?;
    build(call.result, lengths, Arc::new(Float64Array::from(found)), Some(there.into()))
}

/// The place and length of each row's values with its fractions; without place where the result is NULL.
fn each_fractions(
    call: &Call,
    lists: &ListArray,
    mut visit: impl FnMut(Option<(usize, usize)>, &[Option<f64>]),
) -> Result<()> {
    let fractions = list(call, 0)?;
    for row in 0..call.rows {
        let run = run(lists, call.row(1, row)).filter(|_| !call.is_null(0, row));
        if run.is_none() {
            visit(None, &[]);
            continue;
        }
        let wanted = fractions.value(call.row(0, row));
        let wanted = wanted.as_primitive::<Float64Type>().iter().map(|fraction| fraction.map(checked).transpose());
        visit(run, &wanted.collect::<Result<Vec<_>>>()?);
    }
    Ok(())
}

/// `mode()` of the list: the value that stands most often, the first of several.
pub fn mode(call: &Call) -> Result<ArrayRef> {
    let lists = list(call, 0)?;
    let keys = element_keys(lists, &call.types[0])?;
    let pick = |row| {
        let (start, length) = run(lists, call.row(0, row))?;
        let (mut best, mut most, mut first) = (start, 0, start);
        for at in start..start + length {
            if keys.row(first) != keys.row(at) {
                first = at;
            }
            if at - first + 1 > most {
                (best, most) = (first, at - first + 1);
            }
        }
        Some(best as u32)
    };
    let picks: UInt32Array = (0..call.rows).map(pick).collect();
    let values: ArrayRef = Arc::clone(lists.values());
    Ok(take(&values, &picks, None)?)
}
