//! Merging small chunks and dropping rows that no reader sees any more.
//!
//! Small chunks are merged by eights of about the same size, so a row is copied at most about six times before it is in
//! a full chunk; full chunks are rewritten when half of their rows can go.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use super::arrival::Arrivals;
use super::chunk::{CHUNK_BYTES, CHUNK_ROWS, Chunk, ChunkId, ChunkList, Created, RowAddress};
use super::gather::batch_of;
use super::index::Move;
use super::store::{Identity, RowStore, Writer};
use crate::data::Epoch;
use crate::error::Result;

/// Chunks of this many rows or bytes are full: not merged any more.
const FULL_ROWS: usize = CHUNK_ROWS / 2;
const FULL_BYTES: u64 = CHUNK_BYTES / 2;
/// Chunks of one size that are merged into one.
const FAN_IN: usize = 8;

impl RowStore {
    /// Merges small chunks, and frees rows deleted at the horizon or before: nobody may read before the horizon from now on,
    /// but for snapshots taken already. One call copies at most a chunk's rows; it returns whether another call may find
    /// work.
    ///
    /// Called between steps: row addresses got before are out of date.
    pub fn compact(&self, horizon: Epoch) -> Result<bool> {
        self.wait_complete()?;
        let mut writer = self.writer.lock();
        let horizon = self.advance_horizon(horizon);
        let chunks = self.chunks();
        // Rows that only ever go in the order in which they came take their chunks with them one by one.
        let in_order = writer.arriving.is_some() && self.identity == Identity::FullRow;
        let half_dead = || if in_order { None } else { half_dead(&writer, &chunks, horizon) };
        let Some(inputs) = gone(&writer, &chunks, horizon).or_else(|| small(&chunks)).or_else(half_dead) else {
            return Ok(false);
        };
        self.merge(&mut writer, &inputs, horizon)?;
        Ok(true)
    }

    /// Replaces chunks, given in order, by one with those of their rows that can be seen from the horizon on.
    pub(super) fn merge(&self, writer: &mut Writer, inputs: &[Arc<Chunk>], horizon: Epoch) -> Result<()> {
        let Merged { chunk, moves } = Merged::of(self, writer.allocate(), inputs, horizon)?;
        let replaced: Vec<ChunkId> = inputs.iter().map(|chunk| chunk.id).collect();
        let dead: usize = inputs.iter().map(|chunk| chunk.dead()).sum();
        writer.dead = writer.dead - dead + chunk.as_ref().map_or(0, |chunk| chunk.dead());
        self.change_chunks(|list| {
            list.live.retain(|chunk| !replaced.contains(&chunk.id));
            list.live.extend(chunk.clone());
            list.retired = inputs.to_vec();
            list.retired.sort_by_key(|chunk| chunk.id);
        });
        let new = chunk.as_ref().map(|chunk| (chunk.id, chunk.rows()));
        for index in self.indexes().iter().chain(&writer.full_row) {
            index.relocate(&moves, new);
        }
        self.change_chunks(|list| list.retired.clear());
        replaced.into_iter().for_each(|chunk| writer.journal.removed(chunk));
        Ok(())
    }
}

/// Chunks of which no row can be seen any more.
fn gone(writer: &Writer, chunks: &ChunkList, horizon: Epoch) -> Option<Vec<Arc<Chunk>>> {
    if writer.dead == 0 {
        return None;
    }
    let gone = |chunk: &&Arc<Chunk>| chunk.dead() == chunk.rows() && chunk.droppable(horizon) == chunk.rows();
    let gone: Vec<_> = chunks.live.iter().filter(gone).cloned().collect();
    (!gone.is_empty()).then_some(gone)
}

/// A chunk of which half the rows or more cannot be seen any more.
fn half_dead(writer: &Writer, chunks: &ChunkList, horizon: Epoch) -> Option<Vec<Arc<Chunk>>> {
    let half = |chunk: &&Arc<Chunk>| {
        chunk.dead() > 0 && chunk.dead() * 2 >= chunk.rows() && chunk.droppable(horizon) * 2 >= chunk.rows()
    };
    (writer.dead > 0).then(|| chunks.live.iter().find(half).map(|chunk| vec![chunk.clone()])).flatten()
}

