//! What is wanted makes no difference to what is bad, nor to what is built.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use levada_testing::Dice;
use serde_json::{Map, json};

use super::random::{odd_text, ty, value};
use super::{JsonDecoder, decoder, show, spec};
use crate::data::SqlType::{self, *};
use crate::data::{Parts, SqlType as Type};
use crate::source::{Decoder, Message, SourceSpec};

/// Some of the columns, and of records some of the fields.
fn parts(dice: &mut Dice, types: &[&Type]) -> Parts {
    let mut wanted = std::collections::BTreeMap::new();
    for (at, ty) in types.iter().enumerate() {
        match (dice.below(3), ty) {
            (0, _) => {}
            (1, Record(fields)) => {
                let fields: Vec<&Type> = fields.iter().map(|(_, ty)| ty).collect();
                wanted.insert(at, parts(dice, &fields));
            }
            _ => {
                wanted.insert(at, Parts::All);
            }
        }
    }
    Parts::Some(wanted)
}

/// Compares what is wanted of columns.
fn assert_equal_parts(wanted: &Parts, ours: &[ArrayRef], full: &[ArrayRef], whole: bool) {
    for (at, (ours, full)) in ours.iter().zip(full).enumerate() {
        match wanted.of(at) {
            Some(Parts::All) => assert_eq!(ours, full),
            Some(fields) => {
                let (ours, full) = (ours.as_struct(), full.as_struct());
                assert_eq!(ours.nulls(), full.nulls());
                assert_equal_parts(fields, ours.columns(), full.columns(), false);
            }
            None => assert!(!whole || ours.null_count() == ours.len() || !ours.is_nullable(), "column {at} was built"),
        }
    }
}

fn some(spec: &SourceSpec, wanted: &Parts) -> JsonDecoder {
    JsonDecoder::new(spec, wanted, |text| Ok(text.replace(' ', ""))).unwrap()
}

fn assert_same(spec: &SourceSpec, wanted: &Parts, values: &[Vec<u8>], what: &str) {
    let message = |value: &'static [u8]| Message { value: Some(value), ..Message::default() };
    let messages: Vec<Message<'_>> = values.iter().map(|value| message(value.clone().leak())).collect();
    let (ours, full) = (some(spec, wanted).decode(&messages).unwrap(), decoder(spec).decode(&messages).unwrap());
    assert_eq!(ours.refused, full.refused, "{what}");
    let columns = |rows: &RecordBatch| rows.columns().to_vec();
    assert_eq!(ours.rows.num_rows(), full.rows.num_rows());
    assert_eq!(ours.rows.schema(), full.rows.schema());
    assert_equal_parts(wanted, &columns(&ours.rows), &columns(&full.rows), true);
}

#[test]
fn wanted_parts_equal_those_of_all_and_the_same_messages_are_bad() {
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let columns: Vec<(String, SqlType)> =
            (0..1 + dice.below(6)).map(|index| (format!("c{index}"), ty(&mut dice, 3))).collect();
        let named: Vec<(&str, SqlType)> = columns.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        let mut spec = spec(&named);
        spec.columns.iter_mut().for_each(|column| column.column.nullable = dice.below(4) > 0);
        let mut values = Vec::new();
        for _ in 0..40 {
            let mut object = Map::new();
            for (name, ty) in &columns {
                // Now and then a value of another type.
                let other = super::random::ty(&mut dice, 2);
                let ty = if dice.below(12) == 0 { &other } else { ty };
                object.insert(name.clone(), value(&mut dice, ty).0);
            }
            object.insert("unknown".to_owned(), json!({ "c0": [odd_text(&mut dice), 1.5e300] }));
            let mut bytes = serde_json::to_vec(&object).unwrap();
            if dice.below(3) == 0 {
                let at = dice.below(bytes.len());
                match dice.below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = b"{}[]\",:\\0e-.x"[dice.below(13)],
                    2 => bytes[at] = dice.roll() as u8,
                    _ => drop(bytes.remove(at)),
                }
            }
            values.push(bytes);
        }
        for _ in 0..4 {
            let types: Vec<&Type> = columns.iter().map(|(_, ty)| ty).collect();
            let wanted = parts(&mut dice, &types);
            assert_same(&spec, &wanted, &values, &format!("seed {seed}, {wanted:?}"));
        }
        assert_same(&spec, &Parts::none(), &values, &format!("seed {seed}"));
    }
}

#[test]
fn every_type_is_checked_where_nobody_reads_it() {
    let types = [
        (Bool, "1"),
        (Int2, "40000"),
        (Int4, "1.5"),
        (Int8, "9223372036854775808"),
        (Float4, "1e39"),
        (Float8, "\"x\""),
        (SqlType::NUMERIC, "1e20"),
        (Text, "\"\\u0000\""),
        (Varchar(Some(2)), "\"abc\""),
        (Bytea, "\"ab\""),
        (Date, "\"2024-02-30\""),
        (Time, "\"25:00\""),
        (Timestamp, "\"soon\""),
        (Timestamptz, "9223372036854775807"),
        (Uuid, "\"0011\""),
        (Int4.array(), "[1, \"x\"]"),
        (Record(vec![("x".into(), Int4)]), "{\"x\":\"1\"}"),
        (Record(vec![("x".into(), Date.array())]).array(), "[{\"x\":[\"1\"]}]"),
    ];
    for (ty, wrong) in types {
        let spec = spec(&[("a", Int4), ("c", ty.clone())]);
        let values = [format!("{{\"a\":1,\"c\":{wrong}}}").into_bytes(), b"{\"a\":2}".to_vec()];
        assert_same(&spec, &Parts::columns([0]), &values, &ty.to_string());
        let message = |value| Message { value: Some(value), ..Message::default() };
        let decoded = some(&spec, &Parts::columns([0])).decode(&[message(&values[0]), message(&values[1])]).unwrap();
        assert_eq!((decoded.refused.len(), show(&decoded.rows)), (1, vec!["2|NULL".to_owned()]), "{ty}");
    }
}
