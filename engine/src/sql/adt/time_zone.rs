//! Time zones by name, abbreviation or offset.

use std::str::FromStr;

use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};

use super::calendar::{MICROS_PER_SECOND, is_infinite};
use super::out_of_range;
use crate::error::{Error, Result, SqlState};

/// A session's or an operator's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimeZone {
    /// Of the tz database.
    Named(Tz),
    /// Seconds east of Greenwich, with the name it was given by.
    Fixed(i32, String),
}

/// Abbreviations that PostgreSQL's default set knows, with seconds east.
const ABBREVIATIONS: [(&str, i32); 24] = [
    ("z", 0),
    ("utc", 0),
    ("gmt", 0),
    ("zulu", 0),
    ("est", -18_000),
    ("edt", -14_400),
    ("cst", -21_600),
    ("cdt", -18_000),
    ("mst", -25_200),
    ("mdt", -21_600),
    ("pst", -28_800),
    ("pdt", -25_200),
    ("akst", -32_400),
    ("hst", -36_000),
    ("wet", 0),
    ("west", 3_600),
    ("bst", 3_600),
    ("cet", 3_600),
    ("cest", 7_200),
    ("eet", 7_200),
    ("eest", 10_800),
    ("msk", 10_800),
    ("jst", 32_400),
    ("kst", 32_400),
];

impl TimeZone {
    pub const UTC: TimeZone = TimeZone::Named(Tz::UTC);

    /// A zone as `SET TimeZone` and `AT TIME ZONE` take it. Bare offsets are POSIX's there: `+02` is west.
    pub fn parse(name: &str) -> Result<TimeZone> {
        let trimmed = name.trim();
        if let Some(offset) = TimeZone::abbreviation(trimmed) {
            return Ok(if offset == 0 { TimeZone::UTC } else { TimeZone::Fixed(offset, trimmed.to_ascii_uppercase()) });
        }
        if let Some(zone) = TimeZone::by_name(trimmed) {
            return Ok(zone);
        }
        let posix = trimmed.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        match parse_offset(posix) {
            Some(seconds) => Ok(TimeZone::Fixed(-seconds, trimmed.to_owned())),
            None => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))),
        }
    }

    /// A zone of the tz database, whatever its case.
    pub fn by_name(name: &str) -> Option<TimeZone> {
        if let Ok(zone) = Tz::from_str(name) {
            return Some(TimeZone::Named(zone));
        }
        let same = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name);
        chrono_tz::TZ_VARIANTS.iter().find(same).map(|zone| TimeZone::Named(*zone))
    }

    /// Seconds east of an abbreviation.
    pub fn abbreviation(name: &str) -> Option<i32> {
        ABBREVIATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, offset)| *offset)
    }

    /// The name as `SHOW TimeZone` tells it.
    pub fn name(&self) -> &str {
        match self {
            TimeZone::Named(zone) => zone.name(),
            TimeZone::Fixed(_, name) => name,
        }
    }

    /// Seconds east at a moment of UTC.
    pub fn offset_at(&self, micros: i64) -> i32 {
        match self {
            TimeZone::Named(Tz::UTC) => 0,
            TimeZone::Named(zone) => zone.offset_from_utc_datetime(&naive(micros)).fix().local_minus_utc(),
            TimeZone::Fixed(seconds, _) => *seconds,
        }
    }

    /// Abbreviation in force at a moment of UTC.
    pub fn abbreviation_at(&self, micros: i64) -> String {
        match self {
            TimeZone::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&naive(micros));
                offset.abbreviation().unwrap_or_default().to_owned()
            }
            TimeZone::Fixed(_, name) => name.clone(),
        }
    }

    /// What clocks of this zone show at a moment of UTC.
    pub fn to_local(&self, micros: i64) -> Result<i64> {
        if is_infinite(micros) {
            return Ok(micros);
        }
        shift(micros, i64::from(self.offset_at(micros)))
    }

    /// The moment of UTC at which clocks of this zone show a time. A time that a clock change skips counts by the
    /// offset before, one that it repeats by the offset after.
    pub fn to_utc(&self, local: i64) -> Result<i64> {
        if is_infinite(local) {
            return Ok(local);
        }
        let offset = match self {
            TimeZone::Named(Tz::UTC) => 0,
            TimeZone::Fixed(seconds, _) => *seconds,
            TimeZone::Named(zone) => match zone.offset_from_local_datetime(&naive(local)) {
                MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
                MappedLocalTime::Ambiguous(one, other) => {
                    one.fix().local_minus_utc().min(other.fix().local_minus_utc())
                }
                MappedLocalTime::None => self.offset_at(local.saturating_sub(86_400 * MICROS_PER_SECOND)),
            },
        };
        shift(local, -i64::from(offset))
    }
}

fn shift(micros: i64, seconds: i64) -> Result<i64> {
    let shifted = micros.checked_add(seconds * MICROS_PER_SECOND).filter(|value| !is_infinite(*value));
    shifted.ok_or_else(|| out_of_range("timestamp"))
}

/// chrono reaches less far than timestamps do; beyond, zones keep their last rule.
fn naive(micros: i64) -> NaiveDateTime {
    const REACH: i64 = 200_000 * 31_556_952;
    let seconds = micros.div_euclid(MICROS_PER_SECOND).clamp(-REACH, REACH);
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc()
}

/// Seconds of `+hh`, `-hh:mm`, `+hhmm`, `+hh:mm:ss`.
pub fn parse_offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        byte if byte.is_ascii_digit() => 1,
        _ => return None,
    };
    let digits = text.trim_start_matches(['+', '-']);
    let parts: Vec<&str> = match digits.len() {
        4 if !digits.contains(':') => vec![digits.get(..2)?, digits.get(2..)?],
        _ => digits.split(':').collect(),
    };
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.len() > 2) {
        return None;
    }
    let mut fields = parts.iter().map(|part| part.parse::<i32>().ok());
    let mut next = || fields.next().unwrap_or(Some(0));
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// Appends `+hh[:mm[:ss]]`.
pub fn format_offset(seconds: i32, out: &mut String) {
    out.push(if seconds < 0 { '-' } else { '+' });
    let size = seconds.unsigned_abs();
    out.push_str(&format!("{:02}", size / 3600));
    if !size.is_multiple_of(3600) {
        out.push_str(&format!(":{:02}", size / 60 % 60));
    }
    if !size.is_multiple_of(60) {
        out.push_str(&format!(":{:02}", size % 60));
    }
}
