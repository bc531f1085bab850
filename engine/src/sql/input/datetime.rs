//! Dates and times: ISO 8601 and what else PostgreSQL reads with `DateStyle = ISO, MDY`.
//!
//! A text is cut into fields (date, time, zone, words), and the fields are put together. Words that depend on the clock
//! (`now`, `today`) are refused: a text means the same at every time.

use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::{
    self, DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY,
    days_from_civil, days_in_month,
};
use crate::sql::adt::time_zone::{TimeZone, parse_offset};

/// A `date`, in days since 1970.
pub fn parse_date(text: &str) -> Result<i32> {
    let read = Fields::read(text, "date")?;
    match read.special {
        Some(Special::Infinity) => Ok(DATE_INFINITY),
        Some(Special::MinusInfinity) => Ok(DATE_MINUS_INFINITY),
        Some(Special::Epoch) => Ok(0),
        None => {
            let days = read.days(text)?.ok_or_else(|| invalid("date", text))?;
            calendar::check_date(days)
                .map_err(|_| Error::new(super::date_range().sqlstate(), format!("date out of range: \"{text}\"")))
        }
    }
}

/// A `time`, in microseconds since midnight.
pub fn parse_time(text: &str) -> Result<i64> {
    let read = Fields::read(text, "time")?;
    match (read.special, read.time) {
        (None, Some(time)) => Ok(time),
        _ => Err(invalid("time", text)),
    }
}

/// A `timestamp`; a zone in the text is ignored.
pub fn parse_timestamp(text: &str) -> Result<i64> {
    let read = Fields::read(text, "timestamp")?;
    read.local(text, "timestamp")
}

/// A `timestamptz`; without zone in the text it is a time of `zone`.
pub fn parse_timestamptz(text: &str, zone: &TimeZone) -> Result<i64> {
    let ty = "timestamp with time zone";
    let read = Fields::read(text, ty)?;
    let local = read.local(text, ty)?;
    if read.special.is_some() || calendar::is_infinite(local) {
        return Ok(local);
    }
    read.zone.as_ref().unwrap_or(zone).to_utc(local)
}

#[derive(Clone, Copy)]
enum Special {
    Infinity,
    MinusInfinity,
    Epoch,
}

/// What a text says, field by field.
#[derive(Default)]
struct Fields {
    /// Year as written, month, day.
    date: Option<(i64, u32, u32)>,
    /// Days since 1970 of a Julian or ordinal date.
    day: Option<i64>,
    /// Microseconds; 24:00 counts.
    time: Option<i64>,
    zone: Option<TimeZone>,
    bc: bool,
    special: Option<Special>,
}

fn invalid(ty: &str, text: &str) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid input syntax for type {ty}: \"{text}\""))
}

fn out_of_range(text: &str) -> Error {
    Error::new(SqlState::DATETIME_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
}

impl Fields {
    fn read(text: &str, ty: &str) -> Result<Fields> {
        let mut reader = Reader { fields: Fields::default(), month: None, numbers: Vec::new(), text, ty };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(invalid(ty, text));
        }
        while !rest.is_empty() {
            rest = reader.token(rest)?.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        }
        reader.finish()
    }

    fn days(&self, text: &str) -> Result<Option<i64>> {
        if self.day.is_some() {
            return Ok(self.day);
        }
        let Some((year, month, day)) = self.date else {
            return Ok(None);
        };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            let hint = "Perhaps you need a different \"datestyle\" setting.";
            return Err(out_of_range(text).with_hint(hint));
        }
        if self.bc && year <= 0 || !self.bc && year == 0 {
            return Err(out_of_range(text));
        }
        let year = if self.bc { 1 - year } else { year };
        if day > days_in_month(year, month) {
            return Err(out_of_range(text));
        }
        Ok(Some(days_from_civil(year, month, day)))
    }

    fn local(&self, text: &str, ty: &str) -> Result<i64> {
        match self.special {
            Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
            Some(Special::MinusInfinity) => return Ok(TIMESTAMP_MINUS_INFINITY),
            Some(Special::Epoch) => return Ok(0),
            None => {}
        }
        let days = self.days(text)?.ok_or_else(|| invalid(ty, text))?;
        let range = |_| Error::new(SqlState::DATETIME_OVERFLOW, format!("timestamp out of range: \"{text}\""));
        calendar::join_day(days, self.time.unwrap_or(0)).map_err(range)
    }
}

/// Reads a text token by token.
struct Reader<'t> {
    fields: Fields,
    /// A month given by name, and the numbers around it.
    month: Option<u32>,
    numbers: Vec<&'t str>,
    text: &'t str,
    ty: &'t str,
}

impl<'t> Reader<'t> {
    fn invalid(&self) -> Error {
        invalid(self.ty, self.text)
    }

