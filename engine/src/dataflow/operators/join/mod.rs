//! Joins over stored sides: d(L ⋈ R) = dL ⋈ R(old) + L(new) ⋈ dR, and what outer, semi, anti and mark joins add to it.

mod existence;
mod presence;
mod side;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use crate::data::{Epoch, ZSet};
use crate::dataflow::operators::isolate::isolate;
use crate::dataflow::operators::map::truth;
use crate::dataflow::{Maker, Operator, Rejected, Room, StepContext};
use crate::error::{Error, Result};
use presence::Presence;
pub use side::JoinSide;

/// What a join makes of matches. The others (right, full, …) are these with the sides exchanged, or unions of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Every pair that matches.
    Inner,
    /// Every pair that matches, and left rows without match beside NULLs.
    Left,
    /// Left rows with a match.
    Semi,
    /// Left rows without a match.
    Anti,
    /// All left rows, each with whether it has a match.
    Mark,
}

/// `L ⋈ R` on equal keys and, among those pairs, a residual condition. No keys: every pair, as a cross or theta join has it.
///
/// ```text
/// dL ──┬─ rows of L ── probe R(old) ──┐
///      │                              ├── residual ── pairs ──┐
/// dR ──┼─ rows of R ── probe L(new) ──┘                       ├── net change
///      └─ presence: left rows whose having a match changed ───┘
/// ```
///
/// The operator has no state: both sides are stored by the nodes before it, and other joins read the same stores.
#[derive(Clone)]
pub struct Join {
    kind: JoinKind,
    left: JoinSide,
    right: JoinSide,
    nulls_match: bool,
    residual: Option<Arc<dyn PhysicalExpr>>,
    /// The columns of the left side, then those of the right: what the residual condition is asked about.
    pairs: SchemaRef,
    schema: SchemaRef,
}

/// How the two sides meet.
pub struct JoinCondition {
    /// Whether NULL keys equal each other, as in INTERSECT; in a plain join they match nothing.
    pub nulls_match: bool,
    /// Asked about the columns of the left side followed by those of the right.
    pub residual: Option<Arc<dyn PhysicalExpr>>,
}

/// Matching pairs of one slice of a change, and the pairs that the residual condition failed on.
type Pairs = (Vec<ZSet>, Vec<Rejected>);

impl Join {
    /// `pairs` has the columns of the left side, then the right's; `schema` is the output: for inner and left joins of the
    /// same types as `pairs`, for semi and anti joins as the left side, for mark joins with one boolean column more.
    pub fn new(
        kind: JoinKind,
        [left, right]: [JoinSide; 2],
        condition: JoinCondition,
        pairs: SchemaRef,
        schema: SchemaRef,
    ) -> Join {
        let JoinCondition { nulls_match, residual } = condition;
        Join { kind, left, right, nulls_match, residual, pairs, schema }
    }

    /// dL ⋈ R(old) + L(new) ⋈ dR.
    fn inner(&self, [left, right]: [&ZSet; 2], context: &mut StepContext) -> Result<Vec<ZSet>> {
        let (old, new) = (context.before(&self.right.rows), context.now(&self.left.rows));
        let room = context.room(Maker::Join);
        let mut parts = context.slices(left, |slice| self.matching(slice, true, old, &room))?;
        parts.extend(context.slices(right, |slice| self.matching(slice, false, new, &room))?);
        let mut outputs = Vec::new();
        for (pairs, rejected) in parts {
            outputs.extend(pairs);
            context.reject_all(rejected);
        }
        outputs.iter().map(|pairs| pairs.with_schema(self.schema.clone())).collect()
    }

