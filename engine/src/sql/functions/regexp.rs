//! Functions of regular expressions.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use regex::{CaptureLocations, Regex};

use super::array::build;
use super::signature::T::{Bool, Int4, Text, TextArray};
use super::signature::{Function, f, rows};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::pattern::{Flags, Patterns};
use crate::sql::rows::{Call, map_rows, map2, text_at};

pub const FUNCTIONS: &[Function] = &[
    f("regexp_replace", &[Text, Text, Text], Text, replace),
    f("regexp_replace", &[Text, Text, Text, Text], Text, replace),
    f("regexp_match", &[Text, Text], TextArray, first_match),
    f("regexp_match", &[Text, Text, Text], TextArray, first_match),
    rows("regexp_matches", &[Text, Text], TextArray, matches),
    rows("regexp_matches", &[Text, Text, Text], TextArray, matches),
    f("regexp_like", &[Text, Text], Bool, is_match),
    f("regexp_like", &[Text, Text, Text], Bool, is_match),
    f("regexp_count", &[Text, Text], Int4, |c| {
        let mut patterns = Patterns::default();
        map2(c, |text: &str, pattern: &str| Ok(patterns.get(pattern, false)?.find_iter(text).count() as i32))
    }),
    f("regexp_split_to_array", &[Text, Text], TextArray, split),
    f("regexp_split_to_array", &[Text, Text, Text], TextArray, split),
    f("substring", &[Text, Text], Text, part),
    rows("regexp_split_to_table", &[Text, Text], Text, split),
];

/// Pattern and flags of a row, compiled once while they repeat.
struct Compiled {
    last: Option<Last>,
    /// Whether all rows have the same.
    constant: bool,
}

struct Last {
    pattern: String,
    flags: String,
    regex: Arc<Regex>,
    /// Where the groups of a match are: made once, not for each row.
    groups: CaptureLocations,
}

impl Compiled {
    /// For a call whose pattern stands second, and whose flags, if it has any, stand `flags_at`.
    fn of(call: &Call, flags_at: usize) -> Compiled {
        let constant = call.constant[1] && call.constant.get(flags_at).is_none_or(|constant| *constant);
        Compiled { last: None, constant }
    }

    fn get(&mut self, pattern: &str, flags: &str) -> Result<&Regex> {
        self.last(pattern, flags).map(|last| &*last.regex)
    }

    /// The groups of the first match.
    fn groups(&mut self, pattern: &str, flags: &str, text: &str) -> Result<Option<&CaptureLocations>> {
        let Last { regex, groups, .. } = self.last(pattern, flags)?;
        Ok(regex.captures_read(groups, text).map(|_| &*groups))
    }

    fn last(&mut self, pattern: &str, flags: &str) -> Result<&mut Last> {
        let same = |last: &Last| self.constant || last.pattern == pattern && last.flags == flags;
        let known = self.last.as_ref().is_some_and(same);
        if !known {
            let regex = Flags::parse(flags)?.compile(pattern)?;
            let groups = regex.capture_locations();
            self.last = Some(Last { pattern: pattern.to_owned(), flags: flags.to_owned(), regex, groups });
        }
        self.last.as_mut().ok_or_else(|| Error::internal("no pattern"))
    }
}

/// Text, pattern and flags of a row; None if any is NULL.
fn arguments<'c>(call: &'c Call, flags_at: usize, row: usize) -> Result<Option<(&'c str, &'c str, &'c str)>> {
    let flags = if call.args.len() > flags_at { text_at(call, flags_at, row)? } else { Some("") };
    Ok(match (text_at(call, 0, row)?, text_at(call, 1, row)?, flags) {
        (Some(text), Some(pattern), Some(flags)) => Some((text, pattern, flags)),
        _ => None,
    })
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Compiled::of(call, 3);
    map_rows(call, |row| {
        let (Some((text, pattern, flags)), Some(new)) = (arguments(call, 3, row)?, text_at(call, 2, row)?) else {
            return Ok(None);
        };
        let regex = compiled.get(pattern, flags)?;
        let limit = if flags.contains('g') { 0 } else { 1 };
        Ok(Some(regex.replacen(text, limit, replacement(new).as_str()).into_owned()))
    })
}