    /// Takes one token off and returns the rest.
    fn token(&mut self, rest: &'t str) -> Result<&'t str> {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_ascii_digit() {
            self.numeric(rest)
        } else if matches!(first, '+' | '-') {
            if rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
                let (word, after) = split(&rest[1..], |c| c.is_ascii_alphabetic());
                if first == '-' && word.eq_ignore_ascii_case("infinity") {
                    self.fields.special = Some(Special::MinusInfinity);
                    return Ok(after);
                }
                // The year or the name of a date such as 8-Jan-1999.
                return self.token(&rest[1..]);
            }
            if self.fields.time.is_none() && self.month.is_some() {
                return self.token(&rest[1..]);
            }
            let (offset, after) = split(rest, |c| c.is_ascii_digit() || matches!(c, '+' | '-' | ':'));
            self.zone(TimeZone::Fixed(parse_offset(offset).ok_or_else(|| self.invalid())?, String::new()))?;
            Ok(after)
        } else if first.is_ascii_alphabetic() {
            self.word(rest)
        } else {
            Err(self.invalid())
        }
    }

    fn zone(&mut self, zone: TimeZone) -> Result<()> {
        if self.fields.zone.is_some() {
            return Err(self.invalid());
        }
        self.fields.zone = Some(zone);
        Ok(())
    }

