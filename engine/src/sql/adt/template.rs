//! `to_char`, `to_timestamp` and `to_date`: templates such as `YYYY-MM-DD HH24:MI:SS`.

use super::calendar::{self, Civil, DAYS, MICROS_PER_SECOND, MONTHS, is_infinite};
use super::interval::Interval;
use super::time_zone::{TimeZone, format_offset};
use crate::error::{Error, Result, SqlState};

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece<'t> {
    /// A field by its keyword (upper case), written as `written`, with its modifiers.
    Field {
        key: &'static str,
        written: &'t str,
        fill: bool,
        ordinal: Option<bool>,
    },
    Text(&'t str),
}

/// Keywords, longer ones before their prefixes.
const KEYWORDS: [&str; 52] = [
    "SSSSS", "SSSS", "Y,YYY", "MONTH", "HH24", "HH12", "YYYY", "IYYY", "IDDD", "A.D.", "B.C.", "A.M.", "P.M.", "DDD",
    "DAY", "MON", "YYY", "IYY", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH", "MI", "SS", "MS", "US",
    "AM", "PM", "YY", "IY", "BC", "AD", "MM", "DY", "DD", "ID", "WW", "IW", "CC", "RM", "TZ", "OF", "Y", "I", "D", "W",
    "Q",
];

/// A template that has been read. Rows of a column have the same one nearly always, so the last is kept for the next row.
#[derive(Default)]
pub struct Template<'t> {
    text: &'t str,
    pieces: Vec<Piece<'t>>,
}

impl<'t> Template<'t> {
    /// The template that a text stands for; read anew only where the text is another than the last.
    pub fn of(&mut self, text: &'t str) -> &Template<'t> {
        if self.text != text {
            *self = Template { text, pieces: pieces(text) };
        }
        self
    }
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push(Piece::Text(&quoted[..end]));
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let (fill, body) = match rest.get(..2) {
            Some(prefix) if prefix.eq_ignore_ascii_case("FM") => (false, &rest[2..]),
            Some(prefix) if prefix.eq_ignore_ascii_case("TM") => (true, &rest[2..]),
            _ => (true, rest),
        };
        let starts = |key: &&&str| body.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key));
        let julian = body.get(..1).is_some_and(|start| start.eq_ignore_ascii_case("J"));
        match KEYWORDS.iter().find(starts).copied().or(julian.then_some("J")) {
            Some(key) => {
                let after = &body[key.len()..];
                let ordinal = match after.get(..2) {
                    Some("TH") => Some(true),
                    Some("th") => Some(false),
                    _ => None,
                };
                out.push(Piece::Field { key, written: &body[..key.len()], fill, ordinal });
                rest = if ordinal.is_some() { &after[2..] } else { after };
            }
            None => {
                let body = body.strip_prefix('\\').filter(|rest| !rest.is_empty()).unwrap_or(body);
                let length = body.chars().next().map_or(0, char::len_utf8);
                out.push(Piece::Text(&body[..length]));
                rest = &body[length..];
            }
        }
    }
    out
}

/// Case of a word as its keyword was written: `MON`, `Mon`, `mon`.
fn cased(word: &str, written: &str) -> String {
    let mut letters = written.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => word.to_uppercase(),
        (Some(first), _) if first.is_uppercase() => word.to_owned(),
        _ => word.to_lowercase(),
    }
}

/// The values that fields print.
struct Shown<'z> {
    civil: Civil,
    /// Hours of an interval go beyond 23.
    hours: i64,
    /// Moment of UTC and the zone it is shown in.
    zone: Option<(i64, &'z TimeZone)>,
    interval: bool,
}

/// `to_char` of a timestamp, or of a moment in a zone. Infinite ones give nothing, and so does an empty template.
pub fn format_timestamp(value: i64, template: &Template, zone: Option<&TimeZone>) -> Result<Option<String>> {
    if is_infinite(value) || template.pieces.is_empty() {
        return Ok(None);
    }
    let local = match zone {
        Some(zone) => zone.to_local(value)?,
        None => value,
    };
    let civil = Civil::from_micros(local);
    let zone = zone.map(|zone| (value, zone));
    let shown = Shown { civil, hours: i64::from(civil.hour), zone, interval: false };
    format(&shown, template).map(Some)
}

/// `to_char` of an interval. An empty template gives nothing.
pub fn format_interval(value: Interval, template: &Template) -> Result<Option<String>> {
    if template.pieces.is_empty() {
        return Ok(None);
    }
    let sign = if value.micros < 0 { -1 } else { 1 };
    let micros = value.micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    let civil = Civil {
        year: i64::from(value.months / 12),
        month: (value.months % 12).unsigned_abs(),
        day: value.days.unsigned_abs(),
        hour: 0,
        minute: (seconds / 60 % 60) as u32,
        second: (seconds % 60) as u32,
        micro: (micros % 1_000_000) as u32,
    };
    if value.months < 0 || value.days < 0 || sign < 0 {
        return Err(Error::unsupported("to_char() of a negative interval"));
    }
    format(&Shown { civil, hours: (seconds / 3600) as i64, zone: None, interval: true }, template).map(Some)
}