/// Small chunks that are worth merging: enough for a full one, or several of one size.
fn small(chunks: &ChunkList) -> Option<Vec<Arc<Chunk>>> {
    let mut small: Vec<Arc<Chunk>> = chunks.live.iter().filter(|chunk| !full(chunk)).cloned().collect();
    if small.len() < 2 {
        return None;
    }
    small.sort_by_key(|chunk| chunk.order);
    let rows: usize = small.iter().map(|chunk| chunk.rows()).sum();
    let bytes: u64 = small.iter().map(|chunk| chunk.bytes()).sum();
    if rows >= FULL_ROWS || bytes >= FULL_BYTES {
        small.truncate(fitting(&small));
        return Some(small);
    }
    let tiers = 0..=tier(FULL_ROWS);
    let crowded =
        tiers.into_iter().find(|t| small.iter().filter(|chunk| tier(chunk.rows()) == *t).count() >= FAN_IN)?;
    // Smaller ones among them go along, or the rows would change places.
    let first = small.iter().position(|chunk| tier(chunk.rows()) == crowded)?;
    let merged = small.split_off(first);
    Some(merged.into_iter().filter(|chunk| tier(chunk.rows()) <= crowded).collect())
}

/// How many of the chunks, from the first on, fit into one.
pub(super) fn fitting(chunks: &[Arc<Chunk>]) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    let fits = |chunk: &&Arc<Chunk>| {
        rows += chunk.rows();
        bytes += chunk.bytes();
        rows <= CHUNK_ROWS && bytes <= CHUNK_BYTES
    };
    chunks.iter().take_while(fits).count()
}

pub(super) fn full(chunk: &Chunk) -> bool {
    chunk.rows() >= FULL_ROWS || chunk.bytes() >= FULL_BYTES
}

/// Chunks of one tier are of about the same size.
fn tier(rows: usize) -> u32 {
    rows.max(1).ilog(FAN_IN)
}

/// A chunk made of others, and where their rows went.
struct Merged {
    /// None when no row is left.
    chunk: Option<Arc<Chunk>>,
    moves: Vec<(ChunkId, Vec<Move>)>,
}

impl Merged {
    fn of(store: &RowStore, id: ChunkId, inputs: &[Arc<Chunk>], horizon: Epoch) -> Result<Merged> {
        let mut moves = Vec::with_capacity(inputs.len());
        let mut parts: Vec<RecordBatch> = Vec::with_capacity(inputs.len());
        let (mut created, mut deleted, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut arrivals = Arrivals::default();
        for input in inputs {
            let survives = |row: &usize| input.deleted(*row) > horizon;
            for (rows, at) in input.arrivals().runs() {
                rows.filter(survives).for_each(|_| arrivals.push(at));
            }
            let survivors = input.survivors(horizon);
            let mut targets: Vec<Move> = Vec::with_capacity(input.rows());
            for row in 0..input.rows() {
                if survivors.as_ref().is_some_and(|survivors| !survivors.value(row)) {
                    targets.push(None);
                    continue;
                }
                targets.push(Some(RowAddress::new(id, created.len())));
                created.push(input.created(row));
                deleted.push(input.deleted(row));
                weights.push(input.weight(row));
            }
            moves.push((input.id, targets));
            let part = match survivors {
                None => input.batch.clone(),
                Some(survivors) => filter_record_batch(&input.batch, &BooleanArray::new(survivors, None))?,
            };
            if part.num_rows() > 0 {
                parts.push(part);
            }
        }
        let batch = match parts.as_slice() {
            [] => return Ok(Merged { chunk: None, moves }),
            [one] => batch_of(store.schema().clone(), one.columns().to_vec(), one.num_rows())?,
            _ => concat_batches(store.schema(), &parts)?,
        };
        let order = inputs.iter().map(|chunk| chunk.order).min().unwrap_or(id.0);
        let chunk = Chunk::new(id, order, batch, Some(Int64Array::from(weights)), creation(created, horizon))
            .with_arrivals(arrivals);
        for (row, epoch) in deleted.into_iter().enumerate().filter(|(_, epoch)| *epoch != Epoch::NEVER) {
            chunk.delete(row, epoch);
        }
        Ok(Merged { chunk: Some(Arc::new(chunk)), moves })
    }
}

/// One epoch for all rows, where none who reads from the horizon on can tell.
fn creation(created: Vec<Epoch>, horizon: Epoch) -> Created {
    let earliest = created.iter().min().copied().unwrap_or_default();
    let latest = created.iter().max().copied().unwrap_or_default();
    if latest <= horizon || earliest == latest { Created::All(latest) } else { Created::Each(created.into()) }
}
