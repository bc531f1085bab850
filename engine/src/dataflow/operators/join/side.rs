//! One side of a join: the store that has its rows, and which columns of it the join uses.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};

use crate::data::{Epoch, ZSet};
use crate::dataflow::SLICE;
use crate::error::Result;
use crate::view::{IndexId, RowStore};

/// A stored relation as a join reads it.
#[derive(Clone)]
pub struct JoinSide {
    pub(super) rows: Arc<RowStore>,
    /// Columns of the store that are the join's key.
    keys: Vec<usize>,
    /// Columns of the store that the join passes on.
    columns: Vec<usize>,
    /// None without keys: then every row matches.
    index: Option<IndexId>,
}

/// Takes matches: for each pair the row of the probing batch, and the stored rows beside them.
type Matched<'a> = &'a mut dyn FnMut(&[u32], ZSet) -> Result<()>;

impl JoinSide {
    /// Positions are of the store's columns. An index on the keys is added to the store unless it has it.
    pub fn new(rows: Arc<RowStore>, keys: Vec<usize>, columns: Vec<usize>) -> Result<JoinSide> {
        let index = if keys.is_empty() { None } else { Some(rows.add_index(keys.clone())?) };
        Ok(JoinSide { rows, keys, columns, index })
    }

    /// The key columns of rows that have the store's columns.
    pub(super) fn keys(&self, rows: &ZSet) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| rows.column(*key).clone()).collect()
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
        let Some(index) = self.index else { return self.each_pair(probes, at, matched) };
        let found = self.rows.probe(index, keys, at, nulls_match)?;
        for run in runs(found.len()) {
            matched(&found.probe_rows()[run.clone()], found.rows(run, Some(&self.columns))?)?;
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
            // Probing rows together where the stored ones are few.
            let together = (SLICE / stored.len()).max(1);
            for first in (0..probes).step_by(together) {
                let last = (first + together).min(probes);
                let which: Vec<u32> = (first..last).flat_map(|row| vec![row as u32; stored.len()]).collect();
                let repeated: UInt32Array = (first..last).flat_map(|_| 0..stored.len() as u32).collect();
                matched(&which, stored.take(&repeated)?)?;
            }
        }
        Ok(())
    }

    /// Which of the probing rows have a match of their key at an epoch.
    pub(super) fn has_match(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
    ) -> Result<Vec<bool>> {
        let mut found = vec![false; probes];
        match self.index {
            None => found.fill(self.rows.snapshot(at).row_count()? > 0),
            Some(index) => {
                for row in self.rows.probe(index, keys, at, nulls_match)?.probe_rows() {
                    found[*row as usize] = true;
                }
            }
        }
        Ok(found)
    }

    /// All stored columns of the rows whose key is one of these, at an epoch; `keys` has `probes` distinct rows.
    pub(super) fn rows_of(&self, keys: &[ArrayRef], probes: usize, at: Epoch, nulls_match: bool) -> Result<Vec<ZSet>> {
        let Some(index) = self.index else {
            let snapshot = self.rows.snapshot(at);
            return if probes == 0 { Ok(Vec::new()) } else { snapshot.zsets().collect() };
        };
        let found = self.rows.probe(index, keys, at, nulls_match)?;
        runs(found.len()).map(|run| found.rows(run, None)).collect()
    }
}

/// So many rows in runs.
fn runs(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(SLICE).map(move |first| first..rows.min(first + SLICE))
}
