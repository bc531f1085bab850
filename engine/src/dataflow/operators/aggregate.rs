//! `change = sum over touched groups g of -[g, f(old rows of g)] + [g, f(new rows of g)]`
//!
//! ```text
//! changes ──► slots of their groups ──► accumulators ──► answers before ──► -1 ┐
//!                                            └─────────► answers after  ──► +1 ┴─► net change
//! ```
//!
//! `SELECT city, count(*), sum(price) FROM orders GROUP BY city`. A group is there while it has rows; without GROUP BY there is
//! one group, and it is always there. A group with an aggregate that has no answer (an overflow) is rejected as a whole.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, make_comparator,
};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::{DataType, Schema, SchemaRef};

use crate::data::hash::canonical;
use crate::data::{Epoch, OperatorId, ZSet};
use crate::dataflow::agg_state::{AggState, Answers, GroupOptions, Groups, Plan, Slots, Touched};
use crate::dataflow::aggregates::{AggregateCall, Failures};
use crate::dataflow::{Operator, Rejected, StateSize, Stateful, StepContext};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, StateStore};

/// Rows of a part of the contents.
const PART: usize = 1 << 16;

/// What a GROUP BY is to compute.
#[derive(Clone, Debug)]
pub struct AggregateSpec {
    pub input: SchemaRef,
    /// The key columns, then a column per aggregate; its type is the aggregate's result.
    pub output: SchemaRef,
    /// Positions in the input of the columns to group by.
    pub keys: Vec<usize>,
    pub aggregates: Vec<AggregateCall>,
    /// No row ever goes from the input: least and greatest values need one value a group.
    pub append_only: bool,
}

/// GROUP BY and its aggregates.
#[derive(Debug)]
pub struct Aggregate {
    schema: SchemaRef,
    /// The key columns alone, as groups without an answer are reported.
    key_schema: SchemaRef,
    state: AggState,
}

impl Aggregate {
    /// # Errors
    /// 0A000 for an aggregate that is not maintained or a key that cannot be compared.
    pub fn new(spec: AggregateSpec) -> Result<Aggregate> {
        let global = spec.keys.is_empty();
        Aggregate::with_options(spec, global)
    }

    pub(super) fn with_options(spec: AggregateSpec, global: bool) -> Result<Aggregate> {
        let AggregateSpec { input, output, keys, aggregates, append_only } = spec;
        if output.fields().len() != keys.len() + aggregates.len() {
            return Err(Error::internal("an aggregate's output has another number of columns"));
        }
        let (key_fields, results) = output.fields().split_at(keys.len());
        let results: Vec<&DataType> = results.iter().map(|field| field.data_type()).collect();
        let options = GroupOptions { append_only, global };
        let state = AggState::new(&input, &keys, &aggregates, &results, options)?;
        let key_schema = Arc::new(Schema::new(key_fields.to_vec()));
        Ok(Aggregate { schema: output, key_schema, state })
    }

    /// Takes rows in, without asking what changes.
    pub(super) fn add(&mut self, delta: &ZSet, context: &StepContext) -> Result<()> {
        if !delta.is_empty() {
            self.state.update(delta, context)?;
        }
        Ok(())
    }

    /// All groups. Those without an answer are rejected, for good.
    pub(super) fn last_answers(&self, context: &mut StepContext) -> Result<Vec<ZSet>> {
        let mut parts = Vec::new();
        for slots in self.state.present(PART) {
            let (rows, failures) = self.rows_and_failures(&slots)?;
            if !failures.is_empty() {
                let keys = self.state.key_columns(&slots)?;
                for (position, error) in failures {
                    let key = keys.iter().map(|key| key.slice(position as usize, 1)).collect();
                    context.reject(error, ZSet::inserts(batch(&self.key_schema, key, 1)?));
                }
            }
            parts.push(rows);
        }
        Ok(parts)
    }

    /// As [`Stateful::save`], with `prefix` before every key.
    pub(super) fn save_under(&mut self, id: OperatorId, prefix: &[u8], checkpoint: &mut Checkpoint) -> Result<()> {
        self.state.save(id, prefix, checkpoint)
    }

    /// Takes over one entry that was saved, its key without prefix.
    pub(super) fn load_entry(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.state.load_entry(key, value)
    }

    /// The net change of touched groups, and those that have no answer any more, or one again.
    fn change(&self, delta: &ZSet, touched: &Touched) -> Result<(ZSet, Vec<Rejected>)> {
        let (plan, Touched { rows: first, before, after }) = (self.state.plan(), touched);
        let (old, new) = (plan.answers(before)?, plan.answers(after)?);
        let first = UInt32Array::from(first.clone());
        let keys = plan.keys_of(delta).into_iter().map(|key| Ok(canonical(&take(&key, &first, None)?)));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let same = same_rows(&old.columns, &new.columns, first.len())?;
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(2 * first.len());
        let mut weights: Vec<i64> = Vec::with_capacity(2 * first.len());
        for (position, same) in same.into_iter().enumerate() {
            let was = answered(plan, before, &old, position);
            let is = answered(plan, after, &new, position);
            if was && is && same {
                continue;
            }
            if was {
                rows.push((0, position));
                weights.push(-1);
            }
            if is {
                rows.push((1, position));
                weights.push(1);
            }
        }
        let rejected = self.rejected(&keys, &old, &new)?;
        let positions = UInt32Array::from_iter_values(rows.iter().map(|(_, position)| *position as u32));
        let mut columns = keys.iter().map(|key| take(key, &positions, None)).collect::<Result<Vec<_>, _>>()?;
        for (old, new) in old.columns.iter().zip(&new.columns) {
            columns.push(interleave(&[old, new], &rows)?);
        }
        let batch = batch(&self.schema, columns, rows.len())?;
        let change = match weights.iter().all(|weight| *weight == 1) {
            true => ZSet::inserts(batch),
            false => ZSet::new(batch, Int64Array::from(weights)),
        };
        Ok((change, rejected))
    }

