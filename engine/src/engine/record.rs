//! What stands in the log: transactions, and marks that one of them is void.
//!
//! | record | bytes (big-endian) |
//! |---|---|
//! | transaction | [`TRANSACTION`], index u16, the [entry] |
//! | void | [`VOID`], position u64 of the transaction that never was |
//!
//! The index counts the transactions that one fsync made durable: the last such group may hold some that nobody was told of.

use bytes::Bytes;

use crate::engine::{Operation, entry};
use crate::error::{Error, Result};
use crate::state::LogPosition;

const TRANSACTION: u8 = 0x81;
const VOID: u8 = 0x82;

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Transaction {
        /// Its place among those written at once.
        index: u16,
        entry: &'a [u8],
    },
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
    use crate::data::ObjectId;

    /// If this fails, logs written before do not read any more: raise the format of the state.
    #[test]
    fn golden_bytes() {
        let group = [vec![], vec![Operation::Drop(vec![ObjectId(7)])]];
        let records = transactions(group.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(records[0][..4], [0x81, 0, 0, 1]);
        assert_eq!(records[1][..], [&[0x81, 0, 1, 1, 2, 0, 0, 0, 3][..], b"[7]"].concat());
        assert_eq!(void(LogPosition(0x0102))[..], [0x82, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn records_read_back() {
        let records = transactions([&[][..], &[]].into_iter()).unwrap();
        assert_eq!(read(&records[1]).unwrap(), Record::Transaction { index: 1, entry: &[1] });
        assert_eq!(read(&void(LogPosition(9))).unwrap(), Record::Void(LogPosition(9)));
        for bytes in [&[][..], &[1, 2, 3], &[0x81, 0], &[0x82, 1]] {
            assert_eq!(read(bytes).unwrap_err().sqlstate().code(), "XX001");
        }
    }
}
