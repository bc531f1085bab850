//! From a key to a small number that stays the key's as long as the key stays: the position of its state in typed vectors.

use arrow::array::BinaryArray;
use arrow::buffer::NullBuffer;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::data::hash::{mix_bytes, mix_u64, mix_u128};
use crate::data::key::{Fixed, KeyEncoder, Keys};
use crate::data::make_room;
use crate::error::{Error, Result, SqlState};
use crate::state::bucket;

/// Keys and their slots. Slots count from 0; freed ones are given out again.
#[derive(Debug)]
pub struct SlotTable {
    table: HashTable<u32>,
    keys: SlotKeys,
    /// The slot of the NULL key, where the layout keeps NULL beside the values.
    null: Option<u32>,
    free: Vec<u32>,
}

/// The key of each slot.
#[derive(Debug)]
enum SlotKeys {
    U64(Vec<u64>),
    U128(Vec<u128>),
    Bytes(ByteKeys),
}

/// Byte strings one after the other, with their hashes, so that growing the table reads no keys.
#[derive(Debug, Default)]
struct ByteKeys {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Bytes that no slot refers to any more.
    dead: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    length: u32,
    hash: u64,
}

impl ByteKeys {
    fn get(&self, slot: u32) -> &[u8] {
        let span = self.spans[slot as usize];
        &self.bytes[span.start..span.start + span.length as usize]
    }

    fn set(&mut self, slot: u32, hash: u64, key: &[u8]) {
        let span = Span { start: self.bytes.len(), length: key.len() as u32, hash };
        self.bytes.extend_from_slice(key);
        match self.spans.get_mut(slot as usize) {
            Some(old) => *old = span,
            None => {
                make_room(&mut self.spans, 1);
                self.spans.push(span);
            }
        }
    }

    fn clear(&mut self, slot: u32) {
        self.dead += self.spans[slot as usize].length as usize;
        self.spans[slot as usize] = Span::default();
        if self.dead > 4096 && self.dead * 2 > self.bytes.len() {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.dead);
        for span in &mut self.spans {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[span.start..span.start + span.length as usize]);
            span.start = start;
        }
        self.bytes = bytes;
        self.dead = 0;
    }
}

impl SlotTable {
    /// An empty table for keys of this encoder.
    pub fn new(encoder: &KeyEncoder) -> SlotTable {
        SlotTable::like(&encoder.empty())
    }

    /// An empty table for keys of the same layout as these.
    pub fn like(keys: &Keys) -> SlotTable {
        let keys = match keys {
            Keys::U64(_) => SlotKeys::U64(vec![]),
            Keys::U128(_) => SlotKeys::U128(vec![]),
            Keys::Bytes(_) => SlotKeys::Bytes(ByteKeys::default()),
        };
        SlotTable { table: HashTable::new(), keys, null: None, free: vec![] }
    }

    /// Slots ever in use at once: what vectors indexed by slot must hold.
    pub fn capacity(&self) -> usize {
        match &self.keys {
            SlotKeys::U64(keys) => keys.len(),
            SlotKeys::U128(keys) => keys.len(),
            SlotKeys::Bytes(keys) => keys.spans.len(),
        }
    }

    /// Takes the memory for so many keys, but for those of any number of bytes themselves.
    pub fn reserve(&mut self, keys: usize) {
        let more = keys.saturating_sub(self.capacity());
        let SlotTable { table, keys, .. } = self;
        match keys {
            SlotKeys::U64(keys) => {
                keys.reserve_exact(more);
                table.reserve(more, |slot| mix_u64(keys[*slot as usize]));
            }
            SlotKeys::U128(keys) => {
                keys.reserve_exact(more);
                table.reserve(more, |slot| mix_u128(keys[*slot as usize]));
            }
            SlotKeys::Bytes(keys) => {
                keys.spans.reserve_exact(more);
                table.reserve(more, |slot| keys.spans[*slot as usize].hash);
            }
        }
    }

    /// Keys in the table.
    pub fn len(&self) -> usize {
        self.table.len() + usize::from(self.null.is_some())
    }

    /// Bytes of memory taken.
    pub fn bytes(&self) -> usize {
        let keys = match &self.keys {
            SlotKeys::U64(keys) => keys.capacity() * size_of::<u64>(),
            SlotKeys::U128(keys) => keys.capacity() * size_of::<u128>(),
            SlotKeys::Bytes(keys) => keys.bytes.capacity() + keys.spans.capacity() * size_of::<Span>(),
        };
        keys + self.table.allocation_size()
    }

