//! An ordered multiset: keys that compare as what they stand for does, each with a weight.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

use crate::state::Checkpoint;

/// A key of a [`SortedState`], and the form in which it is looked up.
pub trait OrderedKey: Ord + Clone + Borrow<Self::Borrowed> {
    type Borrowed: Ord + ?Sized;

    /// The key that was looked up, to be kept.
    fn own(borrowed: &Self::Borrowed) -> Self;

    /// Bytes behind a pointer.
    fn heap_bytes(&self) -> usize;
}

impl OrderedKey for u128 {
    type Borrowed = u128;

    fn own(borrowed: &u128) -> u128 {
        *borrowed
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl OrderedKey for Arc<[u8]> {
    type Borrowed = [u8];

    fn own(borrowed: &[u8]) -> Arc<[u8]> {
        borrowed.into()
    }

    fn heap_bytes(&self) -> usize {
        // The counts before the bytes.
        self.len() + 2 * size_of::<usize>()
    }
}

/// An ordered multiset that knows what changed since it was last saved.
///
/// Keys of weight 0 are not kept. A negative weight is kept until what it takes away arrives.
#[derive(Debug)]
pub struct SortedState<K: OrderedKey> {
    entries: BTreeMap<K, Entry>,
    /// Keys whose entry changed or went since the last save; some of them several times.
    changed: Vec<K>,
    heap_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    weight: i64,
    /// Whether the key is in `changed` already.
    dirty: bool,
}

impl<K: OrderedKey> Default for SortedState<K> {
    fn default() -> SortedState<K> {
        SortedState { entries: BTreeMap::new(), changed: vec![], heap_bytes: 0 }
    }
}

impl<K: OrderedKey> SortedState<K> {
    /// Adds to a key's weight and gives the new one.
    pub fn add(&mut self, key: &K::Borrowed, weight: i64) -> i64 {
        self.add_as(key, weight, || K::own(key))
    }

    /// The same, with the key made by `own` if it is to be kept.
    pub fn add_as(&mut self, key: &K::Borrowed, weight: i64, own: impl FnOnce() -> K) -> i64 {
        let Some(entry) = self.entries.get_mut(key) else {
            if weight != 0 {
                let key = own();
                self.heap_bytes += key.heap_bytes();
                self.changed.push(key.clone());
                self.entries.insert(key, Entry { weight, dirty: true });
            }
            return weight;
        };
        entry.weight += weight;
        let sum = entry.weight;
        if sum == 0 {
            let dirty = entry.dirty;
            if let Some((key, _)) = self.entries.remove_entry(key) {
                self.heap_bytes -= key.heap_bytes();
                if !dirty {
                    self.changed.push(key);
                }
            }
        } else if !entry.dirty {
            entry.dirty = true;
            self.changed.push(own());
        }
        sum
    }

    /// Puts an entry back that was saved.
    pub fn restore(&mut self, key: K, weight: i64) {
        self.heap_bytes += key.heap_bytes();
        self.entries.insert(key, Entry { weight, dirty: false });
    }

    /// The entries of a range, in order.
    pub fn range<R: RangeBounds<K::Borrowed>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, i64)> {
        self.entries.range(range).map(|(key, entry)| (key, entry.weight))
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, i64)> {
        self.entries.iter().map(|(key, entry)| (key, entry.weight))
    }

    /// Calls `f` once for each key that changed since the last call, in order: with its weight, or None where it went.
    pub fn take_changed(&mut self, mut f: impl FnMut(&K, Option<i64>)) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for key in &changed {
            match self.entries.get_mut(key.borrow()) {
                Some(entry) => {
                    entry.dirty = false;
                    f(key, Some(entry.weight));
                }
                None => f(key, None),
            }
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes of memory the entries take that changed since the last call of
    /// [`take_changed`](SortedState::take_changed).
    pub fn unsaved(&self) -> usize {
        let an_entry = (self.bytes() / self.len().max(1)).max(size_of::<K>());
        self.changed.len() * (an_entry + Checkpoint::OF_A_CHANGE)
    }

    /// Bytes of memory taken, nearly.
    pub fn bytes(&self) -> usize {
        // A node of std's BTreeMap holds up to 11 entries and is two thirds full on average.
        self.entries.len() * (size_of::<K>() + size_of::<Entry>()) * 3 / 2 + self.heap_bytes
    }
}
