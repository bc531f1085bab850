use super::{decode, one, show, spec};
use crate::data::Parts;
use crate::data::SqlType::{self, *};

#[test]
fn values_of_every_type() {
    for (ty, json, expected) in [
        (Bool, "true", "true"),
        (Int2, "-32768", "-32768"),
        (Int4, "2147483647", "2147483647"),
        (Int4, "1e3", "1000"),
        (Int8, "-9223372036854775808", "-9223372036854775808"),
        (Int8, "5.0", "5"),
        (Int8, "-9.007199254740991e15", "-9007199254740991"),
        (Int8, "1e18", "1000000000000000000"),
        (Int8, "9007199254740993.0", "9007199254740993"),
        (Int8, "-9223372036854775.808E3", "-9223372036854775808"),
        (Int8.array(), "[1, 9223372036854775807.0, null, 2]", "[1, 9223372036854775807, NULL, 2]"),
        (Float8, "9007199254740994.0", "9007199254740994.0"),
        (Float8, "1e18", "1e18"),
        (SqlType::NUMERIC, "1e18", "1000000000000000000.000000000000000000"),
        (SqlType::NUMERIC, "9007199254740993.5e0", "9007199254740993.500000000000000000"),
        (Float4, "0.1", "0.1"),
        (Float4, "\"-Infinity\"", "-inf"),
        (Float8, "1e308", "1e308"),
        (Float8, "3", "3.0"),
        (Float8, "\"NaN\"", "NaN"),
        (SqlType::NUMERIC, "12345678901234567890.000000000000000001", "12345678901234567890.000000000000000001"),
        (Numeric(Some((6, 2))), "\"-1.005\"", "-1.01"),
        (Text, "\"a\\u00e9\\n\\\"\"", "aé\n\""),
        (Varchar(Some(2)), "\"ab  \"", "ab"),
        (Bpchar(Some(3)), "\"é \"", "é"),
        (Bytea, "\"\\\\x00fF\"", "00ff"),
        (Date, "\"2024-02-29\"", "2024-02-29"),
        (Time, "\"01:02:03.5\"", "01:02:03.500"),
        (Timestamp, "\"2024-01-01T12:00:00+02:00\"", "2024-01-01T10:00:00"),
        (Timestamp, "1700000000123", "2023-11-14T22:13:20.123"),
        (Timestamptz, "\"2024-01-01 00:00:00.000001\"", "2024-01-01T00:00:00.000001Z"),
        (Uuid, "\"00112233-4455-6677-8899-AABBCCDDEEFF\"", "00112233445566778899aabbccddeeff"),
        (Json, "{ \"a\" : [1, 1e999] }", "{ \"a\" : [1, 1e999] }"),
        (Jsonb, "{ \"a\" : [1,\"x\\n\"] }", "{\"a\":[1,\"x\\n\"]}"),
        (Int4.array(), "[1, null, 3]", "[1, NULL, 3]"),
        (Text.array(), "[]", "[]"),
        (Record(vec![("x".into(), Int4), ("Y".into(), Text.array())]), "{\"y\":[\"q\"],\"z\":{}}", "{x: NULL, Y: [q]}"),
        (Record(vec![("x".into(), Int4)]).array(), "[{\"x\":1},null,{}]", "[{x: 1}, NULL, {x: NULL}]"),
    ] {
        assert_eq!(one(ty.clone(), json), Ok(expected.to_owned()), "{ty} {json}");
        assert_eq!(one(ty.clone(), "null"), Ok("NULL".to_owned()), "{ty}");
    }
}

