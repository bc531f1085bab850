//! `json` and `jsonb` as text. A jsonb is kept in PostgreSQL's output form: keys by length, then bytes, the last of
//! equal keys, one blank after `:` and `,`; numbers keep their digits.

use std::collections::BTreeMap;

use super::json_scanner::Scanner;
use crate::error::Result;

/// A JSON value. Numbers are their text.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// In jsonb's order of keys.
    Object(Vec<(String, Json)>),
}

/// Whether a text is JSON.
pub fn validate(text: &str) -> Result<()> {
    Scanner::whole(text, |scanner| scanner.value().map(|_| ()))
}

/// A text in jsonb's form.
pub fn normalize(text: &str) -> Result<String> {
    Ok(parse(text)?.to_text())
}

/// Reads JSON, in jsonb's meaning.
pub fn parse(text: &str) -> Result<Json> {
    Scanner::whole(text, from_scanner)
}

fn from_scanner(scanner: &mut Scanner) -> Result<Json> {
    Ok(match scanner.peek() {
        Some(b'[') => {
            let mut items = Vec::new();
            scanner.elements(|scanner| {
                items.push(from_scanner(scanner)?);
                Ok(())
            })?;
            Json::Array(items)
        }
        Some(b'{') => {
            let mut members = Vec::new();
            scanner.members(|key, scanner| {
                members.push((key, from_scanner(scanner)?));
                Ok(())
            })?;
            Json::object(members)
        }
        Some(b'"') => Json::String(scanner.string()?),
        _ => match scanner.value()? {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            text => Json::Number(number(text)),
        },
    })
}

/// A number as numeric prints it: no exponent, digits after the point kept.
fn number(text: &str) -> String {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(0)),
        None => (text, 0),
    };
    if exponent == 0 && !text.starts_with("-0") {
        return mantissa.to_owned();
    }
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = whole.len() as i32 + exponent;
    let mut out = if point <= 0 {
        format!("0.{}{all}", "0".repeat(point.unsigned_abs() as usize))
    } else if point as usize >= all.len() {
        format!("{all}{}", "0".repeat(point as usize - all.len()))
    } else {
        format!("{}.{}", &all[..point as usize], &all[point as usize..])
    };
    while out.len() > 1 && out.starts_with('0') && out.as_bytes()[1] != b'.' {
        out.remove(0);
    }
    let zero = out.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if negative && !zero { format!("-{out}") } else { out }
}

impl Json {
    /// An object; of equal keys the last counts.
    pub fn object(members: Vec<(String, Json)>) -> Json {
        let mut unique: BTreeMap<(usize, String), Json> = BTreeMap::new();
        for (key, value) in members {
            unique.insert((key.len(), key), value);
        }
        Json::Object(unique.into_iter().map(|((_, key), value)| (key, value)).collect())
    }

    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The element at `index`, from the end if negative.
    pub fn at(&self, index: i64) -> Option<&Json> {
        match self {
            Json::Array(items) => {
                let index = if index < 0 { index + items.len() as i64 } else { index };
                usize::try_from(index).ok().and_then(|index| items.get(index))
            }
            _ => None,
        }
    }

    /// What `->` gives for an integer: a scalar that stands alone is an array of itself.
    pub fn element(&self, index: i64) -> Option<&Json> {
        match self {
            Json::Array(_) => self.at(index),
            Json::Object(_) => None,
            scalar => matches!(index, 0 | -1).then_some(scalar),
        }
    }

