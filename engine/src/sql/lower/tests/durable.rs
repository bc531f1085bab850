//! The graph across restarts: what a checkpoint has is what a graph built anew goes on from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder as Plan, col, lit};
use levada_testing::Dice;

use super::oracle::Oracle;
use super::random::{Table, zset};
use super::views;
use crate::data::{Epoch, ObjectId, OperatorId};
use crate::dataflow::{Fingerprint, Graph};
use crate::state::{Loader, Meta, StateStore};

/// What the catalog would have kept at a checkpoint, and what the tables had.
pub struct Saved {
    epoch: Epoch,
    tables: Vec<Table>,
    views: Vec<(String, ObjectId, LogicalPlan)>,
    operators: BTreeMap<Fingerprint, OperatorId>,
}

pub fn checkpoint(oracle: &mut Oracle, store: &StateStore, durable: Epoch, dropped: Vec<OperatorId>) -> Saved {
    let mut checkpoint = store.checkpoint();
    dropped.into_iter().for_each(|id| checkpoint.drop_operator(id));
    oracle.graph.save(durable, &mut checkpoint).unwrap();
    checkpoint.set_meta(Meta { epoch: oracle.epoch, ..Meta::default() });
    store.commit(checkpoint).unwrap();
    Saved {
        epoch: oracle.epoch,
        tables: oracle.tables.iter().map(|(table, _)| table.clone()).collect(),
        views: oracle.views.clone(),
        operators: oracle.graph.operators().collect(),
    }
}

/// A new process: everything is lowered again, and finds its state.
pub fn reopen(saved: &Saved, store: &Arc<StateStore>) -> Oracle {
    let mut oracle = Oracle::over(saved.tables.clone(), 1, saved.operators.clone());
    for (name, view, plan) in &saved.views {
        oracle.lower(name, *view, plan.clone());
    }
    let known: Vec<OperatorId> = saved.operators.values().copied().collect();
    load(&mut oracle.graph, store, &|id| known.contains(&id));
    assert_eq!(oracle.graph.operators().collect::<BTreeMap<_, _>>(), saved.operators);
    oracle.epoch = saved.epoch;
    oracle
}

/// Takes over what was saved, all of it.
pub fn load(graph: &mut Graph, store: &Arc<StateStore>, saved: &dyn Fn(OperatorId) -> bool) {
    let mut loader = Loader::new(store.clone(), 2).unwrap();
    graph.load(&mut loader, saved).unwrap();
    loader.begin(|| ()).unwrap();
    loader.finish();
}

pub fn open(dir: &Path) -> Arc<StateStore> {
    Arc::new(StateStore::open(dir).unwrap())
}

#[test]
fn views_go_on_from_a_checkpoint() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for seed in 21..23 {
        let dir = dir.path().join(seed.to_string());
        let mut random = Dice::new(seed);
        let mut oracle = Oracle::new(1);
        let mut waiting = views::all(oracle.source(0), oracle.source(1), oracle.source(2));
        let mut store = open(&dir);
        let mut dropped = Vec::new();
        let mut saved = checkpoint(&mut oracle, &store, Epoch::ZERO, Vec::new());
        for step in 0..12 {
            for _ in 0..waiting.len().div_ceil(3).min(20) {
                let (name, plan) = waiting.swap_remove(random.below(waiting.len()));
                oracle.create(&name, plan);
            }
            if oracle.views.len() > 8 {
                let (_, view, _) = oracle.views.swap_remove(random.below(oracle.views.len()));
                dropped.extend(oracle.graph.remove(view).unwrap());
            }
            (0..random.below(4)).for_each(|_| oracle.change(&mut random));
            if random.below(3) > 0 {
                saved = checkpoint(&mut oracle, &store, saved.epoch, std::mem::take(&mut dropped));
            }
            if random.below(2) == 0 {
                // What came after the checkpoint is lost, and the tables go on from there too.
                drop(store);
                store = open(&dir);
                let next_view = oracle.next_view;
                oracle = reopen(&saved, &store);
                oracle.next_view = next_view;
                dropped.clear();
            }
            oracle.check(&runtime, &format!("after step {step} of seed {seed}"));
        }
    }
}

/// A node that the catalog does not know, as after an upgrade that plans otherwise, is made anew from its inputs.
#[test]
fn what_was_not_saved_is_hydrated() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut random = Dice::new(31);
    let mut oracle = Oracle::new(1);
    for (name, plan) in views::all(oracle.source(0), oracle.source(1), oracle.source(2)) {
        oracle.create(&name, plan);
    }
    (0..5).for_each(|_| oracle.change(&mut random));
    let mut saved = checkpoint(&mut oracle, &store, Epoch::ZERO, Vec::new());
    let tables: Vec<Fingerprint> =
        oracle.tables.iter().map(|(_, node)| oracle.graph.fingerprint(*node).unwrap()).collect();
    let all = saved.operators.clone();
    saved.operators.retain(|fingerprint, _| tables.contains(fingerprint));
    let known: Vec<OperatorId> = saved.operators.values().copied().collect();
    // New numbers follow those ever used.
    let number = |(fingerprint, id): (Fingerprint, OperatorId)| match tables.contains(&fingerprint) {
        true => (fingerprint, id),
        false => (fingerprint, OperatorId(id.0 + 1000)),
    };
    let mut oracle = Oracle::over(saved.tables.clone(), 1, all.into_iter().map(number).collect());
    for (name, view, plan) in &saved.views {
        oracle.lower(name, *view, plan.clone());
    }
    load(&mut oracle.graph, &store, &|id| known.contains(&id));
    oracle.epoch = saved.epoch;
    oracle.hydrate();
    oracle.check(&runtime, "after hydration");
    oracle.change(&mut random);
    oracle.check(&runtime, "after a step");
}

#[test]
fn failing_rows_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut oracle = Oracle::new(1);
    let quotient = (lit(12i64) / col("v")).alias("q");
    let plan = Plan::scan("a", oracle.source(0).clone(), None).unwrap().project(vec![col("id"), quotient]).unwrap();
    let view = oracle.create("quotients", plan.build().unwrap());
    let step = |oracle: &mut Oracle, v: i64, weight: i64| {
        let change = zset(&oracle.tables[0].0.source, &[((1, None, Some(v), None), weight)]);
        oracle.epoch = oracle.epoch.next();
        oracle.graph.step(oracle.epoch, vec![(oracle.tables[0].1, change)]).unwrap();
    };
    step(&mut oracle, 0, 1);
    let saved = checkpoint(&mut oracle, &store, Epoch::ZERO, Vec::new());
    let mut oracle = reopen(&saved, &store);
    assert_eq!(oracle.graph.view_errors().count(view), 1);
    step(&mut oracle, 0, -1);
    assert!(oracle.graph.view_errors().is_empty());
    let saved = checkpoint(&mut oracle, &store, saved.epoch, Vec::new());
    assert!(reopen(&saved, &store).graph.view_errors().is_empty());
}