    /// The pairs of a change of one side with the rows the other side has at an epoch.
    ///
    /// # Errors
    /// 54000 when there is no room for them.
    fn matching(&self, change: &ZSet, from_left: bool, at: Epoch, room: &Room) -> Result<Pairs> {
        let (mut matching, mut rejected) = (Vec::new(), Vec::new());
        let (own, other) = if from_left { (&self.left, &self.right) } else { (&self.right, &self.left) };
        other.each_match(&own.keys(change), change.len(), at, self.nulls_match, &mut |rows, stored| {
            let changed = own.take(change, rows)?;
            let pairs = if from_left { self.pair(&changed, &stored)? } else { self.pair(&stored, &changed)? };
            let (before, bytes) = (matching.len(), pairs.bytes());
            match &self.residual {
                None => matching.push(pairs),
                Some(residual) => {
                    let true_pairs = |_: usize, pairs: &ZSet| pairs.filter(&truth(residual, pairs)?);
                    isolate(&pairs, &true_pairs, &mut matching, &mut rejected);
                }
            }
            room.take(matching[before..].iter().map(|pairs| pairs.bytes() + pairs.len()).sum())?;
            Ok(bytes)
        })?;
        matching.retain(|pairs| !pairs.is_empty());
        Ok((matching, rejected))
    }

    /// Row beside row; weights multiply.
    fn pair(&self, left: &ZSet, right: &ZSet) -> Result<ZSet> {
        let columns = left.batch().columns().iter().chain(right.batch().columns()).cloned().collect();
        let batch = batch(&self.pairs, columns, left.len())?;
        if left.weights().is_none() && right.weights().is_none() {
            return Ok(ZSet::inserts(batch));
        }
        let product = |row| left.weight(row).checked_mul(right.weight(row));
        let weights: Option<Vec<i64>> = (0..left.len()).map(product).collect();
        let weights = weights.ok_or_else(|| Error::internal("the weight of a joined row overflows"))?;
        Ok(ZSet::new(batch, weights.into()))
    }

    /// Left rows as the output has them when the right side has no match, or when all that matters is whether it has.
    fn alone(&self, rows: &ZSet, matched: bool) -> Result<ZSet> {
        let mut columns = rows.batch().columns().to_vec();
        match self.kind {
            JoinKind::Inner | JoinKind::Semi | JoinKind::Anti => {}
            JoinKind::Left => {
                let padding = self.schema.fields().iter().skip(columns.len());
                columns.extend(padding.map(|field| new_null_array(field.data_type(), rows.len())).collect::<Vec<_>>());
            }
            JoinKind::Mark => columns.push(Arc::new(BooleanArray::from(vec![matched; rows.len()]))),
        }
        Ok(rows.with_batch(batch(&self.schema, columns, rows.len())?))
    }

    /// The output's share of left rows that are (no longer) without or with a match.
    fn alone_all(&self, Presence { matched, unmatched }: Presence) -> Result<Vec<ZSet>> {
        let all = |rows: Vec<ZSet>, with: bool| rows.into_iter().map(move |rows| self.alone(&rows, with));
        match self.kind {
            JoinKind::Inner => Ok(Vec::new()),
            JoinKind::Left | JoinKind::Anti => all(unmatched, false).collect(),
            JoinKind::Semi => all(matched, true).collect(),
            JoinKind::Mark => all(matched, true).chain(all(unmatched, false)).collect(),
        }
    }
}

/// A batch that may have no columns at all.
fn batch(schema: &SchemaRef, columns: Vec<arrow::array::ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

impl Operator for Join {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn open(&mut self) -> Result<bool> {
        Ok(self.left.open()? && self.right.open()?)
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let changes = [&inputs[0], &inputs[1]];
        let mut outputs = match self.kind {
            JoinKind::Inner | JoinKind::Left => self.inner(changes, context)?,
            JoinKind::Semi | JoinKind::Anti | JoinKind::Mark => Vec::new(),
        };
        if self.kind != JoinKind::Inner {
            outputs.extend(self.alone_all(self.presence(changes, context)?)?);
        }
        // What only comes cannot cancel.
        let output = ZSet::concat(&self.schema, &outputs)?;
        let cancels = output.weights().is_some_and(|weights| weights.iter().any(|weight| *weight < 0));
        if cancels { output.consolidate() } else { Ok(output) }
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        Some(Box::new(self.clone()))
    }
}