    /// The value at a path of keys and indexes.
    pub fn path<'s>(&self, path: impl Iterator<Item = &'s str>) -> Option<&Json> {
        let mut value = self;
        for step in path {
            value = match value {
                Json::Array(_) => value.at(step.trim().parse().ok()?)?,
                _ => value.get(step)?,
            };
        }
        Some(value)
    }

    /// What `->>` gives: strings bare, null nothing.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_text()),
        }
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// `@>`: whether everything in `other` is in `self`. An array also contains a scalar, at the top only.
    pub fn contains(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Array(items), scalar) if !matches!(scalar, Json::Array(_) | Json::Object(_)) => {
                items.iter().any(|item| item.same(scalar))
            }
            _ => self.contains_value(other),
        }
    }

    fn contains_value(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(members)) => {
                members.iter().all(|(key, value)| self.get(key).is_some_and(|own| own.contains_value(value)))
            }
            (Json::Array(own), Json::Array(items)) => {
                items.iter().all(|item| own.iter().any(|candidate| candidate.contains_value(item)))
            }
            _ => self.same(other),
        }
    }

    /// Equality as jsonb has it: 1.0 is 1.
    pub fn same(&self, other: &Json) -> bool {
        self.canonical() == other.canonical()
    }

    /// A form whose text is equal for equal values.
    pub fn canonical(&self) -> Json {
        match self {
            Json::Number(text) if text.contains('.') => {
                Json::Number(text.trim_end_matches('0').trim_end_matches('.').to_owned())
            }
            Json::Array(items) => Json::Array(items.iter().map(Json::canonical).collect()),
            Json::Object(members) => {
                Json::Object(members.iter().map(|(key, value)| (key.clone(), value.canonical())).collect())
            }
            other => other.clone(),
        }
    }

    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(text) => out.push_str(text),
            Json::String(text) => quote(text, out),
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    quote(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl Json {
    /// A member or element a line, indented by its depth (`jsonb_pretty`).
    pub fn to_pretty_text(&self) -> String {
        let mut out = String::new();
        self.write_pretty(0, &mut out);
        out
    }

    fn write_pretty(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", depth));
        };
        let next = |at: usize, out: &mut String| {
            if at > 0 {
                out.push(',');
            }
            line(depth + 1, out);
        };
        match self {
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    next(at, out);
                    item.write_pretty(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    next(at, out);
                    quote(key, out);
                    out.push_str(": ");
                    value.write_pretty(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
            other => other.write(out),
        }
    }
}

/// Appends a string in quotes, escaped as PostgreSQL's `escape_json` does.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The text of the value at a path of a `json`, exactly as it was written; None where there is none.
pub fn raw_path<'j>(text: &'j str, path: &[Step]) -> Result<Option<&'j str>> {
    let mut value = text.trim();
    for step in path {
        let found = match (value.as_bytes().first(), step) {
            (Some(b'{'), Step::Key(key)) => member(value, key)?,
            (Some(b'['), Step::Key(key)) => match key.trim().parse() {
                Ok(index) => element(value, index)?,
                Err(_) => None,
            },
            (Some(b'['), Step::Index(index)) => element(value, *index)?,
            _ => {
                validate(text)?;
                None
            }
        };
        match found {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(i64),
}

fn member<'j>(text: &'j str, key: &str) -> Result<Option<&'j str>> {
    let mut found = None;
    Scanner::whole(text, |scanner| {
        scanner.members(|name, scanner| {
            let value = scanner.value()?;
            if name == key {
                found = Some(value);
            }
            Ok(())
        })
    })?;
    Ok(found)
}

fn element(text: &str, index: i64) -> Result<Option<&str>> {
    let items = elements(text)?;
    let index = if index < 0 { index + items.len() as i64 } else { index };
    Ok(usize::try_from(index).ok().and_then(|index| items.get(index).copied()))
}

/// The elements of an array, as written.
pub fn elements(text: &str) -> Result<Vec<&str>> {
    let mut items = Vec::new();
    Scanner::whole(text, |scanner| {
        scanner.elements(|scanner| {
            items.push(scanner.value()?);
            Ok(())
        })
    })?;
    Ok(items)
}

/// The members of an object, as written, in the order written.
pub fn members(text: &str) -> Result<Vec<(String, &str)>> {
    let mut items = Vec::new();
    Scanner::whole(text, |scanner| {
        scanner.members(|key, scanner| {
            items.push((key, scanner.value()?));
            Ok(())
        })
    })?;
    Ok(items)
}