    /// The groups that have no answer any more, and those that have one again or another error.
    fn rejected(&self, keys: &[ArrayRef], old: &Answers, new: &Answers) -> Result<Vec<Rejected>> {
        let differ = |a: &Error, b: Option<&Error>| {
            b.is_none_or(|b| a.sqlstate() != b.sqlstate() || a.message() != b.message() || a.detail() != b.detail())
        };
        let gone = old.failures.iter().filter(|(position, error)| differ(error, new.failures.get(position)));
        let come = new.failures.iter().filter(|(position, error)| differ(error, old.failures.get(position)));
        let all = gone.map(|gone| (gone, -1)).chain(come.map(|come| (come, 1)));
        let rejected = all.map(|((position, error), weight)| {
            let columns = keys.iter().map(|key| key.slice(*position as usize, 1)).collect();
            let row = ZSet::new(batch(&self.key_schema, columns, 1)?, Int64Array::from(vec![weight]));
            Ok(Rejected { error: error.duplicate(), row })
        });
        rejected.collect()
    }

    /// The output rows of these groups, all of which are there, and why some of them have none.
    fn rows_and_failures(&self, slots: &Slots<'_>) -> Result<(ZSet, Failures)> {
        let groups = self.state.groups(slots)?;
        let answers = self.state.plan().answers(&groups)?;
        let mut columns = self.state.key_columns(slots)?;
        columns.extend(answers.columns);
        let count = groups.rows.len();
        let mut rows = ZSet::inserts(batch(&self.schema, columns, count)?);
        if !answers.failures.is_empty() {
            let answered = (0..count as u32).map(|position| Some(!answers.failures.contains_key(&position)));
            rows = rows.filter(&answered.collect::<BooleanArray>())?;
        }
        Ok((rows, answers.failures))
    }
}

fn answered(plan: &Plan, groups: &Groups, answers: &Answers, position: usize) -> bool {
    plan.is_present(groups.rows[position]) && !answers.failures.contains_key(&(position as u32))
}

impl Operator for Aggregate {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let [delta] = inputs else { return Err(Error::internal("an aggregate has one input")) };
        if delta.is_empty() {
            return Ok(ZSet::empty(self.schema.clone()));
        }
        let touched = self.state.update(delta, context)?;
        let mut changes = Vec::with_capacity(touched.len());
        for (change, rejected) in context.each(touched, |touched| self.change(delta, &touched))? {
            changes.push(change);
            context.reject_all(rejected);
        }
        ZSet::concat(&self.schema, &changes)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for Aggregate {
    fn start(&mut self, _context: &mut StepContext) -> Result<Option<ZSet>> {
        if !self.state.plan().is_present(0) {
            return Ok(None);
        }
        self.state.start_global()?;
        ZSet::concat(&self.schema, &self.contents()?).map(Some)
    }

    fn contents(&self) -> Result<Vec<ZSet>> {
        let (mut parts, mut part, mut rows) = (Vec::new(), Vec::new(), 0);
        for slots in self.state.present(PART) {
            let (more, _) = self.rows_and_failures(&slots)?;
            if rows + more.len() > PART {
                parts.push(ZSet::concat(&self.schema, &part)?);
                (part, rows) = (Vec::new(), 0);
            }
            rows += more.len();
            part.push(more);
        }
        parts.push(ZSet::concat(&self.schema, &part)?);
        parts.retain(|part| !part.is_empty());
        Ok(parts)
    }

    fn save(&mut self, id: OperatorId, _durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        self.state.save(id, &[], checkpoint)
    }

    fn unsaved(&self) -> u64 {
        self.state.unsaved()
    }

    fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        self.state.load(id, store)
    }

    fn size(&self) -> StateSize {
        self.state.size()
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Per row whether the columns of both sides are equal, NULL to NULL.
fn same_rows(old: &[ArrayRef], new: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
    let mut same = vec![true; rows];
    for (old, new) in old.iter().zip(new) {
        if old.data_type().is_nested() {
            let compare = make_comparator(old, new, SortOptions::default())?;
            same.iter_mut().enumerate().for_each(|(row, same)| *same &= compare(row, row).is_eq());
        } else {
            let equal = not_distinct(old, new)?;
            same.iter_mut().zip(equal.values()).for_each(|(same, equal)| *same &= equal);
        }
    }
    Ok(same)
}

#[cfg(test)]
mod tests;
