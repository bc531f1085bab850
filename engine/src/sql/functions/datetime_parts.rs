//! Fields of dates and times, and truncation to them: EXTRACT, date_part and date_trunc.

use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{self, Civil, MICROS_PER_DAY, MICROS_PER_SECOND, is_infinite, is_infinite_date};
use crate::sql::adt::decimal::{self, ONE};
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;

/// A field as a numeric; None where the value has none (an infinite one).
type FieldValue = Result<Option<i128>>;

fn not_supported(field: &str, ty: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{field}\" not supported for type {ty}"))
}

fn not_recognized(field: &str, ty: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{field}\" not recognized for type {ty}"))
}

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

/// PostgreSQL's name of a unit: the singular, plurals and abbreviations resolved.
pub fn unit(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let known = match lower.as_str() {
        "years" | "y" | "yr" | "yrs" => "year",
        "months" | "mon" | "mons" => "month",
        "days" | "d" => "day",
        "hours" | "h" | "hr" | "hrs" => "hour",
        "minutes" | "m" | "min" | "mins" => "minute",
        "seconds" | "s" | "sec" | "secs" => "second",
        "millisecond" | "ms" | "msec" | "msecs" => "milliseconds",
        "microsecond" | "us" | "usec" | "usecs" => "microseconds",
        "weeks" | "w" => "week",
        "quarters" | "qtr" => "quarter",
        "decades" | "dec" | "decs" => "decade",
        "centuries" | "c" | "cent" => "century",
        "millennia" | "mil" | "mils" => "millennium",
        _ => return lower,
    };
    known.to_owned()
}

fn whole(value: i64) -> FieldValue {
    Ok(Some(i128::from(value) * ONE))
}

/// Microseconds as seconds (or, by `per`, as another unit), exactly.
fn fraction(micros: i64, per: i64) -> FieldValue {
    Ok(Some(i128::from(micros) * (ONE / i128::from(per))))
}

/// A field of an infinite value: the greatest for those that grow without end, else nothing.
fn of_infinity(field: &str, ty: &str) -> FieldValue {
    match unit(field).as_str() {
        "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch" => {
            Err(Error::unsupported(format!("{field} of an infinite {ty}")))
        }
        _ => Ok(None),
    }
}

/// A field of a timestamp; with a zone, of a moment as that zone's clocks and calendar show it.
pub fn timestamp_field(field: &str, value: i64, zone: Option<&TimeZone>) -> FieldValue {
    let ty = if zone.is_some() { TIMESTAMPTZ } else { TIMESTAMP };
    if is_infinite(value) {
        return of_infinity(field, ty);
    }
    let unit = unit(field);
    let local = match zone {
        Some(zone) => zone.to_local(value)?,
        None => value,
    };
    let offset = zone.map(|zone| i64::from(zone.offset_at(value)));
    match (unit.as_str(), offset) {
        ("epoch", _) => fraction(value, MICROS_PER_SECOND),
        ("timezone", Some(offset)) => whole(offset),
        ("timezone_hour", Some(offset)) => whole(offset / 3600),
        ("timezone_minute", Some(offset)) => whole(offset / 60 % 60),
        ("timezone" | "timezone_hour" | "timezone_minute", None) => Err(not_supported(field, ty)),
        ("julian", _) => {
            let (days, time) = calendar::split_day(local);
            let part = i128::from(time) * ONE / i128::from(MICROS_PER_DAY);
            Ok(Some(i128::from(days - calendar::MIN_DAY) * ONE + part))
        }
        (unit, _) => match day_field(unit, local) {
            Some(value) => whole(value),
            None => {
                clock_field(unit, local.rem_euclid(MICROS_PER_DAY)).unwrap_or_else(|| Err(not_recognized(field, ty)))
            }
        },
    }
}

/// Fields of the calendar.
fn day_field(unit: &str, local: i64) -> Option<i64> {
    let civil = Civil::from_micros(local);
    let (year, days) = (civil.year, civil.days());
    // Years before 1 are counted without a year 0.
    let shown = if year > 0 { year } else { year - 1 };
    Some(match unit {
        "year" => shown,
        "month" => i64::from(civil.month),
        "day" => i64::from(civil.day),
        "quarter" => i64::from((civil.month - 1) / 3 + 1),
        "week" => civil.iso_week().1,
        "isoyear" => match civil.iso_week().0 {
            year if year > 0 => year,
            year => year - 1,
        },
        "dow" => calendar::day_of_week(days),
        "isodow" => calendar::day_of_week_iso(days),
        "doy" => civil.day_of_year(),
        "decade" => year.div_euclid(10),
        "century" if year > 0 => (year + 99) / 100,
        "century" => -((99 - (year - 1)) / 100),
        "millennium" if year > 0 => (year + 999) / 1000,
        "millennium" => -((999 - (year - 1)) / 1000),
        _ => return None,
    })
}

/// Fields of the time of day.
fn clock_field(unit: &str, time: i64) -> Option<FieldValue> {
    let in_minute = time % (60 * MICROS_PER_SECOND);
    Some(match unit {
        "hour" => whole(time / (3600 * MICROS_PER_SECOND)),
        "minute" => whole(time / (60 * MICROS_PER_SECOND) % 60),
        "second" => fraction(in_minute, MICROS_PER_SECOND),
        "milliseconds" => fraction(in_minute, 1000),
        "microseconds" => whole(in_minute),
        _ => return None,
    })
}

