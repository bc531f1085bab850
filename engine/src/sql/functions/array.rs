//! Arrays: construction, subscripts, slices, and comparison with every element.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, ListArray, StructArray, UInt32Array, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, concat, interleave, kernels, take};
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::Expr;

use super::comparison::text_key;
use super::signature::Kernel;
use crate::data::SqlType;
use crate::data::hash::canonical;
use crate::error::{Error, Result};
use crate::sql::adt::pattern;
use crate::sql::rows::{Call, map_rows, retype, scalar};

/// The lists of a call's argument.
pub fn lists<'c>(call: &'c Call, at: usize) -> Result<&'c ListArray> {
    call.args.get(at).and_then(|array| array.as_list_opt()).ok_or_else(|| Error::internal("a list expected"))
}

/// Texts by which lists order: element by element, NULL as the greatest.
pub fn order_keys(call: &Call) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let DataType::List(field) = list.data_type() else { return Err(Error::internal("a list expected")) };
    let values = canonical(list.values());
    let plain: ArrayRef =
        Arc::new(ListArray::try_new(field.clone(), list.offsets().clone(), values, list.nulls().cloned())?);
    let options = SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(plain.data_type().clone(), options)])?;
    let keys = converter.convert_columns(&[plain])?;
    map_rows(call, |row| Ok((!call.is_null(0, row)).then(|| text_key(keys.row(call.row(0, row)).as_ref()))))
}

fn item_field(list: &SqlType) -> Result<FieldRef> {
    match list.arrow() {
        DataType::List(field) => Ok(field),
        _ => Err(Error::internal(format!("{list} is not an array"))),
    }
}

/// Lists from values laid end to end.
pub fn build(ty: &SqlType, lengths: Vec<usize>, values: ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let field = item_field(ty)?;
    let values = retype(values, field.data_type())?;
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

/// Lists of records from the columns of all, laid end to end.
pub fn build_records(ty: &SqlType, lengths: Vec<usize>, columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    let SqlType::Array(element) = ty else { return Err(Error::internal("a list of records expected")) };
    let DataType::Struct(fields) = element.arrow() else { return Err(Error::internal("records expected")) };
    let columns = columns.into_iter().zip(&fields).map(|(column, field)| retype(column, field.data_type()));
    let records = StructArray::try_new(fields.clone(), columns.collect::<Result<_>>()?, None)?;
    build(ty, lengths, Arc::new(records), None)
}

/// The empty array as a constant.
pub fn empty(ty: &SqlType) -> Result<Expr> {
    let values = new_empty_array(item_field(ty)?.data_type());
    let list = build(ty, vec![0], values, None)?;
    Ok(Expr::Literal(scalar(&list, 0)?, None))
}

/// `ARRAY[…]` of the arguments.
pub fn construct(call: &Call) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = call.args.iter().map(|array| array.as_ref()).collect();
    let order: Vec<(usize, usize)> =
        (0..call.rows).flat_map(|row| (0..call.args.len()).map(move |at| (at, row))).collect();
    let order: Vec<(usize, usize)> = order.into_iter().map(|(at, row)| (at, call.row(at, row))).collect();
    let values = interleave(&arrays, &order)?;
    build(call.result, vec![call.args.len(); call.rows], values, None)
}

/// `array[n]`: NULL outside.
pub fn subscript(call: &Call) -> Result<ArrayRef> {
    element_at(call, 1)
}

/// The same for the vectors of the catalogs, whose first element is number 0.
pub fn subscript_from_zero(call: &Call) -> Result<ArrayRef> {
    element_at(call, 0)
}

fn element_at(call: &Call, first: i64) -> Result<ArrayRef> {
    let lists = lists(call, 0)?;
    let index = call.args[1].as_primitive::<arrow::datatypes::Int32Type>();
    let offsets = lists.value_offsets();
    let places: UInt32Array = (0..call.rows)
        .map(|row| {
            if call.is_null(0, row) || call.is_null(1, row) {
                return None;
            }
            let list = call.row(0, row);
            let at = i64::from(index.value(call.row(1, row))) - first;
            let length = i64::from(offsets[list + 1] - offsets[list]);
            (0..length).contains(&at).then(|| (i64::from(offsets[list]) + at) as u32)
        })
        .collect();
    Ok(take(lists.values(), &places, None)?)
}

/// `array[from:to]`.
pub fn slice(call: &Call) -> Result<ArrayRef> {
    let lists = lists(call, 0)?;
    let bound = |at: usize, row: usize| {
        i64::from(call.args[at].as_primitive::<arrow::datatypes::Int32Type>().value(call.row(at, row)))
    };
    gather(call, |row| {
        if (0..3).any(|at| call.is_null(at, row)) {
            return None;
        }
        let list = call.row(0, row);
        let length = i64::from(lists.value_length(list));
        let (from, to) = (bound(1, row).max(1) - 1, bound(2, row).min(length));
        let start = i64::from(lists.value_offsets()[list]);
        Some((from..to.max(from)).filter(|at| *at < length).map(|at| (start + at) as u32).collect())
    })
}

/// Lists of elements picked from the first argument's values, for each row; None for NULL.
pub fn gather(call: &Call, pick: impl FnMut(usize) -> Option<Vec<u32>>) -> Result<ArrayRef> {
    gather_from(call, lists(call, 0)?.values(), pick)
}

