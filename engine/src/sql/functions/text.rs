//! Text: operators and the functions of every day.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Like;

use super::cast::column_texts;
use super::signature::T::{Any, AnyNonArray, Bool, Bpchar, Bytea, Int4, Text};
use super::signature::{Function, Kernel, Volatility, f, plan};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::pattern::{self, Patterns};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Call, map_rows, map1, map2, map3, map4};

pub const OPERATORS: &[Function] = &[
    f("||", &[Text, Text], Text, |c| map2(c, |a: &str, b: &str| Ok(format!("{a}{b}")))),
    f("||", &[Text, AnyNonArray], Text, concat_strict),
    f("||", &[AnyNonArray, Text], Text, concat_strict),
    f("||", &[Bytea, Bytea], Bytea, |c| map2(c, |a: &[u8], b: &[u8]| Ok([a, b].concat()))),
    plan("~~", &[Text, Text], Bool, |args| like(args, false, false)),
    plan("!~~", &[Text, Text], Bool, |args| like(args, true, false)),
    plan("~~*", &[Text, Text], Bool, |args| like(args, false, true)),
    plan("!~~*", &[Text, Text], Bool, |args| like(args, true, true)),
    f("~", &[Text, Text], Bool, |c| regex(c, false, false)),
    f("~*", &[Text, Text], Bool, |c| regex(c, true, false)),
    f("!~", &[Text, Text], Bool, |c| regex(c, false, true)),
    f("!~*", &[Text, Text], Bool, |c| regex(c, true, true)),
    f("^@", &[Text, Text], Bool, |c| map2(c, |a: &str, b: &str| Ok(a.starts_with(b)))),
];

fn like(args: Vec<Expr>, negated: bool, case_insensitive: bool) -> Result<Expr> {
    let mut args = args.into_iter().map(Box::new);
    match (args.next(), args.next()) {
        (Some(expr), Some(pattern)) => Ok(Expr::Like(Like::new(negated, expr, pattern, None, case_insensitive))),
        _ => Err(Error::internal("LIKE takes two operands")),
    }
}

fn regex(call: &Call, ignore_case: bool, negated: bool) -> Result<ArrayRef> {
    let mut patterns = Patterns::default();
    map2(call, |text: &str, pattern: &str| Ok(patterns.get(pattern, ignore_case)?.is_match(text) != negated))
}

pub const FUNCTIONS: &[Function] = &[
    f("lower", &[Text], Text, |c| map1(c, |v| Ok(lower(v)))),
    f("upper", &[Text], Text, |c| map1(c, |v: &str| Ok(v.to_uppercase()))),
    f("initcap", &[Text], Text, |c| map1(c, |v: &str| Ok(initcap(v)))),
    f("length", &[Text], Int4, |c| map1(c, length)),
    f("length", &[Bpchar], Int4, |c| map1(c, length)),
    f("length", &[Bytea], Int4, |c| map1(c, |v: &[u8]| Ok(v.len() as i32))),
    f("char_length", &[Text], Int4, |c| map1(c, length)),
    f("character_length", &[Text], Int4, |c| map1(c, length)),
    f("octet_length", &[Bpchar], Int4, |c| map_texts(c, |text| text.len() as i32)),
    f("octet_length", &[Text], Int4, |c| map1(c, |v: &str| Ok(v.len() as i32))),
    f("octet_length", &[Bytea], Int4, |c| map1(c, |v: &[u8]| Ok(v.len() as i32))),
    f("bit_length", &[Text], Int4, |c| map1(c, |v: &str| Ok(v.len() as i32 * 8))),
    f("substr", &[Text, Int4], Text, |c| map2(c, |v: &str, from: i32| substring(v, from, None))),
    f("substr", &[Text, Int4, Int4], Text, |c| map3(c, |v: &str, from: i32, n: i32| substring(v, from, Some(n)))),
    f("substring", &[Text, Int4], Text, |c| map2(c, |v: &str, from: i32| substring(v, from, None))),
    f("substring", &[Text, Int4, Int4], Text, |c| map3(c, |v: &str, from: i32, n: i32| substring(v, from, Some(n)))),
    f("left", &[Text, Int4], Text, |c| map2(c, |v: &str, n: i32| Ok(left(v, n)))),
    f("right", &[Text, Int4], Text, |c| map2(c, |v: &str, n: i32| Ok(right(v, n)))),
    f("btrim", &[Text], Text, |c| map1(c, |v: &str| Ok(v.trim_matches(' ')))),
    f("btrim", &[Text, Text], Text, |c| map2(c, |v: &str, set: &str| Ok(trim(v, set, true, true)))),
    f("trim", &[Text], Text, |c| map1(c, |v: &str| Ok(v.trim_matches(' ')))),
    f("ltrim", &[Text], Text, |c| map1(c, |v: &str| Ok(v.trim_start_matches(' ')))),
    f("ltrim", &[Text, Text], Text, |c| map2(c, |v: &str, set: &str| Ok(trim(v, set, true, false)))),
    f("rtrim", &[Text], Text, |c| map1(c, |v: &str| Ok(v.trim_end_matches(' ')))),
    f("rtrim", &[Text, Text], Text, |c| map2(c, |v: &str, set: &str| Ok(trim(v, set, false, true)))),
    f("lpad", &[Text, Int4], Text, |c| map2(c, |v: &str, n: i32| pad(v, n, " ", true))),
    f("lpad", &[Text, Int4, Text], Text, |c| map3(c, |v: &str, n: i32, fill: &str| pad(v, n, fill, true))),
    f("rpad", &[Text, Int4], Text, |c| map2(c, |v: &str, n: i32| pad(v, n, " ", false))),
    f("rpad", &[Text, Int4, Text], Text, |c| map3(c, |v: &str, n: i32, fill: &str| pad(v, n, fill, false))),
    f("replace", &[Text, Text, Text], Text, |c| {
        map3(c, |v: &str, from: &str, to: &str| Ok(if from.is_empty() { v.to_owned() } else { v.replace(from, to) }))
    }),
    f("translate", &[Text, Text, Text], Text, |c| map3(c, |v: &str, from: &str, to: &str| Ok(translate(v, from, to)))),
    f("repeat", &[Text, Int4], Text, |c| map2(c, repeat)),
    f("reverse", &[Text], Text, |c| map1(c, |v: &str| Ok(v.chars().rev().collect::<String>()))),
    f("strpos", &[Text, Text], Int4, |c| map2(c, strpos)),
    f("position", &[Text, Text], Int4, |c| map2(c, strpos)),
    f("split_part", &[Text, Text, Int4], Text, |c| map3(c, split_part)),
    f("starts_with", &[Text, Text], Bool, |c| map2(c, |a: &str, b: &str| Ok(a.starts_with(b)))),
    f("concat", &[Any], Text, |c| concat(c, 0)).variadic(),
    f("concat_ws", &[Text, Any], Text, |c| concat(c, 1)).variadic(),
    f("overlay", &[Text, Text, Int4], Text, |c| {
        map3(c, |v: &str, new: &str, from: i32| overlay(v, new, from, length(new)?))
    }),
    f("overlay", &[Text, Text, Int4, Int4], Text, |c| map4(c, overlay)),
    f("like_escape", &[Text, Text], Text, |c| {
        map2(c, |v: &str, escape: &str| pattern::like_escape(v, escape.chars().next()))
    }),
    f("similar_to_escape", &[Text, Text], Text, |c| {
        map2(c, |v: &str, escape: &str| pattern::similar(v, escape.chars().next()))
    }),
];

