//! The one place where durable keys are coded, and the registry of their kinds.
//!
//! | database | key | value |
//! |---|---|---|
//! | state | kind u8, operator u32 BE, key bytes of the operator | bytes of the operator |
//! | log | [`LOG_ENTRY`], position u64 BE | the record |
//! | log | [`LOG_TRIMMED`] | position u64 BE: all entries up to it are gone |
//!
//! Numbers are big-endian, so that keys sort by number. Changing anything here changes [`FORMAT`](super::format).

use crate::data::OperatorId;
use crate::error::{Error, Result};
use crate::state::LogPosition;

/// What a key of the state store is for. Bytes are never used again; a kind that retires keeps its line as a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// The [`Meta`](super::Meta) of the last checkpoint; written by [`Checkpoint::set_meta`](super::Checkpoint::set_meta).
    Meta = 0x01,
    /// Catalog objects. Belongs to no operator (operator 0).
    Catalog = 0x02,
    /// Which operator owns the state of which node. Belongs to no operator (operator 0).
    Operators = 0x03,
    /// Chunks of rows: large values, under increasing numbers.
    Rows = 0x10,
    /// Which rows of a chunk are deleted.
    Deletions = 0x11,
    /// State by key: aggregates, sorted state. The key begins with the [`bucket`] of its hash.
    Keyed = 0x12,
}

/// An entry of the log. From the same numbers as [`KeyKind`].
pub(super) const LOG_ENTRY: u8 = 0x20;
/// The position through which the log was trimmed.
pub(super) const LOG_TRIMMED: u8 = 0x21;

impl KeyKind {
    /// The kinds whose keys belong to an operator and go when it goes.
    pub(super) const OWNED: [KeyKind; 3] = [KeyKind::Rows, KeyKind::Deletions, KeyKind::Keyed];

    fn byte(self) -> u8 {
        self as u8
    }
}

/// Bytes before the operator's own key.
pub(super) const PREFIX: usize = 5;

/// What every key of an operator's kind begins with; also the lower bound of their range.
pub(super) fn prefix(kind: KeyKind, operator: OperatorId) -> [u8; PREFIX] {
    let [a, b, c, d] = operator.0.to_be_bytes();
    [kind.byte(), a, b, c, d]
}

/// The least key after all keys that begin with [`prefix`].
pub(super) fn prefix_end(kind: KeyKind, operator: OperatorId) -> Vec<u8> {
    match operator.0.checked_add(1) {
        Some(next) => prefix(kind, OperatorId(next)).to_vec(),
        None => kind_end(kind).to_vec(),
    }
}

/// The least key after all keys of a kind.
pub(super) fn kind_end(kind: KeyKind) -> [u8; 1] {
    [kind.byte() + 1]
}

/// The kind's byte and the operator of a key of the state store.
pub(super) fn owner(key: &[u8]) -> Result<(u8, OperatorId)> {
    match key {
        [kind, a, b, c, d, ..] => Ok((*kind, OperatorId(u32::from_be_bytes([*a, *b, *c, *d])))),
        _ => Err(Error::corrupt("the state holds a key without an owner")),
    }
}

/// The bucket that keyed state puts first into its key: ten bits of the hash, which are fixed forever.
pub fn bucket(hash: u64) -> [u8; 2] {
    (((hash >> 40) & 1023) as u16).to_be_bytes()
}

/// The key of a log entry.
pub(super) fn log_entry(position: LogPosition) -> [u8; 9] {
    let mut key = [LOG_ENTRY; 9];
    key[1..].copy_from_slice(&position.0.to_be_bytes());
    key
}

/// The position in a key that [`log_entry`] made.
pub(super) fn log_position(key: &[u8]) -> Result<LogPosition> {
    match key.split_first() {
        Some((&LOG_ENTRY, position)) => position_of(position),
        _ => Err(Error::corrupt("the log holds a key that is no position")),
    }
}

/// Eight big-endian bytes as a position.
pub(super) fn position_of(bytes: &[u8]) -> Result<LogPosition> {
    let bytes = bytes.try_into().map_err(|_| Error::corrupt("a position of the log has a wrong length"))?;
    Ok(LogPosition(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::format::FORMAT;

    /// If this fails, data directories written before do not read any more: raise FORMAT and say how they are migrated.
    #[test]
    fn golden_bytes() {
        assert_eq!(FORMAT, 10);
        let operator = OperatorId(0x0102_0304);
        let prefixes = [KeyKind::Meta, KeyKind::Catalog, KeyKind::Rows, KeyKind::Deletions, KeyKind::Keyed]
            .map(|kind| prefix(kind, operator));
        let expected = [0x01, 0x02, 0x10, 0x11, 0x12].map(|kind| [kind, 1, 2, 3, 4]);
        assert_eq!(prefixes, expected);
        assert_eq!(prefix_end(KeyKind::Rows, operator), [0x10, 1, 2, 3, 5]);
        assert_eq!(prefix_end(KeyKind::Rows, OperatorId(0xff)), [0x10, 0, 0, 1, 0]);
        assert_eq!(prefix_end(KeyKind::Keyed, OperatorId(u32::MAX)), [0x13]);
        assert_eq!(bucket(0xabcd_ef98_7654_3210), [0x01, 0xef]);
        assert_eq!(log_entry(LogPosition(0x0506)), [0x20, 0, 0, 0, 0, 0, 0, 5, 6]);
        assert_eq!(LOG_TRIMMED, 0x21);
    }

    #[test]
    fn keys_read_back() {
        let key = prefix(KeyKind::Keyed, OperatorId(70_000));
        assert_eq!(owner(&key).unwrap(), (0x12, OperatorId(70_000)));
        assert_eq!(log_position(&log_entry(LogPosition(1 << 40))).unwrap(), LogPosition(1 << 40));
        assert_eq!(owner(&key[..4]).unwrap_err().sqlstate().code(), "XX001");
        assert_eq!(log_position(&[LOG_TRIMMED]).unwrap_err().sqlstate().code(), "XX001");
    }
}
