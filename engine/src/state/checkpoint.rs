//! What one commit writes.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::data::{OperatorId, make_room};
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
    blocks: Blocks,
    entries: Vec<Entry>,
    dropped: BTreeSet<OperatorId>,
    meta: Option<Meta>,
    bytes: usize,
    oversized: bool,
}

/// A change: its key and, right after it, its value, in a block.
#[derive(Clone, Copy)]
struct Entry {
    block: u32,
    start: u32,
    key: u32,
    value: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
    /// From the key up to, not including, the value.
    DeleteRange,
}

impl Checkpoint {
    /// Bytes of memory that a change takes beside what it writes under an operator's own key.
    pub const OF_A_CHANGE: usize = size_of::<Entry>() + key::PREFIX;

    /// Sets the value under an operator's key.
    pub fn put(&mut self, kind: KeyKind, operator: OperatorId, key: &[u8], value: &[u8]) {
        self.push(Kind::Put, [&key::prefix(kind, operator), key], [value, &[]]);
    }

    /// Removes an operator's key, whether it is there or not.
    pub fn delete(&mut self, kind: KeyKind, operator: OperatorId, key: &[u8]) {
        self.push(Kind::Delete, [&key::prefix(kind, operator), key], [&[], &[]]);
    }

    /// Removes an operator's keys from `from` up to but not including `to`. Nothing else may be written there by this
    /// checkpoint.
    pub fn delete_range(&mut self, kind: KeyKind, operator: OperatorId, from: &[u8], to: &[u8]) {
        let prefix = key::prefix(kind, operator);
        self.push(Kind::DeleteRange, [&prefix, from], [&prefix, to]);
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
        self.entries.len() + self.dropped.len() + usize::from(self.meta.is_some())
    }

    /// Whether a commit would change nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, change: Kind, key: [&[u8]; 2], value: [&[u8]; 2]) {
        let [key_size, value_size] = [key, value].map(|[first, second]| first.len() + second.len());
        let size = key_size + value_size;
        if size > MAX_VALUE {
            self.oversized = true;
            return;
        }
        let (block, start) = self.blocks.append(size, [key, value].as_flattened());
        make_room(&mut self.entries, 1);
        // All are at most MAX_VALUE, but for the number of blocks: 2^32 of them are 4 PB.
        self.entries.push(Entry { block, start, key: key_size as u32, value: value_size as u32, kind: change });
        self.bytes += size;
    }

    /// Brings the changes into the order of keys, one per key, none of a dropped operator's but the deletion of them all.
    ///
    /// # Errors
    /// 54000 when a value is too large, XX000 when the meta data cannot be written.
    pub(super) fn freeze(mut self) -> Result<Frozen> {
        if let Some(meta) = self.meta.take() {
            self.put(KeyKind::Meta, NO_OPERATOR, &[], &meta.encode()?);
        }
        let dropped = std::mem::take(&mut self.dropped);
        if !dropped.is_empty() {
            self.entries.retain(|entry| !is_of(&dropped, self.blocks.key(entry)));
        }
        for (operator, kind) in dropped.iter().flat_map(|operator| KeyKind::OWNED.map(|kind| (*operator, kind))) {
            let (from, to) = (key::prefix(kind, operator), key::prefix_end(kind, operator));
            self.push(Kind::DeleteRange, [&from, &[]], [&to, &[]]);
        }
        if self.oversized {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a value of more than 1 GiB cannot be stored"));
        }
        let Checkpoint { blocks, mut entries, .. } = self;
        // In place, and the latest of a key first: there may be many millions.
        entries.sort_unstable_by(|a, b| {
            let latest_first = (b.block, b.start).cmp(&(a.block, a.start));
            blocks.key(a).cmp(blocks.key(b)).then(latest_first)
        });
        entries.dedup_by(|later, earlier| blocks.key(later) == blocks.key(earlier));
        Ok(Frozen { blocks, entries, dropped })
    }
}

/// Whether a key is one of these operators'.
fn is_of(operators: &BTreeSet<OperatorId>, key: &[u8]) -> bool {
    key::owner(key).is_ok_and(|(byte, operator)| {
        operators.contains(&operator) && KeyKind::OWNED.iter().any(|kind| *kind as u8 == byte)
    })
}

/// Bytes one after the other.
#[derive(Default)]
struct Blocks(Vec<Vec<u8>>);

impl Blocks {
    /// Where they are: the number of a block and the place in it.
    fn append(&mut self, size: usize, parts: &[&[u8]]) -> (u32, u32) {
        if self.0.last().is_none_or(|block| block.capacity() - block.len() < size) {
            self.0.push(Vec::with_capacity(size.max(BLOCK)));
        }
        let number = self.0.len() - 1;
        let block = &mut self.0[number];
        let start = block.len();
        parts.iter().for_each(|part| block.extend_from_slice(part));
        (number as u32, start as u32)
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.0[entry.block as usize][entry.start as usize..][..entry.key as usize]
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        &self.0[entry.block as usize][entry.start as usize + entry.key as usize..][..entry.value as usize]
    }
}

/// All changes of a checkpoint, in the order of keys.
pub(super) struct Frozen {
    blocks: Blocks,
    entries: Vec<Entry>,
    dropped: BTreeSet<OperatorId>,
}

/// One change.
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
        from: &'a [u8],
        to: &'a [u8],
    },
}

impl Frozen {
    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Some of them.
    pub fn writes(&self, range: Range<usize>) -> impl Iterator<Item = Write<'_>> {
        self.entries[range].iter().map(|entry| {
            let (key, value) = (self.blocks.key(entry), self.blocks.value(entry));
            match entry.kind {
                Kind::Put => Write::Put { key, value },
                Kind::Delete => Write::Delete { key },
                Kind::DeleteRange => Write::DeleteRange { from: key, to: value },
            }
        })
    }

    /// The operators that go.
    pub fn dropped(&self) -> impl Iterator<Item = OperatorId> + '_ {
        self.dropped.iter().copied()
    }
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
