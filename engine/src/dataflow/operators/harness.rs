//! What the operators' tests share: random relations, and the sum of all changes an operator gave.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;
use levada_testing::Dice;

use crate::data::ZSet;
use crate::data::hash::Equality;
use crate::dataflow::{Operator, StepContext};
use crate::{data::Epoch, data::OperatorId, state::StateStore};

pub type Row = Vec<ScalarValue>;

/// Rows by how they print, which tells -0.0 and 0.0 apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relation(pub BTreeMap<String, (Row, i64)>);

impl Relation {
    pub fn add(&mut self, row: Row, weight: i64) {
        let name = print(&row);
        let entry = self.0.entry(name.clone()).or_insert((row, 0));
        entry.1 += weight;
        if entry.1 == 0 {
            self.0.remove(&name);
        }
    }

    pub fn add_all(&mut self, delta: &ZSet) {
        for (row, weight) in rows_of(delta) {
            self.add(row, weight);
        }
    }

    pub fn printed(&self) -> Vec<(&str, i64)> {
        self.0.iter().map(|(name, (_, weight))| (name.as_str(), *weight)).collect()
    }
}

pub fn print(row: &[ScalarValue]) -> String {
    let cells: Vec<String> = row.iter().map(|cell| format!("{cell:?}")).collect();
    cells.join(" | ")
}

pub fn rows_of(delta: &ZSet) -> Vec<(Row, i64)> {
    let columns: Vec<ArrayRef> = delta.batch().columns().iter().map(|column| Equality::Exact.form(column)).collect();
    let row = |row: usize| columns.iter().map(|column| ScalarValue::try_from_array(column, row).unwrap()).collect();
    (0..delta.len()).map(|index| (row(index), delta.weight(index))).collect()
}

pub fn zset(schema: &SchemaRef, rows: &[(Row, i64)]) -> ZSet {
    if rows.is_empty() {
        return ZSet::empty(schema.clone());
    }
    let column = |index: usize| ScalarValue::iter_to_array(rows.iter().map(|(row, _)| row[index].clone())).unwrap();
    let columns = (0..schema.fields().len()).map(column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    if rows.iter().all(|(_, weight)| *weight == 1) {
        return ZSet::inserts(batch);
    }
    ZSet::new(batch, Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight)))
}

/// A step's random change of `live`, rows in random order: also a row that goes before it came.
pub fn random_change(
    random: &mut Dice,
    live: &mut Relation,
    append_only: bool,
    new: impl Fn(&mut Dice) -> Row,
) -> Vec<(Row, i64)> {
    let mut change = vec![];
    for _ in 0..random.below(7) {
        let old = if live.0.is_empty() { None } else { live.0.values().nth(random.below(live.0.len())).cloned() };
        match old {
            Some((row, weight)) if !append_only && random.chance(45) => {
                let gone = if random.chance(70) { weight } else { 1 };
                live.add(row.clone(), -gone);
                change.push((row, -gone));
            }
            _ => {
                let row = new(random);
                let weight = if random.chance(80) { 1 } else { 1 + random.below(3) as i64 };
                live.add(row.clone(), weight);
                change.push((row, weight));
            }
        }
    }
    if !append_only && random.chance(30) {
        let row = new(random);
        change.extend([(row.clone(), -1), (row, 1)]);
    }
    for at in (1..change.len()).rev() {
        change.swap(at, random.below(at + 1));
    }
    change
}

/// Steps once, checks that the change is net, and adds it to the outputs so far.
pub fn step(operator: &mut dyn Operator, change: &ZSet, epoch: u64, output: &mut Relation, rejected: &mut Relation) {
    let mut context = StepContext::new(Epoch(epoch));
    let delta = operator.step(std::slice::from_ref(change), &mut context).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (row, weight) in rows_of(&delta) {
        assert_ne!(weight, 0, "a row of weight 0");
        assert!(seen.insert(print(&row)), "a row twice in one change: {}", print(&row));
    }
    output.add_all(&delta);
    for reject in context.take_rejected() {
        assert_eq!(reject.error.sqlstate().code(), "22003");
        rejected.add_all(&reject.row);
    }
}

pub fn contents(operator: &mut dyn Operator) -> Relation {
    let mut relation = Relation::default();
    for part in operator.state().unwrap().contents().unwrap() {
        relation.add_all(&part);
    }
    relation
}

/// A store in a directory of its own.
pub struct Store {
    pub store: StateStore,
    _directory: tempfile::TempDir,
}

impl Store {
    pub fn new() -> Store {
        let directory = tempfile::tempdir().unwrap();
        Store { store: StateStore::open(directory.path()).unwrap(), _directory: directory }
    }

    pub fn save(&self, operator: &mut dyn Operator, id: OperatorId) -> usize {
        let mut checkpoint = self.store.checkpoint();
        operator.state().unwrap().save(id, Epoch::ZERO, &mut checkpoint).unwrap();
        assert_eq!(operator.state().unwrap().unsaved(), 0);
        let changes = checkpoint.len();
        self.store.commit(checkpoint).unwrap();
        changes
    }

    pub fn load(&self, operator: &mut dyn Operator, id: OperatorId) {
        operator.state().unwrap().load(id, &self.store).unwrap();
    }

    pub fn entries(&self, id: OperatorId) -> usize {
        self.store.scan(crate::state::KeyKind::Keyed, id).unwrap().count()
    }
}
