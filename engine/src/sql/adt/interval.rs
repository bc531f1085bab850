//! `interval`: months, days and microseconds, which never turn into each other by themselves.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use super::out_of_range;
use crate::error::{Error, Result, SqlState};

const MICROS_PER_HOUR: i64 = 3600 * MICROS_PER_SECOND;

/// An interval in PostgreSQL's units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl From<IntervalMonthDayNano> for Interval {
    fn from(value: IntervalMonthDayNano) -> Interval {
        Interval { months: value.months, days: value.days, micros: value.nanoseconds / 1000 }
    }
}

impl Interval {
    /// As Arrow carries it; microseconds beyond its nanoseconds (292 years) are out of range.
    pub fn arrow(self) -> Result<IntervalMonthDayNano> {
        let nanos = self.micros.checked_mul(1000).ok_or_else(|| out_of_range("interval"))?;
        Ok(IntervalMonthDayNano::new(self.months, self.days, nanos))
    }

    fn from_wide(months: i64, days: i64, micros: i64) -> Option<Interval> {
        Some(Interval { months: months.try_into().ok()?, days: days.try_into().ok()?, micros })
    }

    pub fn checked_add(self, other: Interval) -> Result<Interval> {
        let sum = || {
            Some(Interval {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                micros: self.micros.checked_add(other.micros)?,
            })
        };
        sum().ok_or_else(|| out_of_range("interval"))
    }

    pub fn checked_neg(self) -> Result<Interval> {
        let negated = || {
            Some(Interval {
                months: self.months.checked_neg()?,
                days: self.days.checked_neg()?,
                micros: self.micros.checked_neg()?,
            })
        };
        negated().ok_or_else(|| out_of_range("interval"))
    }

    /// Multiplies each field; fractions of months spill into days (30 a month) and of days into time, never back.
    pub fn checked_mul(self, factor: f64) -> Result<Interval> {
        self.scale(|value| value * factor)
    }

    pub fn checked_div(self, divisor: f64) -> Result<Interval> {
        if divisor == 0.0 {
            return Err(super::division_by_zero());
        }
        self.scale(|value| value / divisor)
    }

    fn scale(self, scale: impl Fn(f64) -> f64) -> Result<Interval> {
        let error = || out_of_range("interval");
        let in_i32 = |value: f64| {
            let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
            if fits { Ok(value as i32) } else { Err(error()) }
        };
        // Rounded to microseconds as PostgreSQL's TSROUND does, so that 1/3 of a month is 10 days exactly.
        let ts_round = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let months = scale(f64::from(self.months));
        let days = scale(f64::from(self.days));
        let (whole_months, mut whole_days) = (in_i32(months)?, in_i32(days)?);
        let month_days = ts_round((months - f64::from(whole_months)) * 30.0);
        let mut seconds = (days - f64::from(whole_days) + month_days - month_days.trunc()) * 86_400.0;
        seconds = ts_round(seconds);
        if seconds.abs() >= 86_400.0 {
            let carried = in_i32((seconds / 86_400.0).trunc())?;
            whole_days = whole_days.checked_add(carried).ok_or_else(error)?;
            seconds -= f64::from(carried) * 86_400.0;
        }
        whole_days = whole_days.checked_add(in_i32(month_days)?).ok_or_else(error)?;
        let micros = (scale(self.micros as f64) + seconds * 1e6).round_ties_even();
        if !(micros > i64::MIN as f64 && micros < i64::MAX as f64) {
            return Err(error());
        }
        Ok(Interval { months: whole_months, days: whole_days, micros: micros as i64 })
    }

