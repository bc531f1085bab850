//! The order of jsonb values, as bytes that compare as they do (PostgreSQL's `compareJsonbContainers`).
//!
//! Object > array > boolean > number > string > null; of two objects or arrays the one with more members or elements is
//! greater, else their members decide one by one, in the order in which they are kept, keys by their bytes. An empty
//! array that stands alone is less than any scalar.

use super::json::Json;

/// Where a value stands among those that stand alone.
const EMPTY_ARRAY: u8 = 0;
const SCALAR: u8 = 1;
const CONTAINER: u8 = 2;

/// Bytes that are equal, less or greater exactly where jsonb values are.
pub fn order_key(value: &Json) -> Vec<u8> {
    let mut key = vec![match value {
        Json::Array(items) if items.is_empty() => EMPTY_ARRAY,
        Json::Array(_) | Json::Object(_) => CONTAINER,
        _ => SCALAR,
    }];
    push(value, &mut key);
    key
}

fn push(value: &Json, key: &mut Vec<u8>) {
    match value {
        Json::Null => key.push(0),
        Json::String(text) => {
            key.push(1);
            push_text(text, key);
        }
        Json::Number(text) => {
            key.push(2);
            push_number(text, key);
        }
        Json::Bool(value) => key.extend([3, u8::from(*value)]),
        Json::Array(items) => {
            key.push(4);
            push_count(items.len(), key);
            items.iter().for_each(|item| push(item, key));
        }
        Json::Object(members) => {
            key.push(5);
            push_count(members.len(), key);
            for (name, value) in members {
                push_text(name, key);
                push(value, key);
            }
        }
    }
}

fn push_count(count: usize, key: &mut Vec<u8>) {
    key.extend((count as u64).to_be_bytes());
}

/// The text's bytes and an end that is less than any byte more.
fn push_text(text: &str, key: &mut Vec<u8>) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(1);
        }
    }
    key.extend([0, 0]);
}

/// Sign, then how many digits stand before the point, then the digits from the first that is not 0.
fn push_number(text: &str, key: &mut Vec<u8>) {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let before_point = whole.len() as i64 - (all.len() - significant.len()) as i64;
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return key.push(1);
    }
    key.push(if negative { 0 } else { 2 });
    let start = key.len();
    key.extend((before_point as u64 ^ (1 << 63)).to_be_bytes());
    key.extend(significant.bytes());
    key.push(0);
    if negative {
        key[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::adt::json::parse;

    #[test]
    fn keys_are_in_postgresqls_order() {
        let ordered = [
            "[]",
            "null",
            r#""""#,
            r#""a""#,
            r#""aa""#,
            r#""b""#,
            "-100",
            "-10.5",
            "-10",
            "-0.002",
            "-0.0011",
            "0",
            "0.001",
            "0.01",
            "2",
            "2.5",
            "10",
            "1e20",
            "false",
            "true",
            "[null]",
            "[[]]",
            "[1, 2]",
            "[1, []]",
            "[1, {}]",
            "{}",
            r#"{"a": 2}"#,
            r#"{"aa": 1}"#,
            r#"{"b": 1}"#,
            r#"{"b": 1, "aa": 0}"#,
            r#"{"a": 1, "b": 1, "c": 1}"#,
        ];
        let keys: Vec<Vec<u8>> = ordered.iter().map(|text| order_key(&parse(text).unwrap())).collect();
        for (at, pair) in keys.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{} < {}", ordered[at], ordered[at + 1]);
        }
        for (one, other) in
            [("1.0", "1"), ("-0", "0.00"), ("1e2", "100.0"), (r#"{"b":1,"a":2.50}"#, r#"{"a":2.5,"b":1}"#)]
        {
            assert_eq!(order_key(&parse(one).unwrap()), order_key(&parse(other).unwrap()), "{one} = {other}");
        }
    }
}
