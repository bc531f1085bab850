//! Patterns: regular expressions as PostgreSQL writes them, SIMILAR TO, and LIKE's escapes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::Regex;

use crate::error::{Error, Result, SqlState};

fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {message}"))
}

/// Regular expressions that were used last, the last one first: a view runs the same ones batch after batch, and compiling one
/// takes as long as a thousand rows. Few, because each may take megabytes.
static RECENT: Mutex<VecDeque<Arc<Regex>>> = Mutex::new(VecDeque::new());
const MOST_RECENT: usize = 16;

/// The regular expression that the regex crate reads in `text`.
fn regex(text: &str) -> std::result::Result<Arc<Regex>, regex::Error> {
    {
        let mut recent = RECENT.lock();
        if let Some(at) = recent.iter().position(|known| known.as_str() == text)
            && let Some(known) = recent.remove(at)
        {
            recent.push_front(known.clone());
            return Ok(known);
        }
    }
    let compiled = Arc::new(Regex::new(text)?);
    let mut recent = RECENT.lock();
    recent.truncate(MOST_RECENT - 1);
    recent.push_front(compiled.clone());
    Ok(compiled)
}

/// Keeps the last pattern compiled: patterns are constants, or repeat.
#[derive(Default)]
pub struct Patterns {
    last: Option<(String, bool, Arc<Regex>)>,
}

impl Patterns {
    /// The regular expression of a PostgreSQL pattern.
    pub fn get(&mut self, pattern: &str, ignore_case: bool) -> Result<&Regex> {
        let known = matches!(&self.last, Some((text, ignore, _)) if text == pattern && *ignore == ignore_case);
        if !known {
            self.last = Some((pattern.to_owned(), ignore_case, compile(pattern, ignore_case)?));
        }
        self.last.as_ref().map(|(_, _, regex)| &**regex).ok_or_else(|| Error::internal("no pattern"))
    }
}

/// Compiles PostgreSQL's advanced regular expressions. Back references and look-around are refused (0A000).
pub fn compile(pattern: &str, ignore_case: bool) -> Result<Arc<Regex>> {
    let translated = translate(pattern)?;
    let flags = if ignore_case { "(?si)" } else { "(?s)" };
    regex(&format!("{flags}{translated}")).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
        // The last line of the message says what is wrong.
        other => invalid(other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")),
    })
}

/// From PostgreSQL's escapes to the regex crate's.
fn translate(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        return Ok(regex::escape(literal));
    }
    rest = rest.strip_prefix("***:").unwrap_or(rest);
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, escaped) = chars.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                escape(escaped, &mut out)?;
            }
            '[' => {
                let length = bracket(&rest[at..], &mut out)?;
                while chars.peek().is_some_and(|(next, _)| *next < at + length) {
                    chars.next();
                }
            }
            '(' if rest[at..].starts_with("(?=") || rest[at..].starts_with("(?!") || rest[at..].starts_with("(?<") => {
                return Err(Error::unsupported("a regular expression with look-around"));
            }
            // A brace that opens no repetition stands for itself.
            '{' if !rest[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(escaped: char, out: &mut String) -> Result<()> {
    match escaped {
        'y' => out.push_str("\\b"),
        'Y' => out.push_str("\\B"),
        'm' => out.push_str("\\b{start}"),
        'M' => out.push_str("\\b{end}"),
        'Z' => out.push_str("\\z"),
        'A' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' | 'x' | 'u' | 'U' => {
            out.push('\\');
            out.push(escaped);
        }
        'b' => out.push_str("\\x08"),
        'B' => out.push_str("\\\\"),
        'e' => out.push_str("\\x1B"),
        '0' => out.push_str("\\x00"),
        '1'..='9' => return Err(Error::unsupported("a regular expression with back references")),
        c if c.is_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
        c => out.push_str(&regex::escape(&c.to_string())),
    }
    Ok(())
}

