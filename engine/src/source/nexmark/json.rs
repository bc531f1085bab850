//! JSON objects of numbers, simple texts and times.

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};

/// Writes an object, one member after another.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    before: u8,
}

impl Object<'_> {
    pub fn begin(out: &mut Vec<u8>) -> Object<'_> {
        Object { out, before: b'{' }
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(&[self.before, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.before = b',';
    }

    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        push_number(self.out, value, 1);
        self
    }

    /// A text that has neither quotes nor backslashes nor control characters.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
        self
    }

    /// `"2026-01-31 12:30:00.123"` in UTC, of milliseconds since 1970; the year 1970 where no calendar goes.
    pub fn time(mut self, name: &str, millis: i64) -> Self {
        self.name(name);
        push_time(self.out, DateTime::from_timestamp_millis(millis).unwrap_or_default().naive_utc());
        self
    }

    pub fn null(mut self, name: &str) -> Self {
        self.name(name);
        self.out.extend_from_slice(b"null");
        self
    }

    /// A member that something else writes.
    pub fn nested(mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.name(name);
        write(self.out);
        self
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

fn push_time(out: &mut Vec<u8>, time: NaiveDateTime) {
    out.push(b'"');
    push_number(out, u64::from(time.year().unsigned_abs()), 4);
    for (separator, value, digits) in [
        (b'-', time.month(), 2),
        (b'-', time.day(), 2),
        (b' ', time.hour(), 2),
        (b':', time.minute(), 2),
        (b':', time.second(), 2),
        (b'.', time.nanosecond() / 1_000_000, 3),
    ] {
        out.push(separator);
        push_number(out, u64::from(value), digits);
    }
    out.push(b'"');
}

/// A number of at least so many digits.
fn push_number(out: &mut Vec<u8>, mut value: u64, digits: usize) {
    let start = out.len();
    while value > 0 || out.len() < start + digits {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
    }
    out[start..].reverse();
}
