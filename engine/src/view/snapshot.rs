//! A relation at one epoch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use super::chunk::{Chunk, ChunkList, RowAddress};
use super::gather::Picked;
use super::index::Index;
use super::indexes::HeldIndex;
use super::probe::{Keys, Matches};
use super::store::RowStore;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result, SqlState};

/// Deleted rows for each that is wanted, at most, that [`RowSnapshot::few`] looks at.
const MOST_DELETED: usize = 100;

/// What a relation was at an epoch. It stays that, whatever is applied or compacted meanwhile, and keeps the memory it
/// needs for that.
#[derive(Clone)]
pub struct RowSnapshot {
    store: Arc<RowStore>,
    chunks: Arc<ChunkList>,
    at: Epoch,
    /// Whether rows of the epoch were gone already when the snapshot was taken.
    too_old: bool,
    /// Why there are no rows to be read.
    unreadable: Option<Arc<Error>>,
    count: Arc<OnceLock<u64>>,
}

/// A run of a chunk's rows, as a scan reads it at once.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) chunk: Arc<Chunk>,
    pub(super) offset: usize,
    pub(super) length: usize,
}

impl RowStore {
    /// The relation at an epoch that has been applied. Takes constant time, once the rows are
    /// [readable](RowStore::wait_readable), for which it waits.
    ///
    /// An epoch before the horizon of compaction cannot be read any more: reading then fails with 72000.
    pub fn snapshot(self: &Arc<Self>, at: Epoch) -> RowSnapshot {
        let unreadable = self.wait_readable().err().map(Arc::new);
        // The horizon is looked at last: it goes on before the chunks change.
        let chunks = self.chunks();
        let too_old = at < self.horizon();
        RowSnapshot { store: self.clone(), chunks, at, too_old, unreadable, count: Arc::default() }
    }
}

impl RowSnapshot {
    pub fn schema(&self) -> &SchemaRef {
        self.store.schema()
    }

    /// The epoch it shows.
    pub fn epoch(&self) -> Epoch {
        self.at
    }

    /// The store it was taken of.
    pub fn store(&self) -> &Arc<RowStore> {
        &self.store
    }

    /// How many rows there are, each as often as it stands. Takes time proportional to the chunks once, and to the rows
    /// of those that had deletions.
    ///
    /// # Errors
    /// As reading them.
    pub fn row_count(&self) -> Result<u64> {
        self.check()?;
        Ok(*self.count.get_or_init(|| self.chunks.live.iter().map(|chunk| chunk.count(self.at)).sum()))
    }

    /// Whether there are no rows. Looks at no more chunks than it takes to find one.
    ///
    /// # Errors
    /// As reading them.
    pub fn is_empty(&self) -> Result<bool> {
        self.check()?;
        Ok(self.chunks.live.iter().all(|chunk| chunk.count(self.at) == 0))
    }

