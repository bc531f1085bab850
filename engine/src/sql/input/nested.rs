//! Arrays and records from their text form.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::{InputSettings, column};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::rows::Call;

/// The kernel of casts from text to arrays, vectors and records.
pub fn from_text(call: &Call) -> Result<ArrayRef> {
    let texts = call.args[0].as_string::<i32>();
    let settings = InputSettings::new(call.zone.clone());
    match call.result {
        SqlType::Array(element) => lists(texts, call.rows, element, call.result, &settings, |text| {
            array_elements(text, matches!(**element, SqlType::Array(_)))
        }),
        SqlType::Int2vector => lists(texts, call.rows, &SqlType::Int2, call.result, &settings, vector_elements),
        SqlType::Oidvector => lists(texts, call.rows, &SqlType::Oid, call.result, &settings, vector_elements),
        SqlType::Record(fields) => records(texts, call.rows, fields, call.result, &settings),
        other => Err(Error::internal(format!("{other} is not nested"))),
    }
}

/// Texts of elements, None for NULL.
type Elements = Vec<Option<String>>;

fn lists(
    texts: &StringArray,
    rows: usize,
    element: &SqlType,
    ty: &SqlType,
    settings: &InputSettings,
    split: impl Fn(&str) -> Result<Elements>,
) -> Result<ArrayRef> {
    let mut items: Elements = Vec::new();
    let mut lengths = Vec::with_capacity(rows);
    for text in texts.iter() {
        let elements = text.map(&split).transpose()?.unwrap_or_default();
        lengths.push(elements.len());
        items.extend(elements);
    }
    let values = column(&StringArray::from(items), element, settings)?;
    let DataType::List(field) = ty.arrow() else {
        return Err(Error::internal(format!("{ty} is not a list")));
    };
    let nulls: Option<NullBuffer> = texts.nulls().cloned();
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

fn records(
    texts: &StringArray,
    rows: usize,
    fields: &[(String, SqlType)],
    ty: &SqlType,
    settings: &InputSettings,
) -> Result<ArrayRef> {
    let mut columns: Vec<Elements> = vec![Vec::with_capacity(rows); fields.len()];
    for text in texts.iter() {
        let values = match text {
            Some(text) => record_fields(text, fields.len())?,
            None => vec![None; fields.len()],
        };
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let arrays = columns.into_iter().zip(fields);
    let arrays = arrays.map(|(texts, (_, ty))| column(&StringArray::from(texts), ty, settings));
    let DataType::Struct(arrow_fields) = ty.arrow() else {
        return Err(Error::internal(format!("{ty} is not a record")));
    };
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(arrow_fields, arrays, texts.nulls().cloned())?))
}

fn vector_elements(text: &str) -> Result<Elements> {
    Ok(text.split_ascii_whitespace().map(|word| Some(word.to_owned())).collect())
}

fn malformed_array(text: &str, detail: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT, format!("malformed array literal: \"{text}\"")).with_detail(detail)
}

/// The elements of `{1,"a b",NULL}`. Where elements are arrays themselves (`nested`), their texts are handed on whole.
pub fn array_elements(text: &str, nested: bool) -> Result<Elements> {
    let error = |detail: &str| malformed_array(text, detail);
    let (length, inner) = dimensions(text)?;
    let fits = |elements: Elements| match length.is_none_or(|length| length == elements.len()) {
        true => Ok(elements),
        false => Err(error("Specified array dimensions do not match array contents.")),
    };
    let Some(body) = inner.strip_prefix('{') else {
        return Err(error("Array value must start with \"{\" or dimension information."));
    };
    let mut elements = Vec::new();
    let mut rest = body.trim_start();
    if let Some(after) = rest.strip_prefix('}') {
        return fits(end(after, elements).ok_or_else(|| error("Junk after closing right brace."))?);
    }
    loop {
        let (element, after) = if nested && rest.starts_with('{') {
            let length = braces(rest).ok_or_else(|| error("Unexpected end of input."))?;
            (Some(rest[..length].to_owned()), rest[length..].trim_start())
        } else {
            let (element, after) = array_element(rest).map_err(|problem| error(&problem))?;
            (element, after)
        };
        elements.push(element);
        if let Some(after) = after.strip_prefix(',') {
            rest = after.trim_start();
        } else if let Some(after) = after.strip_prefix('}') {
            return fits(end(after, elements).ok_or_else(|| error("Junk after closing right brace."))?);
        } else {
            return Err(error("Unexpected end of input."));
        }
    }
}

