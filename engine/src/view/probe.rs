//! Finding rows by key: candidates by hash, then one vectorised comparison of the keys themselves.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, make_comparator};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, take};
use arrow::datatypes::SchemaRef;

use super::chunk::{ChunkList, RowAddress};
use super::gather::Picked;
use super::index::Index;
use super::indexes::HeldIndex;
use super::store::RowStore;
use crate::data::hash::hash_columns;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};

/// How often a reader looks again after compaction took a chunk away between the index and the chunk list.
const RETRIES: usize = 1000;

/// Pairs after which [`probe_some`](RowStore::probe_some) takes no further probing row.
const MANY_PAIRS: usize = 1 << 20;

/// What a probe found: pairs of a probing row and a row of the store that has its key, ordered by probing row. The rows
/// can be read however the store changes meanwhile.
#[derive(Debug)]
pub struct Pairs {
    schema: SchemaRef,
    matches: Matches,
    /// Has the chunks of all rows.
    chunks: Arc<ChunkList>,
}

impl Pairs {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.matches.addresses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// Of each pair the row of the probe: positions in its arrays.
    pub fn probe_rows(&self) -> &[u32] {
        &self.matches.probe_rows
    }

    /// Of some pairs the rows of the store, with their weights: all columns, or those at `columns`.
    pub fn rows(&self, pairs: Range<usize>, columns: Option<&[usize]>) -> Result<ZSet> {
        let picked = Picked::resolve(&self.chunks, &self.matches.addresses[pairs])
            .ok_or_else(|| Error::internal("a row that was found is not there"))?;
        picked.rows(&self.schema, columns)
    }
}

/// Pairs of a probing row and the address of a row that has its key, ordered by probing row.
#[derive(Clone, Debug, Default)]
pub(super) struct Matches {
    /// Positions in the arrays of the probe.
    pub(super) probe_rows: Vec<u32>,
    pub(super) addresses: Vec<RowAddress>,
}

impl Matches {
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub(super) fn push(&mut self, probe_row: u32, address: RowAddress) {
        self.probe_rows.push(probe_row);
        self.addresses.push(address);
    }

    fn retain(&mut self, keep: &BooleanBuffer) {
        let mut kept = keep.iter();
        self.probe_rows.retain(|_| kept.next().unwrap_or(false));
        let mut kept = keep.iter();
        self.addresses.retain(|_| kept.next().unwrap_or(false));
    }
}

/// The keys of a probe: columns in the form that the index compares, as long as each other, and a hash for each row.
pub(super) struct Keys {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) hashes: Vec<u64>,
}

impl Keys {
    /// What to look up in an index: an array for each of its columns.
    ///
    /// # Errors
    /// XX000 when the keys do not have the types of the index.
    pub(super) fn new(schema: &SchemaRef, index: &Index, keys: &[ArrayRef], rows: usize) -> Result<Keys> {
        let fits = |(key, column): (&ArrayRef, &usize)| {
            key.len() == rows && key.data_type() == schema.field(*column).data_type()
        };
        if keys.len() != index.columns.len() || !keys.iter().zip(&index.columns).all(fits) {
            return Err(Error::internal("the keys of a probe do not have the types of the index"));
        }
        Keys::of(keys.iter().map(|key| index.equality.form(key)).collect(), rows)
    }

    /// Columns that have the form already.
    pub(super) fn of(columns: Vec<ArrayRef>, rows: usize) -> Result<Keys> {
        let hashes = hash_columns(&columns, rows)?;
        Ok(Keys { columns, hashes })
    }

    /// The rows whose key has no NULL, or all of them.
    pub(super) fn rows(&self, nulls_match: bool) -> Vec<u32> {
        let nulls = self.columns.iter().filter(|_| !nulls_match).fold(None, |nulls: Option<NullBuffer>, column| {
            NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
        });
        let rows = 0..self.hashes.len() as u32;
        match nulls {
            Some(nulls) => rows.filter(|row| nulls.is_valid(*row as usize)).collect(),
            None => rows.collect(),
        }
    }

    /// Keeps the pairs whose keys are the same, not just their hashes. NULL is the same as NULL.
    ///
    /// All addresses must be in the list.
    pub(super) fn retain_equal(
        &self,
        matches: &mut Matches,
        chunks: &ChunkList,
        schema: &SchemaRef,
        index: &Index,
    ) -> Result<()> {
        if matches.is_empty() {
            return Ok(());
        }
        let picked = Picked::resolve(chunks, &matches.addresses)
            .ok_or_else(|| Error::internal("a candidate's chunk is not in the list"))?;
        let probing = UInt32Array::from(matches.probe_rows.clone());
        let mut same: Option<BooleanBuffer> = None;
        for (key, column) in self.columns.iter().zip(&index.columns) {
            let stored = index.equality.form(&picked.column(schema, *column)?);
            let equal = same_values(&take(key, &probing, None)?, &stored)?;
            same = Some(same.map_or(equal.clone(), |same| &same & &equal));
        }
        if let Some(same) = same.filter(|same| same.count_set_bits() < matches.len()) {
            matches.retain(&same);
        }
        Ok(())
    }
}

/// Where two columns have the same value; NULL is the same as NULL.
fn same_values(left: &ArrayRef, right: &ArrayRef) -> Result<BooleanBuffer> {
    if left.data_type().is_nested() {
        let compare = make_comparator(left, right, SortOptions::default())?;
        return Ok(BooleanBuffer::collect_bool(left.len(), |row| compare(row, row).is_eq()));
    }
    let equal: BooleanArray = not_distinct(left, right)?;
    Ok(equal.values().clone())
}