    /// Puts the slot of each of some `rows` behind `out`, one made where there was none. `keys` and `hashes` are those of a
    /// batch, the hashes as [`hashes`](super::shards::hashes) gives them.
    ///
    /// # Errors
    /// XX000 for keys of another layout; 54000 when all 2^32 slots are taken.
    pub fn slots(&mut self, keys: &Keys, hashes: &[u64], rows: &[u32], out: &mut Vec<u32>) -> Result<()> {
        self.has_room(rows.len())?;
        let Self { table, keys: own, null, free } = self;
        match (own, keys) {
            (SlotKeys::U64(own), Keys::U64(keys)) => {
                fixed_slots((table, own, null, free), keys, hashes, rows, out, mix_u64);
            }
            (SlotKeys::U128(own), Keys::U128(keys)) => {
                fixed_slots((table, own, null, free), keys, hashes, rows, out, mix_u128);
            }
            (SlotKeys::Bytes(own), Keys::Bytes(keys)) => {
                let slot = |row: &u32| bytes_slot(table, own, free, keys.value(*row as usize), hashes[*row as usize]);
                out.extend(rows.iter().map(slot));
            }
            _ => return Err(Error::internal("keys of another layout")),
        }
        Ok(())
    }

    /// Fails unless so many keys more have slots left for them.
    ///
    /// # Errors
    /// 54000 when all 2^32 slots are taken.
    pub fn has_room(&self, more: usize) -> Result<()> {
        if self.capacity() + more > u32::MAX as usize {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many groups in one aggregate"));
        }
        Ok(())
    }

    /// The slot of a key of 128 bits, one made where there was none; None where keys are of another layout.
    #[inline]
    pub fn wide_slot(&mut self, key: u128) -> Option<u32> {
        let SlotKeys::U128(own) = &mut self.keys else { return None };
        Some(fixed_slot(&mut self.table, own, &mut self.free, key, mix_u128(key), mix_u128))
    }

    /// The slot of a key of bytes, one made where there was none; None where keys are of another layout.
    #[inline]
    pub fn byte_slot(&mut self, key: &[u8]) -> Option<u32> {
        let SlotKeys::Bytes(own) = &mut self.keys else { return None };
        Some(bytes_slot(&mut self.table, own, &mut self.free, key, mix_bytes(key)))
    }

    /// Forgets a slot's key; the slot may be given to another one.
    pub fn remove(&mut self, slot: u32) {
        if self.null == Some(slot) {
            self.null = None;
        } else {
            let hash = self.hash(slot);
            if let Ok(entry) = self.table.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
        }
        if let SlotKeys::Bytes(keys) = &mut self.keys {
            keys.clear(slot);
        }
        self.free.push(slot);
    }

    fn hash(&self, slot: u32) -> u64 {
        match &self.keys {
            SlotKeys::U64(keys) => mix_u64(keys[slot as usize]),
            SlotKeys::U128(keys) => mix_u128(keys[slot as usize]),
            SlotKeys::Bytes(keys) => keys.spans[slot as usize].hash,
        }
    }

    /// The bucket of durable state that the slot's key belongs to.
    pub fn bucket(&self, slot: u32) -> [u8; 2] {
        bucket(if self.null == Some(slot) { 0 } else { self.hash(slot) })
    }

    /// The slots in use, in ascending order.
    pub fn in_use(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.table.iter().copied().chain(self.null).collect();
        slots.sort_unstable();
        slots
    }

    /// The keys of these slots.
    pub fn keys(&self, slots: &[u32]) -> Keys {
        match &self.keys {
            SlotKeys::U64(keys) => {
                let values = slots.iter().map(|slot| keys[*slot as usize]).collect();
                Keys::U64(Fixed { values, nulls: self.nulls(slots) })
            }
            SlotKeys::U128(keys) => {
                let values = slots.iter().map(|slot| keys[*slot as usize]).collect();
                Keys::U128(Fixed { values, nulls: self.nulls(slots) })
            }
            SlotKeys::Bytes(keys) => {
                let array = BinaryArray::from_iter_values(slots.iter().map(|slot| keys.get(*slot)));
                Keys::Bytes(array)
            }
        }
    }

    fn nulls(&self, slots: &[u32]) -> Option<NullBuffer> {
        let null = self.null?;
        slots.contains(&null).then(|| slots.iter().map(|slot| *slot != null).collect::<Vec<bool>>().into())
    }

