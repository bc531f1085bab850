//! `change = window(rows + delta) - window(rows)` per touched partition, where the window is what is left of the ordered rows
//! after skipping `offset` of them and taking `limit`.
//!
//! `ORDER BY … LIMIT k OFFSET o`, `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) <= k` and DISTINCT ON. Ties are broken by the
//! bytes of the other columns, so the window depends on the rows alone.
//!
//! A row is kept as one key: partition and order in the form in which keys are equal, then everything that these bytes do not
//! tell of the row, exactly: it comes out as it came in, and of equal rows the same one goes.

mod durable;
#[cfg(test)]
mod tests;
mod window;

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use crate::data::ZSet;
use crate::data::hash::Equality;
use crate::dataflow::operators::top_k::window::{Run, Window, difference};
use crate::dataflow::sorted_state::SortedState;
use crate::dataflow::{Operator, Stateful, StepContext};
use crate::error::{Error, Result};

/// A column to order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// What a TopK is to keep of its input, whose columns it does not change.
#[derive(Clone, Debug)]
pub struct TopKSpec {
    pub schema: SchemaRef,
    /// Columns of which each combination has a window of its own; none for ORDER BY … LIMIT.
    pub partition: Vec<usize>,
    /// Without any, rows are ordered by their bytes.
    pub order: Vec<SortKey>,
    pub offset: u64,
    /// None takes all rows after the offset.
    pub limit: Option<u64>,
    /// No row ever goes from the input: rows behind the window are dropped.
    pub append_only: bool,
}

impl TopKSpec {
    /// How many columns the partition has, each once.
    fn partition_columns(&self) -> usize {
        self.partition.iter().enumerate().filter(|(at, column)| !self.partition[..*at].contains(column)).count()
    }
}

/// The first rows in an order, of each partition.
#[derive(Debug)]
pub struct TopK {
    spec: TopKSpec,
    /// From `parts` of a row to a key.
    rows: RowConverter,
    parts: Vec<Part>,
    partition: Option<RowConverter>,
    state: SortedState<Arc<[u8]>>,
}

/// A column's part of a key.
#[derive(Clone, Copy, Debug)]
struct Part {
    column: usize,
    form: Equality,
    /// Whether the column's value can be read from here.
    shown: bool,
}

impl TopK {
    /// # Errors
    /// 0A000 for a column whose values cannot be compared.
    pub fn new(spec: TopKSpec) -> Result<TopK> {
        let (parts, fields) = layout(&spec)?;
        if !RowConverter::supports_fields(&fields) {
            return Err(Error::unsupported("ordering values of such a type"));
        }
        let partition = fields[..spec.partition_columns()].to_vec();
        let partition = if partition.is_empty() { None } else { Some(RowConverter::new(partition)?) };
        Ok(TopK { rows: RowConverter::new(fields)?, parts, partition, state: SortedState::default(), spec })
    }

    fn window(&self) -> Window {
        Window { skip: self.spec.offset, take: self.spec.limit.unwrap_or(u64::MAX) }
    }

    /// The batch's keys, in order, with their net weights: sorted in runs of rows, on several threads where there are many,
    /// then together.
    fn changes(&self, delta: &ZSet, context: &StepContext) -> Result<Run> {
        let runs = context.slices(delta, |slice| self.run(slice))?;
        let several = runs.len() > 1;
        let mut changes: Run = runs.into_iter().flatten().collect();
        if several {
            // A stable sort finds the runs and merges them.
            changes.sort_by(|(a, _), (b, _)| a.cmp(b));
            changes.dedup_by(|(key, weight), (first, sum)| {
                let same = key == first;
                if same {
                    *sum += *weight;
                }
                same
            });
            changes.retain(|(_, weight)| *weight != 0);
        }
        Ok(changes)
    }

