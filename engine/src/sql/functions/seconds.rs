//! Times with fewer digits of seconds: `timestamp(0)`.

use arrow::array::ArrayRef;
use datafusion::logical_expr::{Expr, lit};

use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::adt::calendar;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Call, Clock, Micros, map2};

/// 2000-01-01, from which PostgreSQL counts: halves are rounded away from it.
const MILLENNIUM: i64 = 946_684_800 * calendar::MICROS_PER_SECOND;

/// A time or timestamp, rounded to so many digits of seconds, 0 to 6 (`AdjustTimestampForTypmod`).
pub fn rounded_seconds(value: Expr, ty: &SqlType, digits: i32) -> Expr {
    let (name, kernel): (_, Kernel) = match ty {
        SqlType::Time => ("time", times),
        SqlType::Timestamptz => ("timestamptz", timestamps),
        _ => ("timestamp", timestamps),
    };
    let types = vec![ty.clone(), SqlType::Int4];
    let function = PgScalar::new(name, types, ty.clone(), TimeZone::UTC, Volatility::Immutable, kernel);
    function.call(vec![value, lit(digits)])
}

fn times(call: &Call) -> Result<ArrayRef> {
    map2(call, |time: Clock, digits: i32| Ok(Clock(round(time.0, digits))))
}

fn timestamps(call: &Call) -> Result<ArrayRef> {
    map2(call, |time: Micros, digits: i32| {
        if calendar::is_infinite(time.0) {
            return Ok(time);
        }
        Ok(Micros(round(time.0.saturating_sub(MILLENNIUM), digits).saturating_add(MILLENNIUM)))
    })
}

fn round(micros: i64, digits: i32) -> i64 {
    let unit = 10_i64.pow(6_u32.saturating_sub(digits.unsigned_abs()));
    let size = micros.saturating_abs().saturating_add(unit / 2) / unit * unit;
    if micros < 0 { -size } else { size }
}
