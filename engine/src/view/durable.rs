//! Saving what changed since the last checkpoint, and loading it back.
//!
//! A chunk in memory is a chunk in durable storage, under the same number: chunks that are new are put whole, rows deleted
//! since are put as a small part beside their chunk, chunks that were compacted away are removed in the same checkpoint
//! that puts what they became. All that came since the last save is merged into one chunk first, so that a checkpoint
//! writes one chunk per store, however many steps it covers, and never the same rows twice but for compaction.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::chunk::{Chunk, ChunkId, Created};
use super::compact::{fitting, full};
use super::encoding::{decode_chunk, decode_rows, encode_chunk, read_chunk_key, read_part_key};
use super::store::{RowStore, Writer};
use crate::data::{Epoch, OperatorId};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, Load, Loader, StateStore};

/// Parts in which a store is read, and how many of them at the same time.
const RANGES: u64 = 64;
const TOGETHER: usize = 8;
/// Chunks that are encoded at the same time.
const ENCODED_TOGETHER: usize = 16;

/// The deletions of one chunk as they were read.
#[derive(Default)]
struct StoredDeletions {
    rows: Vec<u16>,
    parts: Range<u32>,
    bytes: usize,
}

impl RowStore {
    /// Writes what the last durable checkpoint lacks into the next. `durable` is the epoch of that last one; an earlier
    /// save is sent again unless `durable` has gone on since.
    ///
    /// Called between steps: row addresses got before are out of date.
    pub fn save(&self, operator: OperatorId, durable: Epoch, out: &mut Checkpoint) -> Result<()> {
        self.wait_complete()?;
        let mut writer = self.writer.lock();
        writer.journal.begin(durable);
        writer.unsaved = 0;
        self.merge_new(&mut writer)?;
        let chunks = self.chunks();
        let lacking = |chunk: &&Arc<Chunk>| {
            let never_seen = writer.journal.is_new(chunk.id) && chunk.dead() == chunk.rows();
            writer.journal.lacks(chunk.id) && !never_seen
        };
        let lacking: Vec<&Arc<Chunk>> = chunks.live.iter().filter(lacking).collect();
        // Some at a time: what is encoded is in memory twice until the checkpoint has it.
        for some in lacking.chunks(ENCODED_TOGETHER) {
            let encoded = some.par_iter().map(|chunk| encode_chunk(chunk)).collect::<Result<Vec<_>>>()?;
            for (chunk, bytes) in some.iter().zip(&encoded) {
                writer.journal.send_chunk(chunk, bytes, operator, out);
            }
        }
        for chunk in &chunks.live {
            writer.journal.send_deletions(chunk, operator, out);
        }
        writer.journal.send_removals(operator, out);
        Ok(())
    }

    /// About how many bytes of memory the next save takes while it is written.
    pub fn unsaved(&self) -> u64 {
        self.writer.lock().unsaved
    }

    /// Makes one chunk of the small ones that were never saved.
    fn merge_new(&self, writer: &mut Writer) -> Result<()> {
        let chunks = self.chunks();
        let new = chunks.live.iter().filter(|chunk| writer.journal.is_new(chunk.id) && !full(chunk));
        let mut new: Vec<Arc<Chunk>> = new.cloned().collect();
        new.sort_by_key(|chunk| chunk.order);
        while new.len() > 1 {
            let rest = new.split_off(fitting(&new).max(1));
            if new.len() > 1 {
                self.merge(writer, &new, self.horizon())?;
            }
            new = rest;
        }
        Ok(())
    }

    /// Reads what was saved under the operator's number, as of the last durable checkpoint. The store must be empty.
    ///
    /// # Errors
    /// XX001 when it does not read as what was saved, 58030 when it cannot be read.
    pub fn load(&self, operator: OperatorId, store: &StateStore) -> Result<()> {
        let epoch = store.meta()?.map_or(Epoch::ZERO, |meta| meta.epoch);
        self.load_rows(operator, store, epoch)?;
        self.load_indexes()
    }

    /// The same when somebody needs it, or when its turn comes: whoever reads or writes waits for it until then.
    pub fn load_later(self: &Arc<Self>, operator: OperatorId, loader: &mut Loader) -> Result<Arc<Load>> {
        // Later checkpoints leave these rows as they are: to all who read them they were there at the start's epoch.
        let (rows, epoch) = (self.clone(), loader.epoch());
        let load = loader.add(move |store, load| {
            let named = |error: Error| match error.detail() {
                None => error.with_detail(format!("The rows of operator {operator} cannot be read back.")),
                Some(_) => error,
            };
            rows.load_rows(operator, store, epoch).map_err(named)?;
            load.set_readable();
            rows.load_indexes().map_err(named)
        });
        self.load.set(load.clone()).map_err(|_| Error::internal("a row store is loaded twice"))?;
        Ok(load)
    }

