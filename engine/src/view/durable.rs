//! Saving what changed since the last checkpoint, and loading it back.
//!
//! A chunk in memory is a chunk in durable storage, under the same number: chunks that are new are put whole, rows deleted
//! since are put as a small part beside their chunk, chunks that were compacted away are removed in the same checkpoint
//! that puts what they became. All that came since the last save is merged into one chunk first, so that a checkpoint
//! writes one chunk per store, however many steps it covers, and never the same rows twice but for compaction.

use std::collections::HashMap;
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
use crate::state::{Checkpoint, KeyKind, StateStore};

/// Chunks read before they are decoded together.
const READ_AHEAD: usize = 16;

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
        let mut writer = self.writer.lock();
        writer.journal.begin(durable);
        self.merge_new(&mut writer)?;
        let chunks = self.chunks();
        let lacking = |chunk: &&Arc<Chunk>| {
            let never_seen = writer.journal.is_new(chunk.id) && chunk.dead() == chunk.rows();
            writer.journal.lacks(chunk.id) && !never_seen
        };
        let lacking: Vec<&Arc<Chunk>> = chunks.live.iter().filter(lacking).collect();
        let encoded = lacking.par_iter().map(|chunk| encode_chunk(chunk)).collect::<Result<Vec<_>>>()?;
        for (chunk, bytes) in lacking.into_iter().zip(&encoded) {
            writer.journal.send_chunk(chunk, bytes, operator, out);
        }
        for chunk in &chunks.live {
            writer.journal.send_deletions(chunk, operator, out);
        }
        writer.journal.send_removals(operator, out);
        Ok(())
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
        let mut writer = self.writer.lock();
        if writer.epoch != Epoch::ZERO || !self.chunks().live.is_empty() {
            return Err(Error::internal("a row store is loaded that is not empty"));
        }
        let epoch = store.meta()?.map_or(Epoch::ZERO, |meta| meta.epoch);
        let mut deletions = self.load_deletions(operator, store)?;
        let mut pairs = store.scan(KeyKind::Rows, operator)?;
        loop {
            let read = pairs.by_ref().take(READ_AHEAD).collect::<Result<Vec<_>>>()?;
            if read.is_empty() {
                break;
            }
            let decoded = read.par_iter().map(|(key, value)| {
                let (id, rows) = (read_chunk_key(key)?, decode_chunk(value, self.schema())?);
                let chunk = Chunk::new(id, rows.order, rows.batch, rows.weights, Created::All(epoch));
                Ok(chunk.with_arrivals(rows.arrivals))
            });
            for chunk in decoded.collect::<Result<Vec<_>>>()? {
                let deleted = deletions.remove(&chunk.id).unwrap_or_default();
                self.take_over(&mut writer, chunk, deleted)?;
            }
        }
        if !deletions.is_empty() {
            return Err(Error::corrupt("there are deletions in a chunk that is not there"));
        }
        writer.epoch = epoch;
        self.advance_horizon(epoch);
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

    /// Enters a chunk that was read. What is deleted in it was so before any epoch that can be read.
    fn take_over(&self, writer: &mut Writer, chunk: Chunk, deleted: StoredDeletions) -> Result<()> {
        for row in deleted.rows.into_iter().map(usize::from) {
            if row >= chunk.rows() {
                return Err(Error::corrupt("a row is deleted that its chunk does not have"));
            }
            chunk.delete(row, Epoch::ZERO);
        }
        writer.used(chunk.id);
        writer.dead += chunk.dead();
        writer.journal.loaded(chunk.id, deleted.parts, deleted.bytes);
        let live = chunk.count(chunk.created(0));
        let chunk = Arc::new(chunk);
        self.change_chunks(|list| list.live.push(chunk.clone()));
        self.rows.fetch_add(live, Ordering::Relaxed);
        self.enter(writer, &chunk)
    }
}
