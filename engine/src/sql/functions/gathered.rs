//! Lists of an aggregate's values.
//!
//! DataFusion (55.2) gives two calls over DISTINCT values the order of one of them. So these are sorted here, and those that
//! are equal and yet written differently are told from others here: of them the first stays.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, ListArray, StructArray, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{Field, Fields};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::logical_expr::Expr;

use super::aggregate::{AggregateCall, relabel};
use super::array::{build, gather, lists};
use super::array_functions::to_string;
use super::comparison::written_apart;
use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::data::hash::canonical;
use crate::error::{Error, Result};
use crate::sql::adt::json;
use crate::sql::adt::json_order::order_key;
use crate::sql::rows::Call;

/// The list of a call's first argument, in the call's order.
pub fn gathered(call: &AggregateCall, list: &SqlType) -> Result<Expr> {
    let Some(options) = call.distinct_order else {
        return Ok(relabel(call.of(array_agg_udaf(), vec![call.first()?]), list));
    };
    let apart = written_apart(list);
    let all = AggregateCall { distinct: !apart, ..call.clone() };
    let gathered = relabel(all.of(array_agg_udaf(), vec![call.first()?]), list);
    let ordered = in_order(gathered, list, call, options);
    Ok(if apart { once(ordered, list, call) } else { ordered })
}

/// The texts of a call of `string_agg(DISTINCT …)`, NULL where there is none.
pub fn joined(call: AggregateCall) -> Result<Expr> {
    let (value, Some(delimiter)) = (call.first()?, call.args.get(1).cloned()) else {
        return Err(Error::internal("string_agg() takes two arguments"));
    };
    let there = value.is_not_null();
    let filter = match call.filter.clone() {
        Some(filter) => filter.and(there),
        None => there,
    };
    let call = AggregateCall { filter: Some(filter), ..call };
    let list = SqlType::Text.array();
    let values = gathered(&call, &list)?;
    let types = vec![list, SqlType::Text];
    let join = PgScalar::new("string_agg_final", types, SqlType::Text, call.zone, Volatility::Immutable, to_string);
    Ok(join.call(vec![values, delimiter]))
}

fn in_order(list: Expr, ty: &SqlType, call: &AggregateCall, options: SortOptions) -> Expr {
    let (name, kernel): (_, Kernel) = match (options.descending, options.nulls_first) {
        (false, false) => ("ascending", |call| sorted(call, SortOptions::new(false, false))),
        (false, true) => ("ascending_nulls_first", |call| sorted(call, SortOptions::new(false, true))),
        (true, false) => ("descending_nulls_last", |call| sorted(call, SortOptions::new(true, false))),
        (true, true) => ("descending", |call| sorted(call, SortOptions::new(true, true))),
    };
    PgScalar::new(name, vec![ty.clone()], ty.clone(), call.zone.clone(), Volatility::Immutable, kernel).call(vec![list])
}

/// Ordered lists with the first of equal elements only.
fn once(list: Expr, ty: &SqlType, call: &AggregateCall) -> Expr {
    let kernel: Kernel = |call| {
        let list = lists(call, 0)?;
        let keys = element_keys(list, call.result)?;
        gather(call, |row| {
            let row = call.row(0, row);
            let mut places: Vec<u32> =
                (list.value_offsets()[row] as u32..list.value_offsets()[row + 1] as u32).collect();
            places.dedup_by(|next, kept| keys.row(*next as usize) == keys.row(*kept as usize));
            (!list.is_null(row)).then_some(places)
        })
    };
    PgScalar::new("once", vec![ty.clone()], ty.clone(), call.zone.clone(), Volatility::Immutable, kernel)
        .call(vec![list])
}

/// Rows that are equal, less or greater exactly where the elements of lists are.
pub fn element_keys(list: &ListArray, ty: &SqlType) -> Result<Rows> {
    let SqlType::Array(element) = ty else { return Err(Error::internal("an array expected")) };
    let values = compared(list.values(), element)?;
    let plain = SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(values.data_type().clone(), plain)])?;
    Ok(converter.convert_columns(std::slice::from_ref(&values))?)
}

/// Values as they are compared, those within lists and rows too.
fn compared(values: &ArrayRef, ty: &SqlType) -> Result<ArrayRef> {
    Ok(match ty {
        SqlType::Jsonb => {
            let texts = values.as_string::<i32>().iter();
            let keys = texts.map(|text| text.map(|text| json::parse(text).map(|value| order_key(&value))).transpose());
            Arc::new(keys.collect::<Result<BinaryArray>>()?)
        }
        SqlType::Array(element) => {
            let list = values.as_list::<i32>();
            let inner = compared(list.values(), element)?;
            let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
            Arc::new(ListArray::try_new(field, list.offsets().clone(), inner, list.nulls().cloned())?)
        }
        SqlType::Record(types) => {
            let rows = values.as_struct();
            let columns = rows.columns().iter().zip(types).map(|(column, (_, ty))| compared(column, ty));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let field =
                |(at, column): (usize, &ArrayRef)| Field::new(format!("f{at}"), column.data_type().clone(), true);
            let fields: Fields = columns.iter().enumerate().map(field).collect();
            Arc::new(StructArray::try_new(fields, columns, rows.nulls().cloned())?)
        }
        _ => canonical(values),
    })
}

/// Lists with their elements in order.
fn sorted(call: &Call, options: SortOptions) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let (values, keys) = (list.values(), element_keys(list, call.result)?);
    let order = |a: &u32, b: &u32| -> Ordering {
        let (a, b) = (*a as usize, *b as usize);
        match (values.is_null(a), values.is_null(b)) {
            (true, true) => Ordering::Equal,
            (true, false) if options.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if options.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if options.descending => keys.row(b).cmp(&keys.row(a)),
            (false, false) => keys.row(a).cmp(&keys.row(b)),
        }
    };
    let (mut places, mut lengths) = (Vec::new(), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let row = call.row(0, row);
        let start = places.len();
        if !list.is_null(row) {
            places.extend(list.value_offsets()[row] as u32..list.value_offsets()[row + 1] as u32);
            places[start..].sort_by(order);
        }
        lengths.push(places.len() - start);
    }
    let nulls = (0..call.rows).map(|row| !list.is_null(call.row(0, row))).collect::<Vec<_>>();
    build(call.result, lengths, take(list.values(), &UInt32Array::from(places), None)?, Some(nulls.into()))
}
