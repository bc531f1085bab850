//! What a row store must do, in the plainest way: a multiset of rows for each epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use levada_testing::Dice;

use crate::data::{Epoch, ZSet};

/// key (NULL only where it is no primary key), text, float, list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub key: Option<i64>,
    pub text: Option<String>,
    pub float: Option<f64>,
    pub list: Option<Vec<i32>>,
}

impl Row {
    pub fn random(dice: &mut Dice, key: Option<i64>) -> Row {
        Row {
            key,
            text: (!dice.chance(15))
                .then(|| dice.pick(&["", "a", "b", "a rather longer text that is shared by rows", "ü"]).to_owned()),
            float: (!dice.chance(15)).then(|| dice.pick(&[0.0, -0.0, f64::NAN, 1.5, f64::INFINITY])),
            list: (!dice.chance(20)).then(|| (0..dice.below(3)).map(|_| dice.below(3) as i32).collect()),
        }
    }
}

/// Sorted printed rows: what two relations are compared by.
pub type Rows = Vec<String>;

pub fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let pair = Fields::from(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)]);
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("float", DataType::Float64, true),
        Field::new("list", DataType::List(item), true),
        Field::new("pair", DataType::Struct(pair), true),
    ]))
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.key)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.text.clone())));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.float)));
    let lists = rows.iter().map(|row| row.list.clone().map(|list| list.into_iter().map(Some).collect::<Vec<_>>()));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    let DataType::Struct(fields) = schema().field(4).data_type().clone() else { panic!("the pair is a struct") };
    let pairs: ArrayRef = Arc::new(StructArray::new(fields, vec![keys.clone(), texts.clone()], None));
    RecordBatch::try_new(schema(), vec![keys, texts, floats, lists, pairs]).unwrap()
}

pub fn zset(rows: &[(Row, i64)]) -> ZSet {
    let (rows, weights): (Vec<Row>, Vec<i64>) = rows.iter().cloned().unzip();
    if weights.iter().all(|weight| *weight == 1) {
        return ZSet::inserts(batch(&rows));
    }
    ZSet::new(batch(&rows), Int64Array::from(weights))
}

/// The rows of a batch, printed and sorted; -0.0 does not print as 0.0.
pub fn printed(batch: &RecordBatch) -> Rows {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![String::new(); batch.num_rows()];
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &options).unwrap();
        rows.iter_mut().enumerate().for_each(|(row, text)| *text += &format!("{}|", formatter.value(row)));
    }
    rows.sort();
    rows
}

pub fn printed_all(batches: impl IntoIterator<Item = RecordBatch>) -> Rows {
    let mut rows: Rows = batches.into_iter().flat_map(|batch| printed(&batch)).collect();
    rows.sort();
    rows
}

/// Every epoch's rows, with how often each stands.
#[derive(Default)]
pub struct Model {
    epochs: BTreeMap<Epoch, Vec<(Row, i64)>>,
}

impl Model {
    /// The rows at the epoch.
    pub fn at(&self, epoch: Epoch) -> &[(Row, i64)] {
        self.epochs.range(..=epoch).next_back().map_or(&[], |(_, rows)| rows)
    }

    pub fn apply(&mut self, change: &[(Row, i64)], epoch: Epoch) {
        let mut rows = self.at(epoch).to_vec();
        for (row, weight) in change {
            match rows.iter_mut().find(|(other, _)| same(other, row)) {
                Some((_, sum)) => *sum += weight,
                None => rows.push((row.clone(), *weight)),
            }
        }
        rows.retain(|(_, weight)| *weight != 0);
        self.epochs.insert(epoch, rows);
    }

    /// What came after the epoch never was.
    pub fn forget_after(&mut self, epoch: Epoch) {
        self.epochs.retain(|other, _| *other <= epoch);
    }

    pub fn printed(&self, epoch: Epoch) -> Rows {
        self.printed_where(epoch, |_| true)
    }

    pub fn printed_where(&self, epoch: Epoch, wanted: impl Fn(&Row) -> bool) -> Rows {
        let rows = self.at(epoch).iter().filter(|(row, _)| wanted(row));
        let rows: Vec<Row> = rows.flat_map(|(row, weight)| vec![row.clone(); *weight as usize]).collect();
        printed(&batch(&rows))
    }
}

/// The same to whoever looks: NULL is NULL, NaN is NaN, but -0.0 is not 0.0.
pub fn same(left: &Row, right: &Row) -> bool {
    let negative = |row: &Row| row.float.is_some_and(|float| float.is_sign_negative() && !float.is_nan());
    let floats = same_float(left.float, right.float) && negative(left) == negative(right);
    left.key == right.key && left.text == right.text && left.list == right.list && floats
}

/// Equal as keys are: NaN is NaN, -0.0 is 0.0.
pub fn same_float(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left == right || left.is_nan() && right.is_nan(),
        (left, right) => left.is_none() && right.is_none(),
    }
}
