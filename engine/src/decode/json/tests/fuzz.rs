//! Messages of any bytes against any columns: a row or a reason each, whatever stands beside them.

use levada_testing::{Dice, garble, seeds};

use super::{decoder, show, spec};
use crate::data::SqlType::{self, *};
use crate::source::{Decoder, Envelope, Message};

/// A random type, nested up to so deep.
fn ty(dice: &mut Dice, depth: usize) -> SqlType {
    let plain = [
        Bool,
        Int2,
        Int4,
        Int8,
        Float4,
        Float8,
        SqlType::NUMERIC,
        Text,
        Varchar(Some(5)),
        Bpchar(Some(3)),
        Bytea,
        Date,
        Time,
        Timestamp,
        Timestamptz,
        Uuid,
        Json,
        Jsonb,
    ];
    match dice.below(5) {
        0 if depth > 0 => ty(dice, depth - 1).array(),
        1 if depth > 0 => {
            let count = 1 + dice.below(3);
            Record((0..count).map(|index| (format!("f{index}"), ty(dice, depth - 1))).collect())
        }
        _ => dice.pick(&plain),
    }
}

/// JSON that may be a value of the type, or of another one, or none: what messages are made of.
fn value(dice: &mut Dice, ty: &SqlType, out: &mut String) {
    if dice.one_in(6) {
        return noise(dice, out);
    }
    match ty {
        Bool => out.push_str(dice.pick(&["true", "false"])),
        Int2 | Int4 | Int8 | Float4 | Float8 | Numeric(_) => number(dice, out),
        Date => out.push_str(dice.pick(&["\"2024-02-29\"", "\"0000-00-00\"", "\"294277-01-01\"", "\"-4714-01-01\""])),
        Time => out.push_str(dice.pick(&["\"12:30:00.5\"", "\"24:00:00\"", "\"23:59:60\""])),
        Timestamp | Timestamptz => {
            let texts = ["\"2024-01-31T12:30:00Z\"", "\"294276-12-31 23:59:59.999999+14\"", "1700000000000"];
            if dice.one_in(3) { number(dice, out) } else { out.push_str(dice.pick(&texts)) }
        }
        Uuid => out.push_str("\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""),
        Bytea => out.push_str(dice.pick(&["\"\\\\xdeadbeef\"", "\"\\\\x\"", "\"\\\\xé\"", "\"\\\\x1\""])),
        Array(item) => {
            out.push('[');
            for index in 0..dice.below(4) {
                out.push_str(if index == 0 { "" } else { "," });
                value(dice, item, out);
            }
            out.push(']');
        }
        Record(fields) => object(dice, fields, out),
        _ => noise(dice, out),
    }
}

/// Members in any order, some twice, some unknown.
fn object(dice: &mut Dice, fields: &[(String, SqlType)], out: &mut String) {
    out.push('{');
    for index in 0..dice.below(fields.len() + 3) {
        out.push_str(if index == 0 { "" } else { "," });
        let (name, ty) = dice.pick(fields);
        match dice.below(8) {
            0 => out.push_str("\"other\":"),
            1 => out.push_str(&format!("\"{}\":", name.to_uppercase())),
            2 => out.push_str(&format!("\"\\u00{:02x}{}\":", name.as_bytes()[0], &name[1..])),
            _ => out.push_str(&format!("\"{name}\":")),
        }
        value(dice, &ty, out);
    }
    out.push('}');
}

/// Numbers up to those that fit into nothing.
fn number(dice: &mut Dice, out: &mut String) {
    let digits = |dice: &mut Dice| (0..1 + dice.below(60)).map(|_| char::from(b'0' + dice.below(10) as u8)).collect();
    let text: String = match dice.below(7) {
        0 => (dice.roll() as i64).to_string(),
        1 => (dice.roll() as i16).to_string(),
        2 => digits(dice),
        3 => format!("-0.{}", digits(dice)),
        4 => format!("{}e{}", dice.below(1000), dice.roll() as i16),
        5 => format!("1e{}", "9".repeat(dice.below(400))),
        _ => (dice.pick(&["-0", "0e0", "9223372036854775808", "-9223372036854775809", "1E+400", "5e-324"])).to_owned(),
    };
    out.push_str(&text);
}

fn noise(dice: &mut Dice, out: &mut String) {
    let depth = dice.below(300);
    match dice.below(7) {
        0 => out.push_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        1 => out.push_str(&format!("{}1{}", "{\"c0\":".repeat(depth), "}".repeat(depth))),
        2 => {
            out.push_str(dice.pick(&["\"\\ud83e\"", "\"\\udd80\\ud83e\"", "\"\\ud83e\\u0041\"", "\"\\ud83e\\udd80\""]))
        }
        3 => out.push_str("null"),
        4 => {
            out.push_str(dice.pick(&["\"\\u0000\"", "\"\"", "\"NaN\"", "\"-Infinity\"", "\"1e9999\"", "NaN", "\u{7f}"]))
        }
        5 => out.push_str(&format!("\"{}\"", "é".repeat(depth))),
        _ => number(dice, out),
    }
}

/// Decoding never panics, accounts for every message, and a bad one leaves no trace in the rows of others.
#[test]
fn every_message_is_a_row_or_a_reason() {
    let (mut rows, mut refused) = (0, 0);
    for seed in seeds(1500) {
        let mut dice = Dice::new(seed);
        let columns: Vec<(String, SqlType)> =
            (0..1 + dice.below(5)).map(|index| (format!("c{index}"), ty(&mut dice, 3))).collect();
        let named: Vec<(&str, SqlType)> = columns.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        let mut spec = spec(&named);
        if dice.one_in(3) && !matches!(columns[0].1, Array(_) | Record(_) | Json | Jsonb) {
            (spec.envelope, spec.primary_key) = (Envelope::Upsert, Some(vec![0]));
        }
        let decoder = decoder(&spec);
        let mut texts = Vec::new();
        for _ in 0..2 * (1 + dice.below(6)) {
            let mut text = String::new();
            object(&mut dice, &columns, &mut text);
            let mut bytes = text.into_bytes();
            if dice.one_in(2) {
                garble(&mut bytes, &mut dice);
            }
            texts.push(bytes);
        }
        let messages: Vec<Message<'_>> = texts
            .chunks(2)
            .map(|pair| Message {
                value: (!dice.one_in(9)).then_some(pair[0].as_slice()),
                key: (!dice.one_in(9)).then_some(pair[1].as_slice()),
                ..Message::default()
            })
            .collect();
        let together = decoder.decode(&messages).unwrap();
        assert_eq!(together.rows.num_rows() + together.refused.len(), messages.len());
        assert!(together.refused.iter().all(|refusal| !refusal.reason.is_empty()));
        let alone: Vec<String> = messages
            .iter()
            .flat_map(|message| show(&decoder.decode(std::slice::from_ref(message)).unwrap().rows))
            .collect();
        assert_eq!(show(&together.rows), alone);
        together.rows.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
        (rows, refused) = (rows + alone.len(), refused + together.refused.len());
    }
    assert!(rows > 0 && refused > 0 || std::env::var_os("LEVADA_FUZZ").is_some());
}