    /// Appends the slot's key as it stands in durable keys: nothing for NULL, else 8, 16 or any number of bytes.
    pub fn write_key(&self, slot: u32, out: &mut Vec<u8>) {
        if self.null == Some(slot) {
            return;
        }
        match &self.keys {
            SlotKeys::U64(keys) => out.extend_from_slice(&keys[slot as usize].to_be_bytes()),
            SlotKeys::U128(keys) => out.extend_from_slice(&keys[slot as usize].to_be_bytes()),
            SlotKeys::Bytes(keys) => out.extend_from_slice(keys.get(slot)),
        }
    }

    /// The slot of a key that [`write_key`](SlotTable::write_key) wrote, one made where there was none.
    ///
    /// # Errors
    /// XX001 when the bytes are none of this layout; 54000 when all 2^32 slots are taken.
    pub fn durable_slot(&mut self, bytes: &[u8]) -> Result<u32> {
        self.has_room(1)?;
        let corrupt = || Error::corrupt("a durable key has a wrong length");
        let Self { table, keys: own, null, free } = self;
        Ok(match own {
            SlotKeys::U64(own) if bytes.is_empty() => *null.get_or_insert_with(|| take_slot(own, free, 0)),
            SlotKeys::U128(own) if bytes.is_empty() => *null.get_or_insert_with(|| take_slot(own, free, 0)),
            SlotKeys::U64(own) => {
                let key = u64::from_be_bytes(bytes.try_into().map_err(|_| corrupt())?);
                fixed_slot(table, own, free, key, mix_u64(key), mix_u64)
            }
            SlotKeys::U128(own) => {
                let key = u128::from_be_bytes(bytes.try_into().map_err(|_| corrupt())?);
                fixed_slot(table, own, free, key, mix_u128(key), mix_u128)
            }
            SlotKeys::Bytes(own) => bytes_slot(table, own, free, bytes, mix_bytes(bytes)),
        })
    }
}

/// A table's parts: places, keys, the slot of NULL, slots that are free.
type Parts<'a, T> = (&'a mut HashTable<u32>, &'a mut Vec<T>, &'a mut Option<u32>, &'a mut Vec<u32>);

/// Finds or makes slots of keys of fixed width.
fn fixed_slots<T: Copy + Eq>(
    (table, own, null, free): Parts<'_, T>,
    keys: &Fixed<T>,
    hashes: &[u64],
    rows: &[u32],
    out: &mut Vec<u32>,
    hash: impl Fn(T) -> u64 + Copy,
) {
    for row in rows.iter().map(|row| *row as usize) {
        let key = keys.values[row];
        out.push(match keys.is_null(row) {
            true => *null.get_or_insert_with(|| take_slot(own, free, key)),
            false => fixed_slot(table, own, free, key, hashes[row], hash),
        });
    }
}

fn take_slot<T>(own: &mut Vec<T>, free: &mut Vec<u32>, key: T) -> u32 {
    match free.pop() {
        Some(slot) => {
            own[slot as usize] = key;
            slot
        }
        None => {
            make_room(own, 1);
            own.push(key);
            (own.len() - 1) as u32
        }
    }
}

#[inline]
fn fixed_slot<T: Copy + Eq>(
    table: &mut HashTable<u32>,
    own: &mut Vec<T>,
    free: &mut Vec<u32>,
    key: T,
    hash: u64,
    rehash: impl Fn(T) -> u64,
) -> u32 {
    if let Some(slot) = table.find(hash, |slot| own[*slot as usize] == key) {
        return *slot;
    }
    let slot = take_slot(own, free, key);
    table.insert_unique(hash, slot, |slot| rehash(own[*slot as usize]));
    slot
}

/// Finds or makes the slot of a key of bytes.
fn bytes_slot(table: &mut HashTable<u32>, own: &mut ByteKeys, free: &mut Vec<u32>, key: &[u8], hash: u64) -> u32 {
    let same = |slot: &u32| own.spans[*slot as usize].hash == hash && own.get(*slot) == key;
    match table.entry(hash, same, |slot| own.spans[*slot as usize].hash) {
        Entry::Occupied(slot) => *slot.get(),
        Entry::Vacant(vacant) => {
            let slot = free.pop().unwrap_or(own.spans.len() as u32);
            vacant.insert(slot);
            own.set(slot, hash, key);
            slot
        }
    }
}
