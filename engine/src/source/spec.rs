//! What the catalog keeps of a relation that is read from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::data::Column;
use crate::source::{Offsets, TopicId};

/// Where a relation's rows come from and how they are made of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    pub kafka: Kafka,
    pub envelope: Envelope,
    pub encoding: Encoding,
    /// All columns of the relation, in their order.
    pub columns: Vec<SourceColumn>,
    /// Positions of the primary key's columns. UPSERT has one, and reads those of [`Origin::Member`] from the message's key.
    #[serde(default)]
    pub primary_key: Option<Vec<usize>>,
    #[serde(default)]
    pub on_error: OnError,
    #[serde(default)]
    pub on_gap: OnGap,
    /// How long a row is kept after it has arrived, in microseconds; None for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<i64>,
    /// The watermark, where one is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
}

/// `WATERMARK FOR column AS column - delay`: of a partition, no row is expected whose time is more than the delay before
/// the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The column's position: `timestamp` or `timestamptz`.
    pub column: usize,
    /// In microseconds.
    pub delay: i64,
    /// How long a partition without messages is waited for, in microseconds; None for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<i64>,
}

impl SourceSpec {
    /// The schema of the rows that are delivered: the relation's.
    pub fn arrow(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|from| from.column.ty.field(&from.column.name, from.column.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
    }

    /// Whether any column is made of the messages' headers.
    pub fn reads_headers(&self) -> bool {
        self.columns.iter().any(|column| column.origin == Origin::Headers)
    }
}

/// A topic of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kafka {
    /// Comma-separated `host:port`.
    pub brokers: String,
    pub topic: String,
    /// For librdkafka, as the user gave them.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Where every reader begins; resolved once, at CREATE. Partitions that it does not name begin at 0.
    #[serde(default)]
    pub start: Offsets,
    /// The topic that was there at CREATE; None from brokers that give topics no ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<TopicId>,
}

impl Kafka {
    /// Where a topic is read from: where the source begins, if it is the topic that the source was made for.
    pub fn start_in(&self, topic: Option<&TopicId>) -> Offsets {
        if self.is_other(topic) { Offsets::default() } else { self.start.clone() }
    }

    /// Whether a topic is known to be another one than the source was made for.
    pub fn is_other(&self, topic: Option<&TopicId>) -> bool {
        topic.zip(self.topic_id.as_ref()).is_some_and(|(topic, own)| topic != own)
    }
}

/// What a message does to the relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope {
    /// It is a row.
    Plain,
    /// It is the row of its key from now on; without a value, the key has none.
    Upsert,
}

/// How values and keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    Json,
}

/// A column and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceColumn {
    pub column: Column,
    pub origin: Origin,
}

/// Where in a message a column's values are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The member of the value with the column's name.
    Member,
    /// The key's bytes: `bytea`, or a text type if they are UTF-8.
    Key,
    /// `integer`
    Partition,
    /// `bigint`
    Offset,
    /// `timestamptz`
    Timestamp,
    /// An array of `record(key text, value bytea)`.
    Headers,
}

/// What a message that is no row does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// It is delivered as a bad record, and reading goes on.
    #[default]
    DeadLetter,
    /// Its partition stops before it.
    Fail,
}

/// What offsets that Kafka no longer has do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnGap {
    /// The partition stops.
    #[default]
    Stop,
    /// Reading goes on at the first offset that is there, in a topic made anew if need be, and the lost range is delivered.
    Continue,
}
