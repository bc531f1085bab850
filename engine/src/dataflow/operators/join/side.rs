//! One side of a join: the store that has its rows, and which columns of it the join uses.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};

use super::batch;
use crate::data::hash::canonical;
use crate::data::{Epoch, ZSet};
use crate::dataflow::SLICE;
use crate::error::{Error, Result};
use crate::view::{HeldIndex, NewIndex, Pairs, RowStore};

/// A stored relation as a join reads it.
pub struct JoinSide {
    pub(super) rows: Arc<RowStore>,
    /// Columns of the store that are the join's key.
    keys: Vec<usize>,
    /// Columns of the store that the join passes on.
    pub(super) columns: Vec<usize>,
    /// On the keys, once it is open.
    index: Option<HeldIndex>,
    /// What there is of it while it opens.
    building: Option<NewIndex>,
}

impl Clone for JoinSide {
    fn clone(&self) -> JoinSide {
        let JoinSide { rows, keys, columns, index, building: _ } = self;
        let (rows, keys, columns, index) = (rows.clone(), keys.clone(), columns.clone(), index.clone());
        JoinSide { rows, keys, columns, index, building: None }
    }
}

/// Takes matches: for each pair the row of the probing batch, and the stored rows beside them. Returns how many bytes the
/// pairs have.
type Matched<'a> = &'a mut dyn FnMut(&[u32], ZSet) -> Result<usize>;

/// Bytes that a run of rows should have, and the rows of the first, as long as nobody knows how wide they are.
const RUN_BYTES: usize = 4 << 20;
const FIRST_RUN: usize = 256;

impl JoinSide {
    /// Positions are of the store's columns.
    pub fn new(rows: Arc<RowStore>, keys: Vec<usize>, columns: Vec<usize>) -> JoinSide {
        JoinSide { rows, keys, columns, index: None, building: None }
    }

    /// Has the store index the keys, as long as this side is there. Does a piece of it: whether that was the last.
    pub(super) fn open(&mut self) -> Result<bool> {
        if self.index.is_none() && !self.keys.is_empty() {
            self.index = self.rows.build_index(&self.keys, &mut self.building)?;
            return Ok(self.index.is_some());
        }
        Ok(true)
    }

    /// None without keys: then every row matches.
    pub(super) fn index(&self) -> Result<Option<&HeldIndex>> {
        match &self.index {
            None if !self.keys.is_empty() => Err(Error::internal("a join was asked before it was open")),
            index => Ok(index.as_ref()),
        }
    }

    /// The key columns of rows that have the store's columns.
    pub(super) fn keys(&self, rows: &ZSet) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| rows.column(*key).clone()).collect()
    }

    /// Rows that have the store's columns, reduced to the key's, in the form in which keys are compared.
    pub(super) fn key_rows(&self, rows: &ZSet) -> Result<ZSet> {
        let keys = rows.batch().project(&self.keys)?;
        let same = keys.columns().iter().map(canonical).collect();
        Ok(rows.with_batch(batch(keys.schema_ref(), same, rows.len())?))
    }

    /// Rows that have the store's columns, reduced to the ones passed on.
    pub(super) fn project(&self, rows: &ZSet) -> Result<ZSet> {
        Ok(rows.with_batch(rows.batch().project(&self.columns)?))
    }

    /// Some of the rows, reduced to the columns passed on.
    pub(super) fn take(&self, rows: &ZSet, which: &[u32]) -> Result<ZSet> {
        self.project(rows)?.take(&UInt32Array::from(which.to_vec()))
    }

    /// Hands over all pairs of equal key at an epoch, in runs; `keys` has `probes` rows.
    pub(super) fn each_match(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
        matched: Matched<'_>,
    ) -> Result<()> {
        let Some(index) = self.index()? else { return self.each_pair(probes, at, matched) };
        self.each_found(index, keys, probes, at, nulls_match, &mut |first, found| {
            in_runs(found.len(), |run| {
                let which: Vec<u32> = found.probe_rows()[run.clone()].iter().map(|row| first + row).collect();
                matched(&which, found.rows(run, Some(&self.columns))?)
            })
        })
    }

    /// Hands over what is found of equal key, a bounded number of pairs at once, each time with the first of the probing
    /// rows that it is of.
    fn each_found(
        &self,
        index: &HeldIndex,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
        take: &mut dyn FnMut(u32, Pairs) -> Result<()>,
    ) -> Result<()> {
        let mut first = 0;
        while first < probes {
            let rest: Vec<ArrayRef> = keys.iter().map(|key| key.slice(first, probes - first)).collect();
            let (found, probed) = self.rows.probe_some(index, &rest, at, nulls_match)?;
            take(first as u32, found)?;
            first += probed;
        }
        Ok(())
    }

    /// Every probing row with every stored row.
    fn each_pair(&self, probes: usize, at: Epoch, matched: Matched<'_>) -> Result<()> {
        let snapshot = self.rows.snapshot(at);
        for part in snapshot.zsets() {
            let stored = self.project(&part?)?;
            if stored.is_empty() {
                continue;
            }
            in_runs(probes * stored.len(), |run| {
                let which: Vec<u32> = run.clone().map(|pair| (pair / stored.len()) as u32).collect();
                let beside: UInt32Array = run.map(|pair| (pair % stored.len()) as u32).collect();
                matched(&which, stored.take(&beside)?)
            })?;
        }
        Ok(())
    }

    /// Hands over the rows whose key is one of these, at an epoch, some at a time, each row's beside the position of its key:
    /// `all` stored columns, or those passed on. `keys` has `probes` distinct rows.
    pub(super) fn rows_of(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
        all: bool,
        take: &mut dyn FnMut(&[u32], ZSet) -> Result<()>,
    ) -> Result<()> {
        let Some(index) = self.index()? else {
            let snapshot = self.rows.snapshot(at);
            let mut every = snapshot.zsets().take_while(|_| probes > 0);
            return every.try_for_each(|rows| {
                let rows = if all { rows? } else { self.project(&rows?)? };
                take(&vec![0; rows.len()], rows)
            });
        };
        let columns = (!all).then_some(&self.columns[..]);
        self.each_found(index, keys, probes, at, nulls_match, &mut |first, found| {
            in_runs(found.len(), |run| {
                let which: Vec<u32> = found.probe_rows()[run.clone()].iter().map(|row| first + row).collect();
                let found = found.rows(run, columns)?;
                let bytes = found.bytes();
                take(&which, found)?;
                Ok(bytes)
            })
        })
    }
}

/// So many rows in runs, which are shorter where rows are wide: each is made by `make`, which returns its bytes.
pub(super) fn in_runs(rows: usize, mut make: impl FnMut(Range<usize>) -> Result<usize>) -> Result<()> {
    let (mut first, mut run) = (0, FIRST_RUN);
    while first < rows {
        let last = rows.min(first + run);
        let bytes = make(first..last)?;
        run = (RUN_BYTES * (last - first) / bytes.max(1)).clamp(1, SLICE);
        first = last;
    }
    Ok(())
}
