//! What stands in the log: transactions, and how far sources had been read.
//!
//! | record | bytes |
//! |---|---|
//! | transaction | [`TRANSACTION`], the [entry] |
//! | sources | [`SOURCES`], [sealed] JSON: how far each had been read when the transactions before it were logged |

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::data::{ObjectId, sealed};
use crate::engine::{Operation, entry};
use crate::error::{Error, Result};
use crate::source::Place;

const TRANSACTION: u8 = 0x81;
const SOURCES: u8 = 0x83;

/// What cannot be read where something is broken.
const BROKEN: &str = "a record of the log";

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An entry.
    Transaction(&'a [u8]),
    /// How far sources had been read at the epoch before the transactions written at once with it.
    Sources(BTreeMap<ObjectId, Place>),
}

/// The records of transactions that are written at once.
pub fn transactions<'a>(group: impl Iterator<Item = &'a [Operation]>) -> Result<Vec<Bytes>> {
    group.map(|operations| Ok([&[TRANSACTION], &*entry::encode(operations)?].concat().into())).collect()
}

/// The record of how far sources have been read.
pub fn sources(read: &BTreeMap<ObjectId, Place>) -> Result<Bytes> {
    let mut record = vec![SOURCES];
    sealed::encode(read, &mut record)?;
    Ok(record.into())
}

/// Reads a record.
///
/// # Errors
/// XX001 for other bytes.
pub fn read(bytes: &[u8]) -> Result<Record<'_>> {
    match bytes {
        [TRANSACTION, entry @ ..] => Ok(Record::Transaction(entry)),
        [SOURCES, read @ ..] => Ok(Record::Sources(sealed::decode(read, BROKEN)?)),
        _ => Err(Error::corrupt(format!("{BROKEN} cannot be read"))),
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
        assert_eq!(records[0][..], [0x81, 3]);
        assert_eq!(records[1][..7], [0x81, 3, 2, 0, 0, 0, 11]);
        assert_eq!(records[1][15..], *b"[7]");
        let place = Place { offsets: [(0, 5)].into_iter().collect(), topic: None };
        let read = sources(&[(ObjectId(7), place)].into()).unwrap();
        assert_eq!((read[0], &read[9..]), (0x83, &br#"{"7":{"offsets":{"0":5}}}"#[..]));
    }

    #[test]
    fn records_read_back() {
        let records = transactions([&[][..], &[]].into_iter()).unwrap();
        assert_eq!(read(&records[1]).unwrap(), Record::Transaction(&[3]));
        let places = BTreeMap::from([(ObjectId(7), Place::default())]);
        assert_eq!(read(&sources(&places).unwrap()).unwrap(), Record::Sources(places));
        for bytes in [&[][..], &[1, 2, 3], &[0x82, 1], b"\x83{"] {
            assert_eq!(read(bytes).unwrap_err().sqlstate().code(), "XX001");
        }
    }
}