    /// The keys of some rows, in order, with their net weights.
    fn run(&self, delta: &ZSet) -> Result<Run> {
        let columns: Vec<ArrayRef> = self.parts.iter().map(|part| part.form.form(delta.column(part.column))).collect();
        let rows = self.rows.convert_columns(&columns)?;
        let partitions = match &self.partition {
            Some(converter) => Some(converter.convert_columns(&columns[..self.spec.partition_columns()])?),
            None => None,
        };
        let order = self.order(delta, &rows);
        let mut changes: Run = Vec::new();
        let mut last = None;
        for row in order {
            let row = row as usize;
            match (changes.last_mut(), last) {
                (Some((_, weight)), Some(last)) if last == rows.row(row) => *weight += delta.weight(row),
                _ => changes.push((write_key(&rows, partitions.as_ref(), row), delta.weight(row))),
            }
            last = Some(rows.row(row));
        }
        changes.retain(|(_, weight)| *weight != 0);
        if self.partition.is_some() {
            // Partitions go by the length of their bytes first.
            changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok(changes)
    }

    /// The rows in order, without those that can never be in the window.
    fn order(&self, delta: &ZSet, rows: &Rows) -> Vec<u32> {
        let mut order: Vec<u32> = (0..delta.len() as u32).collect();
        if self.spec.append_only && self.partition.is_none() {
            let bound = self.bound(&[]);
            order.retain(|row| {
                delta.weight(*row as usize) > 0 && bound.is_none_or(|bound| rows.row(*row as usize).data() <= bound)
            });
            let most = self.spec.limit.map(|limit| usize::try_from(self.spec.offset.saturating_add(limit)));
            if let Some(Ok(most)) = most
                && most < order.len()
            {
                order.select_nth_unstable_by_key(most, |row| rows.row(*row as usize));
                order.truncate(most);
            }
        }
        order.sort_unstable_by_key(|row| rows.row(*row as usize));
        order
    }

    /// The entries of a partition from a key on.
    fn entries<'a>(&'a self, partition: &'a [u8], from: &'a [u8]) -> impl Iterator<Item = (&'a Arc<[u8]>, i64)> {
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(from), Bound::Unbounded);
        self.state.range(range).take_while(move |(key, _)| key.starts_with(partition))
    }

    /// The last key of a partition's window, if the window is full.
    fn bound<'a>(&'a self, partition: &'a [u8]) -> Option<&'a [u8]> {
        let mut window = self.window();
        self.entries(partition, partition).find_map(|(key, weight)| {
            window.clip(weight);
            window.is_full().then_some(&**key)
        })
    }

    /// A partition's window from a key on.
    fn window_of(&self, partition: &[u8], from: &[u8]) -> Run {
        let mut window = self.window();
        let mut run = Run::new();
        for (key, weight) in self.entries(partition, partition) {
            if window.is_full() {
                break;
            }
            let taken = window.clip(weight);
            if taken != 0 && **key >= *from {
                run.push((key.clone(), taken));
            }
        }
        run
    }

    /// Adds the changes of one partition; what changes in its window goes to `net`.
    fn apply(&mut self, changes: &[(Arc<[u8]>, i64)], net: &mut Run) -> Result<()> {
        let Some((first, _)) = changes.first() else { return Ok(()) };
        let partition = partition_of(first, self.partition.is_some()).to_vec();
        let behind = self.spec.limit == Some(0) || self.bound(&partition).is_some_and(|bound| **first > *bound);
        if behind && self.spec.append_only {
            return Ok(());
        }
        let before = if behind { Run::new() } else { self.window_of(&partition, first) };
        for (key, weight) in changes {
            if self.state.add_as(key, *weight, || key.clone()) < 0 {
                return Err(Error::internal("a row was deleted that is not there"));
            }
        }
        if behind {
            return Ok(());
        }
        difference(&before, &self.window_of(&partition, first), net);
        if self.spec.append_only {
            self.truncate(&partition);
        }
        Ok(())
    }

    /// Drops what is behind the window: without deletions it never comes in.
    fn truncate(&mut self, partition: &[u8]) {
        let mut window = self.window();
        let mut dropped = Run::new();
        for (key, weight) in self.entries(partition, partition) {
            let skipped = weight.min(i64::try_from(window.skip).unwrap_or(i64::MAX));
            let kept = skipped + window.clip(weight);
            if kept != weight {
                dropped.push((key.clone(), kept - weight));
            }
        }
        for (key, weight) in dropped {
            self.state.add(&key, weight);
        }
    }

    /// The rows that keys stand for.
    fn decode(&self, run: &[(Arc<[u8]>, i64)]) -> Result<ZSet> {
        let parser = self.rows.parser();
        let start = |key: &[u8]| if self.partition.is_some() { 4.min(key.len()) } else { 0 };
        let sorted = self.rows.convert_rows(run.iter().map(|(key, _)| parser.parse(&key[start(key)..])))?;
        let mut columns = vec![None; self.spec.schema.fields().len()];
        for (part, array) in self.parts.iter().zip(sorted).filter(|(part, _)| part.shown) {
            columns[part.column] = Some(array);
        }
        let columns: Vec<ArrayRef> = columns.into_iter().flatten().collect();
        let batch = RecordBatch::try_new(self.spec.schema.clone(), columns)?;
        Ok(ZSet::new(batch, Int64Array::from_iter_values(run.iter().map(|(_, weight)| *weight))))
    }
}

