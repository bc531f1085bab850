//! `jsonb_set`, `jsonb_insert` and `#-`: a jsonb with one place of it changed (`setPath` of PostgreSQL's `jsonfuncs.c`).

use arrow::array::{ArrayRef, AsArray};

use super::signature::T::{Bool, Jsonb, TextArray};
use super::signature::{Function, f};
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::json::{self, Json};
use crate::sql::rows::{Call, List, map_rows, read, text_at};

pub const OPERATORS: &[Function] = &[f("#-", &[Jsonb, TextArray], Jsonb, |c| change(c, |_| Change::Delete))];

pub const FUNCTIONS: &[Function] = &[
    f("jsonb_set", &[Jsonb, TextArray, Jsonb, Bool], Jsonb, |c| {
        change(c, |flag| Change::Set { create: flag.unwrap_or(true) })
    })
    .optional(1),
    f("jsonb_insert", &[Jsonb, TextArray, Jsonb, Bool], Jsonb, |c| {
        change(c, |flag| Change::Insert { after: flag.unwrap_or(false) })
    })
    .optional(1),
];

/// What happens at the end of the path.
#[derive(Clone, Copy)]
enum Change {
    Delete,
    /// A new value, where there is one or, if it may `create`, none yet.
    Set {
        create: bool,
    },
    /// A new element before or after one, or a new member.
    Insert {
        after: bool,
    },
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The first argument changed at the path in the second one; `how` is told the fourth.
fn change(call: &Call, how: impl Fn(Option<bool>) -> Change) -> Result<ArrayRef> {
    let path = read::<List>(call, 1)?;
    map_rows(call, |row| {
        if (0..call.args.len()).any(|at| call.is_null(at, row)) {
            return Ok(None);
        }
        let flag = call.args.get(3).map(|flags| flags.as_boolean().value(call.row(3, row)));
        let (how, new) = (how(flag), if call.args.len() > 2 { text_at(call, 2, row)? } else { None });
        let (Some(text), new) = (text_at(call, 0, row)?, new.map(json::parse).transpose()?) else { return Ok(None) };
        let value = json::parse(text)?;
        if !matches!(value, Json::Array(_) | Json::Object(_)) {
            return Err(invalid(if new.is_none() {
                "cannot delete path in scalar"
            } else {
                "cannot set path in scalar"
            }));
        }
        let steps = path(row).0;
        let steps: Vec<Option<&str>> = steps.as_string::<i32>().iter().collect();
        Ok(Some(changed(value, &steps, 0, how, new.as_ref())?.to_text()))
    })
}

/// A value changed at the `depth`-th step of a path and behind it.
fn changed(value: Json, path: &[Option<&str>], depth: usize, how: Change, new: Option<&Json>) -> Result<Json> {
    let Some(step) = path.get(depth) else { return Ok(value) };
    let Some(step) = step else { return Err(invalid_null(depth)) };
    let last = depth + 1 == path.len();
    match value {
        Json::Object(members) => object(members, step, path, (depth, last), how, new),
        Json::Array(items) => array(items, step, path, (depth, last), how, new),
        scalar => Ok(scalar),
    }
}

fn invalid_null(depth: usize) -> Error {
    Error::new(SqlState::NULL_NOT_ALLOWED, format!("path element at position {} is null", depth + 1))
}

fn object(
    mut members: Vec<(String, Json)>,
    key: &str,
    path: &[Option<&str>],
    (depth, last): (usize, bool),
    how: Change,
    new: Option<&Json>,
) -> Result<Json> {
    let found = members.iter().position(|(name, _)| name == key);
    match (found, last, how) {
        (Some(at), false, _) => {
            let member = std::mem::replace(&mut members[at].1, Json::Null);
            members[at].1 = changed(member, path, depth + 1, how, new)?;
        }
        (Some(at), true, Change::Delete) => {
            members.remove(at);
        }
        (Some(_), true, Change::Insert { .. }) => {
            return Err(invalid("cannot replace existing key")
                .with_hint("Try using the function jsonb_set to replace key value."));
        }
        (Some(at), true, Change::Set { .. }) => members[at].1 = new.cloned().unwrap_or(Json::Null),
        (None, true, Change::Insert { .. } | Change::Set { create: true }) => {
            members.push((key.to_owned(), new.cloned().unwrap_or(Json::Null)));
        }
        (None, ..) => {}
    }
    Ok(Json::object(members))
}

fn array(
    mut items: Vec<Json>,
    step: &str,
    path: &[Option<&str>],
    (depth, last): (usize, bool),
    how: Change,
    new: Option<&Json>,
) -> Result<Json> {
    let index: i32 = step.trim_start().parse().map_err(|_| {
        let message = format!("path element at position {} is not an integer: \"{step}\"", depth + 1);
        Error::new(SqlState::INVALID_TEXT, message)
    })?;
    let count = items.len() as i64;
    let index = if index < 0 { count + i64::from(index) } else { i64::from(index) };
    let there = (0..count).contains(&index);
    let at = index.clamp(0, count) as usize;
    let value = || new.cloned().unwrap_or(Json::Null);
    match (there, last, how) {
        (true, false, _) => {
            let item = std::mem::replace(&mut items[at], Json::Null);
            items[at] = changed(item, path, depth + 1, how, new)?;
        }
        (true, true, Change::Delete) => {
            items.remove(at);
        }
        (true, true, Change::Set { .. }) => items[at] = value(),
        (true, true, Change::Insert { after }) => items.insert(at + usize::from(after), value()),
        // Beyond either end it becomes the first or the last.
        (false, true, Change::Insert { .. } | Change::Set { create: true }) => items.insert(at, value()),
        (false, ..) => {}
    }
    Ok(Json::Array(items))
}