fn format(shown: &Shown, template: &Template) -> Result<String> {
    let mut out = String::new();
    for &piece in &template.pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Field { key, written, fill, ordinal } => {
                let text = field(shown, key, written, fill)?;
                out.push_str(&text);
                if let Some(upper) = ordinal {
                    let suffix = suffix(&text);
                    out.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
                }
            }
        }
    }
    Ok(out)
}

/// `st`, `nd`, `rd` or `th`.
pub fn suffix(number: &str) -> &'static str {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    let teen = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    match digits.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

fn field(shown: &Shown, key: &str, written: &str, fill: bool) -> Result<String> {
    let civil = &shown.civil;
    let padded = |value: i64, width: usize| if fill { format!("{value:0width$}") } else { value.to_string() };
    let word = |text: &str, width: usize| {
        let text = cased(text, written);
        if fill { format!("{text:width$}") } else { text }
    };
    let year = if civil.year > 0 || shown.interval { civil.year } else { 1 - civil.year };
    let iso_week = || if shown.interval { (year, 0) } else { civil.iso_week() };
    let iso_year = |width, modulo| padded(iso_week().0 % modulo, width);
    let noon = |hours: i64| if hours % 12 == 0 { 12 } else { hours % 12 };
    if shown.interval
        && matches!(key, "DAY" | "DY" | "MONTH" | "MON" | "RM" | "D" | "ID" | "BC" | "AD" | "B.C." | "A.D.")
    {
        let message = "invalid format specification for an interval value";
        return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
            .with_hint("Intervals are not tied to specific calendar dates."));
    }
    Ok(match key {
        "YYYY" => padded(year, 4),
        "YYY" => padded(year % 1000, 3),
        "YY" => padded(year % 100, 2),
        "Y" => padded(year % 10, 1),
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "IYYY" => padded(iso_week().0, 4),
        "IYY" => iso_year(3, 1000),
        "IY" => iso_year(2, 100),
        "I" => iso_year(1, 10),
        "MM" => padded(i64::from(civil.month), 2),
        "DD" => padded(i64::from(civil.day), 2),
        "DDD" => padded(civil.day_of_year(), 3),
        "IDDD" => padded((iso_week().1 - 1) * 7 + calendar::day_of_week_iso(civil.days()), 3),
        "D" => (calendar::day_of_week(civil.days()) + 1).to_string(),
        "ID" => calendar::day_of_week_iso(civil.days()).to_string(),
        "W" => ((civil.day - 1) / 7 + 1).to_string(),
        "WW" => padded((civil.day_of_year() - 1) / 7 + 1, 2),
        "IW" => padded(iso_week().1, 2),
        "Q" => ((civil.month.max(1) - 1) / 3 + 1).to_string(),
        "CC" => padded(if shown.interval { year / 100 } else { (year + 99) / 100 }, 2),
        "J" => (civil.days() - calendar::MIN_DAY).to_string(),
        "HH24" => padded(shown.hours, 2),
        "HH" | "HH12" => padded(noon(shown.hours), 2),
        "MI" => padded(i64::from(civil.minute), 2),
        "SS" => padded(i64::from(civil.second), 2),
        "SSSS" | "SSSSS" => (shown.hours * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second)).to_string(),
        "MS" | "FF3" => format!("{:03}", civil.micro / 1000),
        "US" | "FF6" => format!("{:06}", civil.micro),
        "FF1" => (civil.micro / 100_000).to_string(),
        "FF2" => format!("{:02}", civil.micro / 10_000),
        "FF4" => format!("{:04}", civil.micro / 100),
        "FF5" => format!("{:05}", civil.micro / 10),
        "AM" | "PM" => half(if shown.hours % 24 < 12 { "AM" } else { "PM" }, written),
        "A.M." | "P.M." => half(if shown.hours % 24 < 12 { "A.M." } else { "P.M." }, written),
        "BC" | "AD" => half(if civil.year > 0 { "AD" } else { "BC" }, written),
        "B.C." | "A.D." => half(if civil.year > 0 { "A.D." } else { "B.C." }, written),
        "MONTH" => word(MONTHS[civil.month as usize - 1], 9),
        "MON" => word(&MONTHS[civil.month as usize - 1][..3], 3),
        "DAY" => word(DAYS[calendar::day_of_week(civil.days()) as usize], 9),
        "DY" => word(&DAYS[calendar::day_of_week(civil.days()) as usize][..3], 3),
        "RM" => roman(civil.month, written, fill),
        _ => zone_field(shown, key, written),
    })
}