/// What a key is made of: the partition's columns, those of the order, the others, and once more those of which the order
/// does not know everything, because equal values can differ.
fn layout(spec: &TopKSpec) -> Result<(Vec<Part>, Vec<SortField>)> {
    let plain = SortOptions { descending: false, nulls_first: true };
    let of_key = |key: &SortKey| SortOptions { descending: key.descending, nulls_first: key.nulls_first };
    let ordered = spec.order.iter().map(|key| (key.column, of_key(key)));
    let mut parts: Vec<Part> = vec![];
    let mut fields: Vec<SortField> = vec![];
    for (column, options) in spec.partition.iter().map(|column| (*column, plain)).chain(ordered) {
        let field = spec.schema.fields().get(column);
        let field = field.ok_or_else(|| Error::internal("TopK over a column that is not there"))?;
        if !parts.iter().any(|part| part.column == column) {
            parts.push(Part { column, form: Equality::Key, shown: !Equality::Key.changes(field.data_type()) });
            fields.push(SortField::new_with_options(field.data_type().clone(), options));
        }
    }
    for (column, field) in spec.schema.fields().iter().enumerate() {
        if !parts.iter().any(|part| part.column == column && part.shown) {
            parts.push(Part { column, form: Equality::Exact, shown: true });
            fields.push(SortField::new_with_options(field.data_type().clone(), plain));
        }
    }
    Ok((parts, fields))
}

/// The bytes that all keys of the key's partition begin with: the length of the partition's bytes, and they.
fn partition_of(key: &[u8], partitioned: bool) -> &[u8] {
    match (partitioned, key.split_first_chunk()) {
        (true, Some((length, _))) => &key[..(4 + u32::from_be_bytes(*length) as usize).min(key.len())],
        _ => &[],
    }
}

/// A row's key: its bytes, behind the length of its partition's bytes if there are partitions.
fn write_key(rows: &Rows, partitions: Option<&Rows>, row: usize) -> Arc<[u8]> {
    let bytes = rows.row(row).data();
    match partitions {
        None => bytes.into(),
        Some(partitions) => {
            let length = partitions.row_len(row) as u32;
            [&length.to_be_bytes(), bytes].concat().into()
        }
    }
}

impl Operator for TopK {
    fn schema(&self) -> &SchemaRef {
        &self.spec.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let [delta] = inputs else { return Err(Error::internal("TopK has one input")) };
        if self.spec.append_only && delta.weights().is_some_and(|weights| weights.iter().any(|weight| *weight < 0)) {
            return Err(Error::internal("a row was deleted from an append-only input"));
        }
        let changes = self.changes(delta, context)?;
        let mut net = Run::new();
        let partitioned = self.partition.is_some();
        let together = |a: &[u8], b: &[u8]| partition_of(a, partitioned) == partition_of(b, partitioned);
        for partition in changes.chunk_by(|(a, _), (b, _)| together(a, b)) {
            self.apply(partition, &mut net)?;
        }
        self.decode(&net)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}