/// `\1` and `\&` as the regex crate writes them.
fn replacement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit @ '1'..='9') => out.push_str(&format!("${{{digit}}}")),
                Some('&') => out.push_str("${0}"),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            },
            c => out.push(c),
        }
    }
    out
}

/// Groups of the first match, the whole match where there are none; NULL without match.
fn first_match(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Compiled::of(call, 2);
    lists(call, |row, items| {
        let Some((text, pattern, flags)) = arguments(call, 2, row)? else {
            return Ok(None);
        };
        if flags.contains('g') {
            let message = "regexp_match() does not support the \"global\" option";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Use the regexp_matches function instead."));
        }
        let Some(groups) = compiled.groups(pattern, flags, text)? else { return Ok(None) };
        let first = usize::from(groups.len() > 1);
        for group in first..groups.len() {
            items.append_option(groups.get(group).map(|(start, end)| &text[start..end]));
        }
        Ok(Some(groups.len() - first))
    })
}

/// The groups of the first match, or with the flag `g` of each.
fn matches(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Compiled::of(call, 2);
    let (mut found, mut lengths, mut items) = (Vec::with_capacity(call.rows), Vec::new(), StringBuilder::new());
    for row in 0..call.rows {
        let before = lengths.len();
        if let Some((text, pattern, flags)) = arguments(call, 2, row)? {
            let limit = if flags.contains('g') { usize::MAX } else { 1 };
            for groups in compiled.get(pattern, &flags.replace('g', ""))?.captures_iter(text).take(limit) {
                let first = usize::from(groups.len() > 1);
                for group in first..groups.len() {
                    items.append_option(groups.get(group).map(|group| group.as_str()));
                }
                lengths.push(groups.len() - first);
            }
        }
        found.push(lengths.len() - before);
    }
    let SqlType::Array(each) = call.result else { return Err(Error::internal("a list of arrays expected")) };
    build(call.result, found, build(each, lengths, Arc::new(items.finish()), None)?, None)
}

fn is_match(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Compiled::of(call, 2);
    map_rows(call, |row| match arguments(call, 2, row)? {
        Some((text, pattern, flags)) => Ok(Some(compiled.get(pattern, flags)?.is_match(text))),
        None => Ok(None),
    })
}

fn split(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Compiled::of(call, 2);
    lists(call, |row, items| {
        let Some((text, pattern, flags)) = arguments(call, 2, row)? else {
            return Ok(None);
        };
        let regex = compiled.get(pattern, flags)?;
        let (mut parts, mut start) = (1, 0);
        for found in regex.find_iter(text) {
            // Empty matches at the ends and right behind the last one split nothing.
            if found.end() == 0 || found.start() >= text.len() || (found.is_empty() && found.start() == start) {
                continue;
            }
            items.append_value(&text[start..found.start()]);
            (parts, start) = (parts + 1, found.end());
        }
        items.append_value(&text[start..]);
        Ok(Some(parts))
    })
}

/// `substring(text FROM pattern)`: the first group, or the whole match.
fn part(call: &Call) -> Result<ArrayRef> {
    let mut compiled = Patterns::default();
    map2(call, |text: &str, pattern: &str| {
        let captures = compiled.get(pattern, false)?.captures(text);
        Ok(captures.and_then(|found| {
            let group = if found.len() > 1 { found.get(1) } else { found.get(0) };
            group.map(|group| group.as_str().to_owned())
        }))
    })
}

/// `make` appends the items of a row's array and says how many; None for NULL.
fn lists(call: &Call, mut make: impl FnMut(usize, &mut StringBuilder) -> Result<Option<usize>>) -> Result<ArrayRef> {
    let mut lengths = Vec::with_capacity(call.rows);
    let mut valid = Vec::with_capacity(call.rows);
    let mut items = StringBuilder::new();
    for row in 0..call.rows {
        let made = make(row, &mut items)?;
        valid.push(made.is_some());
        lengths.push(made.unwrap_or(0));
    }
    build(call.result, lengths, Arc::new(items.finish()), Some(arrow::buffer::NullBuffer::from(valid)))
}
