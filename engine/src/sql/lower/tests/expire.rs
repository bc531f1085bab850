//! The oracle over tables whose rows go by their age.

use levada_testing::Dice;

use super::durable::{checkpoint, open, reopen};
use super::oracle::Oracle;
use super::random::{Row, random_row, zset};
use super::views;
use crate::data::Epoch;
use crate::dataflow::MOST_EXPIRED;

/// Arrivals of the rows of each table, in the order of the model's rows.
type Ages = Vec<Vec<i64>>;

const KEPT: i64 = 7;

/// What messages do to a table: with a key, they replace rows, by themselves too, or take them away.
fn messages(oracle: &mut Oracle, random: &mut Dice, ages: &mut Ages, now: i64) {
    let mut inputs = Vec::new();
    for (at, (table, node)) in oracle.tables.iter_mut().enumerate() {
        let mut delta: Vec<(Row, i64)> = Vec::new();
        for _ in 0..random.below(6) {
            let mut row = random_row(random);
            let keyed = at == 0;
            if keyed && delta.iter().any(|(other, _)| other.0 == row.0) {
                continue;
            }
            if let Some(before) = table.rows.iter().position(|other| keyed && other.0 == row.0) {
                let old = table.rows.swap_remove(before);
                ages[at].swap_remove(before);
                row = if random.below(3) == 0 { old.clone() } else { row };
                delta.push((old, -1));
                if random.below(5) == 0 {
                    continue;
                }
            }
            table.rows.push(row.clone());
            ages[at].push(now);
            delta.push((row, 1));
        }
        if !delta.is_empty() {
            oracle.graph.arriving(table.source.id, now).unwrap();
            inputs.push((*node, zset(&table.source, &delta)));
        }
    }
    oracle.epoch = oracle.epoch.next();
    oracle.graph.step(oracle.epoch, inputs).unwrap();
}

fn expire(oracle: &mut Oracle, ages: &mut Ages, through: i64) {
    let mut gone = 0;
    for ((table, _), ages) in oracle.tables.iter_mut().zip(ages) {
        let mut kept = ages.iter().map(|age| *age > through);
        table.rows.retain(|_| kept.next().unwrap());
        gone += ages.extract_if(.., |age| *age <= through).count();
    }
    let due: Vec<_> = oracle.tables.iter().map(|(table, _)| (table.source.id, through)).collect();
    oracle.epoch = oracle.epoch.next();
    let report = oracle.graph.expire(oracle.epoch, &due, MOST_EXPIRED).unwrap();
    assert_eq!(report.visited > 0, gone > 0);
}

#[test]
fn views_forget_what_has_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for seed in 41..43 {
        let dir = dir.path().join(seed.to_string());
        let mut store = open(&dir);
        let mut random = Dice::new(seed);
        let mut oracle = Oracle::new(1);
        let mut ages: Ages = vec![Vec::new(); oracle.tables.len()];
        let mut waiting = views::all(oracle.source(0), oracle.source(1), oracle.source(2));
        let mut durable = Epoch::ZERO;
        for now in 0..18 {
            for _ in 0..waiting.len().div_ceil(6) {
                let (name, plan) = waiting.swap_remove(random.below(waiting.len()));
                oracle.create(&name, plan);
            }
            messages(&mut oracle, &mut random, &mut ages, now);
            oracle.graph.compact(oracle.epoch).unwrap();
            expire(&mut oracle, &mut ages, now - KEPT + random.below(4) as i64);
            oracle.check(&runtime, &format!("at {now} of seed {seed}"));
            if random.below(4) == 0 {
                let saved = checkpoint(&mut oracle, &store, durable, Vec::new());
                durable = oracle.epoch;
                drop(store);
                store = open(&dir);
                let next_view = oracle.next_view;
                oracle = reopen(&saved, &store);
                oracle.next_view = next_view;
            }
        }
        expire(&mut oracle, &mut ages, i64::MAX - 1);
        oracle.check(&runtime, &format!("when all rows of seed {seed} have gone"));
    }
}
