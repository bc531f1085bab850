//! Which left rows have a match, and how that changed.
//!
//! With m(l) whether l has a match, the left rows that have one change by
//!
//! d(Σ L·m) = dL·m(new) + L(old)·(m(new) - m(old))
//!
//! and those that have none by the same with 1 - m. Only a right row that came or went can change m(l), and only if it
//! matches l: l has a match now if such a row came, and had one before if such a row went. Where both did, nothing has changed;
//! where one did, it remains to be asked whether there was, or is, another match.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;

use super::side::{JoinSide, in_runs};
use super::{Join, JoinKind};
use crate::data::hash::canonical;
use crate::data::{Epoch, ZSet};
use crate::dataflow::operators::isolate::isolate;
use crate::dataflow::operators::map::truth;
use crate::dataflow::{Maker, Rejected, Room, StepContext};
use crate::error::Result;

/// Changes of the left rows with a match and of those without, as far as the join passes their columns on.
#[derive(Default)]
pub(super) struct Presence {
    pub matched: Vec<ZSet>,
    pub unmatched: Vec<ZSet>,
}

impl Presence {
    /// Rows go to the side that the flag tells.
    fn add(&mut self, rows: &ZSet, matched: &[bool]) -> Result<()> {
        self.matched.push(rows.take(&places(matched, true))?);
        self.unmatched.push(rows.take(&places(matched, false))?);
        Ok(())
    }

    /// Rows leave one side for the other: a match `appeared`, or the last one went. One row of the other relation may have
    /// all of them do so.
    ///
    /// # Errors
    /// 54000 when there is no room for them.
    fn flip(&mut self, rows: ZSet, appeared: bool, room: &Room) -> Result<()> {
        room.take(rows.bytes() + rows.len())?;
        let (to, from) = match appeared {
            true => (&mut self.matched, &mut self.unmatched),
            false => (&mut self.unmatched, &mut self.matched),
        };
        from.push(rows.negate());
        to.push(rows);
        Ok(())
    }
}

/// The net change of the right side, by its keys.
struct Changed {
    /// Each key once.
    keys: Vec<ArrayRef>,
    /// The columns that are passed on, each stored row once.
    rows: ZSet,
    /// Of each key the positions of its rows.
    of_key: Vec<Vec<u32>>,
}

impl Changed {
    fn new(side: &JoinSide, change: &ZSet) -> Result<Changed> {
        let net = change.consolidate()?;
        let (keys, rows) = (side.keys(&net), side.project(&net)?);
        if keys.is_empty() {
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            return Ok(Changed { keys, rows, of_key: if all.is_empty() { Vec::new() } else { vec![all] } });
        }
        let same: Vec<ArrayRef> = keys.iter().map(canonical).collect();
        let fields = same.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let bytes = RowConverter::new(fields)?.convert_columns(&same)?;
        let (mut numbers, mut firsts, mut of_key) = (HashMap::<_, usize>::new(), Vec::new(), Vec::<Vec<u32>>::new());
        for (row, key) in (0..).zip(&bytes) {
            match numbers.entry(key) {
                Entry::Occupied(number) => of_key[*number.get()].push(row),
                Entry::Vacant(place) => {
                    place.insert(of_key.len());
                    firsts.push(row);
                    of_key.push(vec![row]);
                }
            }
        }
        let firsts = UInt32Array::from(firsts);
        let keys = keys.iter().map(|key| arrow::compute::take(key, &firsts, None)).collect::<Result<_, _>>()?;
        Ok(Changed { keys, rows, of_key })
    }

    /// Some of the pairs of left rows, of which `which` tells the keys, with the rows of their keys: of each pair the left
    /// row and the changed one. `ends` tells where those of each left row end.
    fn pairs(&self, which: &[u32], ends: &[usize], some: Range<usize>) -> (Vec<u32>, Vec<u32>) {
        let mut left = ends.partition_point(|end| *end <= some.start);
        let pair = |pair: usize| {
            while ends[left] <= pair {
                left += 1;
            }
            let rows = &self.of_key[which[left] as usize];
            (left as u32, rows[pair + rows.len() - ends[left]])
        };
        some.map(pair).unzip()
    }
}