/// The same from these values.
pub fn gather_from(
    call: &Call,
    values: &ArrayRef,
    mut pick: impl FnMut(usize) -> Option<Vec<u32>>,
) -> Result<ArrayRef> {
    let mut places = Vec::new();
    let mut lengths = Vec::with_capacity(call.rows);
    let mut valid = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let picked = pick(row);
        valid.push(picked.is_some());
        let picked = picked.unwrap_or_default();
        lengths.push(picked.len());
        places.extend(picked);
    }
    let values = take(values, &UInt32Array::from(places), None)?;
    build(call.result, lengths, values, Some(NullBuffer::from(valid)))
}

/// All of several arrays' values, end to end: for functions that join lists.
pub fn concatenated(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let refs: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    Ok(concat(&refs)?)
}

/// The kernel of `value op ANY (array)` or `ALL`, and its name.
pub fn quantifier(symbol: &str, any: bool) -> Option<(Kernel, &'static str)> {
    Some(match (symbol, any) {
        ("=", true) => (|call| fold(call, kernels::cmp::eq, true), "= ANY"),
        ("<>", true) => (|call| fold(call, kernels::cmp::neq, true), "<> ANY"),
        ("<", true) => (|call| fold(call, kernels::cmp::lt, true), "< ANY"),
        ("<=", true) => (|call| fold(call, kernels::cmp::lt_eq, true), "<= ANY"),
        (">", true) => (|call| fold(call, kernels::cmp::gt, true), "> ANY"),
        (">=", true) => (|call| fold(call, kernels::cmp::gt_eq, true), ">= ANY"),
        ("=", false) => (|call| fold(call, kernels::cmp::eq, false), "= ALL"),
        ("<>", false) => (|call| fold(call, kernels::cmp::neq, false), "<> ALL"),
        ("<", false) => (|call| fold(call, kernels::cmp::lt, false), "< ALL"),
        ("<=", false) => (|call| fold(call, kernels::cmp::lt_eq, false), "<= ALL"),
        (">", false) => (|call| fold(call, kernels::cmp::gt, false), "> ALL"),
        (">=", false) => (|call| fold(call, kernels::cmp::gt_eq, false), ">= ALL"),
        ("~~", true) => (|call| like(call, true), "~~ ANY"),
        ("~~", false) => (|call| like(call, false), "~~ ALL"),
        ("~", true) => (|call| matches(call, true), "~ ANY"),
        ("~", false) => (|call| matches(call, false), "~ ALL"),
        _ => return None,
    })
}

type Compare = fn(
    &dyn arrow::array::Datum,
    &dyn arrow::array::Datum,
) -> std::result::Result<BooleanArray, arrow::error::ArrowError>;

/// Compares each row's value with the row's elements, all at once, and folds the answers row by row.
fn fold(call: &Call, compare: Compare, any: bool) -> Result<ArrayRef> {
    let lists = lists(call, 1)?;
    let mut places = Vec::new();
    let mut values = Vec::new();
    let mut ranges = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        if call.is_null(1, row) {
            ranges.push(None);
            continue;
        }
        let offsets = lists.value_offsets();
        let list = call.row(1, row);
        let (start, end) = (offsets[list] as u32, offsets[list + 1] as u32);
        ranges.push(Some((end - start) as usize));
        places.extend(std::iter::repeat_n(call.row(0, row) as u32, (end - start) as usize));
        values.extend(start..end);
    }
    let left = take(&call.args[0], &UInt32Array::from(places), None)?;
    let right = take(lists.values(), &UInt32Array::from(values), None)?;
    let answers = compare(&left, &right)?;
    let mut out = BooleanBuilder::with_capacity(call.rows);
    let mut at = 0;
    for range in ranges {
        match range {
            None => out.append_null(),
            Some(length) => {
                out.append_option(quantified(
                    (at..at + length).map(|at| answers.is_valid(at).then(|| answers.value(at))),
                    any,
                ));
                at += length;
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Three-valued OR (any) or AND (all).
fn quantified(answers: impl Iterator<Item = Option<bool>>, any: bool) -> Option<bool> {
    let mut unknown = false;
    for answer in answers {
        match answer {
            Some(answer) if answer == any => return Some(any),
            Some(_) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(!any)
}

fn like(call: &Call, any: bool) -> Result<ArrayRef> {
    fold(call, arrow_like, any)
}

fn arrow_like(
    left: &dyn arrow::array::Datum,
    right: &dyn arrow::array::Datum,
) -> std::result::Result<BooleanArray, arrow::error::ArrowError> {
    arrow::compute::like(left, right)
}

fn matches(call: &Call, any: bool) -> Result<ArrayRef> {
    let lists = lists(call, 1)?;
    let texts = call.args[0].as_string::<i32>();
    let mut compiled = pattern::Patterns::default();
    map_rows(call, |row| {
        if call.is_null(1, row) {
            return Ok(None);
        }
        let elements = lists.value(call.row(1, row));
        let patterns = elements.as_string::<i32>();
        let text = (!call.is_null(0, row)).then(|| texts.value(call.row(0, row)));
        let mut answers = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            answers.push(match (text, pattern) {
                (Some(text), Some(pattern)) => Some(compiled.get(pattern, false)?.is_match(text)),
                _ => None,
            });
        }
        Ok(quantified(answers.into_iter(), any))
    })
}
