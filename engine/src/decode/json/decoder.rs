//! Rows of messages whose values, and perhaps keys, are JSON.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use serde::de::DeserializeSeed;

use super::buffer::{Buffer, Values};
use super::object::{Object, ObjectSeed};
use super::scalar;
use super::value::{Context, ValueSeed};
use crate::data::{Parts, SqlType};
use crate::decode::NormalizeJsonb;
use crate::error::{Error, Result, SqlState};
use crate::source::{Decoded, Decoder, Envelope, Message, Origin, Refusal, SourceColumn, SourceSpec};

/// Arrays and objects within each other. Each takes stack of the parser.
const MOST_NESTING: usize = 128;

/// Decodes JSON.
pub struct JsonDecoder {
    columns: Vec<SourceColumn>,
    places: Vec<MessagePart>,
    envelope: Envelope,
    schema: SchemaRef,
    /// What somebody reads: the rest is checked, and not built.
    wanted: Parts,
    jsonb: NormalizeJsonb,
}

/// What of a message a column is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MessagePart {
    Value,
    Key,
    Metadata,
}

impl JsonDecoder {
    /// A decoder that builds the wanted parts of the columns; the others are NULL, or hold what means nothing. Which are
    /// wanted makes no difference to which messages are rows.
    ///
    /// # Errors
    /// 0A000 for columns of types that messages cannot carry, 42P16 for an upsert without key.
    pub fn new(spec: &SourceSpec, wanted: &Parts, jsonb: NormalizeJsonb) -> Result<JsonDecoder> {
        let key = match (spec.envelope, &spec.primary_key) {
            (Envelope::Plain, _) => &[][..],
            (Envelope::Upsert, Some(key)) if !key.is_empty() => key,
            (Envelope::Upsert, _) => {
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, "FORMAT UPSERT needs a primary key")
                    .with_hint("Add PRIMARY KEY with the columns that the messages' keys hold."));
            }
        };
        let place = |(index, column): (usize, &SourceColumn)| match column.origin {
            Origin::Member if key.contains(&index) => MessagePart::Key,
            Origin::Member => MessagePart::Value,
            _ => MessagePart::Metadata,
        };
        let places: Vec<MessagePart> = spec.columns.iter().enumerate().map(place).collect();
        if let Some((index, _)) = key.iter().map(|index| (*index, places.get(*index))).find(|(index, place)| {
            *place == Some(&MessagePart::Metadata) && spec.columns[*index].origin != Origin::Key || place.is_none()
        }) {
            let name = spec.columns.get(index).map_or("", |column| &column.column.name);
            let message = format!("column \"{name}\" cannot be in the primary key of FORMAT UPSERT");
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_hint("The primary key is what the messages' keys hold."));
        }
        let (columns, envelope, schema) = (spec.columns.clone(), spec.envelope, spec.arrow());
        let decoder = JsonDecoder { columns, places, envelope, schema, wanted: wanted.clone(), jsonb };
        // Refuses types now rather than at the first message.
        Rows::new(&decoder)?;
        Ok(decoder)
    }
}

impl Decoder for JsonDecoder {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn decode(&self, messages: &[Message<'_>]) -> Result<Decoded> {
        let mut rows = Rows::new(self)?;
        let mut refused = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            rows.context.begin();
            let mut pushed = rows.push(message);
            if pushed.is_err() && rows.context.turns_to_digits() {
                rows.cut_back();
                pushed = rows.push(message);
            }
            if let Err(reason) = pushed {
                rows.cut_back();
                refused.push(Refusal { index, reason });
            }
        }
        rows.finish(refused)
    }
}

/// Rows under construction.
struct Rows<'a> {
    decoder: &'a JsonDecoder,
    value: Object,
    key: Object,
    metadata: Vec<(&'a SourceColumn, Buffer)>,
    deleted: Vec<bool>,
    context: Context,
}

