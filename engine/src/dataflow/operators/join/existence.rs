//! Whether probing rows have a match at all: no more of their matches are looked at, by and by, than it takes to tell.

use arrow::array::{ArrayRef, UInt32Array};

use super::side::{JoinSide, in_runs};
use crate::data::{Epoch, ZSet};
use crate::dataflow::SLICE;
use crate::error::Result;
use crate::view::Pairs;

/// Asked about pairs: of each the probing row, and the stored rows beside them. Marks the probing rows of which one is good,
/// and returns how many bytes the pairs have.
type Ask<'a> = &'a mut dyn FnMut(&[u32], ZSet, &mut [bool]) -> Result<usize>;

/// The same of pairs that were looked up, by their places among some of the probing rows.
type Mark<'a> = &'a mut dyn FnMut(&[u32], &Pairs, &mut [bool]) -> Result<()>;

/// Rows of its key that are looked at of a probing row at first: where all are good one will do, unless it is not there at
/// that epoch.
const FIRST: usize = 1;
/// The same where others than equal keys decide.
const FIRST_ASKED: usize = 64;
/// How many times more are looked at in each further round.
const MORE: usize = 8;
/// Pairs that are looked up at once, unless a single row has more.
const TOGETHER: usize = 1 << 19;

impl JoinSide {
    /// Which of the probing rows have a match of their key at an epoch; `keys` has `probes` rows.
    pub(super) fn has_match(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
    ) -> Result<Vec<bool>> {
        if probes == 0 {
            return Ok(Vec::new());
        }
        if self.index()?.is_none() {
            return Ok(vec![!self.rows.snapshot(at).is_empty()?; probes]);
        }
        let mark = &mut |some: &[u32], pairs: &Pairs, found: &mut [bool]| {
            pairs.probe_rows().iter().for_each(|row| found[some[*row as usize] as usize] = true);
            Ok(())
        };
        self.in_rounds(keys, probes, at, nulls_match, FIRST, mark)
    }

    /// Which of the probing rows have a match of their key at an epoch that is good.
    pub(super) fn has_good_match(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
        ask: Ask<'_>,
    ) -> Result<Vec<bool>> {
        if self.index()?.is_none() {
            return self.in_blocks(probes, at, ask);
        }
        let mark = &mut |some: &[u32], pairs: &Pairs, found: &mut [bool]| {
            in_runs(pairs.len(), |run| {
                let which: Vec<u32> = pairs.probe_rows()[run.clone()].iter().map(|row| some[*row as usize]).collect();
                ask(&which, pairs.rows(run, Some(&self.columns))?, found)
            })
        };
        self.in_rounds(keys, probes, at, nulls_match, FIRST_ASKED, mark)
    }

    /// Looks at a few rows of each key first, and at more of the keys for which none of these did. Each round begins anew:
    /// others may have come, and gone, meanwhile.
    fn in_rounds(
        &self,
        keys: &[ArrayRef],
        probes: usize,
        at: Epoch,
        nulls_match: bool,
        first: usize,
        mark: Mark<'_>,
    ) -> Result<Vec<bool>> {
        let mut found = vec![false; probes];
        let Some(index) = self.index()? else { return Ok(found) };
        let (mut open, mut each): (Vec<u32>, usize) = ((0..probes as u32).collect(), first);
        while !open.is_empty() {
            let mut rest = Vec::new();
            for some in open.chunks((TOGETHER / each).max(1)) {
                let picked = UInt32Array::from(some.to_vec());
                let keys = keys.iter().map(|key| arrow::compute::take(key, &picked, None));
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                let (pairs, cut) = self.rows.probe_first(index, &keys, at, nulls_match, each)?;
                mark(some, &pairs, &mut found)?;
                rest.extend(cut.iter().map(|row| some[*row as usize]).filter(|row| !found[*row as usize]));
            }
            (open, each) = (rest, each.saturating_mul(MORE));
        }
        Ok(found)
    }

    /// Every probing row with every stored row, as long as it has found none.
    fn in_blocks(&self, probes: usize, at: Epoch, ask: Ask<'_>) -> Result<Vec<bool>> {
        let mut found = vec![false; probes];
        let (mut open, mut block): (Vec<u32>, usize) = ((0..probes as u32).collect(), FIRST_ASKED);
        if open.is_empty() {
            return Ok(found);
        }
        for part in self.rows.snapshot(at).zsets() {
            let stored = self.project(&part?)?;
            let mut first = 0;
            while first < stored.len() && !open.is_empty() {
                let some = stored.slice(first, block.min(stored.len() - first));
                in_runs(open.len() * some.len(), |run| {
                    let which: Vec<u32> = run.clone().map(|pair| open[pair / some.len()]).collect();
                    let beside: UInt32Array = run.map(|pair| (pair % some.len()) as u32).collect();
                    ask(&which, some.take(&beside)?, &mut found)
                })?;
                open.retain(|row| !found[*row as usize]);
                (first, block) = (first + some.len(), (block * MORE).min(SLICE));
            }
            if open.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
