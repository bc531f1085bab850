//! From the hash of a key to the addresses of its rows.
//!
//! ```text
//! shard: hash ──> newest row's node <──> node <──> ... <──> oldest row's node     (node = hash, address, links)
//! slots: chunk, row ──> node
//! ```
//!
//! No keys are kept: who probes compares the rows' own columns. All rows of a key are one chain, newest first, so the
//! live row of a primary key is found at once, however often it was updated. The slots let compaction move or drop
//! a row in constant time, without hashing it and however long its chain is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rayon::prelude::*;

use super::chunk::{Chunk, ChunkId, RowAddress};
use super::probe::Keys;
use crate::data::hash::Equality;
use crate::data::make_room;
use crate::error::{Error, Result, SqlState};

const SHARD_BITS: u32 = 4;
const SHARDS: usize = 1 << SHARD_BITS;
/// Entries written while a shard's lock is held, so that readers wait microseconds.
const SLICE: usize = 1024;
/// Chunks whose hashes are in memory together while an index is filled.
const TOGETHER: usize = 32;
/// No node.
const NIL: u32 = u32::MAX;
/// Nodes a shard has room for: their number shares 32 bits with the shard's.
const SHARD_NODES: usize = (1 << (32 - SHARD_BITS)) - 1;

/// What becomes of a row's entry in a compaction: its new address, or None if it goes.
pub(super) type Move = Option<RowAddress>;

/// A hash index over some columns of a row store.
pub(super) struct Index {
    pub(super) columns: Vec<usize>,
    /// What makes a row one that is looked for.
    pub(super) equality: Equality,
    shards: [RwLock<Shard>; SHARDS],
    /// Per chunk, each row's node and shard. Only the store's writer comes here.
    slots: Mutex<HashMap<ChunkId, Box<[u32]>>>,
}

#[derive(Default)]
struct Shard {
    /// The newest node of each hash.
    heads: HashTable<u32>,
    nodes: Vec<Node>,
    /// Nodes to use again.
    free: Vec<u32>,
}

struct Node {
    hash: u64,
    address: RowAddress,
    newer: u32,
    older: u32,
}

impl Index {
    pub(super) fn new(columns: Vec<usize>, equality: Equality) -> Index {
        Index { columns, equality, shards: Default::default(), slots: Mutex::default() }
    }

    /// The indexed columns of a chunk's rows, in the form in which they are compared, and the hash of each row.
    pub(super) fn keys(&self, chunk: &Chunk) -> Result<Keys> {
        let columns = self.columns.iter().map(|column| self.equality.form(chunk.batch.column(*column)));
        Keys::of(columns.collect(), chunk.rows())
    }

    /// Enters the chunk's rows (`wanted` ones), given the hash of each row's key. Returns the rows whose hash was there
    /// before them, in this chunk or another.
    ///
    /// # Errors
    /// 54000 when there are more rows than an index has room for.
    pub(super) fn insert(&self, chunk: &Chunk, hashes: &[u64], wanted: impl Fn(usize) -> bool) -> Result<Vec<u32>> {
        let mut slots = vec![NIL; hashes.len()].into_boxed_slice();
        let mut joined = Vec::new();
        let rows = (0..hashes.len()).filter(|row| wanted(*row)).map(|row| (shard_of(hashes[row]), row));
        for (shard_number, rows) in by_shard(rows).into_iter().enumerate() {
            for slice in rows.chunks(SLICE) {
                let mut shard = self.shards[shard_number].write();
                shard.check_room(slice.len())?;
                for row in slice {
                    let (node, others) = shard.insert(hashes[*row], RowAddress::new(chunk.id, *row));
                    slots[*row] = node << SHARD_BITS | shard_number as u32;
                    if others {
                        joined.push(*row as u32);
                    }
                }
            }
        }
        self.slots.lock().insert(chunk.id, slots);
        Ok(joined)
    }

    /// Enters all rows of a chunk.
    ///
    /// # Errors
    /// As [`insert`](Index::insert), and where their keys cannot be compared.
    pub(super) fn enter(&self, chunk: &Chunk) -> Result<()> {
        self.insert(chunk, &self.keys(chunk)?.hashes, |_| true).map(drop)
    }

    /// Makes room for so many rows.
    pub(super) fn reserve(&self, rows: usize) {
        self.shards.iter().for_each(|shard| shard.write().reserve(rows / SHARDS));
    }