impl<'a> Rows<'a> {
    fn new(decoder: &'a JsonDecoder) -> Result<Rows<'a>> {
        let at = |place: MessagePart| {
            let all = decoder.columns.iter().zip(&decoder.places).enumerate();
            let placed = all.filter(move |(_, (_, at))| **at == place);
            placed.map(|(index, (from, _))| (from, decoder.wanted.of(index)))
        };
        let object = |place: MessagePart| {
            let columns = at(place).map(|(from, wanted)| (&from.column, wanted));
            Object::new(columns.map(|(column, wanted)| (column.name.clone(), &column.ty, column.nullable, wanted)))
        };
        let metadata =
            at(MessagePart::Metadata).map(|(from, wanted)| Ok((from, Buffer::new(&from.column.ty, wanted)?)));
        Ok(Rows {
            decoder,
            value: object(MessagePart::Value)?,
            key: object(MessagePart::Key)?,
            metadata: metadata.collect::<Result<_>>()?,
            deleted: Vec::new(),
            context: Context::new(decoder.jsonb),
        })
    }

    /// Appends a row, or half of one and the reason why it is none.
    fn push(&mut self, message: &Message<'_>) -> Result<(), String> {
        for (from, buffer) in &mut self.metadata {
            push_metadata(from, buffer, message)?;
        }
        if !self.key.is_empty() {
            let key = message.key.ok_or("the message has no key")?;
            push_key(key, &mut self.key, &mut self.context)?;
        }
        match (message.value, self.decoder.envelope) {
            (Some(value), _) => push_object(value, &mut self.value, &mut self.context)?,
            (None, Envelope::Upsert) => self.value.push_defaults(),
            (None, Envelope::Plain) => return Err("the message has no value".to_owned()),
        }
        self.deleted.push(message.value.is_none());
        Ok(())
    }

    /// Takes away what a message that is no row has left.
    fn cut_back(&mut self) {
        let length = self.deleted.len();
        self.value.truncate(length);
        self.key.truncate(length);
        self.metadata.iter_mut().for_each(|(_, buffer)| buffer.truncate(length));
    }

    fn finish(self, refused: Vec<Refusal>) -> Result<Decoded> {
        let rows = self.deleted.len();
        let mut value = self.value.finish(rows)?.into_iter();
        let mut key = self.key.finish(rows)?.into_iter();
        let metadata = self.metadata.into_iter().map(|(from, buffer)| buffer.finish(rows, from.column.nullable));
        let mut metadata = metadata.collect::<Result<Vec<_>>>()?.into_iter();
        let columns = self.decoder.places.iter().map(|place| match place {
            MessagePart::Value => value.next(),
            MessagePart::Key => key.next(),
            MessagePart::Metadata => metadata.next(),
        });
        let columns = columns.collect::<Option<Vec<_>>>().ok_or_else(|| Error::internal("a column is missing"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.decoder.schema), columns, &options)?;
        let deleted = (self.decoder.envelope == Envelope::Upsert).then(|| BooleanArray::from(self.deleted));
        Ok(Decoded { rows, deleted, refused })
    }
}

fn push_object(bytes: &[u8], object: &mut Object, context: &mut Context) -> Result<(), String> {
    let text = checked_text(bytes)?;
    let mut parser = sonic_rs::Deserializer::from_str(text);
    let read = ObjectSeed { object, context }.deserialize(&mut parser).and_then(|()| parser.end());
    read.map_err(|error| context.explain(&error))
}

/// UTF-8 that is not nested too deeply, with what the parser does not check in strings that nobody reads.
fn checked_text(bytes: &[u8]) -> Result<&str, String> {
    let text = simdutf8::compat::from_utf8(bytes);
    let text = text.map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to()))?;
    if let Some(at) = wrong_escape(bytes) {
        return Err(format!("invalid JSON: invalid escape at byte {at}"));
    }
    match is_too_deep(bytes) {
        true => Err(format!("arrays and objects within each other more than {MOST_NESTING} deep")),
        false => Ok(text),
    }
}

