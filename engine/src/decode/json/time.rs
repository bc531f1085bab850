//! Dates and times from ISO 8601 and from milliseconds since 1970.

use chrono::{DateTime, NaiveDate};

const SECOND: i64 = 1_000_000;

/// Microseconds since 1970 of milliseconds; None where no calendar of ours goes.
pub fn from_millis(millis: i128) -> Option<i64> {
    let micros = i64::try_from(millis).ok()?.checked_mul(1000)?;
    DateTime::from_timestamp_micros(micros).map(|_| micros)
}

/// Days since 1970 of `2024-01-31`.
pub fn date(text: &str) -> Option<i32> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let days = scanner.date()?;
    scanner.at_end().then_some(days)
}

/// Microseconds since midnight of `12:30`, `12:30:00`, `12:30:00.5`.
pub fn time(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let micros = scanner.time()?;
    scanner.at_end().then_some(micros)
}

/// Microseconds since 1970 of `2024-01-31T12:30:00.5+02:00`; `T` may be a blank, time and zone may be missing. Without
/// zone it is UTC.
pub fn timestamp(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let day = i64::from(scanner.date()?) * 86_400 * SECOND;
    if scanner.at_end() {
        return Some(day);
    }
    if !(scanner.skip(b'T') || scanner.skip(b't') || scanner.skip(b' ')) {
        return None;
    }
    let micros = scanner.time()?;
    let zone = scanner.zone()?;
    scanner.at_end().then_some(day + micros - zone)
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn skip(&mut self, character: u8) -> bool {
        let found = self.rest.first() == Some(&character);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.number(4)?;
        let month = self.skip(b'-').then(|| self.number(2))??;
        let day = self.skip(b'-').then(|| self.number(2))??;
        let date = NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32)?;
        // PostgreSQL has no year 0.
        (year > 0).then(|| date.to_epoch_days())
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        let minute = self.skip(b':').then(|| self.number(2))??;
        let second = if self.skip(b':') { self.number(2)? } else { 0 };
        if minute > 59 || second > 59 {
            return None;
        }
        let fraction = if self.skip(b'.') || self.skip(b',') { self.fraction()? } else { 0 };
        Some(((hour * 60 + minute) * 60 + second) * SECOND + fraction)
    }

    /// Digits after the point, in microseconds, rounded.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.rest.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let digit = |at: usize| digits.get(at).map_or(0, |digit| i64::from(digit - b'0'));
        let micros = (0..6).fold(0, |value, at| value * 10 + digit(at));
        (count > 0).then(|| micros + i64::from(digit(6) >= 5))
    }

    /// Microseconds east of UTC: `Z`, `+02`, `+0200`, `+02:00`, nothing.
    fn zone(&mut self) -> Option<i64> {
        if self.at_end() || self.skip(b'Z') || self.skip(b'z') {
            return Some(0);
        }
        let sign = match () {
            () if self.skip(b'+') => 1,
            () if self.skip(b'-') => -1,
            () => return None,
        };
        let hours = self.number(2)?;
        let minutes = if self.skip(b':') || !self.at_end() { self.number(2)? } else { 0 };
        (hours < 16 && minutes < 60).then(|| sign * (hours * 60 + minutes) * 60 * SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("2024-02-29"), Some(19782));
        assert_eq!(time("23:59:59.999999"), Some(86_400 * SECOND - 1));
        assert_eq!(time("00:01"), Some(60 * SECOND));
        assert_eq!(timestamp("1970-01-01"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:01"), Some(SECOND));
        assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(timestamp("1969-12-31T22:00:00.0000005-0200"), Some(1));
        assert_eq!(timestamp("1970-01-01T00:00Z"), Some(0));
        for invalid in ["", "2024-13-01", "2023-02-29", "24-01-01", "0000-01-01", "2024-01-01x", "+024-01-01"] {
            assert_eq!(date(invalid), None, "{invalid}");
        }
        for invalid in ["24:00:00", "12:60", "12:00:60", "12:00:00.", "1:00", "12:00:00Z"] {
            assert_eq!(time(invalid), None, "{invalid}");
        }
        for invalid in ["2024-01-01T", "2024-01-01T12", "2024-01-01T12:00:00+", "2024-01-01T12:00:00+2", "now"] {
            assert_eq!(timestamp(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn milliseconds() {
        assert_eq!(from_millis(1_700_000_000_123), Some(1_700_000_000_123_000));
        assert_eq!(from_millis(-1), Some(-1000));
        assert_eq!(from_millis(i128::from(i64::MAX)), None);
        assert_eq!(from_millis(i128::MAX), None);
    }
}
