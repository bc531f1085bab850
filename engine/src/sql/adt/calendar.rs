//! Days and microseconds as dates: the proleptic Gregorian calendar, over PostgreSQL's whole range.
//!
//! Dates are days, timestamps microseconds since 1970-01-01. The ends of the integer ranges are the infinities.

use super::out_of_range;
use crate::error::{Error, Result, SqlState};

pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_MINUS_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_MINUS_INFINITY: i64 = i64::MIN;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Day 0 of the Julian calendar count, the earliest date (4714-11-24 BC), in days since 1970.
pub const MIN_DAY: i64 = -2_440_588;
/// 5874897-12-31, the latest date.
pub const MAX_DAY: i64 = 2_145_042_905;

/// Days since 1970 of a year (astronomical: 0 is 1 BC), month and day. The day may exceed the month.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day number.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A moment by its calendar fields, without zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical: 0 is 1 BC.
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub micro: u32,
}

impl Civil {
    pub fn from_micros(micros: i64) -> Civil {
        let (days, time) = split_day(micros);
        let (year, month, day) = civil_from_days(days);
        let seconds = time / MICROS_PER_SECOND;
        Civil {
            year,
            month,
            day,
            hour: (seconds / 3600) as u32,
            minute: (seconds / 60 % 60) as u32,
            second: (seconds % 60) as u32,
            micro: (time % MICROS_PER_SECOND) as u32,
        }
    }

    /// Microseconds since midnight.
    pub fn time_micros(&self) -> i64 {
        i64::from(self.hour * 3600 + self.minute * 60 + self.second) * MICROS_PER_SECOND + i64::from(self.micro)
    }

    pub fn days(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    /// 1..=366.
    pub fn day_of_year(&self) -> i64 {
        self.days() - days_from_civil(self.year, 1, 1) + 1
    }

    /// Year and number of the ISO week.
    pub fn iso_week(&self) -> (i64, i64) {
        let thursday = self.days() - day_of_week_iso(self.days()) + 4;
        let (year, _, _) = civil_from_days(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }
}

/// Days since 1970 and microseconds since midnight.
pub fn split_day(micros: i64) -> (i64, i64) {
    (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY))
}

/// The timestamp of a day and a time; out of range is an error, never an infinity.
pub fn join_day(days: i64, micros: i64) -> Result<i64> {
    (days.checked_mul(MICROS_PER_DAY))
        .and_then(|start| start.checked_add(micros))
        .filter(|value| days >= MIN_DAY && *value != TIMESTAMP_INFINITY)
        .ok_or_else(|| out_of_range("timestamp"))
}

/// 0 = Sunday.
pub fn day_of_week(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// 1 = Monday, 7 = Sunday.
pub fn day_of_week_iso(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

pub fn is_infinite(micros: i64) -> bool {
    micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_MINUS_INFINITY
}

pub fn is_infinite_date(days: i32) -> bool {
    days == DATE_INFINITY || days == DATE_MINUS_INFINITY
}

/// The date, if it is one.
pub fn check_date(days: i64) -> Result<i32> {
    if (MIN_DAY..=MAX_DAY).contains(&days) { Ok(days as i32) } else { Err(out_of_range("date")) }
}

/// Midnight of a date.
pub fn date_to_timestamp(days: i32) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_MINUS_INFINITY => Ok(TIMESTAMP_MINUS_INFINITY),
        days => join_day(i64::from(days), 0)
            .map_err(|_| out_of_range("date"))
            .map_err(|_| Error::new(SqlState::DATETIME_OVERFLOW, "date out of range for timestamp")),
    }
}

/// The day of a timestamp.
pub fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_MINUS_INFINITY => DATE_MINUS_INFINITY,
        micros => split_day(micros).0 as i32,
    }
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Month 1..=12 of a name or its abbreviation.
pub fn month_by_name(name: &str) -> Option<u32> {
    by_name(name, &MONTHS).map(|at| at as u32 + 1)
}

/// Day of the week (0 = Sunday) of a name or its abbreviation.
pub fn day_by_name(name: &str) -> Option<u32> {
    by_name(name, &DAYS).map(|at| at as u32)
}

fn by_name(name: &str, names: &[&str]) -> Option<usize> {
    let name = name.trim_end_matches('.');
    let matches = |full: &&str| {
        full.eq_ignore_ascii_case(name)
            || (name.len() >= 3
                && name.len() <= 5
                && full.get(..name.len()).is_some_and(|p| p.eq_ignore_ascii_case(name)))
    };
    names.iter().position(matches)
}

/// Appends `.ffffff` without trailing zeros; nothing for 0.
pub fn format_fraction(micro: u32, out: &mut String) {
    if micro != 0 {
        let digits = format!("{micro:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// Appends `YYYY-MM-DD`; the caller appends `" BC"` for years before 1, at the very end.
pub fn format_day(year: i64, month: u32, day: u32, out: &mut String) {
    let shown = if year > 0 { year } else { 1 - year };
    out.push_str(&format!("{shown:04}-{month:02}-{day:02}"));
}

/// Appends `HH:MM:SS[.ffffff]` of microseconds since midnight.
pub fn format_time(micros: i64, out: &mut String) {
    let seconds = micros / MICROS_PER_SECOND;
    out.push_str(&format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    format_fraction((micros % MICROS_PER_SECOND) as u32, out);
}

/// Appends a date as PostgreSQL's ISO style prints it.
pub fn format_date(days: i32, out: &mut String) {
    match days {
        DATE_INFINITY => out.push_str("infinity"),
        DATE_MINUS_INFINITY => out.push_str("-infinity"),
        days => {
            let (year, month, day) = civil_from_days(i64::from(days));
            format_day(year, month, day, out);
            if year <= 0 {
                out.push_str(" BC");
            }
        }
    }
}

/// Appends a timestamp as PostgreSQL's ISO style prints it; `offset` (seconds east) has been added to `micros` already.
pub fn format_timestamp(micros: i64, offset: Option<i32>, out: &mut String) {
    match micros {
        TIMESTAMP_INFINITY => out.push_str("infinity"),
        TIMESTAMP_MINUS_INFINITY => out.push_str("-infinity"),
        micros => {
            let (days, time) = split_day(micros);
            let (year, month, day) = civil_from_days(days);
            format_day(year, month, day, out);
            out.push(' ');
            format_time(time, out);
            if let Some(offset) = offset {
                super::time_zone::format_offset(offset, out);
            }
            if year <= 0 {
                out.push_str(" BC");
            }
        }
    }
}
