//! JSON against rows.

mod fuzz;
mod keys;
mod random;
mod values;
mod wanted;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::JsonDecoder;
use crate::data::{Column, Parts, SqlType};
use crate::source::{
    Decoded, Decoder, Encoding, Envelope, Kafka, Message, Offsets, OnError, OnGap, Origin, SourceColumn, SourceSpec,
};

/// A source of these columns, all of them members that may be NULL.
fn spec(columns: &[(&str, SqlType)]) -> SourceSpec {
    let column = |(name, ty): &(&str, SqlType)| SourceColumn {
        column: Column::new(*name, ty.clone(), true),
        origin: Origin::Member,
    };
    SourceSpec {
        kafka: Kafka {
            brokers: "none:1".to_owned(),
            topic: "t".to_owned(),
            properties: [].into(),
            start: Offsets::default(),
            topic_id: None,
        },
        envelope: Envelope::Plain,
        encoding: Encoding::Json,
        columns: columns.iter().map(column).collect(),
        primary_key: None,
        on_error: OnError::DeadLetter,
        on_gap: OnGap::Stop,
        retention: None,
        watermark: None,
    }
}

/// A jsonb's form, as far as these tests go: without blanks.
fn decoder(spec: &SourceSpec) -> JsonDecoder {
    JsonDecoder::new(spec, &Parts::All, |text| Ok(text.replace(' ', ""))).unwrap()
}

fn decode(spec: &SourceSpec, values: &[&str]) -> Decoded {
    let message = |(offset, value): (usize, &&str)| Message {
        offset: offset as i64,
        value: Some(leak(value)),
        ..Message::default()
    };
    let messages: Vec<Message<'_>> = values.iter().enumerate().map(message).collect();
    let decoded = decoder(spec).decode(&messages).unwrap();
    assert_eq!(decoded.rows.num_rows() + decoded.refused.len(), messages.len());
    decoded
}

fn leak(text: &str) -> &'static [u8] {
    text.to_owned().leak().as_bytes()
}

/// Rows as text, columns with `|` between them.
fn show(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// The one value of the one column, or why there is none.
fn one(ty: SqlType, json: &str) -> Result<String, String> {
    let decoded = decode(&spec(&[("c", ty)]), &[&format!("{{\"c\":{json}}}")]);
    match decoded.refused.first() {
        Some(refusal) => Err(refusal.reason.clone()),
        None => Ok(show(&decoded.rows).remove(0)),
    }
}
