//! Random tables and random changes of them, the same for a seed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch, StringArray};
use arrow::datatypes::IntervalMonthDayNano;
use levada_testing::Dice;

use crate::catalog::RelationSource;
use crate::data::{Column, ObjectId, RelationSchema, SqlType, ZSet};

/// A row of every test table: `(id int, k int, v bigint, s text)`, to which comes [`w interval`](length).
pub type Row = (i32, Option<i32>, Option<i64>, Option<String>);

/// A table and the rows it should have.
#[derive(Clone)]
pub struct Table {
    pub source: Arc<RelationSource>,
    pub rows: Vec<Row>,
    keyed: bool,
}

impl Table {
    /// With a key, `id` is unique; without, rows repeat.
    pub fn new(id: u32, name: &str, keyed: bool) -> Table {
        let columns = vec![
            Column::new("id", SqlType::Int4, false),
            Column::new("k", SqlType::Int4, true),
            Column::new("v", SqlType::Int8, true),
            Column::new("s", SqlType::Text, true),
            Column::new("w", SqlType::Interval, true),
        ];
        let schema = RelationSchema { columns, primary_key: keyed.then(|| vec![0]) };
        Table { source: RelationSource::new(ObjectId(id), name, schema), rows: Vec::new(), keyed }
    }

    /// Changes some rows and says how, in one of the many forms a change can have.
    pub fn change(&mut self, random: &mut Dice) -> ZSet {
        let mut delta: Vec<(Row, i64)> = Vec::new();
        for _ in 0..=random.below(6) {
            match random.below(10) {
                0..=4 => self.insert(random, &mut delta),
                5..=7 if !self.rows.is_empty() => self.update(random, &mut delta),
                _ if !self.rows.is_empty() => {
                    let at = random.below(self.rows.len());
                    delta.push((self.rows.swap_remove(at), -1));
                }
                _ => {}
            }
        }
        zset(&self.source, &delta)
    }

    fn insert(&mut self, random: &mut Dice, delta: &mut Vec<(Row, i64)>) {
        let row = random_row(random);
        if self.keyed && self.rows.iter().any(|(id, ..)| *id == row.0) {
            return;
        }
        self.rows.push(row.clone());
        delta.push((row, 1));
    }

    fn update(&mut self, random: &mut Dice, delta: &mut Vec<(Row, i64)>) {
        let at = random.below(self.rows.len());
        let old = self.rows[at].clone();
        let mut new = random_row(random);
        new.0 = old.0;
        self.rows[at] = new.clone();
        delta.push((old, -1));
        delta.push((new, 1));
    }

    pub fn batch(&self) -> RecordBatch {
        batch(&self.source, &self.rows)
    }
}

pub fn random_row(random: &mut Dice) -> Row {
    let mut maybe = |limit: usize| (random.below(6) != 0).then(|| random.below(limit));
    let (k, v, s) = (maybe(4), maybe(5), maybe(3));
    let id = random.below(40) as i32;
    (id, k.map(|k| k as i32), v.map(|v| v as i64 - 1), s.map(|s| ["a", "b", ""][s].to_owned()))
}

pub fn zset(source: &RelationSource, delta: &[(Row, i64)]) -> ZSet {
    let rows: Vec<Row> = delta.iter().map(|(row, _)| row.clone()).collect();
    let weights = Int64Array::from_iter_values(delta.iter().map(|(_, weight)| *weight));
    ZSet::new(batch(source, &rows), weights)
}

/// The interval beside a text: where the text is dropped, rows are left that are equal and not the same. Values that are not
/// equal are in the order of their bits.
fn length(text: Option<&str>) -> Option<IntervalMonthDayNano> {
    let (months, days, hours) = match text {
        Some("a") => (1, 0, 0),
        Some("b") => (0, 30, 0),
        Some("") => (0, 1, 0),
        None => (0, 0, 24),
        Some(_) => return None,
    };
    Some(IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000))
}

fn batch(source: &RelationSource, rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.3.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| length(row.3.as_deref())).collect::<IntervalMonthDayNanoArray>()),
    ];
    RecordBatch::try_new(source.schema.arrow(), columns).unwrap()
}
