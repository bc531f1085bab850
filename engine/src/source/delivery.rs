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

    /// The same in parts of at most so many rows. Offsets move with the last one, as does all that is no row: what has been
    /// read is known when all parts have been taken in.
    pub fn split(mut self, most: usize) -> Vec<Delivery> {
        let mut parts = Vec::new();
        while self.rows.num_rows() > most {
            let rest = self.rows.num_rows() - most;
            let runs = split_runs(&mut self.runs, most);
            let deleted = self.deleted.as_ref().map(|deleted| deleted.slice(0, most));
            let (lost, bad, offsets, times) = Default::default();
            let rows = self.rows.slice(0, most);
            let (relation, permit) = (self.relation, self.permit.part());
            parts.push(Delivery { relation, rows, runs, deleted, offsets, turn: None, bad, lost, times, permit });
            self.rows = self.rows.slice(most, rest);
            self.deleted = self.deleted.map(|deleted| deleted.slice(most, rest));
        }
        parts.push(self);
        parts
    }
}

/// Takes the runs of the first rows off.
fn split_runs(runs: &mut Vec<(i32, usize)>, rows: usize) -> Vec<(i32, usize)> {
    let (mut first, mut rest, mut left) = (Vec::new(), Vec::new(), rows);
    for (partition, count) in runs.drain(..) {
        let taken = count.min(left);
        left -= taken;
        first.extend((taken > 0).then_some((partition, taken)));
        rest.extend((count > taken).then_some((partition, count - taken)));
    }
    *runs = rest;
    first
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

/// Rows and the offsets behind them, as a reader might deliver them.
#[cfg(test)]
pub fn delivery(relation: ObjectId, rows: RecordBatch, offsets: Offsets) -> Delivery {
    let permit = crate::source::Intake::new(1000, 1).unwrap().take(&crate::source::intake::Share::default(), 100);
    let (runs, deleted, turn, bad, lost, times) = Default::default();
    Delivery { relation, rows, runs, deleted, offsets, turn, bad, lost, times, permit }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn parts_are_the_whole() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..7));
        let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let delivery = Delivery {
            runs: vec![(0, 2), (1, 3), (0, 2)],
            deleted: Some((0..7).map(|n| Some(n == 4)).collect()),
            turn: Some(Turn::Back),
            times: [1, 2].into_iter().collect(),
            ..delivery(ObjectId(1), rows, [(0, 4), (1, 3)].into_iter().collect())
        };
        let parts = delivery.split(3);
        let rows = |part: &Delivery| part.rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(parts.iter().map(rows).collect::<Vec<_>>(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        let runs: Vec<_> = parts.iter().map(|part| part.runs.clone()).collect();
        assert_eq!(runs, [vec![(0, 2), (1, 1)], vec![(1, 2), (0, 1)], vec![(0, 1)]]);
        let deleted = |part: &Delivery| part.deleted.as_ref().map(|deleted| deleted.true_count());
        assert_eq!(parts.iter().map(deleted).collect::<Vec<_>>(), [Some(0), Some(1), Some(0)]);
        let last = parts.iter().map(|part| (part.offsets.0.len(), part.turn.is_some(), part.permit.bytes()));
        assert_eq!(last.collect::<Vec<_>>(), [(0, false, 0), (0, false, 0), (2, true, 100)]);
        assert_eq!(parts[2].times.runs().count(), 2);
    }
}