    /// What intervals compare by: a month is 30 days, a day 24 hours.
    pub fn sort_key(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    /// `justify_hours`: whole 24 hours become days.
    pub fn justify_hours(self) -> Result<Interval> {
        let days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let micros = self.micros % MICROS_PER_DAY;
        let (days, micros) = match (days, micros) {
            (d, m) if d > 0 && m < 0 => (d - 1, m + MICROS_PER_DAY),
            (d, m) if d < 0 && m > 0 => (d + 1, m - MICROS_PER_DAY),
            same => same,
        };
        Interval::from_wide(self.months.into(), days, micros).ok_or_else(|| out_of_range("interval"))
    }

    /// `justify_days`: whole 30 days become months.
    pub fn justify_days(self) -> Result<Interval> {
        let months = i64::from(self.months) + i64::from(self.days / 30);
        let days = i64::from(self.days % 30);
        let (months, days) = match (months, days) {
            (m, d) if m > 0 && d < 0 => (m - 1, d + 30),
            (m, d) if m < 0 && d > 0 => (m + 1, d - 30),
            same => same,
        };
        Interval::from_wide(months, days, self.micros).ok_or_else(|| out_of_range("interval"))
    }

    /// `justify_interval`: both, and all fields of one sign.
    pub fn justify(self) -> Result<Interval> {
        let mut days = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let mut micros = self.micros % MICROS_PER_DAY;
        let mut months = i64::from(self.months) + days / 30;
        days %= 30;
        if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
            (months, days) = (months - 1, days + 30);
        } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
            (months, days) = (months + 1, days - 30);
        }
        if days > 0 && micros < 0 {
            (days, micros) = (days - 1, micros + MICROS_PER_DAY);
        } else if days < 0 && micros > 0 {
            (days, micros) = (days + 1, micros - MICROS_PER_DAY);
        }
        Interval::from_wide(months, days, micros).ok_or_else(|| out_of_range("interval"))
    }

    /// Adds to a timestamp without zone: months first (clamped to the month's end), then days, then time.
    pub fn add_to(self, micros: i64) -> Result<i64> {
        if calendar::is_infinite(micros) {
            return Ok(micros);
        }
        let error = || out_of_range("timestamp");
        let (days, time) = calendar::split_day(micros);
        let days = add_months(days, self.months) + i64::from(self.days);
        let start = calendar::join_day(days, time)?;
        let moved = start.checked_add(self.micros).filter(|value| !calendar::is_infinite(*value)).ok_or_else(error)?;
        if calendar::split_day(moved).0 < calendar::MIN_DAY { Err(error()) } else { Ok(moved) }
    }

    /// Appends PostgreSQL's `postgres` style: `1 year 2 mons 3 days 04:05:06.789`.
    pub fn format(self, out: &mut String) {
        let (years, months) = (self.months / 12, self.months % 12);
        let mut first = true;
        let mut was_negative = false;
        for (value, unit) in [(years, "year"), (months, "mon"), (self.days, "day")] {
            if value == 0 {
                continue;
            }
            if !first {
                out.push(' ');
            }
            // A positive field after a negative one says its sign.
            let sign = if was_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            out.push_str(&format!("{sign}{value} {unit}{plural}"));
            was_negative = value < 0;
            first = false;
        }
        if first || self.micros != 0 {
            if !first {
                out.push(' ');
            }
            out.push_str(if self.micros < 0 {
                "-"
            } else if was_negative {
                "+"
            } else {
                ""
            });
            let size = self.micros.unsigned_abs();
            let seconds = size / 1_000_000;
            out.push_str(&format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
            super::calendar::format_fraction((size % 1_000_000) as u32, out);
        }
    }
}

/// The day `months` later, or the last of that month.
pub fn add_months(days: i64, months: i32) -> i64 {
    if months == 0 {
        return days;
    }
    let (year, month, day) = calendar::civil_from_days(days);
    let total = year * 12 + i64::from(month) - 1 + i64::from(months);
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    calendar::days_from_civil(year, month, day.min(calendar::days_in_month(year, month)))
}

/// `age`: the difference of two timestamps by calendar fields.
pub fn age(later: i64, earlier: i64) -> Result<Interval> {
    if calendar::is_infinite(later) || calendar::is_infinite(earlier) {
        return Err(out_of_range("interval"));
    }
    if later < earlier {
        return age(earlier, later)?.checked_neg();
    }
    let (a, b) = (calendar::Civil::from_micros(later), calendar::Civil::from_micros(earlier));
    let mut micros = a.time_micros() - b.time_micros();
    let mut days = i64::from(a.day) - i64::from(b.day);
    let mut months = (a.year - b.year) * 12 + i64::from(a.month) - i64::from(b.month);
    if micros < 0 {
        (micros, days) = (micros + MICROS_PER_DAY, days - 1);
    }
    if days < 0 {
        (days, months) = (days + i64::from(calendar::days_in_month(b.year, b.month)), months - 1);
    }
    Interval::from_wide(months, days, micros).ok_or_else(|| out_of_range("interval"))
}