/// A field of a date.
pub fn date_field(field: &str, days: i32) -> FieldValue {
    if is_infinite_date(days) {
        return of_infinity(field, "date");
    }
    let unit = unit(field);
    match unit.as_str() {
        "epoch" => whole(i64::from(days) * 86_400),
        "julian" => whole(i64::from(days) - calendar::MIN_DAY),
        "hour" | "minute" | "second" | "milliseconds" | "microseconds" | "timezone" | "timezone_hour"
        | "timezone_minute" => Err(not_supported(field, "date")),
        unit => {
            // Far dates are beyond timestamps; their calendar repeats every 400 years, but the year does not.
            let micros = calendar::join_day(i64::from(days), 0)?;
            match day_field(unit, micros) {
                Some(value) => whole(value),
                None => Err(not_recognized(field, "date")),
            }
        }
    }
}

/// A field of a time.
pub fn time_field(field: &str, time: i64) -> FieldValue {
    let unit = unit(field);
    match unit.as_str() {
        "epoch" => fraction(time, MICROS_PER_SECOND),
        "year" | "month" | "day" | "week" | "quarter" | "dow" | "doy" | "isodow" | "isoyear" | "decade" | "century"
        | "millennium" | "timezone" | "timezone_hour" | "timezone_minute" => {
            Err(not_supported(field, "time without time zone"))
        }
        unit => clock_field(unit, time).unwrap_or_else(|| Err(not_recognized(field, "time without time zone"))),
    }
}

/// A field of an interval.
pub fn interval_field(field: &str, value: Interval) -> FieldValue {
    let unit = unit(field);
    let years = i64::from(value.months / 12);
    match unit.as_str() {
        "year" => whole(years),
        "month" => whole(i64::from(value.months % 12)),
        "quarter" => whole(i64::from(value.months % 12 / 3 + 1)),
        "decade" => whole(years / 10),
        "century" => whole(years / 100),
        "millennium" => whole(years / 1000),
        "day" => whole(i64::from(value.days)),
        "hour" => whole(value.micros / (3600 * MICROS_PER_SECOND)),
        "epoch" => {
            // A year has 365.25 days here, a month without year 30.
            let hours =
                i128::from(years) * 1461 * 6 + i128::from(value.months % 12) * 30 * 24 + i128::from(value.days) * 24;
            let seconds = hours * 3600;
            let micros = seconds * i128::from(MICROS_PER_SECOND) + i128::from(value.micros);
            decimal::check(micros.checked_mul(ONE / i128::from(MICROS_PER_SECOND)).ok_or_else(decimal::overflow)?)
                .map(Some)
        }
        "week" | "dow" | "doy" | "isodow" | "isoyear" | "timezone" | "timezone_hour" | "timezone_minute" | "julian" => {
            Err(not_supported(field, "interval"))
        }
        unit => clock_field(unit, value.micros).unwrap_or_else(|| Err(not_recognized(field, "interval"))),
    }
}

/// `date_trunc` of a timestamp.
pub fn truncate(field: &str, value: i64) -> Result<i64> {
    let unit = unit(field);
    if is_infinite(value) {
        return Ok(value);
    }
    let (days, time) = calendar::split_day(value);
    let (year, month, _) = calendar::civil_from_days(days);
    let to_time = |size: i64| calendar::join_day(days, time - time % size);
    let to_day = |year: i64, month: u32| calendar::join_day(calendar::days_from_civil(year, month, 1), 0);
    match unit.as_str() {
        "microseconds" => Ok(value),
        "milliseconds" => to_time(1000),
        "second" => to_time(MICROS_PER_SECOND),
        "minute" => to_time(60 * MICROS_PER_SECOND),
        "hour" => to_time(3600 * MICROS_PER_SECOND),
        "day" => to_time(MICROS_PER_DAY),
        "week" => calendar::join_day(days - calendar::day_of_week_iso(days) + 1, 0),
        "month" => to_day(year, month),
        "quarter" => to_day(year, (month - 1) / 3 * 3 + 1),
        "year" => to_day(year, 1),
        "decade" => to_day(year.div_euclid(10) * 10, 1),
        "century" => to_day((year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => to_day((year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => Err(not_recognized(field, TIMESTAMP)),
    }
}

/// `date_trunc` of an interval.
pub fn truncate_interval(field: &str, value: Interval) -> Result<Interval> {
    let Interval { months, days, micros } = value;
    let to_months = |size: i32| Interval { months: months - months % size, days: 0, micros: 0 };
    let to_time = |size: i64| Interval { months, days, micros: micros - micros % size };
    Ok(match unit(field).as_str() {
        "microseconds" => value,
        "milliseconds" => to_time(1000),
        "second" => to_time(MICROS_PER_SECOND),
        "minute" => to_time(60 * MICROS_PER_SECOND),
        "hour" => to_time(3600 * MICROS_PER_SECOND),
        "day" => Interval { micros: 0, ..value },
        "month" => to_months(1),
        "quarter" => to_months(3),
        "year" => to_months(12),
        "decade" => to_months(120),
        "century" => to_months(1200),
        "millennium" => to_months(12_000),
        "week" => {
            return Err(not_supported(field, "interval").with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(not_recognized(field, "interval")),
    })
}
