//! Walks the text of a JSON value without building it.

use crate::error::{Error, Result, SqlState};

/// Values within values before a text is refused.
const MAX_DEPTH: usize = 500;

/// A place in a JSON text.
pub struct Scanner<'j> {
    text: &'j str,
    at: usize,
    depth: usize,
}

impl<'j> Scanner<'j> {
    /// Runs `read` over a text, which must be used up then.
    pub fn whole<T>(text: &'j str, read: impl FnOnce(&mut Scanner<'j>) -> Result<T>) -> Result<T> {
        let mut scanner = Scanner { text, at: 0, depth: 0 };
        scanner.blanks();
        let value = read(&mut scanner)?;
        scanner.blanks();
        match scanner.peek() {
            None => Ok(value),
            Some(_) => Err(scanner.expected("end of input")),
        }
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next value, as it is written.
    pub fn value(&mut self) -> Result<&'j str> {
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.members(|_, scanner| scanner.value().map(|_| ()))?,
            Some(b'[') => self.elements(|scanner| scanner.value().map(|_| ()))?,
            Some(b'"') => self.string().map(|_| ())?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.ended()),
        }
        Ok(&self.text[start..self.at])
    }

    /// Runs `read` at each element of an array.
    pub fn elements(&mut self, mut read: impl FnMut(&mut Scanner<'j>) -> Result<()>) -> Result<()> {
        self.sequence(b'[', b']', &mut read)
    }

    /// Runs `read` at the value of each member of an object.
    pub fn members(&mut self, mut read: impl FnMut(String, &mut Scanner<'j>) -> Result<()>) -> Result<()> {
        self.sequence(b'{', b'}', &mut |scanner| {
            if scanner.peek() != Some(b'"') {
                return Err(scanner.expected("string"));
            }
            let key = scanner.string()?;
            scanner.blanks();
            if !scanner.eat(b':') {
                return Err(scanner.expected("\":\""));
            }
            scanner.blanks();
            read(key, scanner)
        })
    }

    fn sequence(&mut self, open: u8, close: u8, read: &mut dyn FnMut(&mut Scanner<'j>) -> Result<()>) -> Result<()> {
        if !self.eat(open) {
            return Err(self.expected(if open == b'[' { "array" } else { "object" }));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "JSON value is nested too deeply"));
        }
        self.blanks();
        if !self.eat(close) {
            loop {
                read(self)?;
                self.blanks();
                if self.eat(close) {
                    break;
                }
                if !self.eat(b',') {
                    return Err(self.expected(if open == b'[' { "\",\" or \"]\"" } else { "\",\" or \"}\"" }));
                }
                self.blanks();
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A string's value.
    pub fn string(&mut self) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(['"', '\\']).ok_or_else(|| self.ended())?;
            let plain = &rest[..end];
            if let Some(control) = plain.chars().find(|c| *c < ' ') {
                return Err(invalid(format!("Character with value 0x{:02x} must be escaped.", control as u32)));
            }
            out.push_str(plain);
            self.at += end + 1;
            if rest.as_bytes()[end] == b'"' {
                return Ok(out);
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char> {
        let c = self.text[self.at..].chars().next().ok_or_else(|| self.ended())?;
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            other => return Err(invalid(format!("Escape sequence \"\\{other}\" is invalid."))),
        })
    }

    /// The character of `\uXXXX`, or of two that are a surrogate pair.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        if first == 0 {
            let error = Error::new(SqlState::INVALID_TEXT, "unsupported Unicode escape sequence");
            return Err(error.with_detail("\\u0000 cannot be converted to text."));
        }
        let code = if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(invalid("Unicode low surrogate must follow a high surrogate."));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| invalid("Unicode low surrogate must follow a high surrogate."))
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4).ok_or_else(|| self.ended())?;
        let bad = || invalid("\"\\u\" must be followed by four hexadecimal digits.");
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| bad())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        self.eat(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut good = whole > 0 && !(leading_zero && whole > 1);
        if self.eat(b'.') {
            good &= self.digits() > 0;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            good &= self.digits() > 0;
        }
        let runs_on = self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if good && !runs_on { Ok(()) } else { Err(self.bad_token(start)) }
    }

    fn word(&mut self) -> Result<()> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += length;
        if matches!(&rest[..length], "null" | "true" | "false") { Ok(()) } else { Err(self.bad_token(start)) }
    }

    /// The token at `start`, as an error shows it.
    fn token(&self, start: usize) -> &'j str {
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '+' | '-'));
        match length {
            Some(0) => &rest[..rest.chars().next().map_or(0, char::len_utf8)],
            Some(length) => &rest[..length],
            None => rest,
        }
    }

    fn bad_token(&self, start: usize) -> Error {
        invalid(format!("Token \"{}\" is invalid.", self.token(start)))
    }

    fn expected(&self, what: &str) -> Error {
        match self.peek() {
            None => self.ended(),
            Some(_) => invalid(format!("Expected {what}, but found \"{}\".", self.token(self.at))),
        }
    }

    fn ended(&self) -> Error {
        invalid("The input string ended unexpectedly.")
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_TEXT, "invalid input syntax for type json").with_detail(detail)
}