    /// Enters the `wanted` rows of many chunks, given in order, in an index that nobody reads yet; on as many threads as
    /// there are. Returns the rows whose hash was there before them, in these chunks or others, by the chunk's position.
    ///
    /// # Errors
    /// As [`insert`](Index::insert).
    pub(super) fn fill(
        &self,
        chunks: &[Arc<Chunk>],
        wanted: impl Fn(&Chunk, usize) -> bool + Sync,
    ) -> Result<Vec<(usize, u32)>> {
        let rows: usize = chunks.iter().map(|chunk| chunk.rows() - chunk.dead()).sum();
        self.shards.par_iter().for_each(|shard| shard.write().reserve(rows / SHARDS));
        let mut joined = Vec::new();
        for (first, part) in chunks.chunks(TOGETHER).enumerate().map(|(at, part)| (at * TOGETHER, part)) {
            let hashed = part.par_iter().map(|chunk| {
                let hashes = self.keys(chunk)?.hashes;
                let rows = (0..hashes.len()).filter(|row| wanted(chunk, *row));
                let rows = by_shard(rows.map(|row| (shard_of(hashes[row]), row as u32)));
                Ok(Hashed {
                    chunk: chunk.id,
                    slots: hashes.iter().map(|_| AtomicU32::new(NIL)).collect(),
                    hashes,
                    rows,
                })
            });
            let hashed = hashed.collect::<Result<Vec<Hashed>>>()?;
            let filled = self.shards.par_iter().enumerate().map(|(number, shard)| shard.write().fill(number, &hashed));
            for found in filled.collect::<Result<Vec<_>>>()? {
                joined.extend(found.into_iter().map(|(chunk, row)| (first + chunk, row)));
            }
            let mut slots = self.slots.lock();
            for Hashed { chunk, slots: own, .. } in hashed {
                slots.insert(chunk, own.into_iter().map(AtomicU32::into_inner).collect());
            }
        }
        Ok(joined)
    }

    /// Walks the entries of each row's hash, newest first, until `each` says false.
    ///
    /// A shard is locked from its first row to the end, so rows come in any order but many of them delay the writer.
    pub(super) fn visit(
        &self,
        hashes: &[u64],
        rows: impl IntoIterator<Item = u32>,
        mut each: impl FnMut(u32, RowAddress) -> bool,
    ) {
        let mut guards: [Option<RwLockReadGuard<'_, Shard>>; SHARDS] = Default::default();
        for row in rows {
            let hash = hashes[row as usize];
            let shard_number = shard_of(hash);
            let shard = guards[shard_number].get_or_insert_with(|| self.shards[shard_number].read());
            let mut node = shard.head(hash);
            while let Some(entry) = shard.nodes.get(node as usize) {
                if !each(row, entry.address) {
                    break;
                }
                node = entry.older;
            }
        }
    }

    /// Takes rows out, where they are in.
    pub(super) fn remove(&self, rows: &[RowAddress]) {
        let mut slots = self.slots.lock();
        for address in rows {
            let Some(slot) = slots.get_mut(&address.chunk()).map(|slots| &mut slots[address.row()]) else { continue };
            if *slot != NIL {
                self.shards[(*slot as usize) % SHARDS].write().unlink(*slot >> SHARD_BITS);
                *slot = NIL;
            }
        }
    }

    /// Replaces the entries of chunks that are compacted into one: `moves` has each old chunk's rows in order, `rows` is
    /// how many the new one has.
    pub(super) fn relocate(&self, moves: &[(ChunkId, Vec<Move>)], new: Option<(ChunkId, usize)>) {
        let mut slots = self.slots.lock();
        let mut fresh = vec![NIL; new.map_or(0, |(_, rows)| rows)].into_boxed_slice();
        let mut work = Vec::new();
        for (chunk, rows) in moves {
            let Some(old) = slots.remove(chunk) else { continue };
            for (slot, target) in old.iter().zip(rows).filter(|(slot, _)| **slot != NIL) {
                if let Some(address) = target {
                    fresh[address.row()] = *slot;
                }
                work.push(((*slot as usize) % SHARDS, (*slot >> SHARD_BITS, *target)));
            }
        }
        for (shard_number, work) in by_shard(work.into_iter()).into_iter().enumerate() {
            for slice in work.chunks(SLICE) {
                let mut shard = self.shards[shard_number].write();
                for (node, target) in slice {
                    match target {
                        Some(address) => shard.nodes[*node as usize].address = *address,
                        None => shard.unlink(*node),
                    }
                }
            }
        }
        if let Some((chunk, _)) = new {
            slots.insert(chunk, fresh);
        }
        drop(slots);
        self.shards.iter().for_each(|shard| shard.write().shrink());
    }

    /// The chunks whose rows it has.
    pub(super) fn chunks(&self) -> Vec<ChunkId> {
        self.slots.lock().keys().copied().collect()
    }

    /// Takes the rows of chunks out that are not there any more.
    pub(super) fn forget(&self, chunks: &[ChunkId]) {
        if chunks.is_empty() {
            return;
        }
        let rows = |chunk: &ChunkId| self.slots.lock().get(chunk).map_or(0, |slots| slots.len());
        let moves: Vec<(ChunkId, Vec<Move>)> = chunks.iter().map(|chunk| (*chunk, vec![None; rows(chunk)])).collect();
        self.relocate(&moves, None);
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        let slots: usize = self.slots.lock().values().map(|slots| 4 * slots.len()).sum();
        let shards: usize = self.shards.iter().map(|shard| shard.read().bytes()).sum();
        (slots + shards) as u64
    }
}

/// A chunk's rows, ready to be entered by several threads, one a shard.
struct Hashed {
    chunk: ChunkId,
    hashes: Vec<u64>,
    /// Rows to enter, by shard.
    rows: [Vec<u32>; SHARDS],
    slots: Vec<AtomicU32>,
}

impl Shard {
    /// Makes room for so many rows.
    fn reserve(&mut self, rows: usize) {
        let Shard { heads, nodes, .. } = self;
        heads.reserve(rows, |node| nodes[*node as usize].hash);
        nodes.reserve_exact(rows);
    }

