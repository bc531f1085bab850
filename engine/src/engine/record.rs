//! What stands in the log: transactions, how far sources had been read, and marks that a transaction is void.
//!
//! | record | bytes (big-endian) |
//! |---|---|
//! | transaction | [`TRANSACTION`], index u16, the [entry] |
//! | sources | [`SOURCES`], JSON: how far each had been read when the transactions before it were logged |
//! | void | [`VOID`], position u64 of the transaction that never was |
//!
//! The index counts the transactions that one fsync made durable: the last such group may hold some that nobody was told of.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::data::ObjectId;
use crate::engine::{Operation, entry};
use crate::error::{Error, Result};
use crate::source::Progress;
use crate::state::LogPosition;

const TRANSACTION: u8 = 0x81;
const VOID: u8 = 0x82;
const SOURCES: u8 = 0x83;

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Transaction {
        /// Its place among those written at once.
        index: u16,
        entry: &'a [u8],
    },
    /// How far sources had been read at the epoch before the transactions written at once with it.
    Sources(BTreeMap<ObjectId, Progress>),
    Void(LogPosition),
}

/// The records of transactions that are written at once.
pub fn transactions<'a>(group: impl Iterator<Item = &'a [Operation]>) -> Result<Vec<Bytes>> {
    let record = |(index, operations): (usize, &[Operation])| {
        let index = u16::try_from(index).map_err(|_| Error::internal("too many transactions in one step"))?;
        let mut record = vec![TRANSACTION];
        record.extend(index.to_be_bytes());
        record.extend(entry::encode(operations)?);
        Ok(record.into())
    };
    group.enumerate().map(record).collect()
}

/// The record of how far sources have been read.
pub fn sources(read: &BTreeMap<ObjectId, Progress>) -> Result<Bytes> {
    let mut record = vec![SOURCES];
    serde_json::to_writer(&mut record, read)
        .map_err(|error| Error::internal("cannot write how far sources are read").with_source(error))?;
    Ok(record.into())
}

/// The mark that the transaction at a position is void.
pub fn void(position: LogPosition) -> Bytes {
    let mut record = vec![VOID];
    record.extend(position.0.to_be_bytes());
    record.into()
}

/// Reads a record.
///
/// # Errors
/// XX001 for other bytes.
pub fn read(bytes: &[u8]) -> Result<Record<'_>> {
    let broken = || Error::corrupt("a record of the log cannot be read");
    match bytes {
        [TRANSACTION, a, b, entry @ ..] => Ok(Record::Transaction { index: u16::from_be_bytes([*a, *b]), entry }),
        [SOURCES, read @ ..] => {
            Ok(Record::Sources(serde_json::from_slice(read).map_err(|error| broken().with_source(error))?))
        }
        [VOID, position @ ..] => {
            let position = position.try_into().map_err(|_| broken())?;
            Ok(Record::Void(LogPosition(u64::from_be_bytes(position))))
        }
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, logs written before do not read any more: raise the format of the state.
    #[test]
    fn golden_bytes() {
        let group = [vec![], vec![Operation::Drop(vec![ObjectId(7)])]];
        let records = transactions(group.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(records[0][..4], [0x81, 0, 0, 2]);
        assert_eq!(records[1][..], [&[0x81, 0, 1, 2, 2, 0, 0, 0, 3][..], b"[7]"].concat());
        assert_eq!(void(LogPosition(0x0102))[..], [0x82, 0, 0, 0, 0, 0, 0, 1, 2]);
        let progress = Progress { offsets: [(0, 5)].into_iter().collect(), topic: None };
        let read = sources(&[(ObjectId(7), progress)].into()).unwrap();
        assert_eq!(read[..], [&[0x83][..], br#"{"7":{"offsets":{"0":5}}}"#].concat());
    }

    #[test]
    fn records_read_back() {
        let records = transactions([&[][..], &[]].into_iter()).unwrap();
        assert_eq!(read(&records[1]).unwrap(), Record::Transaction { index: 1, entry: &[2] });
        assert_eq!(read(&void(LogPosition(9))).unwrap(), Record::Void(LogPosition(9)));
        let progress = BTreeMap::from([(ObjectId(7), Progress::default())]);
        assert_eq!(read(&sources(&progress).unwrap()).unwrap(), Record::Sources(progress));
        for bytes in [&[][..], &[1, 2, 3], &[0x81, 0], &[0x82, 1], b"\x83{"] {
            assert_eq!(read(bytes).unwrap_err().sqlstate().code(), "XX001");
        }
    }
}
