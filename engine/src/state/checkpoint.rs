//! What one commit writes.

use std::collections::BTreeSet;

use crate::data::OperatorId;
use crate::error::{Error, Result, SqlState};
use crate::state::key::{self, KeyKind};
use crate::state::meta::Meta;

/// The operator of what belongs to none.
pub(super) const NO_OPERATOR: OperatorId = OperatorId(0);

/// RocksDB's limit is 4 GiB; a quarter of it leaves room for its framing.
const MAX_VALUE: usize = 1 << 30;

/// Bytes are kept in blocks of this size, so that a growing checkpoint is never copied.
const BLOCK: usize = 1 << 20;

/// Changes of durable state, made durable together by [`StateStore::commit`](super::StateStore::commit), which consumes them.
///
/// The last write to a key wins. What an operator that is dropped here writes here is left out, before or after the drop.
#[derive(Default)]
pub struct Checkpoint {
    blocks: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    /// Ranges of whole keys that go.
    expired: Vec<(Vec<u8>, Vec<u8>)>,
    dropped: BTreeSet<OperatorId>,
    meta: Option<Meta>,
    bytes: usize,
    oversized: bool,
}

/// A key and, right after it, its value, in a block.
struct Entry {
    block: u32,
    start: u32,
    key: u32,
    /// None deletes the key.
    value: Option<u32>,
}

/// One change, in the order of keys.
pub(super) enum Write<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        key: &'a [u8],
    },
    /// Deletes the keys from `from` up to but not including `to`; no other write of its checkpoint is in that range.
    DeleteRange {
        from: Vec<u8>,
        to: Vec<u8>,
    },
}

impl Write<'_> {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Write::Put { key, .. } | Write::Delete { key } => key,
            Write::DeleteRange { from, .. } => from,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Write::Put { key, value } => key.len() + value.len(),
            Write::Delete { key } => key.len(),
            Write::DeleteRange { from, to } => from.len() + to.len(),
        }
    }
}

impl Checkpoint {
    /// Sets the value under an operator's key.
    pub fn put(&mut self, kind: KeyKind, operator: OperatorId, key: &[u8], value: &[u8]) {
        self.push(kind, operator, key, Some(value));
    }

    /// Removes an operator's key, whether it is there or not.
    pub fn delete(&mut self, kind: KeyKind, operator: OperatorId, key: &[u8]) {
        self.push(kind, operator, key, None);
    }

    /// Removes an operator's keys from `from` up to but not including `to`. Nothing else may be written there by this
    /// checkpoint.
    pub fn delete_range(&mut self, kind: KeyKind, operator: OperatorId, from: &[u8], to: &[u8]) {
        let whole = |key: &[u8]| [key::prefix(kind, operator).as_slice(), key].concat();
        self.bytes += from.len() + to.len();
        self.expired.push((whole(from), whole(to)));
    }

    /// Removes all rows, deletions and keyed state of an operator, whose number is never used again.
    pub fn drop_operator(&mut self, operator: OperatorId) {
        self.dropped.insert(operator);
    }

    /// Says where the database stands. Without this, what the last checkpoint said stays.
    pub fn set_meta(&mut self, meta: Meta) {
        self.meta = Some(meta);
    }

    /// Bytes of keys and values so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes so far; a dropped operator is one, as is a range of keys.
    pub fn len(&self) -> usize {
        self.entries.len() + self.expired.len() + self.dropped.len() + usize::from(self.meta.is_some())
    }

    /// Whether a commit would change nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operators that go.
    pub(super) fn dropped(&self) -> impl Iterator<Item = OperatorId> + '_ {
        self.dropped.iter().copied()
    }

    fn push(&mut self, kind: KeyKind, operator: OperatorId, key: &[u8], value: Option<&[u8]>) {
        let prefix = key::prefix(kind, operator);
        let size = prefix.len() + key.len() + value.map_or(0, <[u8]>::len);
        if size > MAX_VALUE {
            self.oversized = true;
            return;
        }
        if self.blocks.last().is_none_or(|block| block.capacity() - block.len() < size) {
            self.blocks.push(Vec::with_capacity(size.max(BLOCK)));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        let start = block.len();
        block.extend_from_slice(&prefix);
        block.extend_from_slice(key);
        block.extend_from_slice(value.unwrap_or_default());
        // All four are below MAX_VALUE, but for the number of blocks: 2^32 of them are 4 PB.
        self.entries.push(Entry {
            block: number as u32,
            start: start as u32,
            key: (prefix.len() + key.len()) as u32,
            value: value.map(|value| value.len() as u32),
        });
        self.bytes += size;
    }

    /// Writes the meta data in as a key like any other, and checks that everything can be written.
    ///
    /// # Errors
    /// 54000 when a value is too large.
    pub(super) fn seal(&mut self) -> Result<()> {
        if let Some(meta) = self.meta.take() {
            self.put(KeyKind::Meta, NO_OPERATOR, &[], &meta.encode()?);
        }
        if self.oversized {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a value of more than 1 GiB cannot be stored"));
        }
        Ok(())
    }

    /// All changes in the order of keys, one per key, none inside the range of a dropped operator.
    pub(super) fn sorted(&self) -> Vec<Write<'_>> {
        let mut writes: Vec<Write<'_>> = Vec::with_capacity(self.len() + 2 * self.dropped.len());
        for operator in self.dropped() {
            writes.extend(KeyKind::OWNED.map(|kind| Write::DeleteRange {
                from: key::prefix(kind, operator).to_vec(),
                to: key::prefix_end(kind, operator),
            }));
        }
        let expired = self.expired.iter().filter(|(from, _)| !self.is_dropped(from));
        writes.extend(expired.map(|(from, to)| Write::DeleteRange { from: from.clone(), to: to.clone() }));
        // The latest first: a stable sort keeps it before the others of its key, and they go.
        let latest_first = self.entries.iter().rev().map(|entry| self.write(entry));
        writes.extend(latest_first.filter(|write| !self.is_dropped(write.key())));
        writes.sort_by(|a, b| a.key().cmp(b.key()));
        writes.dedup_by(|later, earlier| later.key() == earlier.key());
        writes
    }

    fn write(&self, entry: &Entry) -> Write<'_> {
        let (key, rest) = self.blocks[entry.block as usize][entry.start as usize..].split_at(entry.key as usize);
        match entry.value {
            Some(length) => Write::Put { key, value: &rest[..length as usize] },
            None => Write::Delete { key },
        }
    }

    fn is_dropped(&self, key: &[u8]) -> bool {
        !self.dropped.is_empty()
            && KeyKind::OWNED.iter().any(|kind| {
                key::owner(key).is_ok_and(|(byte, operator)| byte == *kind as u8 && self.dropped.contains(&operator))
            })
    }
}