/// Copies a bracket expression, escaping what only the regex crate reads as syntax. Returns its length in bytes.
fn bracket(text: &str, out: &mut String) -> Result<usize> {
    let unbalanced = || invalid("brackets [] not balanced");
    out.push('[');
    let mut at = 1;
    if text[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    if text[at..].starts_with(']') {
        out.push_str("\\]");
        at += 1;
    }
    loop {
        let rest = &text[at..];
        let c = rest.chars().next().ok_or_else(unbalanced)?;
        if c == ']' {
            out.push(']');
            return Ok(at + 1);
        }
        if rest.starts_with("[:") {
            let end = rest.find(":]").ok_or_else(unbalanced)?;
            out.push_str(&rest[..end + 2]);
            at += end + 2;
        } else if rest.starts_with("[.") || rest.starts_with("[=") {
            return Err(Error::unsupported("a collating element in a regular expression"));
        } else if c == '\\' {
            let escaped = rest[1..].chars().next().ok_or_else(unbalanced)?;
            escape(escaped, out)?;
            at += 1 + escaped.len_utf8();
        } else {
            if matches!(c, '[' | '&' | '~') {
                out.push('\\');
            }
            out.push(c);
            at += c.len_utf8();
        }
    }
}

/// A regular expression for a SIMILAR TO pattern; None when the escape is not one character.
pub fn similar(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_bracket = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some(escaped) => out.push_str(&regex::escape(&escaped.to_string())),
                None => return Err(invalid("pattern must not end with escape character")),
            }
        } else if in_bracket {
            in_bracket = c != ']';
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        } else {
            match c {
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '[' => {
                    in_bracket = true;
                    out.push('[');
                }
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

/// A LIKE pattern written with another escape character (None: with none), for one that escapes by backslash.
pub fn like_escape(pattern: &str, escape: Option<char>) -> Result<String> {
    if escape == Some('\\') {
        return Ok(pattern.to_owned());
    }
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let message = "LIKE pattern must not end with escape character";
            let escaped = chars.next().ok_or_else(|| Error::new(SqlState::INVALID_PARAMETER_VALUE, message))?;
            out.push('\\');
            out.push(escaped);
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(out)
}

/// What `flags` of regexp functions ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub ignore_case: bool,
    pub global: bool,
    multi_line: bool,
    not_dot_newline: bool,
    extended: bool,
}

impl Flags {
    pub fn parse(flags: &str) -> Result<Flags> {
        let mut out = Flags::default();
        for flag in flags.chars() {
            match flag {
                'g' => out.global = true,
                'i' => out.ignore_case = true,
                'c' => out.ignore_case = false,
                'n' | 'm' => (out.multi_line, out.not_dot_newline) = (true, true),
                'p' => out.not_dot_newline = true,
                'w' => out.multi_line = true,
                's' => (out.multi_line, out.not_dot_newline) = (false, false),
                'x' => out.extended = true,
                't' => out.extended = false,
                other => {
                    let message = format!("invalid regular expression option: \"{other}\"");
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
            }
        }
        Ok(out)
    }

    /// The pattern under these flags.
    pub fn compile(self, pattern: &str) -> Result<Arc<Regex>> {
        let mut inline = String::new();
        for (set, flag) in [(self.multi_line, "m"), (self.extended, "x")] {
            inline.push_str(if set { flag } else { "" });
        }
        if self.not_dot_newline {
            inline.push_str("-s");
        }
        if inline.is_empty() {
            return compile(pattern, self.ignore_case);
        }
        let flags = if self.ignore_case { "i" } else { "" };
        let translated = translate(pattern)?;
        let base = if self.not_dot_newline { String::new() } else { "s".into() };
        let inline = inline.replace("-s", "");
        let all = format!("{flags}{base}{inline}");
        let prefix = if all.is_empty() { String::new() } else { format!("(?{all})") };
        regex(&format!("{prefix}{translated}")).map_err(invalid)
    }
}