#[test]
fn values_that_are_none_of_the_type() {
    for (ty, json, expected) in [
        (Bool, "1", "column \"c\": expected boolean, found a number"),
        (Bool, "\"true\"", "column \"c\": expected boolean, found a string"),
        (Int2, "32768", "column \"c\": 32768 is out of range"),
        (Int4, "1.5", "column \"c\": 1.5 is not a whole number"),
        (Int4, "\"1\"", "column \"c\": expected integer, found a string"),
        (Int8, "9223372036854775808", "column \"c\": 9223372036854775808 is out of range"),
        (Int8, "1e30", "is out of range"),
        (Int8, "9007199254740993.5", "column \"c\": 9007199254740993.5 is not a whole number"),
        (Int8, "9007199254740993.00000000000000000001", "is not a whole number"),
        (Int8, "9.223372036854775808e18", "column \"c\": 9223372036854775808 is out of range"),
        (Timestamp, "9007199254740993e0", "column \"c\": 9007199254740993 is out of range"),
        (Int8.array(), "[1e18, \"x\"]", "expected bigint, found a string"),
        (Int8.array(), "[1e18, [1]]", "expected bigint, found an array"),
        (Int8.array(), "[1e18, 1.5]", "1.5 is not a whole number"),
        (Int8.array(), "[1e18, 1e30]", "1e30 is out of range"),
        (Int4, "1e18", "column \"c\": 1000000000000000000 is out of range"),
        (Float4, "1e39", "column \"c\": 1e39 is out of range"),
        (Float4, "\"1\"", "out of range"),
        (Float8, "1e999", "invalid JSON"),
        (SqlType::NUMERIC, "1e20", "column \"c\": 1e20 is out of range for numeric"),
        (SqlType::NUMERIC, "1e-19", "more than 18 digits"),
        (SqlType::NUMERIC, "[1]", "expected numeric, found an array"),
        (Text, "5", "expected text, found a number"),
        (Text, "\"\\u0000\"", "zero character"),
        (Text, "\"\\ud800\"", "invalid JSON"),
        (Varchar(Some(2)), "\"abc\"", "value too long for type character varying(2)"),
        (Bytea, "\"\\\\x0\"", "invalid value for bytea"),
        (Bytea, "\"ab\"", "invalid value for bytea"),
        (Date, "20240101", "expected date, found a number"),
        (Date, "\"2024-02-30\"", "invalid value for date: \"2024-02-30\""),
        (Timestamp, "\"soon\"", "invalid value for timestamp without time zone: \"soon\""),
        (Timestamp, "9223372036854775807", "out of range"),
        (Uuid, "\"0011\"", "invalid value for uuid"),
        (Int4.array(), "{}", "expected integer[], found an object"),
        (Int4.array(), "[1, \"x\"]", "expected integer, found a string"),
        (Record(vec![("x".into(), Int4)]), "{\"x\":\"1\"}", "column \"c\".\"x\": expected integer, found a string"),
        (Record(vec![("x".into(), Int4)]), "[1]", "expected record, found an array"),
    ] {
        let reason = one(ty.clone(), json).expect_err(json);
        assert!(reason.contains(expected), "{ty} {json}: {reason}");
    }
}

#[test]
fn messages_are_checked_whole() {
    let spec = spec(&[("a", Int4)]);
    for broken in [
        "",
        "   ",
        "[1]",
        "1",
        "null",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":01}",
        "{\"a\":1,\"b\":tru}",
        "{\"a\":1,\"b\":\"\\x\"}",
        "{\"a\":1,\"b\":\"\u{1}\"}",
        "{\"a\":1,\"b\":{\"c\":[1,]}}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":NaN}",
    ] {
        let decoded = decode(&spec, &["{\"a\":1}", broken, "{\"a\":2}"]);
        assert_eq!(show(&decoded.rows), ["1", "2"], "{broken}");
        assert_eq!(decoded.refused[0].index, 1, "{broken}");
    }
    let text = super::decoder(&spec);
    let bytes: &[u8] = b"{\"a\":1,\"b\":\"\xff\"}";
    let message = crate::source::Message { value: Some(bytes), ..Default::default() };
    let decoded = crate::source::Decoder::decode(&text, &[message]).unwrap();
    assert_eq!(decoded.refused[0].reason, "invalid UTF-8 at byte 12");
}

#[test]
fn depth_is_limited() {
    let spec = spec(&[("a", Jsonb)]);
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let decoded = decode(&spec, &[&nested(100), &nested(200), &nested(1_000_000), &"[".repeat(3_000_000)]);
    assert_eq!(decoded.refused.len(), 3);
    let brackets = format!("{{\"a\":\"{}\",\"x\":[{}]}}", "[".repeat(1000), vec!["[]"; 1000].join(","));
    assert_eq!(decode(&spec, &[&brackets]).refused, []);
}

