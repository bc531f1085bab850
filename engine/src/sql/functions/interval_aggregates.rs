//! Aggregates of intervals.

use std::sync::Arc;

use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::{AggregateUDF, Expr};

use super::aggregate::AggregateCall;
use super::comparison::text_key;
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
    aggregate("min", &[T::Interval], T::Interval, |call| extreme(call, min_udaf())),
    aggregate("max", &[T::Interval], T::Interval, |call| extreme(call, max_udaf())),
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

/// Among intervals of equal length, those with fewer months and then days are less. So which is shown, one that some row has,
/// follows from the rows alone; PostgreSQL shows the last that it comes to.
fn extreme(call: AggregateCall, extreme: Arc<AggregateUDF>) -> Result<Expr> {
    let to_key: Kernel = |call| map1(call, |value: Interval| Ok(text_key(&extreme_key(value))));
    let of_key: Kernel = |call| map1(call, |key: &str| of_extreme_key(key));
    let key = kernel("interval_extreme_key", vec![SqlType::Interval], SqlType::Text, to_key).call(vec![call.first()?]);
    // DISTINCT changes nothing here.
    let found = AggregateCall { distinct: false, ..call }.of(extreme, vec![key]);
    Ok(kernel("interval_of_extreme_key", vec![SqlType::Text], SqlType::Interval, of_key).call(vec![found]))
}

const SIGN: u32 = 1 << 31;
/// Microseconds of an interval's length take less than 80 bits.
const LENGTH: usize = 10;

/// Bytes that order as the lengths of intervals, then as their months and days.
fn extreme_key(value: Interval) -> [u8; LENGTH + 8] {
    let length = (value.sort_key() + (1 << (8 * LENGTH - 1))).to_be_bytes();
    let mut key = [0; LENGTH + 8];
    key[..LENGTH].copy_from_slice(&length[length.len() - LENGTH..]);
    key[LENGTH..LENGTH + 4].copy_from_slice(&(value.months as u32 ^ SIGN).to_be_bytes());
    key[LENGTH + 4..].copy_from_slice(&(value.days as u32 ^ SIGN).to_be_bytes());
    key
}

fn of_extreme_key(key: &str) -> Result<Interval> {
    let number = |from: usize, bytes: usize| {
        key.chars().skip(from).take(bytes).fold(0i128, |number, byte| number << 8 | i128::from(u32::from(byte)))
    };
    let length = number(0, LENGTH) - (1 << (8 * LENGTH - 1));
    let part = |from: usize| (number(from, 4) as u32 ^ SIGN) as i32;
    let days = Interval { months: part(LENGTH), days: part(LENGTH + 4), micros: 0 };
    let micros = i64::try_from(length - days.sort_key());
    Ok(Interval { micros: micros.map_err(|_| Error::internal("no key of an interval"))?, ..days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_intervals_do_and_give_them_back() {
        let parts = [i32::MIN, -30, -1, 0, 1, 30, i32::MAX];
        let micros = [i64::MIN, -86_400_000_000, -1, 0, 1, 86_400_000_000, i64::MAX];
        let all = parts.iter().flat_map(|months| parts.iter().map(move |days| (*months, *days)));
        let all: Vec<Interval> =
            all.flat_map(|(months, days)| micros.map(|micros| Interval { months, days, micros })).collect();
        for value in &all {
            assert_eq!(of_extreme_key(&text_key(&extreme_key(*value))).unwrap(), *value);
        }
        for (one, other) in all.iter().zip(all.iter().rev()).chain(all.iter().zip(&all[1..])) {
            let by_value = |it: &Interval| (it.sort_key(), it.months, it.days);
            let keys = text_key(&extreme_key(*one)).cmp(&text_key(&extreme_key(*other)));
            assert_eq!(keys, by_value(one).cmp(&by_value(other)), "{one:?} {other:?}");
        }
    }
}
