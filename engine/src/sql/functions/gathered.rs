//! Lists of an aggregate's values.
//!
//! DataFusion (55.2) gives two calls over DISTINCT values the order of one of them. So these are sorted here.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::row::{RowConverter, SortField};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::logical_expr::Expr;

use super::aggregate::{AggregateCall, relabel};
use super::array::{build, lists};
use super::array_functions::to_string;
use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::data::hash::canonical;
use crate::error::{Error, Result};
use crate::sql::rows::Call;

/// The list of a call's first argument, in the call's order.
pub fn gathered(call: &AggregateCall, list: &SqlType) -> Result<Expr> {
    let gathered = relabel(call.of(array_agg_udaf(), vec![call.first()?]), list);
    Ok(match call.distinct_order {
        Some(options) => in_order(gathered, list, call, options),
        None => gathered,
    })
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

/// Lists with their elements in order.
fn sorted(call: &Call, options: SortOptions) -> Result<ArrayRef> {
    let list = lists(call, 0)?;
    let values = canonical(list.values());
    let plain = SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(values.data_type().clone(), plain)])?;
    let keys = converter.convert_columns(std::slice::from_ref(&values))?;
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
