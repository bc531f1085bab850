//! What a reader hands over.

use arrow::array::{BooleanArray, RecordBatch};
use bytes::Bytes;

use crate::data::ObjectId;
use crate::source::{Message, Offsets, Permit, Times};

/// Messages of one relation, decoded. Deliveries of a partition come in the order of its offsets, and rows of a delivery
/// are in that order too: of two with one key, the later one stands.
#[derive(Debug)]
pub struct Delivery {
    pub relation: ObjectId,
    /// All columns of the relation; may be empty when only offsets have moved.
    pub rows: RecordBatch,
    /// The partitions of the rows: so many rows of one, then so many of another. Only told where the source has a
    /// watermark.
    pub runs: Vec<(i32, usize)>,
    /// UPSERT: which rows are deletions. Only the key's columns mean anything in those; others are NULL, or any value
    /// where NULL is not allowed.
    pub deleted: Option<BooleanArray>,
    /// The next offset of each partition that has moved.
    pub offsets: Offsets,
    /// Messages that are no rows.
    pub bad: Vec<BadRecord>,
    /// Offsets that Kafka no longer had, skipped because the source says so.
    pub lost: Vec<LostRange>,
    /// When the messages were made.
    pub times: Times,
    /// The memory that the delivery takes of the [`Intake`](crate::source::Intake); dropping it lets readers go on.
    pub permit: Permit,
}

/// A message that is no row, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub error: String,
}

impl BadRecord {
    /// A copy of a message, with the reason why it is no row.
    pub fn new(message: &Message<'_>, error: String) -> BadRecord {
        BadRecord {
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(Bytes::copy_from_slice),
            value: message.value.map(Bytes::copy_from_slice),
            error,
        }
    }

    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// Offsets from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}