    fn numeric(&mut self, rest: &'t str) -> Result<&'t str> {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        if after.starts_with(':') {
            let (clock, after) = split(rest, |c| c.is_ascii_digit() || matches!(c, ':' | '.'));
            self.set_time(clock)?;
            return Ok(after);
        }
        let separator = after.chars().next().filter(|c| matches!(c, '-' | '/' | '.'));
        if let Some(separator) = separator {
            let (word, behind) = split(rest, |c| c.is_ascii_digit() || c == separator);
            if word.matches(separator).count() == 2 && self.fields.date.is_none() {
                self.set_date(word, separator)?;
                return Ok(behind);
            }
            if separator == '.' && word.matches('.').count() == 1 {
                return self.decimal(word).map(|()| behind);
            }
        }
        let plain = self.month.is_none() && self.fields.date.is_none() && self.numbers.is_empty();
        match digits.len() {
            8 if plain && self.ty != "time" => self.set_compact(digits, 4)?,
            6 if plain && self.ty != "time" => self.set_compact(digits, 2)?,
            6 if self.fields.date.is_some() || self.ty == "time" => {
                self.set_time(&format!("{}:{}:{}", &digits[..2], &digits[2..4], &digits[4..]))?;
            }
            4 if self.fields.date.is_some() && self.fields.time.is_none() => {
                self.set_time(&format!("{}:{}", &digits[..2], &digits[2..]))?;
            }
            1 | 2 if self.meridiem(after) && self.fields.time.is_none() => {
                self.set_time(&format!("{digits}:00"))?;
            }
            _ => self.numbers.push(digits),
        }
        Ok(after)
    }

    /// Whether AM or PM follows.
    fn meridiem(&self, after: &str) -> bool {
        let word = after.trim_start();
        let (word, _) = split(word, |c| c.is_ascii_alphabetic());
        word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm")
    }

    /// `YYYY.DDD`, an ordinal date, or `HHMMSS.f`.
    fn decimal(&mut self, word: &str) -> Result<()> {
        let (whole, part) = word.split_once('.').unwrap_or((word, ""));
        if whole.len() == 4 && part.len() == 3 && self.fields.date.is_none() {
            let (year, day): (i64, i64) = (self.number(whole)?, self.number(part)?);
            self.fields.day = Some(days_from_civil(year, 1, 1) + day - 1);
            return Ok(());
        }
        if whole.len() == 6 && (self.fields.date.is_some() || self.ty == "time") {
            return self.set_time(&format!("{}:{}:{}.{part}", &whole[..2], &whole[2..4], &whole[4..]));
        }
        Err(self.invalid())
    }

    fn number<T: std::str::FromStr>(&self, digits: &str) -> Result<T> {
        digits.parse().map_err(|_| out_of_range(self.text))
    }

    fn set_date(&mut self, word: &str, separator: char) -> Result<()> {
        let mut parts = word.splitn(3, separator);
        let (a, b, c) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        if b.is_empty() || c.is_empty() {
            return Err(self.invalid());
        }
        // Year first if it has more than two digits, else month, day and year.
        let (year, month, day) = if a.len() > 2 { (a, b, c) } else { (c, a, b) };
        let fits = |digits: &str| digits.len() <= 2;
        if !fits(month) || !fits(day) {
            return Err(self.invalid());
        }
        self.fields.date = Some((self.year(year)?, self.number(month)?, self.number(day)?));
        Ok(())
    }

    /// Two digits are of 1970 to 2069.
    fn year(&self, digits: &str) -> Result<i64> {
        let year: i64 = self.number(digits)?;
        Ok(match digits.len() {
            1 | 2 if year < 70 => year + 2000,
            1 | 2 => year + 1900,
            _ => year,
        })
    }

    fn set_compact(&mut self, digits: &str, year: usize) -> Result<()> {
        let (month, day) = (&digits[year..year + 2], &digits[year + 2..]);
        self.fields.date = Some((self.year(&digits[..year])?, self.number(month)?, self.number(day)?));
        Ok(())
    }

    /// `HH:MM[:SS[.ffffff]]`.
    fn set_time(&mut self, clock: &str) -> Result<()> {
        if self.fields.time.is_some() {
            return Err(self.invalid());
        }
        let mut parts = clock.split(':');
        let (hour, minute) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let second = parts.next().unwrap_or("0");
        if minute.is_empty() || second.is_empty() || parts.next().is_some() || clock.matches('.').count() > 1 {
            return Err(self.invalid());
        }
        let (whole, fraction) = second.split_once('.').unwrap_or((second, ""));
        let (hour, minute): (i64, i64) = (self.number(hour)?, self.number(minute)?);
        let second: i64 = if whole.is_empty() { 0 } else { self.number(whole)? };
        if minute > 59 || second > 60 {
            return Err(out_of_range(self.text));
        }
        let micros = fraction_micros(fraction).ok_or_else(|| self.invalid())?;
        let time = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
        if hour > 24 || time > MICROS_PER_DAY {
            return Err(out_of_range(self.text));
        }
        self.fields.time = Some(time);
        Ok(())
    }

    fn word(&mut self, rest: &'t str) -> Result<&'t str> {
        let (word, after) = split(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_'));
        let (letters, behind) = split(rest, |c| c.is_ascii_alphabetic());
        match letters.to_ascii_lowercase().as_str() {
            "t" if behind.starts_with(|c: char| c.is_ascii_digit()) => return Ok(behind),
            "infinity" | "inf" => self.fields.special = Some(Special::Infinity),
            "epoch" => self.fields.special = Some(Special::Epoch),
            "now" | "today" | "tomorrow" | "yesterday" if word == letters => {
                return Err(Error::unsupported(format!("the date/time value \"{letters}\""))
                    .with_hint("Use now() or current_date instead."));
            }
            "allballs" => self.set_time("00:00:00").map(|()| self.fields.zone = Some(TimeZone::UTC))?,
            "am" | "pm" => self.set_meridiem(letters.eq_ignore_ascii_case("pm"))?,
            "bc" => self.fields.bc = true,
            "ad" => {}
            _ => {
                if let Some(month) = calendar::month_by_name(letters) {
                    self.month = Some(month);
                    return Ok(behind.trim_start_matches(['-', '.']));
                }
                if calendar::day_by_name(letters).is_some() {
                    return Ok(behind);
                }
                return self.named_zone(word, after);
            }
        }
        Ok(behind)
    }

    fn set_meridiem(&mut self, afternoon: bool) -> Result<()> {
        let time = self.fields.time.ok_or_else(|| self.invalid())?;
        let hour = time / 3_600_000_000;
        if !(1..=12).contains(&hour) {
            return Err(out_of_range(self.text));
        }
        let base = time - hour * 3_600_000_000;
        self.fields.time = Some(base + (hour % 12 + if afternoon { 12 } else { 0 }) * 3_600_000_000);
        Ok(())
    }

    /// A zone by name or abbreviation, after the date or time.
    fn named_zone(&mut self, word: &str, after: &'t str) -> Result<&'t str> {
        if self.fields.date.is_none() && self.fields.time.is_none() && self.numbers.is_empty() {
            return Err(self.invalid());
        }
        let zone = match TimeZone::abbreviation(word) {
            Some(offset) => TimeZone::Fixed(offset, word.to_owned()),
            None if word.contains('/') => TimeZone::by_name(word).ok_or_else(|| {
                let message = format!("time zone \"{}\" not recognized", word.to_ascii_lowercase());
                Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })?,
            None => TimeZone::by_name(word).ok_or_else(|| self.invalid())?,
        };
        self.zone(zone)?;
        Ok(after)
    }

    /// Puts a date with a named month together.
    fn finish(mut self) -> Result<Fields> {
        if let Some(month) = self.month {
            let (year, day) = match self.numbers[..] {
                [first, second] if first.len() > 2 => (first, second),
                [day, year] => (year, day),
                _ => return Err(self.invalid()),
            };
            self.fields.date = Some((self.year(year)?, month, self.number(day)?));
        } else if !self.numbers.is_empty() {
            return Err(self.invalid());
        }
        Ok(self.fields)
    }
}

/// Microseconds of the digits after a point, rounded.
fn fraction_micros(digits: &str) -> Option<i64> {
    if digits.is_empty() {
        return Some(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: f64 = format!("0.{digits}").parse().ok()?;
    Some((value * 1e6).round_ties_even() as i64)
}

/// The longest prefix of characters that fit, and the rest.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()))
}