#[test]
fn half_written_rows_leave_nothing_behind() {
    let record = Record(vec![("x".into(), Int4.array()), ("y".into(), Text)]);
    let spec = spec(&[("a", Text), ("r", record.array()), ("b", Int4)]);
    let decoded = decode(
        &spec,
        &[
            r#"{"a":"one","r":[{"x":[1,2],"y":"p"}],"b":1}"#,
            r#"{"a":"bad","r":[{"x":[3,4],"y":"q"},{"x":[5],"y":6}],"b":2}"#,
            r#"{"a":"bad","r":[{"x":[3,4]},{"x":[5]}],"b":"x"}"#,
            r#"{"b":3,"r":null,"a":"two"}"#,
            r#"{"a":"bad","r":[{"x":[3"#,
            r#"{"r":[{"y":"z"},{"x":[9]}]}"#,
        ],
    );
    assert_eq!(
        show(&decoded.rows),
        ["one|[{x: [1, 2], y: p}]|1", "two|NULL|3", "NULL|[{x: NULL, y: z}, {x: [9], y: NULL}]|NULL"]
    );
    let refused: Vec<usize> = decoded.refused.iter().map(|refusal| refusal.index).collect();
    assert_eq!(refused, [1, 2, 4]);
}

#[test]
fn members_find_their_columns() {
    let mut spec = spec(&[("id", Int4), ("orderid", Int4), ("Exact", Int4)]);
    spec.columns[0].column.nullable = false;
    let decoded = decode(
        &spec,
        &[
            r#"{"id":1,"orderId":2,"Exact":3}"#,
            r#"{"exact":3,"ORDERID":2,"ID":1}"#,
            r#"{"id":1,"orderId":9,"orderid":2,"ORDERID":9}"#,
            r#"{"id":1,"orderId":2,"orderId":4}"#,
            r#"{"id":1,"id":7,"other":{"orderid":5}}"#,
            r#"{"id":1,"orderId":2,"ORDERID":2}"#,
            r#"{"orderId":2}"#,
            r#"{"id":null}"#,
        ],
    );
    assert_eq!(show(&decoded.rows), ["1|2|3", "1|2|3", "1|2|NULL", "1|4|NULL", "7|NULL|NULL"]);
    let reasons: Vec<&str> = decoded.refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "column \"orderid\": several members differ from its name only in case",
            "column \"id\": is missing, and NULL is not allowed",
            "column \"id\": NULL is not allowed",
        ]
    );
}

#[test]
fn types_that_messages_cannot_carry_are_refused() {
    for ty in [Interval, Regclass, Void, Interval.array()] {
        let error =
            super::JsonDecoder::new(&spec(&[("c", ty)]), &Parts::All, |text| Ok(text.to_owned())).err().unwrap();
        assert_eq!(error.sqlstate().code(), "0A000");
    }
}

/// Reading a message again leaves nothing of the first time, and other messages are read as ever.
#[test]
fn whole_numbers_that_no_float_holds_are_read_by_their_digits() {
    let mut spec = spec(&[("k", Int8), ("a", Text), ("n", Int8), ("r", Record(vec![("t".into(), Timestamptz)]))]);
    (spec.envelope, spec.primary_key) = (crate::source::Envelope::Upsert, Some(vec![0]));
    let messages = [
        (&b"1.0"[..], &br#"{"a":"one","n":1,"r":{"t":5}}"#[..]),
        (b"{\"k\":1e17}", br#"{"a":"two","n":9007199254740993.0,"r":{"t":"2024-01-01"}}"#),
        (b"9007199254740995e0", br#"{"a":"three","n":null,"r":{"t":7e0}}"#),
        (b"1e18", br#"{"a":"bad","n":1e18,"r":{"t":true}}"#),
        (b"1.0", br#"{"a":"four","n":4.0}"#),
    ];
    let message = |(key, value)| crate::source::Message { key: Some(key), value: Some(value), ..Default::default() };
    let messages: Vec<_> = messages.into_iter().map(message).collect();
    let decoded = crate::source::Decoder::decode(&super::decoder(&spec), &messages).unwrap();
    assert_eq!(
        show(&decoded.rows),
        [
            "1|one|1|{t: 1970-01-01T00:00:00.005Z}",
            "100000000000000000|two|9007199254740993|{t: 2024-01-01T00:00:00Z}",
            "9007199254740995|three|NULL|{t: 1970-01-01T00:00:00.007Z}",
            "1|four|4|NULL",
        ]
    );
    assert_eq!(decoded.refused[0].index, 3);
    assert!(decoded.refused[0].reason.ends_with("expected timestamp with time zone, found a boolean"));
}
