//! TopK and DISTINCT against the naive answer over all rows, after every step.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::scalar::ScalarValue as V;
use levada_testing::Dice;

use super::*;
use crate::data::OperatorId;
use crate::dataflow::operators::distinct;
use crate::dataflow::operators::harness::{Relation, Row, Store, contents, random_change, step, zset};

fn schema() -> SchemaRef {
    let columns = [DataType::Int32, DataType::Utf8, DataType::Float64];
    let fields = columns.into_iter().enumerate().map(|(at, ty)| Field::new(format!("c{at}"), ty, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn random_row(random: &mut Dice) -> Row {
    let floats = [None, Some(f64::NAN), Some(-f64::NAN), Some(-0.0), Some(0.0), Some(-3.5), Some(f64::INFINITY)];
    vec![
        random.pick(&[V::Int32(None), V::Int32(Some(-1)), V::Int32(Some(5)), V::Int32(Some(6))]),
        random.pick(&[V::Utf8(None), V::from(""), V::from("a"), V::from("ab"), V::from("b")]),
        V::Float64(random.pick(&floats)),
    ]
}

/// As a key: -0.0 as 0.0, one NaN.
fn plain(row: &Row) -> Row {
    row.iter().map(plain_cell).collect()
}

fn plain_cell(cell: &V) -> V {
    match cell {
        V::Float64(Some(value)) => V::Float64(Some(if value.is_nan() { f64::NAN } else { value + 0.0 })),
        other => other.clone(),
    }
}

/// As it is, but one NaN.
fn one_nan(row: &Row) -> Row {
    let cell = |cell: &V| match cell {
        V::Float64(Some(value)) if value.is_nan() => V::Float64(Some(f64::NAN)),
        other => other.clone(),
    };
    row.iter().map(cell).collect()
}

/// How keys compare.
fn compare(a: &Row, b: &Row, key: SortKey) -> Ordering {
    compare_cells(&plain_cell(&a[key.column]), &plain_cell(&b[key.column]), key)
}

/// How the bits of values compare.
fn compare_cells(a: &V, b: &V, key: SortKey) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (null, other) if null != other => {
            if null == key.nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        _ => {
            let order = match (a, b) {
                (V::Float64(Some(a)), V::Float64(Some(b))) => a.total_cmp(b),
                _ => a.partial_cmp(b).unwrap(),
            };
            if key.descending { order.reverse() } else { order }
        }
    }
}

fn expected(spec: &TopKSpec, live: &Relation) -> Relation {
    let plain_key = |column| SortKey { column, descending: false, nulls_first: true };
    let partition: Vec<SortKey> = spec.partition.iter().copied().map(plain_key).collect();
    let keys: Vec<SortKey> = partition.iter().copied().chain(spec.order.iter().copied()).collect();
    let mut rows: Vec<Row> = vec![];
    for (row, weight) in live.0.values() {
        rows.extend(std::iter::repeat_n(one_nan(row), *weight as usize));
    }
    let by = |a: &Row, b: &Row, keys: &[SortKey]| {
        keys.iter().map(|key| compare(a, b, *key)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    // Whole rows break ties.
    let exactly = |a: &Row, b: &Row| {
        let columns = (0..3).map(plain_key).map(|key| compare_cells(&a[key.column], &b[key.column], key));
        columns.fold(Ordering::Equal, Ordering::then)
    };
    rows.sort_by(|a, b| by(a, b, &keys).then_with(|| exactly(a, b)));
    let mut output = Relation::default();
    for group in rows.chunk_by(|a, b| by(a, b, &partition).is_eq()) {
        let limit = spec.limit.map_or(usize::MAX, |limit| limit as usize);
        group.iter().skip(spec.offset as usize).take(limit).for_each(|row| output.add(row.clone(), 1));
    }
    output
}

fn check(seed: u64, spec: &TopKSpec, store: &Store) {
    let mut random = Dice::new(seed);
    let mut top = TopK::new(spec.clone()).unwrap();
    let (mut live, mut output) = (Relation::default(), Relation::default());
    let id = OperatorId(seed as u32 + 1);
    for epoch in 1..60 {
        let change = random_change(&mut random, &mut live, spec.append_only, random_row);
        step(&mut top, &zset(&schema(), &change), epoch, &mut output, &mut Relation::default());
        let answer = expected(spec, &live);
        assert_eq!(output.printed(), answer.printed(), "seed {seed}, epoch {epoch}, {spec:?}");
        if random.chance(20) {
            store.save(&mut top, id);
            if random.chance(60) {
                top = TopK::new(spec.clone()).unwrap();
                store.load(&mut top, id);
            }
            assert_eq!(contents(&mut top).printed(), answer.printed(), "contents, seed {seed}, epoch {epoch}");
        }
    }
}

#[test]
fn top_k_equals_the_naive_answer_after_every_step() {
    let store = Store::new();
    for seed in 0..60 {
        let mut random = Dice::new(seed * 7919);
        let mut order = vec![];
        for _ in 0..random.below(3) {
            let (descending, nulls_first) = (random.chance(50), random.chance(50));
            order.push(SortKey { column: random.below(3), descending, nulls_first });
        }
        let spec = TopKSpec {
            schema: schema(),
            partition: random.pick(&[vec![], vec![], vec![0], vec![1], vec![2, 1]]),
            // A column that is ordered by twice is ordered by as it is the first time, and a partition's is one value.
            order,
            offset: random.pick(&[0, 0, 1, 4]),
            limit: random.pick(&[Some(1), Some(3), Some(3), Some(10), Some(0), None]),
            append_only: random.chance(30),
        };
        check(seed, &spec, &store);
    }
}

#[test]
fn append_only_state_does_not_outgrow_the_window() {
    let order = vec![SortKey { column: 0, descending: true, nulls_first: false }];
    let spec = TopKSpec { schema: schema(), partition: vec![], order, offset: 2, limit: Some(3), append_only: true };
    let mut top = TopK::new(spec).unwrap();
    let mut output = Relation::default();
    for epoch in 0..50 {
        let row = vec![V::Int32(Some(epoch)), V::from("a"), V::Float64(None)];
        step(&mut top, &zset(&schema(), &[(row, 1)]), epoch as u64, &mut output, &mut Relation::default());
    }
    assert_eq!(top.size().rows, 5);
    let rows: Vec<&V> = output.0.values().map(|(row, _)| &row[0]).collect();
    assert_eq!(rows, [&V::Int32(Some(45)), &V::Int32(Some(46)), &V::Int32(Some(47))]);
}

/// Changes of many slices: the same on any number of threads, and the naive answer.
#[test]
fn large_changes_give_the_naive_answer_on_any_number_of_threads() {
    let key = |column, descending| SortKey { column, descending, nulls_first: false };
    let new = |random: &mut Dice| {
        let mut row = random_row(random);
        row[0] = V::Int32(Some(random.below(1_000_000) as i32));
        row
    };
    for (partition, append_only) in [(vec![], true), (vec![], false), (vec![1], true), (vec![1], false)] {
        let order = vec![key(2, true), key(0, false)];
        let spec = TopKSpec { schema: schema(), partition, order, offset: 2, limit: Some(5), append_only };
        let outputs = [1, 2, 7].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let pool = (threads > 1).then(|| Arc::new(pool));
            let (mut random, mut top) = (Dice::new(11), TopK::new(spec.clone()).unwrap());
            let (mut live, mut output, mut steps) = (Relation::default(), Relation::default(), vec![]);
            for epoch in 1..3 {
                let mut change: Vec<(Row, i64)> = (0..9_000).map(|_| (new(&mut random), 1)).collect();
                if !append_only {
                    let gone = live.0.values().take(500).map(|(row, weight)| (row.clone(), -weight));
                    change.extend(gone.collect::<Vec<_>>());
                }
                change.iter().for_each(|(row, weight)| live.add(row.clone(), *weight));
                let mut context = StepContext::new(crate::data::Epoch(epoch)).with_pool(pool.clone());
                let delta = top.step(&[zset(&schema(), &change)], &mut context).unwrap();
                output.add_all(&delta);
                if threads == 1 {
                    assert_eq!(output.printed(), expected(&spec, &live).printed(), "{spec:?}");
                }
                steps.push((delta.batch().clone(), delta.weights().map(<[i64]>::to_vec)));
            }
            steps
        });
        assert!(outputs.iter().all(|steps| *steps == outputs[0]));
    }
}

#[test]
fn distinct_equals_the_naive_answer_after_every_step() {
    let store = Store::new();
    for seed in 0..20 {
        let (mut random, id) = (Dice::new(seed), OperatorId(seed as u32 + 1));
        let mut operator = distinct(schema()).unwrap();
        let (mut live, mut output) = (Relation::default(), Relation::default());
        for epoch in 1..60 {
            let change = random_change(&mut random, &mut live, false, random_row);
            step(&mut operator, &zset(&schema(), &change), epoch, &mut output, &mut Relation::default());
            let mut answer = Relation::default();
            live.0.values().for_each(|(row, _)| answer.add(plain(row), 1));
            answer.0.values_mut().for_each(|(_, weight)| *weight = 1);
            assert_eq!(output.printed(), answer.printed(), "seed {seed}, epoch {epoch}");
            if random.chance(20) {
                store.save(&mut operator, id);
                operator = distinct(schema()).unwrap();
                store.load(&mut operator, id);
                assert_eq!(contents(&mut operator), output, "contents, seed {seed}, epoch {epoch}");
            }
        }
    }
}
