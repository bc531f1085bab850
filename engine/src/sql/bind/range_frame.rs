//! RANGE frames that reach so far before or behind a row (`in_range` of PostgreSQL's types).
//!
//! DataFusion adds the distance to a row's value in the value's type, and takes what overflows for the partition's end. So the
//! rows are ordered by a number that has room for every sum. Months are no number: they are added by the calendar.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Cast, Expr, WindowFrameUnits};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use sqlparser::ast::{self, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{MICROS_PER_DAY, date_to_timestamp, is_infinite};
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::order::order_key;
use crate::sql::bind::window::{PLACES, changing_offset, null_offset, plain_offset};
use crate::sql::bind::{Binder, Bound, Clause, Scope};
use crate::sql::functions::PgScalar;
use crate::sql::functions::category::{Category, can_coerce, category};
use crate::sql::functions::signature::{Kernel, Volatility};
use crate::sql::rows::{Clock, Date, Micros, map1};

/// Whole numbers with room for the sum of any two of them.
const WIDE: SqlType = SqlType::Numeric(Some((38, 0)));
/// Beyond any moment, and farther from it than any distance reaches.
const FOREVER: i128 = 1_000_000_000_000_000_000_000_000_000_000;
/// As far as the calendar is added to and added: about 50,000 years, in microseconds.
const CALENDAR: i128 = 50_000 * 365 * MICROS_PER_DAY as i128;
/// Numerics up to here have room for a sum: units of the last digit.
const NUMERIC_DISTANCE: i128 = 70_000_000_000_000_000_000_000_000_000_000_000_000;

/// How the values that a window is ordered by are measured.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    /// By the number that stands for each.
    Number,
    /// By the calendar.
    Calendar,
}

impl Binder<'_> {
    /// What to order the rows by instead of `key`, and the distances that `offsets` are then. An `inner` one leaves out what is
    /// nearer than it, the others what is farther.
    pub(super) fn range_offsets(
        &mut self,
        key: &ast::Expr,
        offsets: [Option<&ast::Expr>; 2],
        inner: [bool; 2],
        scope: &Scope,
    ) -> Result<(Expr, [Option<ScalarValue>; 2])> {
        let key = self.bind_expr(key, scope)?;
        let key = self.settle(key)?;
        let mut given = [None, None];
        for (place, by) in offsets.into_iter().enumerate() {
            given[place] = by.map(|by| self.range_offset(&key.ty, by, PLACES[place], scope)).transpose()?;
        }
        let zone = if key.ty == SqlType::Timestamptz { self.zone()? } else { TimeZone::UTC };
        let calendar = |value: &ScalarValue| interval(value).is_some_and(|value| by_calendar(&key.ty, value, &zone));
        let measure = match given.iter().flatten().any(calendar) {
            true => Measure::Calendar,
            false => Measure::Number,
        };
        if measure == Measure::Calendar && zone != TimeZone::UTC {
            let what = "RANGE with days or months over timestamps with time zone in a zone other than UTC";
            return Err(Error::unsupported(what).with_hint("Order by x AT TIME ZONE '…', or SET TIME ZONE 'UTC'."));
        }
        let mut distances = [None, None];
        for (place, value) in given.into_iter().enumerate() {
            distances[place] = value.map(|value| distance(&key.ty, value, measure, inner[place])).transpose()?;
        }
        Ok((self.measured(key, measure)?, distances))
    }

    /// A distance as it is written, a constant that is not negative.
    fn range_offset(&mut self, key: &SqlType, by: &ast::Expr, place: &str, scope: &Scope) -> Result<ScalarValue> {
        let by = if matches!(offset_type(key), Ok(SqlType::Interval)) { by } else { plain_offset(by) };
        let position = self.position(by.span());
        let bound = self.bind_expr(by, &scope.within(Clause::Limit))?;
        let ty = offset_type(key).map_err(|error| error.at(position))?;
        if bound.ty != SqlType::Unknown && !can_coerce(&bound.ty, &ty, Coercion::Implicit) {
            let (key, given) = (key.bare(), bound.ty.bare());
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key} and offset type {given}"
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Cast the offset value to an appropriate type.")
                .at(position));
        }
        // A bare literal is of the column's type, where that has one of its own for distances.
        let bound = match (&bound.ty, category(&ty)) {
            (SqlType::Unknown, Category::Numeric) => {
                self.coerce(bound, &key.bare(), Coercion::Implicit).map_err(|error| error.at(position))?
            }
            _ => bound,
        };
        let bound = self.coerce(bound, &ty, Coercion::Implicit).map_err(|error| error.at(position))?;
        match ExprSimplifier::new(SimplifyContext::default()).simplify(bound.expr)? {
            Expr::Literal(value, _) if value.is_null() => Err(null_offset(place)),
            Expr::Literal(value, _) if is_negative(key, &value) => {
                let message = "invalid preceding or following size in window function";
                Err(Error::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message))
            }
            Expr::Literal(value, _) => Ok(value),
            expr => Err(changing_offset(&expr, WindowFrameUnits::Range).at(position)),
        }
    }

    fn measured(&mut self, key: Bound, measure: Measure) -> Result<Expr> {
        let call = |name: &str, result: SqlType, kernel: Kernel, key: Bound| {
            PgScalar::new(name, vec![key.ty], result, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![key.expr])
        };
        Ok(match (&key.ty, measure) {
            (SqlType::Int2 | SqlType::Int4 | SqlType::Int8, _) => {
                Expr::Cast(Cast::new(Box::new(key.expr), WIDE.arrow()))
            }
            (SqlType::Float4, _) => order_key(self.cast(key, &SqlType::Float8)?.expr, &SqlType::Float8),
            (SqlType::Numeric(_), _) => Expr::Cast(Cast::new(Box::new(key.expr), roomy(digits(&key.ty)))),
            (SqlType::Time, _) => call("time_distance", WIDE, |c| map1(c, |at: Clock| Ok(i128::from(at.0))), key),
            (SqlType::Date, Measure::Number) => {
                call("date_distance", WIDE, |c| map1(c, |at: Date| Ok(number(date_to_timestamp(at.0)?))), key)
            }
            (SqlType::Timestamp | SqlType::Timestamptz, Measure::Number) => {
                call("time_distance", WIDE, |c| map1(c, |at: Micros| Ok(number(at.0))), key)
            }
            (SqlType::Date, Measure::Calendar) => {
                let kernel: Kernel = |c| map1(c, |at: Date| dated(date_to_timestamp(at.0)?));
                call("calendar", SqlType::Timestamp, kernel, key)
            }
            (SqlType::Timestamp | SqlType::Timestamptz, Measure::Calendar) => {
                let ty = key.ty.clone();
                call("calendar", ty, |c| map1(c, |at: Micros| dated(at.0)), key)
            }
            (ty, _) => order_key(key.expr, ty),
        })
    }
}

