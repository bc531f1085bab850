//! Arrays and records: elements are quoted where they could be mistaken for syntax.

use arrow::array::{Array, ArrayRef, AsArray};

use super::{FormatSettings, expected, text};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};

/// `{1,2,NULL,"a b"}`.
pub fn array(
    array: &ArrayRef,
    element: &SqlType,
    row: usize,
    settings: &FormatSettings,
    out: &mut String,
) -> Result<()> {
    let values = array.as_list_opt::<i32>().ok_or_else(|| expected("lists"))?.value(row);
    out.push('{');
    let mut item = String::new();
    for at in 0..values.len() {
        if at > 0 {
            out.push(',');
        }
        if values.is_null(at) {
            out.push_str("NULL");
            continue;
        }
        item.clear();
        text(&values, element, at, settings, &mut item)?;
        let nested = matches!(element, SqlType::Array(_));
        if nested || !needs_quotes_in_array(&item) {
            out.push_str(&item);
        } else {
            quote(&item, |c| if matches!(c, '"' | '\\') { Some('\\') } else { None }, out)?;
        }
    }
    out.push('}');
    Ok(())
}

fn needs_quotes_in_array(item: &str) -> bool {
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || is_space(c);
    item.is_empty() || item.eq_ignore_ascii_case("null") || item.contains(special)
}

/// PostgreSQL's `array_isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// `(1,"a b",)`: NULL is nothing at all.
pub fn record(
    array: &ArrayRef,
    fields: &[(String, SqlType)],
    row: usize,
    settings: &FormatSettings,
    out: &mut String,
) -> Result<()> {
    let values = array.as_struct_opt().ok_or_else(|| expected("structs"))?;
    out.push('(');
    let mut item = String::new();
    for (at, ((_, ty), column)) in fields.iter().zip(values.columns()).enumerate() {
        if at > 0 {
            out.push(',');
        }
        if column.is_null(row) {
            continue;
        }
        item.clear();
        text(column, ty, row, settings, &mut item)?;
        let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || is_space(c);
        if item.is_empty() || item.contains(special) {
            // Doubled, where arrays put a backslash.
            quote(&item, |c| if matches!(c, '"' | '\\') { Some(c) } else { None }, out)?;
        } else {
            out.push_str(&item);
        }
    }
    out.push(')');
    Ok(())
}

/// Bytes of the text of a value within another. Each level of nesting doubles the quotes of those inside, so that a short
/// expression is a text without end.
const LONGEST: usize = 64 << 20;

fn quote(item: &str, escape: impl Fn(char) -> Option<char>, out: &mut String) -> Result<()> {
    if out.len() + item.len() > LONGEST {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "the text of a nested value is too long")
            .with_detail(format!("It may have about {} MB.", LONGEST >> 20)));
    }
    out.push('"');
    for c in item.chars() {
        out.extend(escape(c));
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// `int2vector` and `oidvector`: elements with blanks between.
pub fn vector(
    array: &ArrayRef,
    element: &SqlType,
    row: usize,
    settings: &FormatSettings,
    out: &mut String,
) -> Result<()> {
    let values = array.as_list_opt::<i32>().ok_or_else(|| expected("lists"))?.value(row);
    for at in 0..values.len() {
        if at > 0 {
            out.push(' ');
        }
        text(&values, element, at, settings, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_quotes_come_to_an_end() {
        let mut out = String::from(" ");
        let mut levels = 0;
        let error = loop {
            let item = std::mem::take(&mut out);
            match quote(&item, |_| Some('"'), &mut out) {
                Ok(()) => levels += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        assert!((20..30).contains(&levels), "{levels}");
    }
}