/// Where a `\u` without four hexadecimal digits is. Backslashes are nowhere but in strings.
fn wrong_escape(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', bytes.get(at..)?) {
        at += found;
        let is_wrong = bytes.get(at + 1) == Some(&b'u')
            && !bytes.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_wrong {
            return Some(at);
        }
        at += 2;
    }
    None
}

/// Whether brackets are nested too deeply. Nearly always there are too few of them for that.
fn is_too_deep(bytes: &[u8]) -> bool {
    // Counted in bytes, many at once: the two differ in one bit, and a byte can count what a chunk has.
    let opening = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    if bytes.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(opening(chunk))).sum::<usize>() <= MOST_NESTING {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_NESTING {
            return true;
        }
    }
    false
}

/// A key: a JSON object with the columns as members, or, where there is one column, its value as JSON or as plain text.
fn push_key(bytes: &[u8], key: &mut Object, context: &mut Context) -> Result<(), String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let read = match key.single() {
        Some(buffer) if first != Some(&b'{') => push_single_key(bytes, buffer, context),
        _ => return push_object(bytes, key, context).map_err(|reason| format!("key: {reason}")),
    };
    read.map_err(|reason| format!("key: {reason}"))?;
    key.end_single(context).map_err(|_| format!("key: {}", context.take_fault().unwrap_or_default()))
}

fn push_single_key(bytes: &[u8], buffer: &mut Buffer, context: &mut Context) -> Result<(), String> {
    let text = checked_text(bytes)?;
    let is_text = match buffer.ty {
        SqlType::Text | SqlType::Varchar(_) | SqlType::Bpchar(_) | SqlType::Bytea | SqlType::Uuid => true,
        SqlType::Date | SqlType::Time => true,
        SqlType::Timestamp | SqlType::Timestamptz => text.parse::<i64>().is_err(),
        _ => false,
    };
    if is_text && !text.starts_with('"') {
        return scalar::push_text(buffer, text);
    }
    let mut parser = sonic_rs::Deserializer::from_str(text);
    let read = ValueSeed { buffer, context }.deserialize(&mut parser).and_then(|()| parser.end());
    read.map_err(|error| context.explain(&error))
}

/// A column that is not of the value.
fn push_metadata(from: &SourceColumn, buffer: &mut Buffer, message: &Message<'_>) -> Result<(), String> {
    match from.origin {
        Origin::Key => match message.key {
            Some(key) if buffer.ty == SqlType::Bytea => buffer.push_bytes(key)?,
            Some(key) => {
                let text = std::str::from_utf8(key).map_err(|_| "key: invalid UTF-8".to_owned())?;
                scalar::push_text(buffer, text).map_err(|reason| format!("key: {reason}"))?;
            }
            None => buffer.push_null(),
        },
        Origin::Partition => scalar::push_integer(buffer, message.partition.into())?,
        Origin::Offset => scalar::push_integer(buffer, message.offset.into())?,
        Origin::Timestamp => match message.timestamp_ms {
            Some(millis) => scalar::push_integer(buffer, millis.into())?,
            None => buffer.push_null(),
        },
        Origin::Headers => push_headers(buffer, message)?,
        Origin::Member => return Err(format!("column \"{}\" is no metadata", from.column.name)),
    }
    match buffer.ends_with_null() && !from.column.nullable {
        true => Err(format!("column \"{}\": NULL is not allowed", from.column.name)),
        false => Ok(()),
    }
}

/// An array of `record(key text, value bytea)`.
fn push_headers(buffer: &mut Buffer, message: &Message<'_>) -> Result<(), String> {
    if let Values::List { items, .. } = &mut buffer.values {
        for header in &message.headers {
            let Values::Record(record) = &mut items.values else { return Err("headers are records".to_owned()) };
            record.push_header(header.key, header.value)?;
            items.set_valid();
        }
    }
    buffer.end_list()
}