    /// # Errors
    /// 72000 when the snapshot was taken too late for its epoch; why the rows could not be read back.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(error) = &self.unreadable {
            return Err(error.duplicate());
        }
        if !self.too_old {
            return Ok(());
        }
        let error = Error::new(SqlState::SNAPSHOT_TOO_OLD, format!("epoch {} can no longer be read", self.at));
        Err(error.with_hint("Run the statement again."))
    }

    /// All rows, each as often as it stands, in batches of at most a chunk's rows.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        self.zsets().map(|rows| rows?.expand())
    }

    /// All rows with their weights, in batches of at most a chunk's rows.
    pub fn zsets(&self) -> impl Iterator<Item = Result<ZSet>> + Send + use<> {
        let at = self.at;
        let failed = self.check().err().map(Err);
        let pieces = if failed.is_some() { Vec::new() } else { self.pieces(usize::MAX) };
        let rows = pieces.into_iter().map(move |piece| piece.read(at, None));
        failed.into_iter().chain(rows.filter(|rows| !matches!(rows, Ok(rows) if rows.is_empty())))
    }

    /// All rows, each as often as it stands, where there are no more than so many, and few more have to be looked at. None
    /// otherwise.
    ///
    /// # Errors
    /// 72000 as reading the snapshot gives it.
    pub fn few(&self, at_most: usize) -> Result<Option<RecordBatch>> {
        self.check()?;
        // What was deleted lately is still there.
        let looked_at: usize = self.chunks.live.iter().map(|chunk| chunk.rows()).sum();
        if looked_at > at_most.saturating_mul(MOST_DELETED) || self.row_count()? > at_most as u64 {
            return Ok(None);
        }
        let rows = self.batches().collect::<Result<Vec<_>>>()?;
        Ok(Some(concat_batches(self.schema(), &rows)?))
    }

    /// The rows in order, cut into runs of at most so many.
    pub(super) fn pieces(&self, rows: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for chunk in self.chunks.in_order() {
            for offset in (0..chunk.rows()).step_by(rows) {
                let length = rows.min(chunk.rows() - offset);
                pieces.push(Piece { chunk: chunk.clone(), offset, length });
            }
        }
        pieces
    }

    /// The rows that have one of the keys; a key with a NULL matches nothing. `keys` has an array per column of the index,
    /// of the column's type.
    pub fn lookup(&self, index: &HeldIndex, keys: &[ArrayRef]) -> Result<RecordBatch> {
        self.check()?;
        let index = &index.0;
        let (mut matches, mut chunks) = match self.store.is_complete() {
            true => self.store.find(index, keys, self.at, false)?,
            false => (self.scan_for(index, keys)?, self.chunks.clone()),
        };
        // The index knows only rows that are seen from the horizon on. It may have gone on since the snapshot was
        // taken: then the chunks that the snapshot holds are read.
        if self.at < self.store.horizon() {
            (matches, chunks) = (self.scan_for(index, keys)?, self.chunks.clone());
        }
        let picked = Picked::resolve(&chunks, &matches.addresses)
            .ok_or_else(|| Error::internal("a row that was found is not there"))?;
        picked.rows(self.schema(), None)?.expand()
    }

    /// The rows that have one of the keys, found by the hash of every row.
    fn scan_for(&self, index: &Index, keys: &[ArrayRef]) -> Result<Matches> {
        let rows = keys.first().map_or(0, |key| key.len());
        let keys = Keys::new(self.schema(), index, keys, rows)?;
        let mut wanted: HashMap<u64, Vec<u32>> = HashMap::new();
        for key in keys.rows(false) {
            wanted.entry(keys.hashes[key as usize]).or_default().push(key);
        }
        let found = self.chunks.live.par_iter().map(|chunk| {
            let mut found = Vec::new();
            for (row, hash) in index.keys(chunk)?.hashes.into_iter().enumerate() {
                if let Some(same) = wanted.get(&hash).filter(|_| chunk.visible(row, self.at)) {
                    found.extend(same.iter().map(|key| (*key, RowAddress::new(chunk.id, row))));
                }
            }
            Ok(found)
        });
        let mut found = found.collect::<Result<Vec<_>>>()?.concat();
        // In the order of the keys, as an index has them, the newest row of each first.
        found.sort_by_key(|(key, address)| (*key, std::cmp::Reverse(*address)));
        let mut matches = Matches::default();
        found.into_iter().for_each(|(key, address)| matches.push(key, address));
        keys.retain_equal(&mut matches, &self.chunks, self.schema(), index)?;
        Ok(matches)
    }
}

impl Piece {
    /// The rows that are there at the epoch: all columns, or those at these positions.
    pub(super) fn read(&self, at: Epoch, columns: Option<&[usize]>) -> Result<ZSet> {
        let batch = self.chunk.batch.slice(self.offset, self.length);
        let batch = columns.map_or(Ok(batch.clone()), |columns| batch.project(columns))?;
        let rows = match self.chunk.weights() {
            Some(weights) => ZSet::new(batch, weights.slice(self.offset, self.length)),
            None => ZSet::inserts(batch),
        };
        match self.chunk.visible_rows(at, self.offset, self.length) {
            Some(visible) => rows.filter(&BooleanArray::new(visible, None)),
            None => Ok(rows),
        }
    }
}

impl fmt::Debug for RowSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSnapshot").field("at", &self.at).field("rows", &self.row_count().ok()).finish()
    }
}