/// What `[1:2]=` before an array says of its length, and the array. Ours begin at 1.
fn dimensions(text: &str) -> Result<(Option<usize>, &str)> {
    let error = |detail: &str| malformed_array(text, detail);
    let (mut length, mut rest) = (None, text.trim());
    if !rest.starts_with('[') {
        return Ok((None, rest));
    }
    while let Some(inner) = rest.strip_prefix('[') {
        let (bounds, after) = inner.split_once(']').ok_or_else(|| error("Missing array dimension value."))?;
        let (first, last) = bounds.split_once(':').unwrap_or(("1", bounds));
        let bound = |text: &str| text.trim().parse::<i32>().map_err(|_| error("Missing array dimension value."));
        let (first, last) = (bound(first)?, bound(last)?);
        if last < first {
            let message = "upper bound cannot be less than lower bound";
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        if first != 1 {
            return Err(Error::unsupported("an array whose subscripts do not begin at 1"));
        }
        length = length.or(usize::try_from(last).ok());
        rest = after.trim_start();
    }
    let rest = rest.strip_prefix('=').ok_or_else(|| error("Missing \"=\" after array dimensions."))?;
    Ok((length, rest.trim_start()))
}

fn end(after: &str, elements: Elements) -> Option<Elements> {
    after.trim().is_empty().then_some(elements)
}

/// Bytes of a balanced `{…}`, quoted braces not counted.
fn braces(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// One element and the text from the delimiter behind it on.
fn array_element(text: &str) -> std::result::Result<(Option<String>, &str), String> {
    let mut element = String::new();
    // Blanks at the end of an unquoted element do not count, escaped ones do.
    let mut kept = 0;
    let (mut quoted, mut was_quoted) = (false, false);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, next) = chars.next().ok_or("Unexpected end of input.")?;
                element.push(next);
                kept = element.len();
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
                kept = element.len();
            }
            ',' | '}' if !quoted => {
                element.truncate(kept);
                if element.is_empty() && !was_quoted {
                    return Err(format!("Unexpected \"{c}\" character."));
                }
                let null = !was_quoted && element.eq_ignore_ascii_case("null");
                return Ok(((!null).then_some(element), &text[at..]));
            }
            '{' if !quoted => return Err("Unexpected \"{\" character.".into()),
            c => {
                element.push(c);
                if quoted || !c.is_ascii_whitespace() {
                    kept = element.len();
                }
            }
        }
    }
    Err("Unexpected end of input.".into())
}

/// The fields of `(1,"a b",)`; nothing at all is NULL.
pub fn record_fields(text: &str, expected: usize) -> Result<Elements> {
    let error = |detail: &str| {
        Error::new(SqlState::INVALID_TEXT, format!("malformed record literal: \"{text}\"")).with_detail(detail)
    };
    let inner = text.trim();
    let Some(body) = inner.strip_prefix('(') else {
        return Err(error("Missing left parenthesis."));
    };
    let mut fields = Vec::with_capacity(expected);
    let (mut field, mut any, mut quoted) = (String::new(), false, false);
    let mut chars = body.chars().peekable();
    loop {
        let Some(c) = chars.next() else {
            return Err(error("Unexpected end of input."));
        };
        match c {
            '\\' => {
                field.push(chars.next().ok_or_else(|| error("Unexpected end of input."))?);
                any = true;
            }
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' | ')' if !quoted => {
                let value = std::mem::take(&mut field);
                fields.push((any || !value.is_empty()).then_some(value));
                any = false;
                if c == ')' {
                    break;
                }
            }
            c => field.push(c),
        }
    }
    if chars.any(|c| !c.is_whitespace()) {
        return Err(error("Junk after right parenthesis."));
    }
    match fields.len() {
        1 if expected == 0 && fields[0].is_none() => Ok(Vec::new()),
        count if count < expected => Err(error("Too few columns.")),
        count if count > expected => Err(error("Too many columns.")),
        _ => Ok(fields),
    }
}