/// The unit that a number without unit has, and what finer parts are cut (`INTERVAL '1' DAY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Field {
    fn unit(self) -> &'static str {
        match self {
            Field::Year => "year",
            Field::Month => "month",
            Field::Day => "day",
            Field::Hour => "hour",
            Field::Minute => "minute",
            Field::Second => "second",
        }
    }
}

/// Reads an interval; `last` is the finest field of a qualifier such as `DAY` or `MINUTE TO SECOND`.
pub fn parse(text: &str, last: Option<Field>) -> Result<Interval> {
    let bad =
        || Error::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid input syntax for type interval: \"{text}\""));
    let overflow = || Error::new(SqlState::DATETIME_OVERFLOW, format!("interval field value out of range: \"{text}\""));
    let trimmed = text.trim();
    let total = match trimmed.strip_prefix('P') {
        Some(iso) => parse_iso(iso).ok_or_else(bad)?,
        None => parse_verbose(&with_signs_joined(trimmed), last).ok_or_else(bad)?,
    };
    let interval = total.interval().ok_or_else(overflow)?;
    Ok(match last {
        Some(field) => cut(interval, field),
        None => interval,
    })
}

fn cut(value: Interval, last: Field) -> Interval {
    let Interval { months, days, micros } = value;
    let down_to = |unit: i64| Interval { months, days, micros: micros - micros % unit };
    match last {
        Field::Year => Interval { months: months - months % 12, days: 0, micros: 0 },
        Field::Month => Interval { months, days: 0, micros: 0 },
        Field::Day => Interval { months, days, micros: 0 },
        Field::Hour => down_to(MICROS_PER_HOUR),
        Field::Minute => down_to(60 * MICROS_PER_SECOND),
        Field::Second => value,
    }
}

/// A sum of fields, before it is known to fit.
#[derive(Default)]
struct Sum {
    months: f64,
    days: f64,
    micros: f64,
}

impl Sum {
    /// Adds a number of a unit; its fraction spills into smaller fields as PostgreSQL's does.
    fn add(&mut self, value: f64, unit: &str) -> Option<()> {
        let months = |sum: &mut Sum, value: f64| {
            sum.months += value.trunc();
            sum.add_days((value.fract() * 30.0 * 1e6).round() / 1e6);
        };
        match unit {
            "year" | "years" | "y" | "yr" | "yrs" => self.months += (value * 12.0).round_ties_even(),
            "month" | "months" | "mon" | "mons" => months(self, value),
            "decade" | "decades" | "dec" | "decs" => self.months += (value * 120.0).round_ties_even(),
            "century" | "centuries" | "c" | "cent" => self.months += (value * 1200.0).round_ties_even(),
            "millennium" | "millennia" | "mil" | "mils" => self.months += (value * 12000.0).round_ties_even(),
            "week" | "weeks" | "w" => self.add_days(value * 7.0),
            "day" | "days" | "d" => self.add_days(value),
            "hour" | "hours" | "h" | "hr" | "hrs" => self.micros += value * 3.6e9,
            "minute" | "minutes" | "m" | "min" | "mins" => self.micros += value * 6e7,
            "second" | "seconds" | "s" | "sec" | "secs" => self.micros += (value * 1e6).round_ties_even(),
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" => {
                self.micros += (value * 1e3).round_ties_even();
            }
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" => {
                self.micros += value.round_ties_even();
            }
            _ => return None,
        }
        Some(())
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.micros += (days.fract() * MICROS_PER_DAY as f64).round_ties_even();
    }

    fn interval(&self) -> Option<Interval> {
        let int = |value: f64| (value.abs() <= f64::from(i32::MAX)).then_some(value as i32);
        let micros = (self.micros.abs() < 9.2e18).then_some(self.micros.round_ties_even() as i64)?;
        Some(Interval { months: int(self.months)?, days: int(self.days)?, micros })
    }
}