/// Whether a left row matches changed rows: some that came, some that went.
#[derive(Clone, Copy, Default, PartialEq)]
struct Met {
    came: bool,
    went: bool,
}

impl Join {
    /// How the left rows with and without a match change in this step.
    pub(super) fn presence(&self, [left, right]: [&ZSet; 2], context: &mut StepContext) -> Result<Presence> {
        let mut presence = Presence::default();
        let now = context.now(&self.right.rows);
        for (rows, matched, rejected) in context.slices(left, |rows| {
            let (matched, rejected) = self.matched(rows, now)?;
            Ok((rows.clone(), matched, rejected))
        })? {
            presence.add(&self.left.project(&rows)?, &matched)?;
            self.reject(rejected, context);
        }
        match &self.residual {
            _ if right.is_empty() => {}
            None => self.flip_keys(right, &mut presence, context)?,
            Some(residual) => self.flip_rows(residual, right, &mut presence, context)?,
        }
        Ok(presence)
    }

    /// Without residual condition all left rows of a key flip together, and most keys do not flip at all.
    fn flip_keys(&self, right: &ZSet, out: &mut Presence, context: &StepContext) -> Result<()> {
        let (left_old, room) = (context.before(&self.left.rows), context.room(Maker::Join));
        // Of a key with more rows than before some came, of one with fewer some went.
        let changed = self.right.key_rows(right)?.consolidate()?;
        for (appeared, at) in [(true, context.before(&self.right.rows)), (false, context.now(&self.right.rows))] {
            let so: Vec<bool> = (0..changed.len()).map(|key| (changed.weight(key) > 0) == appeared).collect();
            let keys = changed.take(&places(&so, true))?;
            let other = self.right.has_match(keys.batch().columns(), keys.len(), at, self.nulls_match)?;
            let keys = keys.take(&places(&other, false))?;
            let flip = &mut |_: &[u32], rows: ZSet| out.flip(rows, appeared, &room);
            self.left.rows_of(keys.batch().columns(), keys.len(), left_old, self.nulls_match, false, flip)?;
        }
        Ok(())
    }

    /// With a residual condition those left rows are asked for other matches for which it is true beside a changed row.
    fn flip_rows(
        &self,
        residual: &Arc<dyn PhysicalExpr>,
        right: &ZSet,
        out: &mut Presence,
        context: &mut StepContext,
    ) -> Result<()> {
        let (old, new) = (context.before(&self.right.rows), context.now(&self.right.rows));
        let (left_old, room) = (context.before(&self.left.rows), context.room(Maker::Join));
        let changed = Changed::new(&self.right, right)?;
        let (keys, count) = (&changed.keys, changed.of_key.len());
        self.left.rows_of(keys, count, left_old, self.nulls_match, true, &mut |which, rows| {
            let (met, rejected) = self.met(residual, &self.left.project(&rows)?, which, &changed)?;
            self.reject(rejected, context);
            for (appeared, at) in [(true, old), (false, new)] {
                let only = Met { came: appeared, went: !appeared };
                let asked: Vec<bool> = met.iter().map(|met| *met == only).collect();
                let asked = rows.take(&places(&asked, true))?;
                let other = self.has_match(&asked, at)?;
                out.flip(self.left.project(&asked)?.take(&places(&other, false))?, appeared, &room)?;
            }
            Ok(())
        })
    }

