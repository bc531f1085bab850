//! Functions of dates and times.

use super::datetime_parts::{date_field, interval_field, time_field, timestamp_field, truncate, truncate_interval};
use super::signature::T::{Bool, Date, Float8, Int4, Interval, Numeric, Text, Time, Timestamp, Timestamptz};
use super::signature::{Function, f};
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{self, MICROS_PER_SECOND, is_infinite, is_infinite_date};
use crate::sql::adt::decimal;
use crate::sql::adt::interval::{self, Interval as Span};
use crate::sql::adt::out_of_range;
use crate::sql::adt::template::{Template, format_interval, format_timestamp, parse_date, parse_timestamp};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Call, Clock, Date as Day, Micros, map_rows, map1, map2, map3, read};

pub const FUNCTIONS: &[Function] = &[
    f("extract", &[Text, Date], Numeric, |c| map2(c, |field: &str, v: Day| date_field(field, v.0))),
    f("extract", &[Text, Time], Numeric, |c| map2(c, |field: &str, v: Clock| time_field(field, v.0))),
    f("extract", &[Text, Timestamp], Numeric, |c| map2(c, |field: &str, v: Micros| timestamp_field(field, v.0, None))),
    f("extract", &[Text, Timestamptz], Numeric, |c| {
        map2(c, |field: &str, v: Micros| timestamp_field(field, v.0, Some(c.zone)))
    }),
    f("extract", &[Text, Interval], Numeric, |c| map2(c, interval_field)),
    f("date_part", &[Text, Date], Float8, |c| map2(c, |field: &str, v: Day| double(date_field(field, v.0)))),
    f("date_part", &[Text, Time], Float8, |c| map2(c, |field: &str, v: Clock| double(time_field(field, v.0)))),
    f("date_part", &[Text, Timestamp], Float8, |c| {
        map2(c, |field: &str, v: Micros| double(timestamp_field(field, v.0, None)))
    }),
    f("date_part", &[Text, Timestamptz], Float8, |c| {
        map2(c, |field: &str, v: Micros| double(timestamp_field(field, v.0, Some(c.zone))))
    }),
    f("date_part", &[Text, Interval], Float8, |c| map2(c, |field: &str, v: Span| double(interval_field(field, v)))),
    f("date_trunc", &[Text, Timestamp], Timestamp, |c| {
        map2(c, |unit: &str, v: Micros| truncate(unit, v.0).map(Micros))
    }),
    f("date_trunc", &[Text, Timestamptz], Timestamptz, |c| {
        map2(c, |unit: &str, v: Micros| truncate_zoned(unit, v.0, c.zone))
    }),
    f("date_trunc", &[Text, Timestamptz, Text], Timestamptz, |c| {
        map3(c, |unit: &str, v: Micros, zone: &str| truncate_zoned(unit, v.0, &TimeZone::parse(zone)?))
    }),
    f("date_trunc", &[Text, Interval], Interval, |c| map2(c, truncate_interval)),
    f("date_bin", &[Interval, Timestamp, Timestamp], Timestamp, |c| map3(c, bin)),
    f("date_bin", &[Interval, Timestamptz, Timestamptz], Timestamptz, |c| map3(c, bin)),
    f("timezone", &[Text, Timestamp], Timestamptz, |c| {
        map2(c, |zone: &str, v: Micros| TimeZone::parse(zone)?.to_utc(v.0).map(Micros))
    }),
    f("timezone", &[Text, Timestamptz], Timestamp, |c| {
        map2(c, |zone: &str, v: Micros| TimeZone::parse(zone)?.to_local(v.0).map(Micros))
    }),
    f("timezone", &[Interval, Timestamp], Timestamptz, |c| {
        map2(c, |span: Span, v: Micros| by_offset(span)?.to_utc(v.0).map(Micros))
    }),
    f("timezone", &[Interval, Timestamptz], Timestamp, |c| {
        map2(c, |span: Span, v: Micros| by_offset(span)?.to_local(v.0).map(Micros))
    }),
    f("age", &[Timestamp, Timestamp], Interval, |c| map2(c, |a: Micros, b: Micros| interval::age(a.0, b.0))),
    f("age", &[Timestamptz, Timestamptz], Interval, |c| {
        map2(c, |a: Micros, b: Micros| interval::age(c.zone.to_local(a.0)?, c.zone.to_local(b.0)?))
    }),
    f("justify_hours", &[Interval], Interval, |c| map1(c, Span::justify_hours)),
    f("justify_days", &[Interval], Interval, |c| map1(c, Span::justify_days)),
    f("justify_interval", &[Interval], Interval, |c| map1(c, Span::justify)),
    f("isfinite", &[Date], Bool, |c| map1(c, |v: Day| Ok(!is_infinite_date(v.0)))),
    f("isfinite", &[Timestamp], Bool, |c| map1(c, |v: Micros| Ok(!is_infinite(v.0)))),
    f("isfinite", &[Timestamptz], Bool, |c| map1(c, |v: Micros| Ok(!is_infinite(v.0)))),
    f("make_date", &[Int4, Int4, Int4], Date, |c| map3(c, |y: i32, m: i32, d: i32| make_day(y, m, d).map(Day))),
    f("make_time", &[Int4, Int4, Float8], Time, |c| map3(c, |h: i32, m: i32, s: f64| make_clock(h, m, s).map(Clock))),
    f("make_timestamp", &[Int4, Int4, Int4, Int4, Int4, Float8], Timestamp, |c| make_timestamp(c, None)),
    f("make_timestamptz", &[Int4, Int4, Int4, Int4, Int4, Float8], Timestamptz, |c| make_timestamp(c, Some(c.zone))),
    f("make_interval", &[Int4, Int4, Int4, Int4, Int4, Int4, Float8], Interval, make_interval).optional(7),
    f("to_timestamp", &[Float8], Timestamptz, |c| map1(c, from_epoch)),
    f("to_timestamp", &[Text, Text], Timestamptz, |c| {
        let mut last = Template::default();
        map2(c, |text: &str, pattern: &str| parse_timestamp(text, last.of(pattern), c.zone).map(Micros))
    }),
    f("to_date", &[Text, Text], Date, |c| {
        let mut last = Template::default();
        map2(c, |text: &str, pattern: &str| parse_date(text, last.of(pattern)).map(Day))
    }),
    f("to_char", &[Timestamp, Text], Text, |c| {
        let mut last = Template::default();
        map2(c, |v: Micros, pattern: &str| format_timestamp(v.0, last.of(pattern), None))
    }),
    f("to_char", &[Timestamptz, Text], Text, |c| {
        let mut last = Template::default();
        map2(c, |v: Micros, pattern: &str| format_timestamp(v.0, last.of(pattern), Some(c.zone)))
    }),
    f("to_char", &[Interval, Text], Text, |c| {
        let mut last = Template::default();
        map2(c, |v: Span, pattern: &str| format_interval(v, last.of(pattern)))
    }),
    f("clock_timestamp", &[], Timestamptz, |c| {
        map_rows(c, |_| Ok(Some(Micros(chrono::Utc::now().timestamp_micros()))))
    })
    .volatile(),
];

