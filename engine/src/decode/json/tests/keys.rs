use super::{decoder, show, spec};
use crate::data::{Column, Parts, SqlType};
use crate::source::{Decoded, Decoder, Envelope, Header, Message, Origin, SourceColumn, SourceSpec};

fn upsert(columns: &[(&str, SqlType)], key: &[usize]) -> SourceSpec {
    let mut spec = spec(columns);
    spec.envelope = Envelope::Upsert;
    spec.primary_key = Some(key.to_vec());
    key.iter().for_each(|index| spec.columns[*index].column.nullable = false);
    spec
}

fn decode(spec: &SourceSpec, messages: &[(Option<&str>, Option<&str>)]) -> Decoded {
    let message = |(key, value): &(Option<&'static str>, Option<&'static str>)| Message {
        key: key.map(str::as_bytes),
        value: value.map(str::as_bytes),
        ..Message::default()
    };
    let messages: Vec<(Option<&'static str>, Option<&'static str>)> = messages
        .iter()
        .map(|(key, value)| (key.map(|text| &*text.to_owned().leak()), value.map(|text| &*text.to_owned().leak())))
        .collect();
    let messages: Vec<Message<'_>> = messages.iter().map(message).collect();
    decoder(spec).decode(&messages).unwrap()
}

#[test]
fn keys_are_json_or_text() {
    let one = |ty: SqlType, key: &str| {
        let decoded = decode(&upsert(&[("k", ty), ("v", SqlType::Int4)], &[0]), &[(Some(key), Some("{\"v\":1}"))]);
        match decoded.refused.first() {
            Some(refusal) => Err(refusal.reason.clone()),
            None => Ok(show(&decoded.rows).remove(0)),
        }
    };
    assert_eq!(one(SqlType::Int4, "5"), Ok("5|1".into()));
    assert_eq!(one(SqlType::Int4, " {\"K\":5} "), Ok("5|1".into()));
    assert_eq!(one(SqlType::Text, "plain text"), Ok("plain text|1".into()));
    assert_eq!(one(SqlType::Text, "5"), Ok("5|1".into()));
    assert_eq!(one(SqlType::Text, "\"quoted\""), Ok("quoted|1".into()));
    assert_eq!(one(SqlType::Text, "{\"k\":\"member\"}"), Ok("member|1".into()));
    assert_eq!(one(SqlType::Date, "2024-01-31"), Ok("2024-01-31|1".into()));
    assert_eq!(one(SqlType::Timestamp, "1000"), Ok("1970-01-01T00:00:01|1".into()));
    for (ty, key) in [
        (SqlType::Int4, "five"),
        (SqlType::Int4, "null"),
        (SqlType::Int4, "{}"),
        (SqlType::Int4, "5 6"),
        (SqlType::Text, "\"open"),
        (SqlType::Text, "{\"k\":null}"),
        (SqlType::Uuid, "x"),
    ] {
        let reason = one(ty, key).expect_err(key);
        assert!(reason.starts_with("key: "), "{key}: {reason}");
    }
}

#[test]
fn tombstones_delete() {
    let columns = [("v", SqlType::Int4), ("a", SqlType::Int4), ("n", SqlType::Text), ("b", SqlType::Text)];
    let mut spec = upsert(&columns, &[1, 3]);
    spec.columns[2].column.nullable = false;
    let key = "{\"a\":1,\"b\":\"x\"}";
    let decoded = decode(
        &spec,
        &[
            (Some(key), Some("{\"v\":7,\"n\":\"n\",\"a\":99}")),
            (Some(key), None),
            (None, Some("{\"v\":7,\"n\":\"n\"}")),
            (None, None),
            (Some(key), Some("")),
            (Some("{\"a\":1}"), None),
        ],
    );
    assert_eq!(show(&decoded.rows), ["7|1|n|x", "NULL|1||x"]);
    let deleted = decoded.deleted.unwrap();
    assert_eq!((deleted.value(0), deleted.value(1)), (false, true));
    let reasons: Vec<&str> = decoded.refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(reasons[..2], ["the message has no key"; 2]);
    assert!(reasons[2].starts_with("invalid JSON"));
    assert_eq!(reasons[3], "key: column \"b\": is missing, and NULL is not allowed");
}

#[test]
fn plain_messages_have_values_and_no_deletions() {
    let decoded = decode(&spec(&[("a", SqlType::Int4)]), &[(None, None), (None, Some("{}"))]);
    assert_eq!((decoded.rows.num_rows(), decoded.deleted), (1, None));
    assert_eq!(decoded.refused[0].reason, "the message has no value");
}

#[test]
fn metadata_are_columns() {
    let mut spec = spec(&[("a", SqlType::Int4)]);
    let header = SqlType::Record(vec![("key".into(), SqlType::Text), ("value".into(), SqlType::Bytea)]);
    for (name, ty, origin) in [
        ("k", SqlType::Bytea, Origin::Key),
        ("t", SqlType::Text, Origin::Key),
        ("p", SqlType::Int4, Origin::Partition),
        ("o", SqlType::Int8, Origin::Offset),
        ("ts", SqlType::Timestamptz, Origin::Timestamp),
        ("h", header.array(), Origin::Headers),
    ] {
        spec.columns.push(SourceColumn { column: Column::new(name, ty, true), origin });
    }
    let headers = vec![Header { key: b"x", value: Some(b"\x01") }, Header { key: b"y", value: None }];
    let full = Message {
        partition: 3,
        offset: 1 << 40,
        timestamp_ms: Some(1000),
        key: Some(b"key"),
        value: Some(b"{\"a\":1}"),
        headers,
    };
    let bare = Message { value: Some(b"{}"), ..Message::default() };
    let broken = Message { key: Some(b"\xff"), ..full.clone() };
    let decoded = decoder(&spec).decode(&[full, bare, broken]).unwrap();
    assert_eq!(
        show(&decoded.rows),
        [
            "1|6b6579|key|3|1099511627776|1970-01-01T00:00:01Z|[{key: x, value: 01}, {key: y, value: NULL}]",
            "NULL|NULL|NULL|0|0|NULL|[]",
        ]
    );
    assert_eq!(decoded.refused[0].reason, "key: invalid UTF-8");
}

#[test]
fn the_key_itself_can_be_the_primary_key() {
    let mut spec = upsert(&[("k", SqlType::Bytea), ("v", SqlType::Int4)], &[0]);
    spec.columns[0].origin = Origin::Key;
    let decoded = decode(&spec, &[(Some("a"), Some("{\"v\":1,\"k\":5}")), (Some("a"), None), (None, None)]);
    assert_eq!(show(&decoded.rows), ["61|1", "61|NULL"]);
    assert_eq!(decoded.refused[0].reason, "column \"k\": NULL is not allowed");
    spec.columns[0].origin = Origin::Offset;
    let error = super::JsonDecoder::new(&spec, &Parts::All, |text| Ok(text.to_owned())).err().unwrap();
    assert_eq!(error.sqlstate().code(), "42P16");
    spec.primary_key = None;
    let error = super::JsonDecoder::new(&spec, &Parts::All, |text| Ok(text.to_owned())).err().unwrap();
    assert_eq!(error.sqlstate().code(), "42P16");
}
