//! What durable storage has of a store's chunks, and what it lacks.
//!
//! A save that was handed over may still fail. What it sent counts as sent until a later checkpoint is known to be durable;
//! otherwise it is sent again, under the same keys, so that it does no harm if it had arrived.

use std::collections::HashMap;
use std::ops::Range;

use super::chunk::{Chunk, ChunkId, RowAddress};
use super::encoding::{chunk_key, encode_rows, part_key};
use crate::data::{Epoch, OperatorId};
use crate::state::{Checkpoint, KeyKind};

/// Parts of a chunk's deletions from which on they may be written as one.
const SOME_PARTS: usize = 8;
/// Parts of a chunk's deletions at most.
const MOST_PARTS: usize = 64;

#[derive(Default)]
pub(super) struct Journal {
    /// Chunks that have been sent, durable or not.
    records: HashMap<ChunkId, Record>,
    /// Chunks that memory no longer has, with the parts of their deletions, and whether their removal was sent.
    removed: Vec<(ChunkId, Range<u32>, bool)>,
    /// The durable epoch at the last save, until that save is known to be durable too.
    unconfirmed: Option<Epoch>,
}

/// What durable storage has of one chunk.
#[derive(Default)]
struct Record {
    /// Whether the chunk itself is known to be durable.
    durable: bool,
    parts: Parts,
    /// What the parts will be when the last save is durable.
    sent_parts: Option<Parts>,
    /// Rows deleted that no durable part has; the first `sent` of them were sent.
    deleted: Vec<u16>,
    sent: usize,
}

/// The parts of a chunk's deletions.
#[derive(Clone, Default)]
struct Parts {
    numbers: Range<u32>,
    /// Their bytes but for the first, which has all deletions up to its own.
    since_first: usize,
}

impl Journal {
    /// A row's deletion.
    pub(super) fn deleted(&mut self, row: RowAddress) {
        if let Some(record) = self.records.get_mut(&row.chunk()) {
            record.deleted.push(row.row() as u16);
        }
    }

    /// A chunk that memory no longer has.
    pub(super) fn removed(&mut self, chunk: ChunkId) {
        if let Some(record) = self.records.remove(&chunk) {
            let sent = record.sent_parts.map_or(0, |parts| parts.numbers.end);
            let numbers = record.parts.numbers;
            self.removed.push((chunk, numbers.start..numbers.end.max(sent), false));
        }
    }

    /// A chunk that was read from durable storage, with the numbers and the bytes of its deletions' parts.
    pub(super) fn loaded(&mut self, chunk: ChunkId, numbers: Range<u32>, bytes: usize) {
        let parts = Parts { numbers, since_first: bytes };
        self.records.insert(chunk, Record { durable: true, parts, ..Record::default() });
    }

    /// Whether the chunk has never been sent.
    pub(super) fn is_new(&self, chunk: ChunkId) -> bool {
        !self.records.contains_key(&chunk)
    }

    /// Whether the chunk itself has to be sent (again).
    pub(super) fn lacks(&self, chunk: ChunkId) -> bool {
        self.records.get(&chunk).is_none_or(|record| !record.durable)
    }

    /// Begins a save, when all checkpoints up to `durable` have been made durable.
    pub(super) fn begin(&mut self, durable: Epoch) {
        let confirmed = self.unconfirmed.is_some_and(|before| durable > before);
        for record in self.records.values_mut() {
            let parts = record.sent_parts.take();
            let sent = std::mem::take(&mut record.sent);
            if confirmed {
                record.durable = true;
                record.deleted.drain(..sent);
                record.parts = parts.unwrap_or_else(|| record.parts.clone());
            }
        }
        self.removed.retain(|(_, _, sent)| !(confirmed && *sent));
        self.unconfirmed = Some(durable);
    }

    /// Sends a chunk whole.
    pub(super) fn send_chunk(&mut self, chunk: &Chunk, bytes: &[u8], operator: OperatorId, out: &mut Checkpoint) {
        out.put(KeyKind::Rows, operator, &chunk_key(chunk.id), bytes);
        // It may be there from a save that arrived unknown to us; then its deletions get a part more.
        let record = self.records.entry(chunk.id).or_default();
        if chunk.dead() > 0 {
            record.deleted = dead_rows(chunk);
        }
    }

    /// Sends the deletions in a chunk that has been sent.
    pub(super) fn send_deletions(&mut self, chunk: &Chunk, operator: OperatorId, out: &mut Checkpoint) {
        let Some(record) = self.records.get_mut(&chunk.id).filter(|record| !record.deleted.is_empty()) else { return };
        let Range { start, end } = record.parts.numbers;
        let mut rows = record.deleted.clone();
        let mut bytes = encode_rows(&mut rows);
        let since_first = if start == end { 0 } else { record.parts.since_first + bytes.len() };
        let mut parts = Parts { numbers: start..end + 1, since_first };
        let count = parts.numbers.len();
        let all = encoded_length(chunk);
        if count >= MOST_PARTS || count >= SOME_PARTS && parts.since_first >= all / 2 {
            bytes = encode_rows(&mut dead_rows(chunk));
            parts = Parts { numbers: end..end + 1, since_first: 0 };
            (start..end).for_each(|part| out.delete(KeyKind::Deletions, operator, &part_key(chunk.id, part)));
        }
        out.put(KeyKind::Deletions, operator, &part_key(chunk.id, end), &bytes);
        record.sent = record.deleted.len();
        record.sent_parts = Some(parts);
    }

    /// Sends the removal of chunks that memory no longer has.
    pub(super) fn send_removals(&mut self, operator: OperatorId, out: &mut Checkpoint) {
        for (chunk, parts, sent) in &mut self.removed {
            out.delete(KeyKind::Rows, operator, &chunk_key(*chunk));
            parts.clone().for_each(|part| out.delete(KeyKind::Deletions, operator, &part_key(*chunk, part)));
            *sent = true;
        }
    }
}

fn dead_rows(chunk: &Chunk) -> Vec<u16> {
    (0..chunk.rows()).filter(|row| !chunk.live(*row)).map(|row| row as u16).collect()
}

/// About the bytes of all the chunk's deletions as one part.
fn encoded_length(chunk: &Chunk) -> usize {
    (2 * chunk.dead()).min(chunk.rows() / 8) + 1
}