fn double(value: Result<Option<i128>>) -> Result<Option<f64>> {
    Ok(value?.map(|value| decimal::to_f64(value, 18)))
}

fn truncate_zoned(unit: &str, moment: i64, zone: &TimeZone) -> Result<Micros> {
    if is_infinite(moment) {
        return Ok(Micros(moment));
    }
    zone.to_utc(truncate(unit, zone.to_local(moment)?)?).map(Micros)
}

/// The start of the bin of width `stride` from `origin` in which a moment lies.
fn bin(stride: Span, moment: Micros, origin: Micros) -> Result<Micros> {
    if is_infinite(moment.0) {
        return Ok(moment);
    }
    if is_infinite(origin.0) {
        return Err(Error::new(SqlState::DATETIME_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(Error::unsupported("binning by months or years"));
    }
    let width = i128::from(stride.micros) + i128::from(stride.days) * i128::from(calendar::MICROS_PER_DAY);
    if width <= 0 {
        return Err(Error::new(SqlState::DATETIME_OVERFLOW, "stride must be greater than zero"));
    }
    let distance = i128::from(moment.0) - i128::from(origin.0);
    let start = i128::from(origin.0) + distance.div_euclid(width) * width;
    i64::try_from(start).map(Micros).map_err(|_| out_of_range("timestamp"))
}

fn by_offset(span: Span) -> Result<TimeZone> {
    if span.months != 0 || span.days != 0 {
        let message = "interval time zone must not include months or days";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(TimeZone::Fixed((span.micros / MICROS_PER_SECOND) as i32, String::new()))
}

fn field_out_of_range(what: &str, shown: String) -> Error {
    Error::new(SqlState::DATETIME_OVERFLOW, format!("{what} field value out of range: {shown}"))
}

/// A negative year is BC.
fn make_day(year: i32, month: i32, day: i32) -> Result<i32> {
    let error = || field_out_of_range("date", format!("{year}-{month:02}-{day:02}"));
    let astronomical = if year < 0 { i64::from(year) + 1 } else { i64::from(year) };
    let (month, day) = (u32::try_from(month).map_err(|_| error())?, u32::try_from(day).map_err(|_| error())?);
    if year == 0 || !(1..=12).contains(&month) || day < 1 || day > calendar::days_in_month(astronomical, month) {
        return Err(error());
    }
    calendar::check_date(calendar::days_from_civil(astronomical, month, day))
}

fn make_clock(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let error = || field_out_of_range("time", format!("{hour}:{minute:02}:{second:02}"));
    if !(0..=24).contains(&hour) || !(0..=59).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(error());
    }
    let micros =
        (i64::from(hour) * 60 + i64::from(minute)) * 60 * MICROS_PER_SECOND + (second * 1e6).round_ties_even() as i64;
    if micros > calendar::MICROS_PER_DAY { Err(error()) } else { Ok(micros) }
}

fn make_timestamp(call: &Call, zone: Option<&TimeZone>) -> Result<arrow::array::ArrayRef> {
    let int = |at: usize| read::<i32>(call, at);
    let (year, month, day, hour, minute) = (int(0)?, int(1)?, int(2)?, int(3)?, int(4)?);
    let second = read::<f64>(call, 5)?;
    map_rows(call, |row| {
        if (0..6).any(|at| call.is_null(at, row)) {
            return Ok(None);
        }
        let date = make_day(year(row), month(row), day(row))?;
        let local = calendar::join_day(i64::from(date), make_clock(hour(row), minute(row), second(row))?)?;
        Ok(Some(Micros(match zone {
            Some(zone) => zone.to_utc(local)?,
            None => local,
        })))
    })
}

/// Years, months, weeks, days, hours, minutes, seconds; those left out are 0.
fn make_interval(call: &Call) -> Result<arrow::array::ArrayRef> {
    let given = call.args.len();
    map_rows(call, |row| {
        if (0..given).any(|at| call.is_null(at, row)) {
            return Ok(None);
        }
        let int =
            |at: usize| -> Result<i64> { if at < given { Ok(i64::from(read::<i32>(call, at)?(row))) } else { Ok(0) } };
        let seconds = if given > 6 { read::<f64>(call, 6)?(row) } else { 0.0 };
        let error = || out_of_range("interval");
        let months = int(0)? * 12 + int(1)?;
        let days = int(2)? * 7 + int(3)?;
        let micros = (int(4)? * 60 + int(5)?) * 60 * MICROS_PER_SECOND + (seconds * 1e6).round_ties_even() as i64;
        let months = i32::try_from(months).map_err(|_| error())?;
        Ok(Some(Span { months, days: i32::try_from(days).map_err(|_| error())?, micros }))
    })
}

/// Seconds since 1970.
fn from_epoch(seconds: f64) -> Result<Micros> {
    if seconds.is_infinite() {
        return Ok(Micros(if seconds > 0.0 {
            calendar::TIMESTAMP_INFINITY
        } else {
            calendar::TIMESTAMP_MINUS_INFINITY
        }));
    }
    let micros = (seconds * 1e6).round_ties_even();
    if micros.abs() < 9.2e18 {
        return Ok(Micros(micros as i64));
    }
    let message = format!("timestamp out of range: \"{seconds}\"");
    Err(Error::new(SqlState::DATETIME_OVERFLOW, message))
}
