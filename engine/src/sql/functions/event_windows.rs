//! The windows of time that moments lie in: what TUMBLE and HOP are made of.
//!
//! Windows are counted in microseconds, so their lengths are the same everywhere: a day is 24 hours in every time zone. These
//! functions have no names in SQL.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, lit};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, is_infinite};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::functions::PgScalar;
use crate::sql::functions::signature::{Kernel, Volatility};
use crate::sql::rows::{Call, Micros, map2, map3};

const START: &str = "window_start";
const STARTS: &str = "window_starts";
const END: &str = "window_end";

/// Windows of `size` that begin `slide` apart, one of them at `offset` after the beginning of 1970; in microseconds. The
/// size is a multiple of the slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub slide: i64,
    pub size: i64,
    pub offset: i64,
}

impl Windows {
    /// The start of the last window that `time`, of type `ty`, is in.
    pub fn start(&self, ty: &SqlType, time: Expr) -> Expr {
        let args = vec![time, lit(self.slide), lit(self.offset)];
        call(START, args, ty.clone(), ty, |call| map3(call, last_start))
    }

    /// The starts of all windows that `time` is in, the latest first.
    pub fn starts(&self, ty: &SqlType, time: Expr) -> Expr {
        let args = vec![time, lit(self.slide), lit(self.size), lit(self.offset)];
        call(STARTS, args, ty.clone().array(), ty, all_starts)
    }

    /// The end of the window that begins at `start`.
    pub fn end(&self, ty: &SqlType, start: Expr) -> Expr {
        call(END, vec![start, lit(self.size)], ty.clone(), ty, |call| map2(call, end))
    }

    /// Where `time` is in windows at all: it is there, and finite.
    pub fn within(ty: &SqlType, time: Expr) -> Expr {
        let limit = |micros| {
            let zone = match ty.arrow() {
                DataType::Timestamp(_, zone) => zone,
                _ => None,
            };
            lit(ScalarValue::TimestampMicrosecond(Some(micros), zone))
        };
        time.clone().gt(limit(TIMESTAMP_MINUS_INFINITY)).and(time.lt(limit(TIMESTAMP_INFINITY)))
    }
}

/// How a value of time came from another: the argument, and by how much at most the value is less than it, in
/// microseconds. None for an expression that is no function of this module.
pub fn lag(function: &ScalarFunction) -> Option<(&Expr, i64)> {
    let constant = |at: usize| match function.args.get(at) {
        Some(Expr::Literal(ScalarValue::Int64(Some(value)), _)) => Some(*value),
        _ => None,
    };
    function.func.inner().downcast_ref::<PgScalar>()?;
    let lag = match function.name() {
        // A moment is less than a slide after its last window's start, less than the size after the first one's.
        START => constant(1)? - 1,
        STARTS => constant(2)? - 1,
        END => -constant(1)?,
        _ => return None,
    };
    Some((function.args.first()?, lag))
}

fn call(name: &str, args: Vec<Expr>, result: SqlType, time: &SqlType, kernel: Kernel) -> Expr {
    let types = std::iter::once(time.clone()).chain(std::iter::repeat_n(SqlType::Int8, args.len() - 1)).collect();
    PgScalar::new(name, types, result, TimeZone::UTC, Volatility::Immutable, kernel).call(args)
}

fn last_start(time: Micros, slide: i64, offset: i64) -> Result<Micros> {
    if is_infinite(time.0) {
        return Ok(time);
    }
    let distance = i128::from(time.0) - i128::from(offset);
    let start = i128::from(offset) + distance.div_euclid(i128::from(slide)) * i128::from(slide);
    finite(start).map(Micros)
}

fn end(start: Micros, size: i64) -> Result<Micros> {
    match is_infinite(start.0) {
        true => Ok(start),
        false => finite(i128::from(start.0) + i128::from(size)).map(Micros),
    }
}

fn finite(micros: i128) -> Result<i64> {
    let out_of_range = || Error::new(SqlState::DATETIME_OVERFLOW, "window out of range");
    i64::try_from(micros).ok().filter(|micros| !is_infinite(*micros)).ok_or_else(out_of_range)
}

fn all_starts(call: &Call) -> Result<ArrayRef> {
    let wrong = || Error::internal("windows of something that is no time");
    let times = call.args[0].as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
    let constant = |at: usize| -> Result<i64> {
        let column = call.args[at].as_primitive_opt::<arrow::datatypes::Int64Type>().ok_or_else(wrong)?;
        column.values().first().copied().ok_or_else(wrong)
    };
    let DataType::List(item) = call.result.arrow() else { return Err(wrong()) };
    let (mut values, mut lengths) = (Vec::new(), Vec::with_capacity(call.rows));
    if call.rows > 0 {
        let (slide, size, offset) = (constant(1)?, constant(2)?, constant(3)?);
        let count = usize::try_from(size / slide).map_err(|_| wrong())?;
        for row in 0..call.rows {
            let at = call.row(0, row);
            if times.is_null(at) || is_infinite(times.value(at)) {
                lengths.push(0);
                continue;
            }
            let last = last_start(Micros(times.value(at)), slide, offset)?.0;
            finite(i128::from(last) - i128::from(size - slide))?;
            values.extend((0..count as i64).map(|back| last - back * slide));
            lengths.push(count);
        }
    }
    let values = PrimitiveArray::<TimestampMicrosecondType>::from(values).with_data_type(item.data_type().clone());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(std::sync::Arc::new(ListArray::try_new(item, offsets, std::sync::Arc::new(values), None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_before_1970_are_counted_the_same_way() {
        assert_eq!(last_start(Micros(-1), 10, 0).unwrap(), Micros(-10));
        assert_eq!(last_start(Micros(-10), 10, 0).unwrap(), Micros(-10));
        assert_eq!(last_start(Micros(12), 10, 3).unwrap(), Micros(3));
        assert_eq!(last_start(Micros(12), 10, -7).unwrap(), Micros(3));
        assert_eq!(last_start(Micros(2), 10, 3).unwrap(), Micros(-7));
    }

    #[test]
    fn windows_outside_of_time_are_errors() {
        assert_eq!(last_start(Micros(i64::MIN + 2), 1 << 40, 0).unwrap_err().sqlstate(), SqlState::DATETIME_OVERFLOW);
        assert_eq!(end(Micros(i64::MAX - 2), 60).unwrap_err().sqlstate(), SqlState::DATETIME_OVERFLOW);
    }

    #[test]
    fn what_comes_from_a_time_lags_behind_it_by_a_known_time() {
        let windows = Windows { slide: 2, size: 10, offset: 0 };
        let of = |expr: Expr| match expr {
            Expr::ScalarFunction(function) => lag(&function).map(|(_, lag)| lag),
            _ => None,
        };
        let ty = SqlType::Timestamp;
        assert_eq!(of(windows.start(&ty, datafusion::prelude::col("t"))), Some(1));
        assert_eq!(of(windows.starts(&ty, datafusion::prelude::col("t"))), Some(9));
        assert_eq!(of(windows.end(&ty, datafusion::prelude::col("t"))), Some(-10));
    }
}