    fn load_rows(&self, operator: OperatorId, store: &StateStore, epoch: Epoch) -> Result<()> {
        if self.writer.lock().epoch != Epoch::ZERO || !self.chunks().live.is_empty() {
            return Err(Error::internal("a row store is loaded that is not empty"));
        }
        let mut deletions = self.load_deletions(operator, store)?;
        let mut loaded: Vec<Arc<Chunk>> = Vec::new();
        for ranges in chunk_ranges(operator, store)?.chunks(TOGETHER) {
            let parts = ranges.par_iter().map(|range| self.load_chunks(operator, store, range, epoch, &deletions));
            loaded.extend(parts.collect::<Result<Vec<_>>>()?.concat());
        }
        let rows: u64 = loaded.par_iter().map(|chunk| chunk.count(chunk.created(0))).sum();
        // From here on nothing is left to other threads: one that waits takes up other work, with the lock held.
        let mut writer = self.writer.lock();
        for chunk in &loaded {
            let deleted = deletions.remove(&chunk.id).unwrap_or_default();
            writer.used(chunk.id);
            writer.dead += chunk.dead();
            writer.journal.loaded(chunk.id, deleted.parts, deleted.bytes);
        }
        if !deletions.is_empty() {
            return Err(Error::corrupt("there are deletions in a chunk that is not there"));
        }
        writer.epoch = epoch;
        self.advance_horizon(epoch);
        self.change_chunks(|list| list.live = loaded);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }

    /// The chunks in a range of keys. What is deleted in them was so before any epoch that can be read.
    fn load_chunks(
        &self,
        operator: OperatorId,
        store: &StateStore,
        (from, to): &ChunkRange,
        epoch: Epoch,
        deletions: &HashMap<ChunkId, StoredDeletions>,
    ) -> Result<Vec<Arc<Chunk>>> {
        let mut loaded = Vec::new();
        let to = to.map(|to| to.to_be_bytes());
        let scan = store.scan_range(KeyKind::Rows, operator, &from.to_be_bytes(), to.as_ref().map(|to| &to[..]))?;
        scan.each(|key, value| {
            let id = read_chunk_key(key)?;
            let named = |error: Error| error.with_detail(format!("It is chunk {} of operator {operator}.", id.0));
            let rows = decode_chunk(value, self.schema()).map_err(named)?;
            let chunk = Chunk::new(id, rows.order, rows.batch, rows.weights, Created::All(epoch));
            let chunk = chunk.with_arrivals(rows.arrivals);
            for row in deletions.get(&id).iter().flat_map(|deleted| &deleted.rows) {
                if usize::from(*row) >= chunk.rows() {
                    return Err(named(Error::corrupt("a row is deleted that its chunk does not have")));
                }
                chunk.delete(usize::from(*row), Epoch::ZERO);
            }
            loaded.push(Arc::new(chunk));
            Ok(())
        })?;
        Ok(loaded)
    }

    /// Enters the rows that were read in all indexes.
    fn load_indexes(&self) -> Result<()> {
        let chunks = self.chunks();
        for (position, index) in self.indexes().iter().enumerate() {
            let mut joined: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            for (chunk, row) in index.fill(&chunks.live, Chunk::live)? {
                joined.entry(chunk).or_default().push(row);
            }
            if position == 0 && self.primary_index().is_some() {
                for (chunk, rows) in joined {
                    let chunk = &chunks.live[chunk];
                    self.check_unique(index, chunk, index.keys(chunk)?, rows)?;
                }
            }
        }
        Ok(())
    }

    fn load_deletions(&self, operator: OperatorId, store: &StateStore) -> Result<HashMap<ChunkId, StoredDeletions>> {
        let mut deletions: HashMap<ChunkId, StoredDeletions> = HashMap::new();
        for pair in store.scan(KeyKind::Deletions, operator)? {
            let (key, value) = pair?;
            let (chunk, part) = read_part_key(&key)?;
            let first = StoredDeletions { parts: part..part, ..StoredDeletions::default() };
            let stored = deletions.entry(chunk).or_insert(first);
            stored.rows.extend(decode_rows(&value)?);
            stored.bytes += if part == stored.parts.start { 0 } else { value.len() };
            stored.parts.end = part + 1;
        }
        Ok(deletions)
    }
}

/// Chunks by number: from one on, up to but not including another.
type ChunkRange = (u64, Option<u64>);

/// Cuts an operator's chunks into ranges for several threads. Numbers rise by one with each chunk that was ever there.
fn chunk_ranges(operator: OperatorId, store: &StateStore) -> Result<Vec<ChunkRange>> {
    let Some((first, last)) = store.bounds(KeyKind::Rows, operator)? else { return Ok(Vec::new()) };
    let (first, last) = (read_chunk_key(&first)?.0, read_chunk_key(&last)?.0);
    let step = (last - first) / RANGES + 1;
    let starts = (0..RANGES).map(|range| first + range * step).take_while(|start| *start <= last);
    let ranges = starts.map(|start| (start, Some(start + step).filter(|end| *end <= last)));
    Ok(ranges.collect())
}
