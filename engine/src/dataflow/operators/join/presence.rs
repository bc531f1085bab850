//! Which left rows have a match, and how that changed.
//!
//! With m(l) whether l has a match, the left rows that have one change by
//!
//! d(Σ L·m) = dL·m(new) + L(old)·(m(new) - m(old))
//!
//! and those that have none by the same with 1 - m. Only keys that came or went on the right can change m.

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::datatypes::{Field, Schema};

use super::Join;
use crate::data::hash::canonical;
use crate::data::{Epoch, ZSet};
use crate::dataflow::operators::isolate::isolate;
use crate::dataflow::operators::join::JoinKind;
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
        let mask = BooleanArray::from(matched.to_vec());
        self.matched.push(rows.filter(&mask)?);
        self.unmatched.push(rows.filter(&arrow::compute::not(&mask)?)?);
        Ok(())
    }

    /// Rows leave one side for the other. One row of the other relation may have all of them do so.
    ///
    /// # Errors
    /// 54000 when there is no room for them.
    fn flip(&mut self, rows: &ZSet, matched: &[bool], room: &Room) -> Result<()> {
        room.take(rows.bytes() + rows.len())?;
        let before: Vec<bool> = matched.iter().map(|matched| !matched).collect();
        self.add(&rows.negate(), &before)?;
        self.add(rows, matched)
    }
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
        if right.is_empty() {
            return Ok(presence);
        }
        let (keys, count) = self.changed_keys(right)?;
        match &self.residual {
            None => self.flip_keys(&keys, count, &mut presence, context)?,
            Some(_) => self.flip_rows(&keys, count, &mut presence, context)?,
        }
        Ok(presence)
    }

    /// The distinct keys of a change of the right side, and how many they are. No two are equal: the left rows of a key
    /// are to be found once.
    fn changed_keys(&self, right: &ZSet) -> Result<(Vec<ArrayRef>, usize)> {
        let keys: Vec<ArrayRef> = self.right.keys(right).iter().map(canonical).collect();
        if keys.is_empty() {
            return Ok((keys, 1));
        }
        let fields: Vec<Field> = keys.iter().map(|key| Field::new("", key.data_type().clone(), true)).collect();
        let keys = ZSet::inserts(RecordBatch::try_new(Schema::new(fields).into(), keys)?).consolidate()?;
        Ok((keys.batch().columns().to_vec(), keys.len()))
    }

    /// Without residual condition all left rows of a key flip together, and most keys do not flip at all.
    fn flip_keys(&self, keys: &[ArrayRef], count: usize, out: &mut Presence, context: &StepContext) -> Result<()> {
        let (old, new) = (context.before(&self.right.rows), context.now(&self.right.rows));
        let (left_old, room) = (context.before(&self.left.rows), context.room(Maker::Join));
        let before = self.right.has_match(keys, count, old, self.nulls_match)?;
        let after = self.right.has_match(keys, count, new, self.nulls_match)?;
        for appeared in [true, false] {
            let flips = |row: &u32| after[*row as usize] == appeared && before[*row as usize] != appeared;
            let flipped: UInt32Array = (0..count as u32).filter(flips).collect::<Vec<_>>().into();
            let take = |key: &ArrayRef| arrow::compute::take(key, &flipped, None);
            let flipped_keys = keys.iter().map(take).collect::<Result<Vec<_>, _>>()?;
            self.left.rows_of(&flipped_keys, flipped.len(), left_old, self.nulls_match, false, &mut |rows| {
                out.flip(&rows, &vec![appeared; rows.len()], &room)
            })?;
        }
        Ok(())
    }

    /// With a residual condition each left row of a touched key is asked before and after.
    fn flip_rows(&self, keys: &[ArrayRef], count: usize, out: &mut Presence, context: &mut StepContext) -> Result<()> {
        let (old, new) = (context.before(&self.right.rows), context.now(&self.right.rows));
        let (left_old, room) = (context.before(&self.left.rows), context.room(Maker::Join));
        self.left.rows_of(keys, count, left_old, self.nulls_match, true, &mut |rows| {
            let (before, no_longer_rejected) = self.matched(&rows.negate(), old)?;
            let (after, rejected) = self.matched(&rows, new)?;
            self.reject(no_longer_rejected, context);
            self.reject(rejected, context);
            let flips = before.iter().zip(&after).map(|(before, after)| before != after);
            let after_of_flips: Vec<bool> =
                after.iter().zip(&before).filter(|(a, b)| a != b).map(|(a, _)| *a).collect();
            let flipped = self.left.project(&rows)?.filter(&flips.map(Some).collect())?;
            out.flip(&flipped, &after_of_flips, &room)
        })
    }

    /// Which of some left rows have a match at an epoch, and the pairs that the residual condition failed on.
    fn matched(&self, rows: &ZSet, at: Epoch) -> Result<(Vec<bool>, Vec<Rejected>)> {
        let keys = self.left.keys(rows);
        let Some(residual) = &self.residual else {
            return Ok((self.right.has_match(&keys, rows.len(), at, self.nulls_match)?, Vec::new()));
        };
        let (mut matched, mut rejected) = (vec![false; rows.len()], Vec::new());
        self.right.each_match(&keys, rows.len(), at, self.nulls_match, &mut |which, stored| {
            let pairs = self.pair(&self.left.take(rows, which)?, &stored)?;
            let mut masks = Vec::new();
            let ask = |first: usize, pairs: &ZSet| Ok((first, truth(residual, pairs)?));
            isolate(&pairs, &ask, &mut masks, &mut rejected);
            for (first, mask) in masks {
                for at in mask.iter().enumerate().filter(|(_, answer)| *answer == Some(true)).map(|(at, _)| first + at)
                {
                    matched[which[at] as usize] = true;
                }
            }
            Ok(pairs.bytes())
        })?;
        Ok((matched, rejected))
    }

    /// An inner part rejects the same pairs itself.
    fn reject(&self, rejected: Vec<Rejected>, context: &mut StepContext) {
        if self.kind != JoinKind::Left {
            context.reject_all(rejected);
        }
    }
}
