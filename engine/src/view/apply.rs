//! Applying a step's change: deletions first, then insertions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;

use super::arrival::Arrivals;
use super::chunk::{CHUNK_BYTES, CHUNK_ROWS, Chunk, Created, RowAddress, data_bytes};
use super::gather::{copy_rows, copy_run};
use super::index::Index;
use super::probe::{Keys, Matches};
use super::store::{Identity, RowStore, Writer};
use crate::data::hash::Equality;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};

/// Rows of a delta to insert.
struct Insertions {
    /// None means all of the delta's.
    rows: Option<Vec<u32>>,
    /// A weight for each of the rows; None means 1.
    weights: Option<Vec<i64>>,
}

impl RowStore {
    /// Makes the change visible from the epoch on. Epochs never go back; one epoch may bring several changes.
    ///
    /// Rows are copied: nothing of the delta's buffers is kept. Where rows are their own identity, a row inserted again is
    /// kept beside the first, and a deletion takes the newest of them, never one that is merely equal.
    ///
    /// Where rows keep the time of their [arrival](RowStore::arriving), a row that goes and comes in one change has arrived
    /// anew; elsewhere nothing happens to it.
    ///
    /// # Errors
    /// XX000 when the change does not fit the relation: a deletion of a row that is not there, a second live row with a
    /// primary key. The store is then between two states and must be thrown away.
    pub fn apply(&self, delta: &ZSet, epoch: Epoch) -> Result<()> {
        let delta = if self.keeps_arrivals() { Cow::Borrowed(delta) } else { net(delta)? };
        self.apply_net(&delta, epoch)
    }