    /// Enters the chunks' rows of the shard `number`, which is this one. Returns those whose hash was there before.
    fn fill(&mut self, number: usize, chunks: &[Hashed]) -> Result<Vec<(usize, u32)>> {
        let mut joined = Vec::new();
        for (position, chunk) in chunks.iter().enumerate() {
            let rows = &chunk.rows[number];
            self.check_room(rows.len())?;
            for row in rows {
                let at = *row as usize;
                let (node, others) = self.insert(chunk.hashes[at], RowAddress::new(chunk.chunk, at));
                chunk.slots[at].store(node << SHARD_BITS | number as u32, Ordering::Relaxed);
                if others {
                    joined.push((position, *row));
                }
            }
        }
        Ok(joined)
    }

    /// # Errors
    /// 54000 when so many rows more are too many.
    fn check_room(&self, rows: usize) -> Result<()> {
        if self.nodes.len() + rows > SHARD_NODES {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a relation has too many rows for an index"));
        }
        Ok(())
    }

    fn head(&self, hash: u64) -> u32 {
        self.heads.find(hash, |node| self.nodes[*node as usize].hash == hash).copied().unwrap_or(NIL)
    }

    /// Puts a row in front of its chain. Returns its node and whether there was a chain.
    fn insert(&mut self, hash: u64, address: RowAddress) -> (u32, bool) {
        let Shard { heads, nodes, free } = self;
        let entry = heads.entry(hash, |node| nodes[*node as usize].hash == hash, |node| nodes[*node as usize].hash);
        let older = match &entry {
            Entry::Occupied(head) => *head.get(),
            Entry::Vacant(_) => NIL,
        };
        let node = free.pop().unwrap_or(nodes.len() as u32);
        match entry {
            Entry::Occupied(mut head) => *head.get_mut() = node,
            Entry::Vacant(place) => {
                place.insert(node);
            }
        }
        let value = Node { hash, address, newer: NIL, older };
        match nodes.get_mut(node as usize) {
            Some(place) => *place = value,
            None => {
                make_room(nodes, 1);
                nodes.push(value);
            }
        }
        if older != NIL {
            nodes[older as usize].newer = node;
        }
        (node, older != NIL)
    }

    fn unlink(&mut self, node: u32) {
        let Node { hash, newer, older, .. } = self.nodes[node as usize];
        if older != NIL {
            self.nodes[older as usize].newer = newer;
        }
        if newer != NIL {
            self.nodes[newer as usize].older = older;
        } else if let Ok(mut head) = self.heads.find_entry(hash, |head| *head == node) {
            if older != NIL {
                *head.get_mut() = older;
            } else {
                head.remove();
            }
        }
        self.free.push(node);
    }

    /// Gives memory back once most of the keys are gone. Nodes stay where they are, so theirs goes with the last of them.
    fn shrink(&mut self) {
        let Shard { heads, nodes, free } = self;
        if free.len() == nodes.len() {
            *self = Shard::default();
        } else if heads.len() < heads.capacity() / 4 {
            heads.shrink_to(2 * heads.len(), |node| nodes[*node as usize].hash);
        }
    }

    fn bytes(&self) -> usize {
        self.heads.allocation_size() + self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * 4
    }
}

/// Neither the low bits nor the top seven: the hash table places and tags by those.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

fn by_shard<T>(items: impl Iterator<Item = (usize, T)>) -> [Vec<T>; SHARDS] {
    let mut shards: [Vec<T>; SHARDS] = Default::default();
    for (shard, item) in items {
        shards[shard].push(item);
    }
    shards
}
