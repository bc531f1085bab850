//! Text: codes, quoting, hashing, and `format`.

use arrow::array::ArrayRef;
use datafusion::functions::crypto;
use datafusion::logical_expr::{Cast, Expr, ScalarUDF};
use std::sync::Arc;

use super::signature::T::{Any, Bytea, Int4, Int8, Text};
use super::signature::{Function, f, plan};
use super::text::output_texts;
use crate::data::{SqlType, quote_ident};
use crate::error::{Error, Result, SqlState};
use crate::sql::input::{self, parse_bytea};
use crate::sql::rows::{Call, map_rows, map1, map2, text_at};

pub const FUNCTIONS: &[Function] = &[
    f("ascii", &[Text], Int4, |c| map1(c, |v: &str| Ok(v.chars().next().map_or(0, |c| c as i32)))),
    f("chr", &[Int4], Text, |c| map1(c, chr)),
    f("to_hex", &[Int4], Text, |c| map1(c, |v: i32| Ok(format!("{v:x}")))),
    f("to_hex", &[Int8], Text, |c| map1(c, |v: i64| Ok(format!("{v:x}")))),
    plan("md5", &[Text], Text, |args| digest(crypto::md5(), args, &SqlType::Text)),
    plan("md5", &[Bytea], Text, |args| digest(crypto::md5(), args, &SqlType::Text)),
    plan("sha224", &[Bytea], Bytea, |args| digest(crypto::sha224(), args, &SqlType::Bytea)),
    plan("sha256", &[Bytea], Bytea, |args| digest(crypto::sha256(), args, &SqlType::Bytea)),
    plan("sha384", &[Bytea], Bytea, |args| digest(crypto::sha384(), args, &SqlType::Bytea)),
    plan("sha512", &[Bytea], Bytea, |args| digest(crypto::sha512(), args, &SqlType::Bytea)),
    f("quote_ident", &[Text], Text, |c| map1(c, |v: &str| Ok(quote_ident(v)))),
    f("quote_literal", &[Text], Text, |c| map1(c, |v: &str| Ok(quote_literal(v)))),
    f("quote_nullable", &[Text], Text, |c| {
        map_rows(c, |row| Ok(Some(text_at(c, 0, row)?.map_or_else(|| "NULL".to_owned(), quote_literal))))
    }),
    f("encode", &[Bytea, Text], Text, |c| map2(c, encode)),
    f("decode", &[Text, Text], Bytea, |c| map2(c, decode)),
    f("convert_from", &[Bytea, Text], Text, |c| map2(c, convert_from)),
    f("convert_to", &[Text, Text], Bytea, |c| {
        map2(c, |v: &str, encoding: &str| utf8(encoding).map(|()| v.as_bytes().to_vec()))
    }),
    f("format", &[Text], Text, format),
    f("format", &[Text, Any], Text, format).variadic(),
];

fn chr(code: i32) -> Result<String> {
    let invalid = |message: String| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some('\0') => Err(invalid("null character not permitted".into())),
        Some(c) => Ok(c.to_string()),
        None => Err(invalid(format!("requested character not valid for encoding: {code}"))),
    }
}

/// DataFusion's digests, in our Arrow types.
fn digest(function: Arc<ScalarUDF>, args: Vec<Expr>, result: &SqlType) -> Result<Expr> {
    Ok(Expr::Cast(Cast::new(Box::new(function.call(args)), result.arrow())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A string constant.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match doubled.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

fn utf8(encoding: &str) -> Result<()> {
    let name: String = encoding.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    match name.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok(()),
        _ => Err(Error::unsupported(format!("encoding {encoding}")).with_hint("Texts are UTF8.")),
    }
}

fn convert_from(bytes: &[u8], encoding: &str) -> Result<String> {
    utf8(encoding)?;
    Ok(input::utf8(bytes)?.to_owned())
}

fn unknown_encoding(format: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{format}\""))
}

fn encode(bytes: &[u8], format: &str) -> Result<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex(bytes)),
        "base64" => {
            let plain = base64(bytes);
            // Lines of 76 characters, as MIME has them.
            let lines: Vec<&str> =
                (0..plain.len()).step_by(76).map(|at| &plain[at..plain.len().min(at + 76)]).collect();
            Ok(lines.join("\n"))
        }
        "escape" => Ok(bytes
            .iter()
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0 | 128.. => format!("\\{byte:03o}"),
                byte => char::from(*byte).to_string(),
            })
            .collect()),
        _ => Err(unknown_encoding(format)),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = BASE64[(group >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => parse_bytea(&format!("\\x{text}")),
        "base64" => unbase64(text),
        "escape" => parse_bytea(text),
        _ => Err(unknown_encoding(format)),
    }
}

fn unbase64(text: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let (mut out, mut group, mut bits) = (Vec::new(), 0u32, 0);
    let digits = text.trim_end_matches(|c: char| c == '=' || c.is_ascii_whitespace());
    for c in digits.chars().filter(|c| !c.is_ascii_whitespace()) {
        let digit = BASE64.iter().position(|known| char::from(*known) == c);
        let digit =
            digit.ok_or_else(|| invalid(format!("invalid symbol \"{c}\" found while decoding base64 sequence")))?;
        group = group << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits) as u8);
        }
    }
    if bits >= 6 { Err(invalid("invalid base64 end sequence".into())) } else { Ok(out) }
}

/// `format(template, …)`: `%s`, `%I`, `%L`, `%%`, with position and width.
fn format(call: &Call) -> Result<ArrayRef> {
    let texts = call.args.iter().zip(call.types).map(|(array, ty)| output_texts(array, ty, call.zone));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    map_rows(call, |row| {
        let Some(template) = text_at(call, 0, row)? else {
            return Ok(None);
        };
        let argument = |at: usize| -> Result<Option<&str>> {
            if at == 0 || at >= texts.len() {
                let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, "too few arguments for format()");
                return Err(error);
            }
            Ok((!call.is_null(at, row)).then(|| texts[at].value(call.row(at, row))))
        };
        fill(template, argument).map(Some)
    })
}

fn fill<'a>(template: &str, argument: impl Fn(usize) -> Result<Option<&'a str>>) -> Result<String> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut out = String::new();
    let mut next = 1;
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (mut number, mut after) = digits(rest);
        if let (Some(position), Some(behind)) = (number, after.strip_prefix('$')) {
            next = position;
            (number, after) = (None, behind);
        }
        let (to_left, behind) = match after.strip_prefix('-') {
            Some(behind) => (true, behind),
            None => (false, after),
        };
        let (width, behind) = if number.is_some() { (number, behind) } else { digits(behind) };
        let kind = behind.chars().next().ok_or_else(|| {
            invalid("unterminated format() type specifier".into()).with_hint("For a single \"%\" use \"%%\".")
        })?;
        let value = argument(next)?;
        next += 1;
        let text = match kind {
            's' => value.unwrap_or_default().to_owned(),
            'I' => value.map(quote_ident).ok_or_else(|| {
                Error::new(SqlState::NULL_NOT_ALLOWED, "null values cannot be formatted as an SQL identifier")
            })?,
            'L' => value.map_or_else(|| "NULL".to_owned(), quote_literal),
            other => {
                return Err(invalid(format!("unrecognized format() type specifier \"{other}\""))
                    .with_hint("For a single \"%\" use \"%%\"."));
            }
        };
        let padding = " ".repeat(width.unwrap_or(0).saturating_sub(text.chars().count()));
        match to_left {
            true => out.extend([text, padding]),
            false => out.extend([padding, text]),
        }
        rest = &behind[kind.len_utf8()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A number at the start of a text, and the rest.
fn digits(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}