fn half(text: &str, written: &str) -> String {
    if written.starts_with(char::is_lowercase) { text.to_lowercase() } else { text.to_owned() }
}

fn roman(month: u32, written: &str, fill: bool) -> String {
    const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
    let text = half(ROMAN[month as usize - 1], written);
    if fill { format!("{text:4}") } else { text }
}

fn zone_field(shown: &Shown, key: &str, written: &str) -> String {
    let offset = shown.zone.map_or(0, |(moment, zone)| zone.offset_at(moment));
    match key {
        "TZ" => match shown.zone {
            Some((moment, zone)) => {
                let name = zone.abbreviation_at(moment);
                if written.starts_with(char::is_lowercase) { name.to_lowercase() } else { name }
            }
            None => String::new(),
        },
        "TZH" => format!("{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600),
        "TZM" => format!("{:02}", offset.abs() / 60 % 60),
        _ => {
            let mut out = String::new();
            format_offset(offset, &mut out);
            out
        }
    }
}

/// What a text said, field by field.
#[derive(Default)]
struct Read {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    twelve: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    bc: bool,
    offset_hours: Option<i32>,
    offset_minutes: i32,
}

/// `to_timestamp(text, template)`, in the zone unless the text has an offset.
pub fn parse_timestamp(text: &str, template: &Template, zone: &TimeZone) -> Result<i64> {
    let read = parse(text, template)?;
    let local = calendar::join_day(read.days(text)?, read.time(text)?)?;
    match read.offset_hours {
        Some(hours) => {
            let minutes = if hours < 0 { -read.offset_minutes } else { read.offset_minutes };
            Ok(local - i64::from(hours * 60 + minutes) * 60 * MICROS_PER_SECOND)
        }
        None => zone.to_utc(local),
    }
}

/// `to_date(text, template)`.
pub fn parse_date(text: &str, template: &Template) -> Result<i32> {
    calendar::check_date(parse(text, template)?.days(text)?)
}

fn out_of_range(text: &str) -> Error {
    Error::new(SqlState::DATETIME_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
}

impl Read {
    fn days(&self, text: &str) -> Result<i64> {
        if let Some(julian) = self.julian {
            return Ok(julian + calendar::MIN_DAY);
        }
        if let Some(year) = self.iso_year {
            let start = calendar::days_from_civil(year, 1, 4);
            let monday = start - calendar::day_of_week_iso(start) + 1;
            return Ok(monday + (self.iso_week.unwrap_or(1) - 1) * 7 + self.iso_day.unwrap_or(1) - 1);
        }
        let written = self.year.unwrap_or(if self.bc { 1 } else { 0 });
        // Without a year, it is year 1 BC, as year 0 of PostgreSQL's.
        let year = if self.bc { 1 - written } else { written };
        if let Some(day) = self.day_of_year {
            let length = if calendar::is_leap(year) { 366 } else { 365 };
            return if (1..=length).contains(&day) {
                Ok(calendar::days_from_civil(year, 1, 1) + day - 1)
            } else {
                Err(out_of_range(text))
            };
        }
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if !(1..=12).contains(&month) || day < 1 || day > calendar::days_in_month(year, month) {
            return Err(out_of_range(text));
        }
        Ok(calendar::days_from_civil(year, month, day))
    }

    fn time(&self, text: &str) -> Result<i64> {
        let mut hour = self.hour;
        if self.twelve {
            if !(1..=12).contains(&hour) {
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                return Err(Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
                    .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match self.afternoon {
                Some(true) if hour < 12 => hour += 12,
                Some(false) if hour == 12 => hour = 0,
                _ => {}
            }
        }
        if !(0..24).contains(&hour) || !(0..60).contains(&self.minute) || !(0..60).contains(&self.second) {
            return Err(out_of_range(text));
        }
        Ok(((hour * 60 + self.minute) * 60 + self.second) * MICROS_PER_SECOND + self.micros)
    }
}

fn parse(text: &str, template: &Template) -> Result<Read> {
    let mut read = Read::default();
    let mut rest = text.trim_start();
    for (at, piece) in template.pieces.iter().enumerate() {
        match piece {
            Piece::Text(separator) => {
                let any_separator = separator.chars().all(|c| !c.is_alphanumeric());
                for _ in separator.chars() {
                    let next = rest.chars().next();
                    match next {
                        // A separator stands for any other; letters of the template skip a character.
                        Some(c)
                            if !any_separator
                                || (!c.is_alphanumeric() && !matches!(c, '+' | '-'))
                                || c == '-' && separator.contains('-') =>
                        {
                            rest = &rest[c.len_utf8()..];
                        }
                        _ => {}
                    }
                }
            }
            Piece::Field { key, fill, .. } => {
                rest = rest.trim_start();
                if rest.is_empty() {
                    break;
                }
                let followed = matches!(template.pieces.get(at + 1), Some(Piece::Field { .. }));
                rest = read_field(&mut read, key, rest, *fill && followed, text)?;
            }
        }
    }
    Ok(read)
}

/// Reads one field and returns what follows. `fixed`: digits of the next field follow at once.
fn read_field<'t>(read: &mut Read, key: &str, rest: &'t str, fixed: bool, text: &str) -> Result<&'t str> {
    let width = match key {
        "YYYY" | "IYYY" if fixed => 4,
        "YYYY" | "IYYY" => 9,
        "YYY" | "IYY" | "DDD" | "MS" | "FF3" => 3,
        "US" | "FF6" => 6,
        "SSSS" | "SSSSS" => 5,
        "J" => 8,
        "Y" | "I" | "ID" | "D" | "Q" | "FF1" => 1,
        _ => 2,
    };
    let invalid = || {
        let message = format!("invalid value \"{}\" for \"{key}\"", rest.chars().take(width).collect::<String>());
        Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
    };
    let number = || -> Result<(i64, usize)> {
        let length = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
        Ok((rest[..length].parse().map_err(|_| invalid().with_detail("Value must be an integer."))?, length))
    };
    let word = || rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    match key {
        "MONTH" | "MON" => {
            let whole = &rest[..word()];
            let found = (1..=12u32).find_map(|month| {
                let name = MONTHS[month as usize - 1];
                let full = whole.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
                let short = whole.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(&name[..3]));
                if full && key == "MONTH" { Some((month, name.len())) } else { short.then_some((month, 3)) }
            });
            let (month, length) = found.ok_or_else(|| {
                invalid().with_detail("The given value did not match any of the allowed values for this field.")
            })?;
            read.month = Some(month);
            return Ok(&rest[length..]);
        }
        "DAY" | "DY" => return Ok(&rest[word()..]),
        "AM" | "PM" | "A.M." | "P.M." => {
            let letters: String = rest.chars().take(key.len()).filter(|c| c.is_alphabetic()).collect();
            read.afternoon = Some(match letters.to_ascii_lowercase().as_str() {
                "am" => false,
                "pm" => true,
                _ => return Err(invalid()),
            });
            return Ok(&rest[key.len().min(rest.len())..]);
        }
        "BC" | "AD" | "B.C." | "A.D." => {
            read.bc = rest.starts_with(['b', 'B']);
            return Ok(&rest[key.len().min(rest.len())..]);
        }
        "TZH" | "OF" => {
            let negative = rest.starts_with('-');
            let digits = rest.trim_start_matches(['+', '-']);
            let length = digits.bytes().take(2).take_while(u8::is_ascii_digit).count();
            let hours: i32 = digits[..length].parse().map_err(|_| invalid())?;
            read.offset_hours = Some(if negative { -hours } else { hours });
            return Ok(&digits[length..]);
        }
        "TZ" | "RM" | "CC" | "Y,YYY" | "WW" | "W" | "IDDD" | "Q" | "D" => {
            return Err(Error::unsupported(format!("\"{key}\" in to_timestamp() and to_date()")));
        }
        _ => {}
    }
    let (value, length) = number()?;
    let near = |value: i64| {
        if value < 70 {
            value + 2000
        } else if value < 100 {
            value + 1900
        } else {
            value
        }
    };
    match key {
        "YYYY" => read.year = Some(value),
        "YYY" => read.year = Some(if value < 520 { value + 2000 } else { value + 1000 }),
        "YY" if length <= 2 => read.year = Some(near(value)),
        "Y" => read.year = Some(value + 2000),
        "IYYY" => read.iso_year = Some(value),
        "IY" => read.iso_year = Some(near(value)),
        "IW" => read.iso_week = Some(value),
        "ID" => read.iso_day = Some(value),
        "MM" => read.month = Some(value as u32),
        "DD" => read.day = Some(value as u32),
        "DDD" => read.day_of_year = Some(value),
        "J" => read.julian = Some(value),
        "HH24" => read.hour = value,
        "HH" | "HH12" => (read.hour, read.twelve) = (value, true),
        "MI" => read.minute = value,
        "SS" => read.second = value,
        "SSSS" | "SSSSS" => (read.hour, read.minute, read.second) = (value / 3600, value / 60 % 60, value % 60),
        "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
            read.micros = value * 10i64.pow(6 - length.min(6) as u32);
        }
        "TZM" => read.offset_minutes = value as i32,
        _ => return Err(Error::unsupported(format!("\"{key}\" in {text}"))),
    }
    Ok(&rest[length..])
}
