//! Random messages, from fixed seeds: what is written is read, and garbage is refused without harm.

use levada_testing::Dice;
use serde_json::{Map, Value, json};

use super::{decode, decoder, show, spec};
use crate::data::SqlType::{self, *};
use crate::source::{Decoder, Message};

/// Characters that are written in more ways than one.
pub fn odd_text(dice: &mut Dice) -> String {
    let characters = ['a', 'Z', '"', '\\', '\n', '/', 'é', '漢', '🦀', ' ', '\u{7f}', '{', '['];
    (0..dice.below(40)).map(|_| dice.pick(&characters)).collect()
}

/// A random type, nested up to so deep.
pub fn ty(dice: &mut Dice, depth: usize) -> SqlType {
    match dice.below(if depth == 0 { 5 } else { 7 }) {
        0 => Bool,
        1 => Int4,
        2 => Int8,
        3 => Text,
        4 => SqlType::NUMERIC,
        5 => ty(dice, depth - 1).array(),
        _ => {
            let count = 1 + dice.below(3);
            Record((0..count).map(|index| (format!("f{index}"), ty(dice, depth - 1))).collect())
        }
    }
}

/// A random value as JSON, and as the row should print it.
pub fn value(dice: &mut Dice, ty: &SqlType) -> (Value, String) {
    if dice.below(6) == 0 {
        return (Value::Null, "NULL".to_owned());
    }
    match ty {
        Bool => {
            let value = dice.below(2) == 1;
            (json!(value), value.to_string())
        }
        Int4 => {
            let value = dice.roll() as i32;
            (json!(value), value.to_string())
        }
        Int8 => {
            let value = dice.roll() as i64;
            (json!(value), value.to_string())
        }
        Text => {
            let value = odd_text(dice);
            (json!(value), value)
        }
        Numeric(_) => {
            let value = dice.below(1_000_000);
            (json!(value), format!("{value}.000000000000000000"))
        }
        Array(item) => {
            let items: Vec<_> = (0..dice.below(4)).map(|_| value(dice, item)).collect();
            let (json, text): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            (Value::Array(json), format!("[{}]", text.join(", ")))
        }
        Record(fields) => {
            let mut object = Map::new();
            let mut text = Vec::new();
            for (name, ty) in fields {
                let (json, shown) = value(dice, ty);
                if json != Value::Null || dice.below(2) == 0 {
                    object.insert(name.to_uppercase(), json);
                }
                text.push(format!("{name}: {shown}"));
            }
            (Value::Object(object), format!("{{{}}}", text.join(", ")))
        }
        other => unreachable!("{other}"),
    }
}

#[test]
fn what_is_written_is_read() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(6);
        let columns: Vec<(String, SqlType)> = (0..count).map(|index| (format!("c{index}"), ty(&mut dice, 3))).collect();
        let named: Vec<(&str, SqlType)> = columns.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..30 {
            let mut object = Map::new();
            let mut text = Vec::new();
            for (name, ty) in &columns {
                let (json, shown) = value(&mut dice, ty);
                object.insert(name.clone(), json);
                text.push(shown);
            }
            object.insert("unknown".to_owned(), json!({ "c0": [odd_text(&mut dice), 1.5e300] }));
            messages.push(match dice.below(2) {
                0 => serde_json::to_string(&object).unwrap(),
                _ => serde_json::to_string_pretty(&object).unwrap(),
            });
            expected.push(text.join("|"));
        }
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let decoded = decode(&spec(&named), &messages);
        assert_eq!(decoded.refused, [], "seed {seed}");
        assert_eq!(show(&decoded.rows), expected, "seed {seed}");
    }
}

#[test]
fn garbage_is_refused_and_the_rest_is_read() {
    let record = Record(vec![("x".into(), Float8), ("y".into(), Timestamptz.array())]);
    let columns = [("a", Int8), ("b", Text), ("c", record.array()), ("d", Jsonb), ("e", SqlType::NUMERIC)];
    let spec = spec(&columns);
    let decoder = decoder(&spec);
    let good = r#"{"a":12,"b":"\u00e9\ud83e\udd80","c":[{"x":1.5e3,"y":[1700000000000,"2024-01-01"]}],"d":{"k":[true]},"e":0.5}"#;
    let alphabet = br#"{}[]",:\0123456789.eE+-tfnu abcdxy"#;
    for seed in 0..3000 {
        let mut dice = Dice::new(seed);
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match dice.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, alphabet[dice.below(alphabet.len())]),
                2 if !bytes.is_empty() => bytes[at] = alphabet[dice.below(alphabet.len())],
                3 if !bytes.is_empty() => bytes[at] = dice.roll() as u8,
                _ if !bytes.is_empty() => drop(bytes.remove(at)),
                _ => bytes.push(b'{'),
            }
        }
        let message = |value| Message { value: Some(value), ..Message::default() };
        let decoded = decoder.decode(&[message(&bytes), message(good.as_bytes())]).unwrap();
        let strict = serde_json::from_slice::<Value>(&bytes);
        if decoded.refused.is_empty() {
            // Unlike serde_json, the parser leaves strings that nobody reads with halves of surrogate pairs.
            let lone = strict.as_ref().is_err_and(|error| error.to_string().contains("surrogate"));
            let finite = strict.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
            assert!(strict.is_ok() || lone || finite, "{strict:?}: {}", String::from_utf8_lossy(&bytes));
        }
        let last = decoded.rows.num_rows() - 1;
        assert_eq!(
            show(&decoded.rows.slice(last, 1)),
            show(&decoder.decode(&[message(good.as_bytes())]).unwrap().rows)
        );
    }
}

#[test]
fn random_bytes_never_panic() {
    let decoder = decoder(&spec(&[("a", Int4), ("b", Json)]));
    let alphabet = b"{}[]\"\\,:a1 ";
    for seed in 0..3000 {
        let mut dice = Dice::new(seed << 20);
        let plain = dice.below(2) == 0;
        let bytes: Vec<u8> = (0..dice.below(60))
            .map(|_| if plain { alphabet[dice.below(alphabet.len())] } else { dice.roll() as u8 })
            .collect();
        let decoded = decoder.decode(&[Message { value: Some(&bytes), ..Message::default() }]).unwrap();
        assert_eq!(decoded.rows.num_rows() + decoded.refused.len(), 1);
    }
}
