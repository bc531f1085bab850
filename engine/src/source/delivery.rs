//! What a reader hands over.

use std::fmt;

use arrow::array::{BooleanArray, RecordBatch};
use bytes::Bytes;

use crate::data::ObjectId;
use crate::source::{Message, Offsets, Permit, Times, Turn};

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
    /// Why these offsets are not after those before.
    pub turn: Option<Turn>,
    /// Messages that are no rows.
    pub bad: Vec<BadRecord>,
    /// Offsets that Kafka no longer had: the source says that reading goes on.
    pub lost: Vec<LostRange>,
    /// When the messages were made.
    pub times: Times,
    /// The memory that the delivery takes of the [`Intake`](crate::source::Intake); dropping it lets readers go on.
    pub permit: Permit,
}

impl Delivery {
    /// Whether there is something in it that is no row.
    pub fn has_errors(&self) -> bool {
        !self.bad.is_empty() || !self.lost.is_empty()
    }
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
    pub loss: Loss,
}

/// What became of messages that Kafka no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Deleted before they were read.
    Deleted,
    /// Gone with their topic before they were read. How many there were at the end is not known.
    Topic,
    /// Read, and then cut off from the log.
    Cut,
}

impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LostRange { from, to, loss, .. } = *self;
        let last = to - 1;
        match loss {
            Loss::Deleted => write!(f, "lost: Kafka deleted offsets {from} to {last} before they were read"),
            Loss::Topic if to > from => {
                write!(f, "lost: the topic was deleted with offsets {from} to at least {last} not read, and made anew")
            }
            Loss::Topic => write!(f, "lost: the topic was deleted and made anew; offsets before {from} had been read"),
            Loss::Cut if from == to => write!(f, "the log was cut off at offset {from} or before, and went on"),
            Loss::Cut => write!(f, "cut off: offsets {from} to {last} were read and are no longer in the log"),
        }
    }
}