impl RowStore {
    /// The rows that have one of the keys and are there at the epoch. `keys` has an array per column of the index, of the
    /// column's type; a key with a NULL matches nothing, unless `nulls_match` makes NULL a value like any other.
    ///
    /// # Errors
    /// XX000 for keys of other types.
    pub fn probe(&self, index: &HeldIndex, keys: &[ArrayRef], at: Epoch, nulls_match: bool) -> Result<Pairs> {
        self.wait_complete()?;
        let (matches, chunks) = self.find(&index.0, keys, at, nulls_match)?;
        Ok(Pairs { schema: self.schema().clone(), matches, chunks })
    }

    /// As [`probe`](RowStore::probe), but of the first of the probing rows only, so that there are not too many pairs in
    /// memory at once: also tells of how many rows, at least of one.
    pub fn probe_some(
        &self,
        index: &HeldIndex,
        keys: &[ArrayRef],
        at: Epoch,
        nulls_match: bool,
    ) -> Result<(Pairs, usize)> {
        self.wait_complete()?;
        let limit = Limit { pairs: MANY_PAIRS, each: usize::MAX };
        let Looked { matches, chunks, probed, .. } = self.find_some(&index.0, keys, at, nulls_match, limit)?;
        Ok((Pairs { schema: self.schema().clone(), matches, chunks }, probed))
    }

    /// As [`probe`](RowStore::probe), but of each probing row what is found among the first so many rows of its key, come or
    /// gone: also tells of which probing rows there may be more.
    pub fn probe_first(
        &self,
        index: &HeldIndex,
        keys: &[ArrayRef],
        at: Epoch,
        nulls_match: bool,
        each: usize,
    ) -> Result<(Pairs, Vec<u32>)> {
        self.wait_complete()?;
        let limit = Limit { pairs: usize::MAX, each };
        let Looked { matches, chunks, cut, .. } = self.find_some(&index.0, keys, at, nulls_match, limit)?;
        Ok((Pairs { schema: self.schema().clone(), matches, chunks }, cut))
    }

    /// As [`probe`](RowStore::probe), with a list of chunks that has all the rows found. The store must be complete.
    pub(super) fn find(
        &self,
        index: &Index,
        keys: &[ArrayRef],
        at: Epoch,
        nulls_match: bool,
    ) -> Result<(Matches, Arc<ChunkList>)> {
        let limit = Limit { pairs: usize::MAX, each: usize::MAX };
        let Looked { matches, chunks, .. } = self.find_some(index, keys, at, nulls_match, limit)?;
        Ok((matches, chunks))
    }

    fn find_some(
        &self,
        index: &Index,
        keys: &[ArrayRef],
        at: Epoch,
        nulls_match: bool,
        limit: Limit,
    ) -> Result<Looked> {
        let Some(all) = keys.first().map(|key| key.len()) else {
            return Err(Error::internal("a probe needs a key"));
        };
        let keys = Keys::new(self.schema(), index, keys, all)?;
        let rows = keys.rows(nulls_match);
        for _ in 0..RETRIES {
            let (mut candidates, mut cut) = (Matches::default(), Vec::new());
            let (found, probed) = (Cell::new(0), Cell::new(all));
            let (mut current, mut of_current) = (u32::MAX, 0);
            let goes_on = |row: &u32| {
                let enough = found.get() >= limit.pairs;
                if enough {
                    probed.set(*row as usize);
                }
                !enough
            };
            index.visit(&keys.hashes, rows.iter().copied().take_while(goes_on), |row, address| {
                if row != current {
                    (current, of_current) = (row, 0);
                }
                if of_current >= limit.each {
                    cut.push(row);
                    return false;
                }
                candidates.push(row, address);
                of_current += 1;
                found.set(found.get() + 1);
                true
            });
            // Taken after the index was read: a new row's chunk is in the list before the row is in the index, and a
            // chunk leaves the list after its rows have left the index.
            let chunks = self.chunks();
            let Some(visible) = visible(&candidates, &chunks, at) else { continue };
            candidates.retain(&visible);
            keys.retain_equal(&mut candidates, &chunks, self.schema(), index)?;
            return Ok(Looked { matches: candidates, chunks, probed: probed.get(), cut });
        }
        Err(Error::internal("an index names a chunk that is not there"))
    }
}

/// Where a look-up ends early.
#[derive(Clone, Copy)]
struct Limit {
    /// Candidates after which no further probing row is looked up.
    pairs: usize,
    /// Candidates of a probing row after which no further one of it is.
    each: usize,
}

/// What a look-up found.
struct Looked {
    matches: Matches,
    /// Has all the rows found.
    chunks: Arc<ChunkList>,
    /// How many probing rows were looked up.
    probed: usize,
    /// Probing rows that have more candidates than were looked at, in order.
    cut: Vec<u32>,
}

/// Which rows are there at the epoch; None if some chunk is not in the list.
fn visible(matches: &Matches, chunks: &ChunkList, at: Epoch) -> Option<BooleanBuffer> {
    let mut finder = chunks.finder();
    let rows = matches.addresses.iter().map(|address| Some(finder.find(*address)?.1.visible(address.row(), at)));
    rows.collect::<Option<Vec<bool>>>().map(BooleanBuffer::from)
}
