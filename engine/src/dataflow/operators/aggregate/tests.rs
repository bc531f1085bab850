//! GROUP BY against the naive answer over all rows, after every step.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, i256};
use datafusion::scalar::ScalarValue as V;
use levada_testing::Dice;

use super::*;
use crate::dataflow::aggregates::AggregateFunction as F;
use crate::dataflow::operators::harness::{Relation, Row, Store, contents, print, random_change, step, zset};

const NUMERIC: DataType = DataType::Decimal128(38, 18);

fn input() -> SchemaRef {
    let columns = [
        DataType::Int32,
        DataType::Float64,
        DataType::Utf8,
        DataType::Int64,
        NUMERIC,
        DataType::Boolean,
        DataType::Float32,
        DataType::Int16,
    ];
    let fields = columns.into_iter().enumerate().map(|(at, ty)| Field::new(format!("c{at}"), ty, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn numeric(value: i128) -> V {
    V::Decimal128(Some(value), 38, 18)
}

fn random_row(random: &mut Dice) -> Row {
    let huge = 99_999_999_999_999_999_999_999_999_999_999_999_999i128;
    vec![
        random.pick(&[V::Int32(None), V::Int32(Some(-1)), V::Int32(Some(0)), V::Int32(Some(7))]),
        random.pick(&[
            V::Float64(None),
            V::Float64(Some(f64::NAN)),
            V::Float64(Some(-f64::NAN)),
            V::Float64(Some(-0.0)),
            V::Float64(Some(0.0)),
            V::Float64(Some(1.25)),
            V::Float64(Some(-1e9)),
            V::Float64(Some(f64::INFINITY)),
        ]),
        random.pick(&[V::Utf8(None), V::from(""), V::from("a"), V::from("a long enough text, longer than a block")]),
        random.pick(&[
            V::Int64(None),
            V::Int64(Some(3)),
            V::Int64(Some(-4)),
            V::Int64(Some(i64::MAX)),
            V::Int64(Some(i64::MIN)),
        ]),
        random.pick(&[
            V::Decimal128(None, 38, 18),
            numeric(1),
            numeric(-2_500_000_000_000_000_000),
            numeric(huge),
            numeric(-huge),
        ]),
        random.pick(&[V::Boolean(None), V::Boolean(Some(true)), V::Boolean(Some(false))]),
        random.pick(&[
            V::Float32(None),
            V::Float32(Some(0.5)),
            V::Float32(Some(-2.0)),
            V::Float32(Some(f32::NEG_INFINITY)),
        ]),
        random.pick(&[V::Int16(None), V::Int16(Some(i16::MAX)), V::Int16(Some(-5))]),
    ]
}

/// Every function over every type it takes, with its result's type.
fn calls() -> Vec<(AggregateCall, DataType)> {
    let call = |function, argument| AggregateCall { function, argument, filter: None, distinct: false };
    let mut calls = vec![(call(F::Count, None), DataType::Int64)];
    for column in 0..8 {
        let data_type = input().field(column).data_type().clone();
        calls.push((call(F::Count, Some(column)), DataType::Int64));
        calls.push((call(F::Min, Some(column)), data_type.clone()));
        calls.push((call(F::Max, Some(column)), data_type));
    }
    calls.extend(
        [(0, DataType::Int64), (7, DataType::Int64), (3, NUMERIC), (4, NUMERIC)]
            .map(|(at, ty)| (call(F::Sum, Some(at)), ty)),
    );
    calls.extend([(1, DataType::Float64), (6, DataType::Float32)].map(|(at, ty)| (call(F::Sum, Some(at)), ty)));
    calls.extend([0, 3, 4, 7].map(|at| (call(F::Avg, Some(at)), NUMERIC)));
    calls.extend([1, 6].map(|at| (call(F::Avg, Some(at)), DataType::Float64)));
    calls.extend([F::BoolAnd, F::BoolOr].map(|function| (call(function, Some(5)), DataType::Boolean)));
    let plain = calls.clone();
    let distinct = plain.iter().filter(|(call, _)| call.argument.is_some());
    calls.extend(distinct.map(|(call, ty)| (AggregateCall { distinct: true, ..call.clone() }, ty.clone())));
    let filtered = calls.clone();
    calls.extend(filtered.into_iter().map(|(call, ty)| (AggregateCall { filter: Some(5), ..call }, ty)));
    calls
}

fn spec(keys: &[usize], calls: &[(AggregateCall, DataType)], append_only: bool) -> AggregateSpec {
    let input = input();
    let keys_of = keys.iter().map(|column| input.field(*column).clone());
    let results = calls.iter().enumerate().map(|(at, (_, ty))| Field::new(format!("a{at}"), ty.clone(), true));
    let output = Arc::new(Schema::new(keys_of.chain(results).collect::<Vec<_>>()));
    let aggregates = calls.iter().map(|(call, _)| call.clone()).collect();
    AggregateSpec { input, output, keys: keys.to_vec(), aggregates, append_only }
}

/// As PostgreSQL compares: NaN is the greatest and equals itself, -0.0 is 0.0.
fn compare(a: &V, b: &V) -> std::cmp::Ordering {
    match (a, b) {
        (V::Float64(Some(a)), V::Float64(Some(b))) => a.total_cmp(b),
        (V::Float32(Some(a)), V::Float32(Some(b))) => a.total_cmp(b),
        _ => a.partial_cmp(b).unwrap(),
    }
}

fn plain(value: V) -> V {
    match value {
        V::Float64(Some(value)) => V::Float64(Some(if value.is_nan() { f64::NAN } else { value + 0.0 })),
        V::Float32(Some(value)) => V::Float32(Some(if value.is_nan() { f32::NAN } else { value + 0.0 })),
        other => other,
    }
}

fn one_nan(value: V) -> V {
    match value {
        V::Float64(Some(value)) if value.is_nan() => V::Float64(Some(f64::NAN)),
        V::Float32(Some(value)) if value.is_nan() => V::Float32(Some(f32::NAN)),
        other => other,
    }
}

fn unscaled(value: &V) -> (i256, i8) {
    match value {
        V::Int16(Some(value)) => (i256::from_i128((*value).into()), 0),
        V::Int32(Some(value)) => (i256::from_i128((*value).into()), 0),
        V::Int64(Some(value)) => (i256::from_i128((*value).into()), 0),
        V::Decimal128(Some(value), _, scale) => (i256::from_i128(*value), *scale),
        other => panic!("{other:?}"),
    }
}

/// None is an overflow.
fn decimal(value: i256) -> Option<V> {
    let value = value.to_i128().filter(|value| value.unsigned_abs() < 10u128.pow(38))?;
    Some(numeric(value))
}

/// The aggregate of all values, each with its weight.
fn naive(call: &AggregateCall, result: &DataType, rows: &[(Row, i64)]) -> Option<V> {
    let passes = |row: &Row| call.filter.is_none_or(|at| row[at] == V::Boolean(Some(true)));
    let rows: Vec<_> = rows.iter().filter(|(row, _)| passes(row)).collect();
    let Some(argument) = call.argument else {
        return Some(V::Int64(Some(rows.iter().map(|(_, weight)| weight).sum())));
    };
    // Least and greatest are values that are there.
    let form = if matches!(call.function, F::Min | F::Max) { one_nan } else { plain };
    let values = rows.iter().map(|(row, weight)| (form(row[argument].clone()), *weight));
    let mut values: Vec<(V, i64)> = values.filter(|(value, _)| !value.is_null()).collect();
    values.sort_by(|a, b| compare(&a.0, &b.0));
    if call.distinct {
        values.dedup_by(|a, b| compare(&a.0, &b.0).is_eq());
        values.iter_mut().for_each(|(_, weight)| *weight = 1);
    }
    let count: i64 = values.iter().map(|(_, weight)| weight).sum();
    if call.function == F::Count {
        return Some(V::Int64(Some(count)));
    }
    let null = V::try_from(result).unwrap();
    let (Some((least, _)), Some((greatest, _))) = (values.first(), values.last()) else { return Some(null) };
    let is = |wanted: bool| values.iter().any(|(value, _)| *value == V::Boolean(Some(wanted)));
    match (call.function, result) {
        (F::Min, _) => Some(least.clone()),
        (F::Max, _) => Some(greatest.clone()),
        (F::BoolAnd, _) => Some(V::Boolean(Some(!is(false)))),
        (F::BoolOr, _) => Some(V::Boolean(Some(is(true)))),
        (_, DataType::Float64 | DataType::Float32) => {
            let float = |value: &V| match value {
                V::Float64(Some(value)) => *value,
                V::Float32(Some(value)) => f64::from(*value),
                other => panic!("{other:?}"),
            };
            let sum: f64 = values.iter().map(|(value, weight)| float(value) * *weight as f64).sum();
            Some(plain(match (call.function, result) {
                (F::Avg, _) => V::Float64(Some(sum / count as f64)),
                (_, DataType::Float32) => V::Float32(Some(sum as f32)),
                _ => V::Float64(Some(sum)),
            }))
        }
        (function, result) => {
            let scale = unscaled(least).1;
            if matches!(function, F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp) {
                return spread(function, count, &values, scale);
            }
            let times = |(value, weight): &(V, i64)| unscaled(value).0.wrapping_mul(i256::from_i128((*weight).into()));
            let sum = values.iter().map(times).fold(i256::ZERO, i256::wrapping_add);
            if *result == DataType::Int64 {
                return sum.to_i128().and_then(|sum| i64::try_from(sum).ok()).map(|sum| V::Int64(Some(sum)));
            }
            let sum = sum.wrapping_mul(i256::from_i128(10i128.pow((18 - scale) as u32)));
            if function == F::Sum {
                return decimal(sum);
            }
            // Round half away from zero: (2 sum + sign count) / 2 count, truncated.
            let count = i256::from_i128(count.into());
            let half = if sum.is_negative() { count.wrapping_neg() } else { count };
            decimal(sum.wrapping_add(sum).wrapping_add(half).wrapping_div(count.wrapping_add(count)))
        }
    }
}

/// A number of any size, its least 32 bits first.
#[derive(Clone, PartialEq, Eq)]
struct Big(Vec<u32>);

impl Big {
    fn of(mut value: u128) -> Big {
        let mut limbs = vec![];
        while value > 0 {
            limbs.push(value as u32);
            value >>= 32;
        }
        Big(limbs)
    }

    fn times(&self, factor: u128) -> Big {
        let mut sum = vec![0u64; self.0.len() + 5];
        for (at, own) in self.0.iter().enumerate() {
            for (with, other) in Big::of(factor).0.iter().enumerate() {
                let product = u64::from(*own) * u64::from(*other);
                sum[at + with] += product & u64::from(u32::MAX);
                sum[at + with + 1] += product >> 32;
            }
        }
        Big::carried(sum)
    }

    fn plus(&self, other: &Big) -> Big {
        let digit = |big: &Big, at: usize| u64::from(big.0.get(at).copied().unwrap_or(0));
        let limbs = self.0.len().max(other.0.len()) + 1;
        Big::carried((0..limbs).map(|at| digit(self, at) + digit(other, at)).collect())
    }

    fn carried(sums: Vec<u64>) -> Big {
        let mut carry = 0;
        let mut limbs: Vec<u32> = Vec::with_capacity(sums.len());
        for sum in sums {
            carry += sum;
            limbs.push(carry as u32);
            carry >>= 32;
        }
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Big(limbs)
    }

    fn at_most(&self, other: &Big) -> bool {
        (self.0.len(), self.0.iter().rev().collect::<Vec<_>>()) <= (other.0.len(), other.0.iter().rev().collect())
    }
}

/// From the distances between all pairs: their squares sum to count Σx² - (Σx)². The answer is the greatest r for which
/// r - 1/2 is not too much.
fn spread(function: F, count: i64, values: &[(V, i64)], scale: i8) -> Option<V> {
    let divisor = count - i64::from(matches!(function, F::VarSamp | F::StddevSamp));
    if divisor == 0 {
        return Some(V::Decimal128(None, 38, 18));
    }
    let mut squares = Big(vec![]);
    for (at, (one, times)) in values.iter().enumerate() {
        for (other, others) in &values[..at] {
            // Twice 10^38 does not fit an i128, but it does fit an u128.
            let distance = unscaled(one).0.wrapping_sub(unscaled(other).0).wrapping_abs().to_parts().0;
            let pairs = u128::from(times.unsigned_abs()) * u128::from(others.unsigned_abs());
            squares = squares.plus(&Big::of(distance).times(distance).times(pairs));
        }
    }
    let root = matches!(function, F::StddevPop | F::StddevSamp);
    let shifted = |big: Big, digits: i8| (0..digits).fold(big, |big, _| big.times(10));
    let wanted = shifted(squares, if root { 36 } else { 18 }).times(if root { 4 } else { 2 });
    let unit = shifted(Big::of(count as u128 * divisor as u128), 2 * scale);
    let fits = |answer: u128| {
        let odd = 2 * answer - 1;
        unit.times(odd).times(if root { odd } else { 1 }).at_most(&wanted)
    };
    let answer = (0..127).rev().map(|bit| 1 << bit).fold(0, |r, bit| if fits(r | bit) { r | bit } else { r });
    decimal(i256::from_parts(answer, 0))
}

/// The expected output, and the groups without an answer.
fn expected(keys: &[usize], calls: &[(AggregateCall, DataType)], live: &Relation) -> (Relation, Relation) {
    let mut groups: std::collections::BTreeMap<String, (Row, Vec<(Row, i64)>)> = Default::default();
    if keys.is_empty() {
        groups.insert(String::new(), Default::default());
    }
    for (row, weight) in live.0.values() {
        let key: Row = keys.iter().map(|column| plain(row[*column].clone())).collect();
        let group = groups.entry(print(&key)).or_insert((key, vec![]));
        group.1.push((row.clone(), *weight));
    }
    let (mut output, mut failed) = (Relation::default(), Relation::default());
    for (key, rows) in groups.into_values() {
        let results: Option<Row> = calls.iter().map(|(call, result)| naive(call, result, &rows)).collect();
        match results {
            Some(results) => output.add(key.into_iter().chain(results).collect(), 1),
            None => failed.add(key, 1),
        }
    }
    (output, failed)
}

fn check(seed: u64, keys: &[usize], calls: &[(AggregateCall, DataType)], append_only: bool, store: &Store) {
    let mut random = Dice::new(seed);
    let mut aggregate = Aggregate::new(spec(keys, calls, append_only)).unwrap();
    let id = OperatorId(seed as u32 + 1);
    let (mut live, mut output, mut rejected) = (Relation::default(), Relation::default(), Relation::default());
    if let Some(start) = aggregate.start(&mut StepContext::new(Epoch(1))).unwrap() {
        output.add_all(&start);
    }
    for epoch in 2..40 {
        let change = random_change(&mut random, &mut live, append_only, random_row);
        step(&mut aggregate, &zset(&input(), &change), epoch, &mut output, &mut rejected);
        let (answers, failures) = expected(keys, calls, &live);
        let place = format!("seed {seed}, keys {keys:?}, append_only {append_only}, epoch {epoch}");
        assert_eq!(output.printed(), answers.printed(), "{place}");
        assert_eq!(rejected.printed(), failures.printed(), "errors at {place}");
        if random.chance(25) {
            store.save(&mut aggregate, id);
            if random.chance(60) {
                aggregate = Aggregate::new(spec(keys, calls, append_only)).unwrap();
                store.load(&mut aggregate, id);
            }
            assert_eq!(contents(&mut aggregate).printed(), answers.printed(), "contents at {place}");
        }
    }
}

#[test]
fn every_aggregate_equals_the_naive_answer_after_every_step() {
    let store = Store::new();
    let key_sets: [&[usize]; 10] = [&[], &[0], &[1], &[2], &[3], &[4], &[0, 1], &[0, 7, 5], &[2, 0], &[3, 1, 4]];
    for (number, keys) in key_sets.into_iter().enumerate() {
        for append_only in [false, true] {
            check(number as u64 * 2 + u64::from(append_only), keys, &calls(), append_only, &store);
        }
    }
}

/// One aggregate at a time: with all of them, a group fails as soon as one does.
#[test]
fn each_aggregate_alone_equals_the_naive_answer() {
    let store = Store::new();
    for (number, call) in calls().into_iter().enumerate() {
        check(1000 + number as u64, &[0], &[call], false, &store);
    }
}

#[test]
fn variances_of_whole_and_exact_numbers_are_exact() {
    let store = Store::new();
    let mut seed = 2000;
    for function in [F::VarPop, F::VarSamp, F::StddevPop, F::StddevSamp] {
        for (argument, distinct, filter) in
            [(0, false, None), (3, false, None), (4, false, Some(5)), (4, true, None), (7, true, Some(5))]
        {
            let call = AggregateCall { function, argument: Some(argument), filter, distinct };
            check(seed, &[0], &[(call, NUMERIC)], false, &store);
            seed += 1;
        }
    }
}

#[test]
fn without_group_by_there_is_one_row_from_the_start() {
    let calls = &calls()[..3];
    let mut aggregate = Aggregate::new(spec(&[], calls, false)).unwrap();
    let start = aggregate.start(&mut StepContext::new(Epoch(1))).unwrap().unwrap();
    let mut output = Relation::default();
    output.add_all(&start);
    assert_eq!(output.printed(), [("Int64(0) | Int64(0) | Int32(NULL)", 1)]);
    let store = Store::new();
    store.save(&mut aggregate, OperatorId(1));
    let mut loaded = Aggregate::new(spec(&[], calls, false)).unwrap();
    store.load(&mut loaded, OperatorId(1));
    assert_eq!(contents(&mut loaded), output);
    assert!(
        Aggregate::new(spec(&[0], calls, false)).unwrap().start(&mut StepContext::new(Epoch(1))).unwrap().is_none()
    );
}

#[test]
fn a_save_writes_what_changed_and_deletes_what_went() {
    let call = |function| AggregateCall { function, argument: Some(3), filter: None, distinct: function == F::Count };
    let calls = [(call(F::Count), DataType::Int64), (call(F::Min), DataType::Int64)];
    let mut aggregate = Aggregate::new(spec(&[0], &calls, false)).unwrap();
    let (store, id) = (Store::new(), OperatorId(9));
    let row = |key: i32, value: i64| {
        let mut row = random_row(&mut Dice::new(0));
        (row[0], row[3]) = (V::Int32(Some(key)), V::Int64(Some(value)));
        row
    };
    let (mut output, mut rejected) = (Relation::default(), Relation::default());
    let rows: Vec<_> = (0..100).map(|key| (row(key, 1), 1)).collect();
    step(&mut aggregate, &zset(&input(), &rows), 1, &mut output, &mut rejected);
    // A group, its distinct value and its ordered value.
    assert_eq!((store.save(&mut aggregate, id), store.entries(id)), (300, 300));
    assert_eq!(store.save(&mut aggregate, id), 0);
    step(&mut aggregate, &zset(&input(), &[(row(5, 1), -1), (row(6, 2), 1)]), 2, &mut output, &mut rejected);
    assert_eq!(store.save(&mut aggregate, id), 3 + 3);
    assert_eq!(store.entries(id), 297 + 2);
    // The freed slot is used again.
    step(&mut aggregate, &zset(&input(), &[(row(500, 1), 1)]), 3, &mut output, &mut rejected);
    assert_eq!(aggregate.size().rows, 300 + 2);
    assert_eq!(contents(&mut aggregate), output);
}

/// What no checkpoint has is bounded by what operators say of it.
#[test]
fn about_as_much_is_unsaved_as_a_save_writes() {
    let call = |function| AggregateCall { function, argument: Some(3), filter: None, distinct: function == F::Count };
    let sum = [(call(F::Sum), DataType::Int64)];
    let all = [(call(F::Count), DataType::Int64), (call(F::Min), DataType::Int64)];
    for (keys, calls) in [(&[0][..], &sum[..]), (&[0, 3], &sum), (&[0], &all)] {
        let mut aggregate = Aggregate::new(spec(keys, calls, false)).unwrap();
        let (mut output, mut rejected) = (Relation::default(), Relation::default());
        let mut row = random_row(&mut Dice::new(0));
        let rows = (0..20_000).map(|key| {
            (row[0], row[3]) = (V::Int32(Some(key)), V::Int64(Some(i64::from(key))));
            (row.clone(), 1)
        });
        let rows: Vec<_> = rows.collect();
        step(&mut aggregate, &zset(&input(), &rows), 1, &mut output, &mut rejected);
        let (unsaved, mut checkpoint) = (aggregate.unsaved(), Checkpoint::default());
        aggregate.save(OperatorId(9), Epoch::ZERO, &mut checkpoint).unwrap();
        let written = (checkpoint.bytes() + checkpoint.len() * Checkpoint::OF_A_CHANGE) as u64;
        assert!((written / 2..2 * written).contains(&unsaved), "{unsaved} for {written}");
        assert_eq!(aggregate.unsaved(), 0);
    }
}

#[test]
fn sums_beyond_the_type_are_errors_only_while_they_are() {
    let call = AggregateCall { function: F::Sum, argument: Some(3), filter: None, distinct: false };
    let spec = spec(&[], &[(call, NUMERIC)], false);
    let mut aggregate = Aggregate::new(spec).unwrap();
    let mut context = StepContext::new(Epoch(1));
    aggregate.start(&mut context).unwrap();
    let mut row = random_row(&mut Dice::new(0));
    row[3] = V::Int64(Some(i64::MAX));
    let mut weights = |weights: &[i64]| {
        let rows: Vec<_> = weights.iter().map(|weight| (row.clone(), *weight)).collect();
        let delta = aggregate.step(&[zset(&input(), &rows)], &mut context).unwrap();
        let rejected: Vec<i64> = context.take_rejected().iter().map(|rejected| rejected.row.weight(0)).collect();
        (delta.len(), rejected)
    };
    assert_eq!(weights(&[1, 1_000_000, -1_000_000]), (2, vec![]), "an overflow inside a step");
    assert_eq!(weights(&[100]), (1, vec![1]));
    assert_eq!(weights(&[1]), (0, vec![]));
    assert_eq!(weights(&[-100]), (1, vec![-1]));
}

/// What stands in data directories: a change here needs another VERSION.
#[test]
fn distinct_values_are_saved_once_with_a_weight_for_each_filter() {
    let call = |filter| AggregateCall { function: F::Count, argument: Some(3), filter, distinct: true };
    let calls = [(call(None), DataType::Int64), (call(Some(5)), DataType::Int64)];
    let mut aggregate = Aggregate::new(spec(&[0], &calls, false)).unwrap();
    let (store, id) = (Store::new(), OperatorId(3));
    let row = |passes: bool| {
        let mut row = random_row(&mut Dice::new(0));
        (row[0], row[3], row[5]) = (V::Int32(Some(7)), V::Int64(Some(3)), V::Boolean(Some(passes)));
        row
    };
    let (mut output, mut rejected) = (Relation::default(), Relation::default());
    step(&mut aggregate, &zset(&input(), &[(row(true), 1), (row(false), 1)]), 1, &mut output, &mut rejected);
    store.save(&mut aggregate, id);
    let entries = store.store.scan(crate::state::KeyKind::Keyed, id).unwrap().collect::<Result<Vec<_>>>().unwrap();
    let [(group, _), (key, value)] = &entries[..] else { panic!("{entries:?}") };
    let group_key = [0, 0, 0, 0, 0x80, 0, 0, 7];
    assert_eq!(group[2..], [[0].as_slice(), &group_key].concat());
    assert_eq!(key[2..], [[1, 0, 0, 0, 8].as_slice(), &group_key, &[0x80, 0, 0, 0, 0, 0, 0, 3]].concat());
    assert_eq!(group[..2], key[..2]);
    assert_eq!(value[..], [[2].as_slice(), &2i64.to_le_bytes(), &1i64.to_le_bytes()].concat());
}

#[test]
fn neither_output_nor_state_depends_on_the_number_of_threads() {
    let calls: Vec<_> = calls().into_iter().filter(|(call, _)| call.function != F::Sum).collect();
    let mut seen: Vec<(Vec<ZSet>, Vec<_>)> = vec![];
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let pool = (threads > 1).then(|| Arc::new(pool));
        let mut random = Dice::new(5);
        let mut aggregate = Aggregate::new(spec(&[7, 3, 2, 4], &calls, false)).unwrap();
        let (mut live, mut outputs) = (Vec::new(), Vec::new());
        for epoch in 1..4 {
            let mut change: Vec<(Row, i64)> = (0..6000).map(|_| (random_row(&mut random), 1)).collect();
            live.extend(change.iter().map(|(row, _)| row.clone()));
            change.extend((0..4000).map(|_| (live.swap_remove(random.below(live.len())), -1)));
            let mut context = StepContext::new(Epoch(epoch)).with_pool(pool.clone());
            outputs.push(aggregate.step(&[zset(&input(), &change)], &mut context).unwrap());
        }
        let store = Store::new();
        store.save(&mut aggregate, OperatorId(1));
        let entries = store.store.scan(crate::state::KeyKind::Keyed, OperatorId(1)).unwrap();
        seen.push((outputs, entries.collect::<Result<Vec<_>>>().unwrap()));
    }
    for (outputs, entries) in &seen[1..] {
        assert_eq!(*entries, seen[0].1);
        for (output, first) in outputs.iter().zip(&seen[0].0) {
            assert_eq!((output.batch(), output.weights()), (first.batch(), first.weights()));
        }
    }
}
