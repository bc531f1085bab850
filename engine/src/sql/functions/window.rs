//! Window functions. DataFusion counts in unsigned integers; PostgreSQL's ranks are bigint.

use datafusion::common::ScalarValue;
use datafusion::functions_window::cume_dist::cume_dist_udwf;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::functions_window::nth_value::{first_value_udwf, last_value_udwf, nth_value_udwf};
use datafusion::functions_window::ntile::ntile_udwf;
use datafusion::functions_window::rank::{dense_rank_udwf, percent_rank_udwf, rank_udwf};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::{Cast, Expr, WindowUDF};
use std::sync::Arc;

use super::aggregate::AggregateCall;
use super::signature::T::{AnyCompatible, AnyElement, Float8, Int4, Int8};
use super::signature::{Function, window};
use crate::error::{Error, Result, SqlState};

fn counted(call: &AggregateCall, function: Arc<WindowUDF>, args: Vec<Expr>) -> Result<Expr> {
    let expr = call.of_window(function, args)?;
    Ok(Expr::Cast(Cast::new(Box::new(expr), call.result.arrow())))
}

/// A count given as an argument; it has to be a constant.
fn constant(call: &AggregateCall, at: usize, name: &str) -> Result<i64> {
    match call.args.get(at) {
        Some(Expr::Literal(ScalarValue::Int32(Some(value)), _)) => Ok(i64::from(*value)),
        _ => Err(Error::unsupported(format!("{name}() with an argument that is not a constant"))),
    }
}

fn int8(value: i64) -> Expr {
    Expr::Literal(ScalarValue::Int64(Some(value)), None)
}

/// `lag` and `lead`: value, offset, default.
fn shifted(call: AggregateCall, function: Arc<WindowUDF>, name: &str) -> Result<Expr> {
    let mut args = vec![call.first()?];
    if call.args.len() > 1 {
        args.push(int8(constant(&call, 1, name)?));
    }
    if let Some(default) = call.args.get(2) {
        if !matches!(default, Expr::Literal(..)) {
            return Err(Error::unsupported(format!("{name}() with a default that is not a constant")));
        }
        args.push(default.clone());
    }
    call.of_window(function, args)
}

fn ntile(call: AggregateCall) -> Result<Expr> {
    let buckets = constant(&call, 0, "ntile")?;
    if buckets <= 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "argument of ntile must be greater than zero"));
    }
    counted(&call, ntile_udwf(), vec![int8(buckets)])
}

fn nth_value(call: AggregateCall) -> Result<Expr> {
    let position = constant(&call, 1, "nth_value")?;
    if position <= 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "argument of nth_value must be greater than zero"));
    }
    call.of_window(nth_value_udwf(), vec![call.first()?, int8(position)])
}

fn lag(call: AggregateCall) -> Result<Expr> {
    shifted(call, lag_udwf(), "lag")
}

fn lead(call: AggregateCall) -> Result<Expr> {
    shifted(call, lead_udwf(), "lead")
}

pub const FUNCTIONS: &[Function] = &[
    window("row_number", &[], Int8, |call| counted(&call, row_number_udwf(), Vec::new())),
    window("rank", &[], Int8, |call| counted(&call, rank_udwf(), Vec::new())),
    window("dense_rank", &[], Int8, |call| counted(&call, dense_rank_udwf(), Vec::new())),
    window("percent_rank", &[], Float8, |call| call.of_window(percent_rank_udwf(), Vec::new())),
    window("cume_dist", &[], Float8, |call| call.of_window(cume_dist_udwf(), Vec::new())),
    window("ntile", &[Int4], Int4, ntile),
    window("lag", &[AnyElement], AnyElement, lag),
    window("lag", &[AnyElement, Int4], AnyElement, lag),
    window("lag", &[AnyCompatible, Int4, AnyCompatible], AnyCompatible, lag),
    window("lead", &[AnyElement], AnyElement, lead),
    window("lead", &[AnyElement, Int4], AnyElement, lead),
    window("lead", &[AnyCompatible, Int4, AnyCompatible], AnyCompatible, lead),
    window("first_value", &[AnyElement], AnyElement, |call| call.of_window(first_value_udwf(), call.args.clone())),
    window("last_value", &[AnyElement], AnyElement, |call| call.of_window(last_value_udwf(), call.args.clone())),
    window("nth_value", &[AnyElement, Int4], AnyElement, nth_value),
];
