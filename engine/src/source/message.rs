//! Messages, and what makes rows of them.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;

use crate::error::Result;

/// A message of a topic; its bytes are librdkafka's.
#[derive(Clone, Debug, Default)]
pub struct Message<'a> {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970, where the message has a time.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Filled only where the relation has a column of them.
    pub headers: Vec<Header<'a>>,
}

impl Message<'_> {
    /// Bytes of key and value.
    pub fn bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// A header of a message.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Makes rows of messages. Pure: the same messages give the same rows, on any thread.
pub trait Decoder: Send + Sync {
    /// The schema of the rows.
    fn schema(&self) -> &SchemaRef;

    /// One row for each message that can be one, in the messages' order.
    ///
    /// # Errors
    /// Only for what is our own fault: a message that is no row is a [`Refusal`].
    fn decode(&self, messages: &[Message<'_>]) -> Result<Decoded>;
}

/// Rows made of messages.
#[derive(Debug)]
pub struct Decoded {
    pub rows: RecordBatch,
    /// UPSERT: which rows are deletions. Only the key's columns mean anything in those.
    pub deleted: Option<BooleanArray>,
    /// The messages that are no rows, in order.
    pub refused: Vec<Refusal>,
}

/// A message that is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the messages.
    pub index: usize,
    pub reason: String,
}
