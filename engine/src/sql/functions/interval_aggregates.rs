//! Aggregates of intervals.

use std::cmp::Ordering;

use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::Expr;

use super::aggregate::AggregateCall;
use super::comparison::sort_key;
use super::numeric_sum::numeric_sum;
use super::signature::{Function, Kernel, T, Volatility, aggregate};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::decimal::ONE;
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{map1, map2, map3};

pub const FUNCTIONS: &[Function] = &[
    aggregate("sum", &[T::Interval], T::Interval, |call| sum(&call)),
    aggregate("avg", &[T::Interval], T::Interval, avg),
    aggregate("min", &[T::Interval], T::Interval, |call| extreme(call, Ordering::Less)),
    aggregate("max", &[T::Interval], T::Interval, |call| extreme(call, Ordering::Greater)),
];

fn kernel(name: &str, types: Vec<SqlType>, result: SqlType, kernel: Kernel) -> PgScalar {
    PgScalar::new(name, types, result, TimeZone::UTC, Volatility::Immutable, kernel)
}

fn refuse_distinct(call: &AggregateCall, name: &str) -> Result<()> {
    match call.distinct {
        true => Err(Error::unsupported(format!("{name}(DISTINCT …) of intervals"))),
        false => Ok(()),
    }
}

/// Months, days and microseconds are summed apart.
fn sum(call: &AggregateCall) -> Result<Expr> {
    refuse_distinct(call, "sum")?;
    let parts: [(&str, Kernel); 3] = [
        ("interval_months", |call| map1(call, |value: Interval| Ok(i128::from(value.months) * ONE))),
        ("interval_days", |call| map1(call, |value: Interval| Ok(i128::from(value.days) * ONE))),
        ("interval_micros", |call| map1(call, |value: Interval| Ok(i128::from(value.micros) * ONE))),
    ];
    let mut sums = Vec::with_capacity(parts.len());
    for (name, part) in parts {
        let part = kernel(name, vec![SqlType::Interval], SqlType::NUMERIC, part).call(vec![call.first()?]);
        sums.push(call.of(numeric_sum(), vec![part]));
    }
    Ok(kernel("interval_of_parts", vec![SqlType::NUMERIC; 3], SqlType::Interval, |call| {
        map3(call, |months: i128, days: i128, micros: i128| {
            let out_of_range = |_| Error::new(SqlState::DATETIME_OVERFLOW, "interval out of range");
            Ok(Interval {
                months: i32::try_from(months / ONE).map_err(out_of_range)?,
                days: i32::try_from(days / ONE).map_err(out_of_range)?,
                micros: i64::try_from(micros / ONE).map_err(out_of_range)?,
            })
        })
    })
    .call(sums))
}

fn avg(call: AggregateCall) -> Result<Expr> {
    refuse_distinct(&call, "avg")?;
    let count = call.of(count_udaf(), vec![call.first()?]);
    // No rows: the sum is NULL, and so is the quotient.
    Ok(kernel("interval_mean", vec![SqlType::Interval, SqlType::Int8], SqlType::Interval, |call| {
        map2(call, |sum: Interval, count: i64| sum.checked_div(count as f64))
    })
    .call(vec![sum(&call)?, count]))
}

/// Among intervals of equal length the first is the answer, which may be written otherwise than PostgreSQL's.
fn extreme(call: AggregateCall, which: Ordering) -> Result<Expr> {
    let name = if which == Ordering::Less { "min" } else { "max" };
    if call.over.is_some() {
        return Err(Error::unsupported(format!("{name}(interval) over a window")));
    }
    let value = call.first()?;
    let order_by = vec![sort_key(value.clone(), &SqlType::Interval).sort(which == Ordering::Less, false)];
    // DISTINCT changes nothing here.
    Ok(AggregateCall { order_by, distinct: false, ..call }.of(first_value_udaf(), vec![value]))
}