/// How many digits behind the point a numeric has.
fn digits(key: &SqlType) -> i8 {
    match key.arrow() {
        DataType::Decimal128(_, digits) => digits,
        _ => 0,
    }
}

/// All numerics of so many digits behind the point.
fn roomy(digits: i8) -> DataType {
    DataType::Decimal128(38, digits)
}

/// A moment as a number, though it be infinite.
fn number(micros: i64) -> i128 {
    if is_infinite(micros) { i128::from(micros.signum()) * FOREVER } else { i128::from(micros) }
}

/// Whether an interval is not as long everywhere.
fn by_calendar(key: &SqlType, value: Interval, zone: &TimeZone) -> bool {
    match key {
        SqlType::Date | SqlType::Timestamp => value.months != 0,
        SqlType::Timestamptz => value.months != 0 || (value.days != 0 && *zone != TimeZone::UTC),
        _ => false,
    }
}

/// A moment that months can be added to.
fn dated(micros: i64) -> Result<Micros> {
    match i128::from(micros).abs() < 2 * CALENDAR {
        true => Ok(Micros(micros)),
        false => Err(Error::unsupported("RANGE with months over infinite dates and those of far millennia")),
    }
}

/// The type of a distance between values of this type.
fn offset_type(key: &SqlType) -> Result<SqlType> {
    match key {
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Ok(SqlType::Int8),
        SqlType::Float4 | SqlType::Float8 => Ok(SqlType::Float8),
        SqlType::Numeric(Some((_, scale))) if digits(key) > digits(&SqlType::NUMERIC) => {
            Ok(SqlType::Numeric(Some((38, *scale))))
        }
        SqlType::Numeric(_) => Ok(SqlType::NUMERIC),
        SqlType::Date | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Time | SqlType::Interval => {
            Ok(SqlType::Interval)
        }
        ty => {
            let message =
                format!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}", ty.bare());
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

fn interval(value: &ScalarValue) -> Option<Interval> {
    match value {
        ScalarValue::IntervalMonthDayNano(Some(value)) => Some(Interval::from(*value)),
        _ => None,
    }
}

fn is_negative(key: &SqlType, value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Int64(Some(value)) => *value < 0,
        ScalarValue::Decimal128(Some(value), ..) => *value < 0,
        ScalarValue::Float64(Some(value)) => value.is_nan() || *value < 0.0,
        value => interval(value).is_some_and(|value| match key {
            // Of a time of day only the hours count.
            SqlType::Time => value.micros < 0,
            _ => value.sort_key() < 0,
        }),
    }
}

/// A distance between what [`Binder::measured`] makes of values of type `key`.
fn distance(key: &SqlType, value: ScalarValue, measure: Measure, inner: bool) -> Result<ScalarValue> {
    let wide = |value: i128| Ok(ScalarValue::Decimal128(Some(value), 38, 0));
    match &value {
        ScalarValue::Int64(Some(value)) => wide(i128::from(*value)),
        ScalarValue::Float64(Some(number)) if number.is_infinite() => {
            Err(Error::unsupported("an infinite frame offset"))
        }
        ScalarValue::Decimal128(Some(number), _, scale) => {
            // No value has more digits than the key: as far as the last that is within, or that is not.
            let (digits, scale) = (digits(key), *scale);
            let dropped = 10_i128.pow(u32::from(scale.saturating_sub(digits).max(0).unsigned_abs()));
            let whole = number / dropped + i128::from(inner && number % dropped != 0);
            let added = 10_i128.pow(u32::from(digits.saturating_sub(scale).max(0).unsigned_abs()));
            match whole.checked_mul(added).filter(|number| *number <= NUMERIC_DISTANCE) {
                Some(number) => Ok(ScalarValue::Decimal128(Some(number), 38, digits)),
                None => Err(Error::unsupported("a frame offset of that many digits")),
            }
        }
        _ => match (interval(&value), measure) {
            (Some(span), _) if *key == SqlType::Time => wide(i128::from(span.micros)),
            (Some(span), Measure::Calendar) if span.sort_key() > CALENDAR => {
                Err(Error::new(SqlState::DATETIME_OVERFLOW, "timestamp out of range"))
            }
            (Some(span), Measure::Number) => wide(span.sort_key()),
            _ => Ok(value),
        },
    }
}