fn length(text: &str) -> Result<i32> {
    Ok(text.chars().count() as i32)
}

/// `a || b` where one is no text: NULL if either is.
fn concat_strict(call: &Call) -> Result<ArrayRef> {
    // As the cast to text prints them: true, not t.
    let columns = call.args.iter().zip(call.types).map(|(array, ty)| column_texts(array, ty, call.zone));
    let texts = columns.collect::<Result<Vec<_>>>()?;
    map_rows(call, |row| {
        if call.is_null(0, row) || call.is_null(1, row) {
            return Ok(None);
        }
        let text = |at: usize| texts[at].value(call.row(at, row));
        Ok(Some(format!("{}{}", text(0), text(1))))
    })
}

fn texts(call: &Call) -> Result<Vec<StringArray>> {
    call.args.iter().zip(call.types).map(|(array, ty)| output_texts(array, ty, call.zone)).collect()
}

/// What is computed of one argument as it is put out.
fn map_texts(call: &Call, compute: impl Fn(&str) -> i32) -> Result<ArrayRef> {
    let texts = output_texts(&call.args[0], &call.types[0], call.zone)?;
    map_rows(call, |row| Ok((!call.is_null(0, row)).then(|| compute(texts.value(call.row(0, row))))))
}

/// A char(n) as the text with its blanks.
pub fn padded_text(expr: Expr, ty: SqlType) -> Expr {
    let kernel: Kernel = |call| Ok(Arc::new(output_texts(&call.args[0], &call.types[0], call.zone)?));
    PgScalar::new("padded", vec![ty], SqlType::Text, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![expr])
}

/// Values as they are put out, which of booleans and of char(n) is not what their cast to text gives.
pub(super) fn output_texts(array: &ArrayRef, ty: &SqlType, zone: &TimeZone) -> Result<StringArray> {
    match ty {
        SqlType::Bool => {
            Ok(array.as_boolean().iter().map(|value| value.map(|value| if value { "t" } else { "f" })).collect())
        }
        SqlType::Bpchar(Some(length)) => {
            let width = *length as usize;
            Ok(array.as_string::<i32>().iter().map(|text| text.map(|text| format!("{text:width$}"))).collect())
        }
        ty => column_texts(array, ty, zone),
    }
}

/// `concat` and `concat_ws` (whose `first` argument separates): NULLs are left away.
fn concat(call: &Call, first: usize) -> Result<ArrayRef> {
    let texts = texts(call)?;
    map_rows(call, |row| {
        let separator = match first {
            0 => "",
            _ if call.is_null(0, row) => return Ok(None),
            _ => texts[0].value(call.row(0, row)),
        };
        let present = (first..texts.len()).filter(|at| !call.is_null(*at, row));
        let parts: Vec<&str> = present.map(|at| texts[at].value(call.row(at, row))).collect();
        Ok(Some(parts.join(separator)))
    })
}