/// `Y2M3DT4H5M6.7S`, after the P.
fn parse_iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (in_time, rest) = (true, time);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let value: f64 = rest[..end].parse().ok()?;
        let unit = match (&rest[end..=end], in_time) {
            ("Y", false) => "year",
            ("M", false) => "month",
            ("W", false) => "week",
            ("D", false) => "day",
            ("H", true) => "hour",
            ("M", true) => "minute",
            ("S", true) => "second",
            _ => return None,
        };
        sum.add(value, unit)?;
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then_some(sum)
}

/// `1 year 2 mons -3 days 04:05:06.7 ago`, `1-2`, `1 12:00`.
fn parse_verbose(text: &str, last: Option<Field>) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut words = split_words(text).into_iter().peekable();
    let mut any = false;
    while let Some(word) = words.next() {
        let lower = word.to_ascii_lowercase();
        if lower == "ago" && any && words.peek().is_none() {
            (sum.months, sum.days, sum.micros) = (-sum.months, -sum.days, -sum.micros);
            return Some(sum);
        }
        if lower == "@" {
            continue;
        }
        any = true;
        if word.contains(':') {
            sum.micros += parse_clock(word, last)?;
        } else if let Some((years, months)) = year_month(word) {
            sum.months += years * 12.0 + months;
        } else {
            let value: f64 = word.parse().ok().filter(|value: &f64| value.is_finite())?;
            let unit = match words.next_if(|next| next.starts_with(|c: char| c.is_ascii_alphabetic())) {
                Some(unit) => unit.to_ascii_lowercase(),
                // A number before a clock time counts days.
                None if words.peek().is_some_and(|next| next.contains(':')) => "day".to_owned(),
                None => last.map_or("second", Field::unit).to_owned(),
            };
            sum.add(value, &unit)?;
        }
    }
    any.then_some(sum)
}

/// Without the blanks between a sign and its number: `1 month - 1 day`.
fn with_signs_joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let starts_word = out.chars().last().is_none_or(|last| last.is_ascii_whitespace());
        out.push(first);
        rest = &rest[first.len_utf8()..];
        if starts_word && matches!(first, '-' | '+') {
            let number = rest.trim_ascii_start();
            if number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                rest = number;
            }
        }
    }
    out
}

/// Words, also where a number runs into its unit: `1day`.
fn split_words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split_ascii_whitespace() {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+' || c == '.');
        match word.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) if is_number && at > 0 => words.extend([&word[..at], &word[at..]]),
            _ => words.push(word),
        }
    }
    words
}

/// Years and months of `1-2`.
fn year_month(word: &str) -> Option<(f64, f64)> {
    let (negative, rest) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (years, months) = rest.split_once('-')?;
    let (years, months) = (years.parse::<u32>().ok()?, months.parse::<u32>().ok().filter(|m| *m < 12)?);
    let sign = if negative { -1.0 } else { 1.0 };
    Some((sign * f64::from(years), sign * f64::from(months)))
}

/// Microseconds of `[-]hh:mm[:ss[.f]]`; two fields of `MINUTE TO SECOND` are minutes and seconds.
fn parse_clock(word: &str, last: Option<Field>) -> Option<f64> {
    let (negative, rest) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !parts.iter().all(|part| plain(part)) {
        return None;
    }
    let number = |part: &str| part.parse::<f64>().ok();
    let minutes_first = last == Some(Field::Second) || parts.get(1).is_some_and(|part| part.contains('.'));
    let (hours, minutes, seconds) = match parts.as_slice() {
        [minutes, seconds] if minutes_first => (0.0, number(minutes)?, number(seconds)?),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0.0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return None,
    };
    if minutes >= 60.0 && hours > 0.0 || seconds >= 61.0 {
        return None;
    }
    let micros = hours * 3.6e9 + minutes * 6e7 + (seconds * 1e6).round_ties_even();
    Some(if negative { -micros } else { micros })
}
