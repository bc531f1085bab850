//! All kinds of joins, with residual conditions that fail on some pairs, against the naive answer over all rows, after every
//! step; and how many pairs a step asks about.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::scalar::ScalarValue as V;
use levada_testing::Dice;

use super::*;
use crate::dataflow::operators::harness::{Relation, Row, random_change, zset};
use crate::view::{Identity, RowStore};

const KINDS: [JoinKind; 5] = [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti, JoinKind::Mark];

fn schema(types: &[DataType]) -> SchemaRef {
    let field = |(at, ty): (usize, &DataType)| Field::new(at.to_string(), ty.clone(), true);
    Arc::new(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// Both sides are (key, value, note), of which the join does not pass on the note.
fn side_schema() -> SchemaRef {
    schema(&[DataType::Int64, DataType::Int64, DataType::Int64])
}

/// Whether the values match: true, false or unknown. It fails on some.
fn judge(left: Option<i64>, right: Option<i64>) -> std::result::Result<Option<bool>, DataFusionError> {
    match (left, right) {
        (Some(left), Some(right)) if left + right == 13 => Err(DataFusionError::Execution("thirteen".into())),
        (Some(left), Some(right)) => Ok(Some((left * 3 + right) % 4 == 0)),
        _ => Ok(None),
    }
}

/// The same of the second and fourth column, and how many pairs it was asked about.
fn residual(pairs: &SchemaRef) -> (Arc<dyn PhysicalExpr>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let body = move |args: &[ColumnarValue]| {
        let values = ColumnarValue::values_to_arrays(args)?;
        counted.fetch_add(values[0].len(), Ordering::Relaxed);
        let [left, right] = [0, 1].map(|at: usize| values[at].as_primitive::<Int64Type>().iter());
        let answers = left.zip(right).map(|(left, right)| judge(left, right));
        let answers = answers.collect::<std::result::Result<BooleanArray, _>>()?;
        Ok(ColumnarValue::Array(Arc::new(answers)))
    };
    let types = vec![DataType::Int64, DataType::Int64];
    let judge = create_udf("judge", types, DataType::Boolean, Volatility::Immutable, Arc::new(body));
    let column = |at: usize| Arc::new(Column::new(&at.to_string(), at)) as Arc<dyn PhysicalExpr>;
    let options = Arc::new(ConfigOptions::new());
    let call = ScalarFunctionExpr::try_new(Arc::new(judge), vec![column(1), column(3)], pairs, options).unwrap();
    (Arc::new(call), asked)
}

/// A join and its sides, as they are and as they should be.
struct Run {
    kind: JoinKind,
    keyed: bool,
    nulls_match: bool,
    has_residual: bool,
    stores: [Arc<RowStore>; 2],
    join: Join,
    asked: Arc<AtomicUsize>,
    epoch: Epoch,
    output: Relation,
    rejected: Relation,
}

impl Run {
    fn new(kind: JoinKind, [keyed, nulls_match, has_residual]: [bool; 3]) -> Run {
        let store = || Arc::new(RowStore::new(side_schema(), Identity::FullRow));
        let stores = [store(), store()];
        let side = |rows: &Arc<RowStore>| JoinSide::new(rows.clone(), if keyed { vec![0] } else { vec![] }, vec![0, 1]);
        let two = [DataType::Int64, DataType::Int64];
        let pairs = schema(&[two.clone(), two.clone()].concat());
        let output = match kind {
            JoinKind::Inner | JoinKind::Left => pairs.clone(),
            JoinKind::Semi | JoinKind::Anti => schema(&two),
            JoinKind::Mark => schema(&[DataType::Int64, DataType::Int64, DataType::Boolean]),
        };
        let (residual, asked) = residual(&pairs);
        let condition = JoinCondition { nulls_match, residual: has_residual.then_some(residual) };
        let mut join = Join::new(kind, [side(&stores[0]), side(&stores[1])], condition, pairs, output);
        while !join.open().unwrap() {}
        let (output, rejected) = Default::default();
        Run { kind, keyed, nulls_match, has_residual, stores, join, asked, epoch: Epoch(1), output, rejected }
    }

    /// Returns how many pairs the residual condition was asked about.
    fn step(&mut self, changes: [&[(Row, i64)]; 2]) -> usize {
        self.epoch = self.epoch.next();
        let changes = changes.map(|rows| zset(&side_schema(), rows));
        for (store, change) in self.stores.iter().zip(&changes) {
            store.apply(change, self.epoch).unwrap();
            while store.compact(self.epoch.previous()).unwrap() {}
        }
        self.asked.store(0, Ordering::Relaxed);
        let mut context = StepContext::new(self.epoch);
        let output = self.join.step(&changes, &mut context).unwrap();
        assert_eq!(output.schema(), *self.join.schema());
        self.output.add_all(&output);
        for reject in context.take_rejected() {
            assert_eq!(reject.row.len(), 1);
            self.rejected.add_all(&reject.row);
        }
        self.asked.load(Ordering::Relaxed)
    }

    fn matches(&self, left: &Row, right: &Row) -> std::result::Result<bool, DataFusionError> {
        let same = left[0] == right[0] && (self.nulls_match || !left[0].is_null());
        if self.keyed && !same {
            return Ok(false);
        }
        let value = |row: &Row| match &row[1] {
            V::Int64(value) => *value,
            _ => None,
        };
        if self.has_residual { Ok(judge(value(left), value(right))? == Some(true)) } else { Ok(true) }
    }

    fn check(&self, [left, right]: [&Relation; 2], situation: &str) {
        let (mut output, mut rejected) = (Relation::default(), Relation::default());
        for (l, l_weight) in left.0.values() {
            let (l_columns, mut matched) = (l[..2].to_vec(), false);
            for (r, r_weight) in right.0.values() {
                let pair = [&l[..2], &r[..2]].concat();
                match self.matches(l, r) {
                    Err(_) => rejected.add(pair, l_weight * r_weight),
                    Ok(false) => {}
                    Ok(true) => {
                        matched = true;
                        if matches!(self.kind, JoinKind::Inner | JoinKind::Left) {
                            output.add(pair, l_weight * r_weight);
                        }
                    }
                }
            }
            match self.kind {
                JoinKind::Left if !matched => output.add([l_columns, vec![V::Int64(None); 2]].concat(), *l_weight),
                JoinKind::Semi if matched => output.add(l_columns, *l_weight),
                JoinKind::Anti if !matched => output.add(l_columns, *l_weight),
                JoinKind::Mark => output.add([l_columns, vec![V::from(matched)]].concat(), *l_weight),
                _ => {}
            }
        }
        assert_eq!(self.output.printed(), output.printed(), "{situation}");
        assert_eq!(self.rejected.printed(), rejected.printed(), "rejected {situation}");
    }
}

fn row(key: Option<i64>, value: Option<i64>, note: i64) -> Row {
    vec![V::Int64(key), V::Int64(value), V::Int64(Some(note))]
}

fn random_row(random: &mut Dice) -> Row {
    let key = (!random.chance(15)).then(|| random.below(3) as i64);
    row(key, (!random.chance(15)).then(|| random.below(12) as i64), random.below(3) as i64)
}

#[test]
fn every_kind_equals_the_naive_answer() {
    for kind in KINDS {
        for forms in 0..8 {
            let form = [0, 1, 2].map(|bit| forms >> bit & 1 == 1);
            let seed = forms as u64;
            let (mut random, mut run) = (Dice::new(seed), Run::new(kind, form));
            let mut sides = [Relation::default(), Relation::default()];
            for step in 0..60 {
                let changes = [0, 1].map(|side| match random.chance(70) {
                    true => random_change(&mut random, &mut sides[side], false, random_row),
                    false => Vec::new(),
                });
                run.step([&changes[0], &changes[1]]);
                run.check([&sides[0], &sides[1]], &format!("{kind:?} {form:?} after step {step}"));
            }
        }
    }
}

/// Rows of one key, or of none: a changed row is asked about once for each row of the other side, and what it matches about
/// no more others than it takes to find one.
#[test]
fn a_step_asks_about_what_changed() {
    const ROWS: i64 = 300;
    for (kind, keyed) in KINDS.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let mut run = Run::new(kind, [keyed, false, true]);
        // No sum is 13, and each left row matches each second right row.
        let left: Vec<(Row, i64)> = (0..ROWS).map(|note| (row(Some(1), Some(100), note), 1)).collect();
        let right: Vec<(Row, i64)> = (0..ROWS).map(|note| (row(Some(1), Some(100 + 2 * note), note), 1)).collect();
        run.step([&left, &right]);
        let new = row(Some(1), Some(100), ROWS);
        for weight in [1, -1] {
            let asked = run.step([&[], &[(new.clone(), weight)]]);
            assert!(asked <= 100 * ROWS as usize, "{kind:?} keyed={keyed}: {asked} pairs");
        }
        let rows = |side: &[(Row, i64)]| {
            let mut relation = Relation::default();
            side.iter().for_each(|(row, weight)| relation.add(row.clone(), *weight));
            relation
        };
        run.check([&rows(&left), &rows(&right)], &format!("{kind:?} keyed={keyed}"));
    }
}
