//! Arithmetic of dates, times, timestamps and intervals.

use super::signature::T::{Date, Float8, Int4, Interval, Time, Timestamp, Timestamptz};
use super::signature::{Function, f};
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{self, MICROS_PER_DAY, is_infinite, is_infinite_date};
use crate::sql::adt::interval::Interval as Span;
use crate::sql::adt::out_of_range;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Clock, Date as Day, Micros, map1, map2};

pub const OPERATORS: &[Function] = &[
    f("+", &[Date, Int4], Date, |c| map2(c, |day: Day, n: i32| add_days(day, i64::from(n)))),
    f("+", &[Int4, Date], Date, |c| map2(c, |n: i32, day: Day| add_days(day, i64::from(n)))),
    f("-", &[Date, Int4], Date, |c| map2(c, |day: Day, n: i32| add_days(day, -i64::from(n)))),
    f("-", &[Date, Date], Int4, |c| map2(c, days_between)),
    f("+", &[Date, Interval], Timestamp, |c| map2(c, |day: Day, span: Span| add(midnight(day)?, span))),
    f("+", &[Interval, Date], Timestamp, |c| map2(c, |span: Span, day: Day| add(midnight(day)?, span))),
    f("-", &[Date, Interval], Timestamp, |c| map2(c, |day: Day, span: Span| add(midnight(day)?, span.checked_neg()?))),
    f("+", &[Date, Time], Timestamp, |c| map2(c, at_time)),
    f("+", &[Time, Date], Timestamp, |c| map2(c, |time: Clock, day: Day| at_time(day, time))),
    f("+", &[Timestamp, Interval], Timestamp, |c| map2(c, |at: Micros, span: Span| add(at.0, span))),
    f("+", &[Interval, Timestamp], Timestamp, |c| map2(c, |span: Span, at: Micros| add(at.0, span))),
    f("-", &[Timestamp, Interval], Timestamp, |c| map2(c, |at: Micros, span: Span| add(at.0, span.checked_neg()?))),
    f("-", &[Timestamp, Timestamp], Interval, |c| map2(c, difference)),
    f("+", &[Timestamptz, Interval], Timestamptz, |c| {
        map2(c, |at: Micros, span: Span| add_zoned(at.0, span, c.zone).map(Micros))
    }),
    f("+", &[Interval, Timestamptz], Timestamptz, |c| {
        map2(c, |span: Span, at: Micros| add_zoned(at.0, span, c.zone).map(Micros))
    }),
    f("-", &[Timestamptz, Interval], Timestamptz, |c| {
        map2(c, |at: Micros, span: Span| add_zoned(at.0, span.checked_neg()?, c.zone).map(Micros))
    }),
    f("-", &[Timestamptz, Timestamptz], Interval, |c| map2(c, difference)),
    f("+", &[Time, Interval], Time, |c| map2(c, |time: Clock, span: Span| Ok(turn(time, span.micros)))),
    f("+", &[Interval, Time], Time, |c| map2(c, |span: Span, time: Clock| Ok(turn(time, span.micros)))),
    f("-", &[Time, Interval], Time, |c| map2(c, |time: Clock, span: Span| Ok(turn(time, -span.micros)))),
    f("-", &[Time, Time], Interval, |c| {
        map2(c, |a: Clock, b: Clock| Ok(Span { micros: a.0 - b.0, ..Span::default() }))
    }),
    f("+", &[Interval, Interval], Interval, |c| map2(c, Span::checked_add)),
    f("-", &[Interval, Interval], Interval, |c| map2(c, |a: Span, b: Span| a.checked_add(b.checked_neg()?))),
    f("-", &[Interval], Interval, |c| map1(c, Span::checked_neg)),
    f("*", &[Interval, Float8], Interval, |c| map2(c, Span::checked_mul)),
    f("*", &[Float8, Interval], Interval, |c| map2(c, |factor: f64, span: Span| span.checked_mul(factor))),
    f("/", &[Interval, Float8], Interval, |c| map2(c, Span::checked_div)),
];

fn add_days(day: Day, days: i64) -> Result<Day> {
    if is_infinite_date(day.0) {
        return Ok(day);
    }
    calendar::check_date(i64::from(day.0) + days).map(Day)
}

fn days_between(later: Day, earlier: Day) -> Result<i32> {
    if is_infinite_date(later.0) || is_infinite_date(earlier.0) {
        return Err(Error::new(SqlState::DATETIME_OVERFLOW, "cannot subtract infinite dates"));
    }
    later.0.checked_sub(earlier.0).ok_or_else(|| out_of_range("date"))
}

fn midnight(day: Day) -> Result<i64> {
    calendar::date_to_timestamp(day.0)
}

fn at_time(day: Day, time: Clock) -> Result<Micros> {
    let start = midnight(day)?;
    if is_infinite(start) {
        return Ok(Micros(start));
    }
    start.checked_add(time.0).map(Micros).ok_or_else(|| out_of_range("timestamp"))
}

fn add(at: i64, span: Span) -> Result<Micros> {
    span.add_to(at).map(Micros)
}

/// Adds to a moment: months and days by the clocks of the zone, hours in real time.
pub fn add_zoned(at: i64, span: Span, zone: &TimeZone) -> Result<i64> {
    if is_infinite(at) {
        return Ok(at);
    }
    let moved = if span.months != 0 || span.days != 0 {
        let dated = Span { micros: 0, ..span };
        zone.to_utc(dated.add_to(zone.to_local(at)?)?)?
    } else {
        at
    };
    moved.checked_add(span.micros).filter(|at| !is_infinite(*at)).ok_or_else(|| out_of_range("timestamp"))
}

/// The time between two moments, in days and hours.
pub fn difference(later: Micros, earlier: Micros) -> Result<Span> {
    if is_infinite(later.0) || is_infinite(earlier.0) {
        return Err(Error::new(SqlState::DATETIME_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let micros = later.0.checked_sub(earlier.0).ok_or_else(|| out_of_range("interval"))?;
    Span { micros, ..Span::default() }.justify_hours()
}

/// A time of day moved round the clock.
fn turn(time: Clock, micros: i64) -> Clock {
    Clock((time.0 + micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
}