    /// As [`apply`](RowStore::apply), of a change that has each row once, or where rows keep the time of their arrival.
    ///
    /// # Errors
    /// As [`apply`](RowStore::apply).
    pub fn apply_net(&self, delta: &ZSet, epoch: Epoch) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        self.wait_complete()?;
        let mut writer = self.writer.lock();
        if epoch < writer.epoch {
            return Err(Error::internal(format!("epoch {epoch} is applied after epoch {}", writer.epoch)));
        }
        writer.epoch = epoch;
        let insertions = match delta.weights().filter(|weights| weights.iter().any(|weight| *weight < 0)) {
            None => Insertions { rows: None, weights: delta.weights().map(<[i64]>::to_vec) },
            Some(_) => {
                let rest = self.delete(&mut writer, delta, epoch)?;
                let positive = (0..delta.len() as u32).map(|row| (row, delta.weight(row as usize)));
                let (rows, weights) = positive.filter(|(_, weight)| *weight > 0).chain(rest).unzip();
                Insertions { rows: Some(rows), weights: Some(weights) }
            }
        };
        self.insert(&mut writer, delta, insertions, epoch)
    }

    /// Deletes the rows of negative weight. Returns rows of the delta to insert again, with what is left of their weight.
    fn delete(&self, writer: &mut Writer, delta: &ZSet, epoch: Epoch) -> Result<Vec<(u32, i64)>> {
        let rows: Vec<u32> = (0..delta.len() as u32).filter(|row| delta.weight(*row as usize) < 0).collect();
        let mut owed: Vec<i64> = rows.iter().map(|row| -delta.weight(*row as usize)).collect();
        let index = self.identity_index(writer)?;
        let keys = self.delta_keys(delta, &index, &rows)?;
        let chunks = self.chunks();
        let (mut rest, mut gone) = (Vec::new(), Vec::new());
        // The newest live row of the same hash is nearly always the one; the second round is for hashes that collide.
        for exhaustive in [false, true] {
            let mut found = self.live_matches(&index, &keys, &owed, exhaustive)?;
            keys.retain_equal(&mut found, &chunks, self.schema(), &index)?;
            let mut finder = chunks.finder();
            for (row, address) in found.probe_rows.iter().map(|row| *row as usize).zip(&found.addresses) {
                let Some((_, chunk)) = finder.find(*address).filter(|_| owed[row] > 0) else { continue };
                let weight = chunk.weight(address.row());
                if weight > owed[row] {
                    rest.push((rows[row], weight - owed[row]));
                }
                owed[row] = (owed[row] - weight).max(0);
                self.mark(chunk, address.row(), epoch)?;
                gone.push(*address);
            }
        }
        if owed.iter().any(|owed| *owed > 0) {
            return Err(Error::internal("a row is deleted that is not there"));
        }
        self.strike(writer, &gone);
        Ok(rest)
    }

    /// Deletes rows of one chunk from the epoch on.
    pub(super) fn take_away(
        &self,
        writer: &mut Writer,
        chunk: &Chunk,
        rows: &[RowAddress],
        epoch: Epoch,
    ) -> Result<()> {
        rows.iter().try_for_each(|address| self.mark(chunk, address.row(), epoch))?;
        self.strike(writer, rows);
        Ok(())
    }

    /// Marks one row as gone from the epoch on.
    fn mark(&self, chunk: &Chunk, row: usize, epoch: Epoch) -> Result<()> {
        if !chunk.delete(row, epoch) {
            return Err(Error::internal("a row is deleted twice in one step"));
        }
        self.rows.fetch_sub(chunk.weight(row).unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }

    /// Takes note of rows that were marked as gone.
    fn strike(&self, writer: &mut Writer, gone: &[RowAddress]) {
        writer.dead += gone.len();
        gone.iter().for_each(|row| writer.journal.deleted(*row));
        if let Some(index) = &writer.full_row {
            index.remove(gone);
        }
    }

    /// Live rows whose hash is that of a key: newest first, until what is owed is covered if all of them are the same row.
    fn live_matches(&self, index: &Index, keys: &Keys, owed: &[i64], exhaustive: bool) -> Result<Matches> {
        let chunks = self.chunks();
        let (mut finder, mut found) = (chunks.finder(), Matches::default());
        let (mut current, mut covered, mut lost) = (u32::MAX, 0, false);
        let rows = (0..owed.len() as u32).filter(|row| owed[*row as usize] > 0);
        index.visit(&keys.hashes, rows, |row, address| {
            let Some((_, chunk)) = finder.find(address) else {
                lost = true;
                return false;
            };
            if !chunk.live(address.row()) {
                return true;
            }
            if row != current {
                (current, covered) = (row, 0);
            }
            covered += chunk.weight(address.row());
            found.push(row, address);
            exhaustive || covered < owed[row as usize]
        });
        if lost { Err(Error::internal("an index names a chunk that is not there")) } else { Ok(found) }
    }

    fn delta_keys(&self, delta: &ZSet, index: &Index, rows: &[u32]) -> Result<Keys> {
        let picked = UInt32Array::from(rows.to_vec());
        let keys = index.columns.iter().map(|column| Ok(take(delta.column(*column), &picked, None)?));
        Keys::new(self.schema(), index, &keys.collect::<Result<Vec<ArrayRef>>>()?, rows.len())
    }

    /// The index that finds a row to delete. Where rows are their own identity, it is built at the first deletion:
    /// relations that only grow never pay for it.
    fn identity_index(&self, writer: &mut Writer) -> Result<Arc<Index>> {
        if let Some(primary) = self.primary_index() {
            return Ok(primary.0);
        }
        if let Some(index) = &writer.full_row {
            return Ok(index.clone());
        }
        let index = Index::new((0..self.schema().fields().len()).collect(), Equality::Exact);
        index.fill(&self.chunks().live, Chunk::live)?;
        Ok(writer.full_row.insert(Arc::new(index)).clone())
    }

    fn insert(&self, writer: &mut Writer, delta: &ZSet, insertions: Insertions, epoch: Epoch) -> Result<()> {
        let Insertions { rows, weights } = insertions;
        let total = rows.as_ref().map_or(delta.len(), Vec::len);
        if matches!(self.identity, Identity::Key(_)) && weights.iter().flatten().any(|weight| *weight != 1) {
            return Err(Error::internal("a row with a primary key stands more than once"));
        }
        let mut chunks = Vec::new();
        for offset in (0..total).step_by(rows_per_chunk(delta)) {
            let length = rows_per_chunk(delta).min(total - offset);
            let batch = match &rows {
                None => copy_run(delta.batch(), self.schema(), offset, length)?,
                Some(rows) => copy_rows(delta.batch(), self.schema(), &rows[offset..offset + length])?,
            };
            let weights = weights.as_ref().map(|weights| Int64Array::from(weights[offset..offset + length].to_vec()));
            let id = writer.allocate();
            let arrivals = writer.arriving.map(|at| Arrivals::all(length, at)).unwrap_or_default();
            chunks.push(Arc::new(Chunk::new(id, id.0, batch, weights, Created::All(epoch)).with_arrivals(arrivals)));
        }
        // The list first, then the indexes: an index never names a chunk that no list has.
        self.change_chunks(|list| list.live.extend(chunks.iter().cloned()));
        for chunk in &chunks {
            writer.unsaved += chunk.bytes();
            self.rows.fetch_add(chunk.count(epoch), Ordering::Relaxed);
            self.enter(writer, chunk)?;
        }
        Ok(())
    }

    /// Enters a new chunk's live rows in every index.
    pub(super) fn enter(&self, writer: &Writer, chunk: &Chunk) -> Result<()> {
        let primary = self.primary_index();
        for index in self.indexes().iter().chain(&writer.full_row) {
            let keys = index.keys(chunk)?;
            let joined = index.insert(chunk, &keys.hashes, |row| chunk.live(row))?;
            if primary.as_ref().is_some_and(|primary| Arc::ptr_eq(&primary.0, index)) {
                self.check_unique(index, chunk, keys, joined)?;
            }
        }
        Ok(())
    }

    /// Refuses a live row that has the key of one of the chunk's `joined` rows; `keys` are those of all of its rows.
    pub(super) fn check_unique(&self, index: &Index, chunk: &Chunk, keys: Keys, joined: Vec<u32>) -> Result<()> {
        if joined.is_empty() {
            return Ok(());
        }
        let chunks = self.chunks();
        let (mut finder, mut others) = (chunks.finder(), Matches::default());
        index.visit(&keys.hashes, joined, |row, address| {
            let other = finder.find(address).is_some_and(|(_, chunk)| chunk.live(address.row()));
            if other && address != RowAddress::new(chunk.id, row as usize) {
                others.push(row, address);
            }
            true
        });
        keys.retain_equal(&mut others, &chunks, self.schema(), index)?;
        if others.is_empty() { Ok(()) } else { Err(Error::internal("a second live row has the same primary key")) }
    }
}

/// The change with each row once, where some of it is taken away: an operator may say +1 and -1 of one row.
fn net(delta: &ZSet) -> Result<Cow<'_, ZSet>> {
    match delta.weights().is_some_and(|weights| weights.iter().any(|weight| *weight <= 0)) {
        true => Ok(Cow::Owned(delta.consolidate()?)),
        false => Ok(Cow::Borrowed(delta)),
    }
}

fn rows_per_chunk(delta: &ZSet) -> usize {
    let bytes_per_row = data_bytes(delta.batch()) / delta.len().max(1) as u64 + 1;
    ((CHUNK_BYTES / bytes_per_row) as usize).clamp(1, CHUNK_ROWS)
}