    /// Which changed rows the left rows match, of which `which` tells the keys, and the pairs that the residual condition
    /// failed on.
    fn met(
        &self,
        residual: &Arc<dyn PhysicalExpr>,
        left: &ZSet,
        which: &[u32],
        changed: &Changed,
    ) -> Result<(Vec<Met>, Vec<Rejected>)> {
        let (mut met, mut rejected) = (vec![Met::default(); left.len()], Vec::new());
        let mut ends: Vec<usize> = which.iter().map(|key| changed.of_key[*key as usize].len()).collect();
        (1..ends.len()).for_each(|row| ends[row] += ends[row - 1]);
        in_runs(ends.last().copied().unwrap_or(0), |some| {
            let (of_left, of_changed) = changed.pairs(which, &ends, some);
            let rows = changed.rows.take(&UInt32Array::from(of_changed))?;
            let pairs = self.pair(&left.take(&UInt32Array::from(of_left.clone()))?, &rows)?;
            for at in true_pairs(residual, &pairs, &mut rejected) {
                let (met, came) = (&mut met[of_left[at] as usize], rows.weight(at) > 0);
                met.came |= came;
                met.went |= !came;
            }
            Ok(pairs.bytes())
        })?;
        Ok((met, rejected))
    }

    /// Which of some left rows have a match at an epoch, and the pairs that the residual condition failed on, unless an
    /// inner part tells those.
    fn matched(&self, rows: &ZSet, at: Epoch) -> Result<(Vec<bool>, Vec<Rejected>)> {
        let Some(residual) = self.residual.as_ref().filter(|_| self.kind != JoinKind::Left) else {
            return Ok((self.has_match(rows, at)?, Vec::new()));
        };
        // A match is not enough: whether the condition fails is asked of every pair.
        let (mut matched, mut rejected) = (vec![false; rows.len()], Vec::new());
        self.right.each_match(&self.left.keys(rows), rows.len(), at, self.nulls_match, &mut |which, stored| {
            let pairs = self.pair(&self.left.take(rows, which)?, &stored)?;
            for at in true_pairs(residual, &pairs, &mut rejected) {
                matched[which[at] as usize] = true;
            }
            Ok(pairs.bytes())
        })?;
        Ok((matched, rejected))
    }

    /// Which of some left rows have a match at an epoch, whatever the residual condition fails on.
    fn has_match(&self, rows: &ZSet, at: Epoch) -> Result<Vec<bool>> {
        let keys = self.left.keys(rows);
        let Some(residual) = &self.residual else {
            return self.right.has_match(&keys, rows.len(), at, self.nulls_match);
        };
        self.right.has_good_match(&keys, rows.len(), at, self.nulls_match, &mut |which, stored, found| {
            let pairs = self.pair(&self.left.take(rows, which)?, &stored)?;
            for at in true_pairs(residual, &pairs, &mut Vec::new()) {
                found[which[at] as usize] = true;
            }
            Ok(pairs.bytes())
        })
    }

    /// An inner part rejects the same pairs itself.
    fn reject(&self, rejected: Vec<Rejected>, context: &mut StepContext) {
        if self.kind != JoinKind::Left {
            context.reject_all(rejected);
        }
    }
}

/// The positions of the pairs for which the residual condition is true.
fn true_pairs(residual: &Arc<dyn PhysicalExpr>, pairs: &ZSet, rejected: &mut Vec<Rejected>) -> Vec<usize> {
    let mut masks = Vec::new();
    let ask = |first: usize, pairs: &ZSet| Ok((first, truth(residual, pairs)?));
    isolate(pairs, &ask, &mut masks, rejected);
    let mut places = Vec::new();
    for (first, mask) in masks {
        places.extend((0..).zip(&mask).filter(|(_, is_true)| *is_true == Some(true)).map(|(at, _)| first + at));
    }
    places
}

/// The positions of the flags that are so.
fn places(flags: &[bool], so: bool) -> UInt32Array {
    (0..).zip(flags).filter(|(_, flag)| **flag == so).map(|(at, _)| at).collect::<Vec<u32>>().into()
}