fn initcap(text: &str) -> String {
    let mut in_word = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match in_word {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        in_word = c.is_alphanumeric();
    }
    out
}

/// Characters from `from` (counted from 1, may lie before the start) on.
pub fn substring(text: &str, from: i32, count: Option<i32>) -> Result<&str> {
    let start = i64::from(from);
    let end = match count {
        Some(count) if count < 0 => {
            return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(count) => start + i64::from(count),
        None => i64::MAX,
    };
    let start = (start.max(1) - 1) as usize;
    let end = (end.max(1) - 1) as usize;
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let (from, to) = (byte(start), byte(end));
    Ok(if from < to { &text[from..to] } else { "" })
}

/// The first `n` characters; all but the last `-n` if negative.
fn left(text: &str, n: i32) -> &str {
    let keep = if n >= 0 { n as usize } else { text.chars().count().saturating_sub(n.unsigned_abs() as usize) };
    text.char_indices().nth(keep).map_or(text, |(end, _)| &text[..end])
}

/// The last `n` characters; all but the first `-n` if negative.
fn right(text: &str, n: i32) -> &str {
    let skip = if n >= 0 { text.chars().count().saturating_sub(n as usize) } else { n.unsigned_abs() as usize };
    text.char_indices().nth(skip).map_or("", |(start, _)| &text[start..])
}

fn trim<'t>(text: &'t str, set: &str, start: bool, end: bool) -> &'t str {
    let in_set = |c: char| set.contains(c);
    let text = if start { text.trim_start_matches(in_set) } else { text };
    if end { text.trim_end_matches(in_set) } else { text }
}

/// The longest text made: what PostgreSQL's 1 GB limit on a value comes to.
const MAX_TEXT: usize = 1 << 28;

fn too_long() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

fn pad(text: &str, width: i32, fill: &str, before: bool) -> Result<String> {
    let width = width.max(0) as usize;
    if width > MAX_TEXT {
        return Err(too_long());
    }
    let count = text.chars().count();
    if count >= width || fill.is_empty() {
        return Ok(text.chars().take(width).collect());
    }
    let padding: String = fill.chars().cycle().take(width - count).collect();
    Ok(if before { padding + text } else { text.to_owned() + &padding })
}

fn repeat(text: &str, count: i32) -> Result<String> {
    let count = count.max(0) as usize;
    if text.len().saturating_mul(count) > MAX_TEXT { Err(too_long()) } else { Ok(text.repeat(count)) }
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let changed = |c: char| match from.iter().position(|known| *known == c) {
        Some(at) => to.get(at).copied(),
        None => Some(c),
    };
    text.chars().filter_map(changed).collect()
}

/// Character position from 1; 0 if absent.
fn strpos(text: &str, part: &str) -> Result<i32> {
    Ok(text.find(part).map_or(0, |at| text[..at].chars().count() as i32 + 1))
}

/// In lower case; most texts of most columns are, or are ASCII.
fn lower(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true if text.bytes().any(|byte| byte.is_ascii_uppercase()) => text.to_ascii_lowercase().into(),
        true => text.into(),
        false => text.to_lowercase().into(),
    }
}

fn split_part<'t>(text: &'t str, delimiter: &str, field: i32) -> Result<&'t str> {
    if field == 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "field position must not be zero"));
    }
    let at = field.unsigned_abs() as usize - 1;
    if let ([delimiter], true) = (delimiter.as_bytes(), field > 0) {
        return Ok(byte_split_part(text, *delimiter, at));
    }
    let mut characters = delimiter.chars();
    let part = match (characters.next(), characters.next(), field > 0) {
        (None, _, _) => (at == 0).then_some(text),
        // Of one character: faster to find, and the same from both ends.
        (Some(one), None, true) => text.split(one).nth(at),
        (Some(one), None, false) => text.rsplit(one).nth(at),
        (_, _, true) => text.split(delimiter).nth(at),
        (_, _, false) => text.split(delimiter).collect::<Vec<_>>().into_iter().nth_back(at),
    };
    Ok(part.unwrap_or(""))
}

/// The part with so many delimiters, of one byte, before it.
fn byte_split_part(text: &str, delimiter: u8, at: usize) -> &str {
    let mut ends = memchr::memchr_iter(delimiter, text.as_bytes());
    let start = match at.checked_sub(1).map(|before| ends.nth(before)) {
        None => 0,
        Some(Some(end)) => end + 1,
        Some(None) => return "",
    };
    &text[start..ends.next().unwrap_or(text.len())]
}

fn overlay(text: &str, new: &str, from: i32, count: i32) -> Result<String> {
    if from <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let before = substring(text, 1, Some(from - 1))?;
    let behind = i64::from(from) + i64::from(count);
    let after = i32::try_from(behind).map_or(Ok(""), |behind| substring(text, behind, None))?;
    Ok(format!("{before}{new}{after}"))
}
