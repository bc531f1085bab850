//! Views that come while tables change, hydrated aside: from the moment they are spliced they are the batch answer.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder as Plan, col, lit};
use levada_testing::Dice;

use super::oracle::{Oracle, no_history, view_schema};
use super::random::{Row, Table, zset};
use super::views;
use crate::data::{ObjectId, Parts, ZSet};
use crate::dataflow::{Hydration, HydrationState, NodeId, Progress, Stage};
use crate::sql::lower::{add_source, lower_view};
use crate::sql::optimize_view;

/// An oracle some of whose views are not spliced yet.
struct Aside {
    oracle: Oracle,
    /// Views to be hydrated, each after those that it awaits.
    waiting: Vec<(String, ObjectId, LogicalPlan)>,
    running: Vec<((String, ObjectId, LogicalPlan), Hydration)>,
}

impl Aside {
    fn new(threads: usize, slice: usize) -> Aside {
        let mut oracle = Oracle::new(threads);
        oracle.graph.set_slice(slice);
        Aside { oracle, waiting: Vec::new(), running: Vec::new() }
    }

    fn create(&mut self, name: &str, plan: LogicalPlan) -> ObjectId {
        let view = ObjectId(self.oracle.next_view);
        self.oracle.next_view += 1;
        self.oracle.lower(name, view, plan);
        assert!(self.oracle.graph.claim(view).unwrap());
        assert!(!self.oracle.graph.is_hydrated(view));
        self.waiting.push(self.oracle.views.pop().unwrap());
        self.begin();
        view
    }

    /// Begins what waits for nothing any more.
    fn begin(&mut self) {
        let graph = &mut self.oracle.graph;
        for (name, view, plan) in std::mem::take(&mut self.waiting) {
            if graph.awaits(view).unwrap().is_empty() {
                let progress = Arc::new(Progress::default());
                let hydration = graph.set_aside(view, self.oracle.epoch, &mut no_history, progress).unwrap();
                self.running.push(((name, view, plan), hydration));
            } else {
                self.waiting.push((name, view, plan));
            }
        }
    }

    /// Drives some hydrations on; those that are level, and now and then others, are spliced.
    fn drive(&mut self, random: &mut Dice) {
        for (view, mut hydration) in std::mem::take(&mut self.running) {
            let mut level = random.below(30) == 0;
            for _ in 0..random.below(12) {
                level |= hydration.advance().unwrap() == Stage::Level;
            }
            if level && random.below(3) > 0 {
                self.splice(view, hydration);
            } else {
                self.running.push((view, hydration));
            }
        }
        self.begin();
    }

    fn splice(&mut self, view: (String, ObjectId, LogicalPlan), hydration: Hydration) {
        let spliced = self.oracle.graph.splice(hydration).unwrap();
        self.oracle.epoch = self.oracle.epoch.max(spliced);
        assert!(self.oracle.graph.is_hydrated(view.1));
        self.oracle.views.push(view);
    }

    fn finish(&mut self) {
        while !self.running.is_empty() {
            for (view, hydration) in std::mem::take(&mut self.running) {
                self.splice(view, hydration);
            }
            self.begin();
        }
        assert!(self.waiting.is_empty());
    }

    /// Gives up a view that is not spliced and that no other awaits.
    fn give_up(&mut self, random: &mut Dice) -> Option<(String, LogicalPlan)> {
        let awaited = |view: &ObjectId| {
            self.waiting.iter().any(|(_, other, _)| self.oracle.graph.awaits(*other).unwrap().contains(view))
        };
        let at = (random.below(4) == 0).then(|| self.running.iter().position(|((_, view, _), _)| !awaited(view)))??;
        let ((name, view, plan), _) = self.running.swap_remove(at);
        self.oracle.graph.remove(view).unwrap();
        Some((name, plan))
    }
}

fn run(seed: u64, steps: usize, threads: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(seed);
    let mut aside = Aside::new(threads, 1 + seed as usize % 3);
    let mut plans = views::all(aside.oracle.source(0), aside.oracle.source(1), aside.oracle.source(2));
    (0..4).for_each(|_| aside.oracle.change(&mut random));
    for step in 0..steps {
        for _ in 0..plans.len().div_ceil(steps - step).min(8) {
            let (name, plan) = plans.swap_remove(random.below(plans.len()));
            aside.create(&name, plan);
        }
        plans.extend(aside.give_up(&mut random));
        aside.oracle.change(&mut random);
        aside.drive(&mut random);
        aside.oracle.graph.compact(aside.oracle.epoch).unwrap();
        aside.oracle.check(&runtime, &format!("after step {step} of seed {seed}"));
    }
    aside.finish();
    for step in 0..4 {
        aside.oracle.check(&runtime, &format!("{step} steps after all of seed {seed}"));
        aside.oracle.change(&mut random);
    }
    for (_, view, _) in std::mem::take(&mut aside.oracle.views) {
        aside.oracle.graph.remove(view).unwrap();
    }
    assert_eq!(aside.oracle.graph.len(), aside.oracle.tables.len());
}

#[test]
fn views_hydrated_aside_equal_the_batch_answer() {
    for seed in 41..=43 {
        run(seed, 14, 1);
    }
}

#[test]
fn views_hydrated_aside_equal_the_batch_answer_on_other_numbers_of_threads() {
    run(47, 9, 2);
    run(48, 9, 7);
}

/// A view over one that is not there yet waits for it, and so does one that shares a node with it.
#[test]
fn what_is_shared_is_fed_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(5);
    let mut aside = Aside::new(1, 2);
    (0..5).for_each(|_| aside.oracle.change(&mut random));
    let b = aside.oracle.source(1).clone();
    let scan = |name: &str| Plan::scan(name, b.clone(), None).unwrap();
    let totals = |name: &str| {
        let calls = vec![count(lit(1i64)).alias("n"), sum(col("v")).alias("t")];
        scan(name).aggregate(vec![col("k")], calls).unwrap()
    };
    let first = aside.create("totals", totals("b").build().unwrap());
    let shared = totals("x").filter(col("n").gt(lit(1i64))).unwrap().build().unwrap();
    let second = aside.create("large totals", shared);
    let source = aside.oracle.source_of(first);
    let third = Plan::scan("t", source, None).unwrap().filter(col("c1").gt(lit(1i64))).unwrap().build().unwrap();
    let third = aside.create("totals that are large", third);
    assert_eq!(aside.running.len(), 1);
    for view in [second, third] {
        assert_eq!(aside.oracle.graph.awaits(view).unwrap().into_iter().collect::<Vec<_>>(), [first]);
    }
    (0..3).for_each(|_| aside.oracle.change(&mut random));
    let (view, hydration) = aside.running.pop().unwrap();
    aside.splice(view, hydration);
    aside.begin();
    assert_eq!(aside.running.len(), 2);
    (0..3).for_each(|_| aside.oracle.change(&mut random));
    aside.finish();
    aside.oracle.check(&runtime, "after all");
    assert_eq!(aside.oracle.rows(second), aside.oracle.rows(third));
}

/// What a source without store delivers while its history is read comes after it.
#[test]
fn a_source_goes_on_while_its_history_is_read() {
    let mut oracle = Oracle::new(1);
    oracle.graph.set_slice(3);
    let source = Table::new(9, "events", false).source;
    let node = add_source(&mut oracle.graph, source.id, &source.schema, true, &mut oracle.ids).unwrap();
    oracle.hydrate();
    let batch = |at: i32| zset(&source, &[((at, Some(at % 2), Some(10), None), 1), ((at, None, Some(1), None), 1)]);
    let step = |oracle: &mut Oracle, node: NodeId, at: i32| {
        oracle.epoch = oracle.epoch.next();
        oracle.graph.step(oracle.epoch, vec![(node, batch(at))]).unwrap();
    };
    (0..6).for_each(|at| step(&mut oracle, node, at));
    let plan = Plan::scan("e", source.clone(), None).unwrap();
    let plan = plan.aggregate(vec![col("k")], vec![count(lit(1i64)).alias("n")]).unwrap().build().unwrap();
    let view = ObjectId(50);
    let optimized = optimize_view(plan.clone()).unwrap();
    lower_view(&optimized, view, view_schema(&plan), &mut oracle.graph, &mut oracle.ids).unwrap();
    oracle.graph.claim(view).unwrap();
    let mut history = |_: ObjectId, _: &Parts| {
        Ok((Box::new((0..6).map(batch).collect::<Vec<ZSet>>().into_iter().map(Ok)) as crate::dataflow::Rows, 13))
    };
    let progress = Arc::new(Progress::default());
    let mut hydration = oracle.graph.set_aside(view, oracle.epoch, &mut history, progress.clone()).unwrap();
    for at in 6..20 {
        step(&mut oracle, node, at);
        hydration.advance().unwrap();
    }
    let status = progress.status();
    assert_eq!((status.rows, status.expected, status.outside), (12, Some(13), true));
    assert_eq!(status.state, HydrationState::CatchingUp);
    step(&mut oracle, node, 20);
    assert!(oracle.graph.recorded() > 0);
    // Nothing of what tables bring waits for it.
    assert!(oracle.graph.is_recorded(source.id));
    assert!(!oracle.graph.is_recorded(oracle.source(0).id));
    let spliced = oracle.graph.splice(hydration).unwrap();
    oracle.epoch = oracle.epoch.max(spliced);
    assert_eq!(oracle.graph.recorded(), 0);
    assert!(!oracle.graph.is_recorded(source.id));
    assert_eq!(oracle.rows(view), ["0|11", "1|10", "NULL|21"]);
}

/// However many new nodes stand on a source, its history is read once.
#[test]
fn both_sides_of_a_join_share_one_reading_of_a_source() {
    let batch = |source: &crate::catalog::RelationSource, at: i32| {
        zset(
            source,
            &[((at, Some(at % 3), Some(10 * i64::from(at)), None), 1), ((at + 100, Some(at % 2), Some(1), None), 1)],
        )
    };
    let mut answers = Vec::new();
    for hydrated in [true, false] {
        let mut oracle = Oracle::new(1);
        oracle.graph.set_slice(3);
        let source = Table::new(9, "events", false).source;
        let node = add_source(&mut oracle.graph, source.id, &source.schema, true, &mut oracle.ids).unwrap();
        oracle.hydrate();
        let scan = |name: &str| Plan::scan(name, source.clone(), None).unwrap();
        let counts = scan("r").aggregate(vec![col("r.k")], vec![count(lit(1i64)).alias("n")]).unwrap();
        let counts = counts.project(vec![col("r.k").alias("rk"), col("n")]).unwrap().build().unwrap();
        let plan = scan("l").filter(col("l.v").gt(lit(5i64))).unwrap();
        let plan = plan.join(counts, JoinType::Inner, (vec!["l.k"], vec!["rk"]), None).unwrap();
        let plan = plan.project(vec![col("l.k"), col("l.v"), col("n")]).unwrap().build().unwrap();
        let view = ObjectId(50);
        let optimized = optimize_view(plan.clone()).unwrap();
        let schema = view_schema(&plan);
        let steps = |oracle: &mut Oracle| {
            for at in 0..8 {
                oracle.epoch = oracle.epoch.next();
                oracle.graph.step(oracle.epoch, vec![(node, batch(&source, at))]).unwrap();
            }
        };
        if hydrated {
            steps(&mut oracle);
        }
        lower_view(&optimized, view, schema, &mut oracle.graph, &mut oracle.ids).unwrap();
        if hydrated {
            oracle.graph.claim(view).unwrap();
            let mut asked = 0;
            let mut history = |_: ObjectId, _: &Parts| {
                asked += 1;
                let rows = (0..8).map(|at| batch(&source, at)).collect::<Vec<ZSet>>();
                Ok((Box::new(rows.into_iter().map(Ok)) as crate::dataflow::Rows, 16))
            };
            let progress = Arc::new(Progress::default());
            let hydration = oracle.graph.set_aside(view, oracle.epoch, &mut history, progress.clone()).unwrap();
            assert_eq!(asked, 1);
            let spliced = oracle.graph.splice(hydration).unwrap();
            oracle.epoch = oracle.epoch.max(spliced);
            assert_eq!(progress.status().rows, 16);
        } else {
            let mut nothing = |_: ObjectId, _: &Parts| Ok((Box::new(std::iter::empty()) as crate::dataflow::Rows, 0));
            oracle.epoch = oracle.graph.hydrate(oracle.epoch, &mut nothing).unwrap();
            steps(&mut oracle);
        }
        answers.push(oracle.rows(view));
    }
    assert!(answers[0].len() > 3);
    assert_eq!(answers[0], answers[1]);
}

/// Rows of one key, of which a join makes very many pairs.
fn alike(count: i32, weight: i64) -> Vec<(Row, i64)> {
    (0..count).map(|at| ((at, Some(1), None, None), weight)).collect()
}

fn joined(aside: &Aside) -> LogicalPlan {
    let scan = |name: &str, table| Plan::scan(name, aside.oracle.source(table).clone(), None).unwrap();
    let right = scan("y", 2).build().unwrap();
    let pairs = scan("x", 1).join(right, JoinType::Inner, (vec!["x.k"], vec!["y.k"]), None).unwrap();
    pairs.aggregate(Vec::<Expr>::new(), vec![count(lit(1i64)).alias("n")]).unwrap().build().unwrap()
}

fn step(oracle: &mut Oracle, changes: &[(usize, i32, i64)]) {
    oracle.epoch = oracle.epoch.next();
    let input = |(table, rows, weight): &(usize, i32, i64)| {
        let (table, node) = &oracle.tables[*table];
        (*node, zset(&table.source, &alike(*rows, *weight)))
    };
    let inputs = changes.iter().map(input).collect();
    oracle.graph.step(oracle.epoch, inputs).unwrap();
}

#[test]
fn many_pairs_are_made_in_pieces() {
    let mut aside = Aside::new(1, 8192);
    step(&mut aside.oracle, &[(1, 600, 1), (2, 600, 1)]);
    let plan = joined(&aside);
    let id = aside.create("pairs", plan);
    let (view, mut hydration) = aside.running.pop().unwrap();
    let mut emitted = 0;
    while hydration.advance().unwrap() == Stage::Reading {
        assert!(hydration.emitted() - emitted < 100_000);
        emitted = hydration.emitted();
    }
    assert!(emitted >= 360_000, "{emitted}");
    aside.splice(view, hydration);
    assert_eq!(aside.oracle.rows(id), ["360000"]);
}

/// Rows that are gone stay in the tables that a hydration reads, and in no others.
#[test]
fn only_what_a_hydration_reads_is_kept_for_it() {
    let mut aside = Aside::new(1, 8192);
    step(&mut aside.oracle, &[(0, 50, 1), (1, 50, 1), (2, 50, 1)]);
    let plan = joined(&aside);
    let id = aside.create("pairs", plan);
    let began = aside.oracle.epoch;
    step(&mut aside.oracle, &[(0, 50, -1), (1, 50, -1), (2, 20, -1)]);
    aside.oracle.graph.compact(aside.oracle.epoch).unwrap();
    let readable = |table: usize| {
        let store = aside.oracle.graph.rows(aside.oracle.source(table).id).unwrap();
        store.snapshot(began).zsets().all(|rows| rows.is_ok())
    };
    assert_eq!([0, 1, 2].map(readable), [false, true, true]);
    aside.finish();
    assert_eq!(aside.oracle.rows(id), ["0"]);
}

/// Between the pieces steps go on, and whoever drives the hydration can stop.
#[test]
fn an_index_over_many_rows_is_made_in_pieces() {
    const ROWS: i32 = 200_000;
    let mut aside = Aside::new(1, 8192);
    let change = |oracle: &mut Oracle, changes: [(usize, Vec<(Row, i64)>); 2]| {
        oracle.epoch = oracle.epoch.next();
        let input = |(table, rows): (usize, Vec<(Row, i64)>)| {
            let (table, node) = &oracle.tables[table];
            (*node, zset(&table.source, &rows))
        };
        let inputs = changes.map(input).into();
        oracle.graph.step(oracle.epoch, inputs).unwrap();
        oracle.graph.compact(oracle.epoch).unwrap();
    };
    let row = |key: i32, weight: i64| ((0, Some(key), None, None), weight);
    let many = (0..ROWS).map(|key| row(key, 1)).collect();
    change(&mut aside.oracle, [(1, many), (2, (0..20).map(|key| row(key * 9_999, 1)).collect())]);
    let plan = joined(&aside);
    let id = aside.create("pairs", plan);
    let (view, mut hydration) = aside.running.pop().unwrap();
    let store = aside.oracle.graph.rows(aside.oracle.source(1).id).unwrap().clone();
    let mut pieces = 0;
    while store.snapshot(aside.oracle.epoch).indexes().is_empty() {
        assert_eq!(hydration.advance().unwrap(), Stage::Reading);
        // Each takes one pair away, and brings two.
        let moved = vec![row(pieces * 9_999, -1), row(ROWS + pieces, 1), row(189_981, 1)];
        change(&mut aside.oracle, [(1, moved), (2, vec![row(ROWS + pieces, 1)])]);
        pieces += 1;
    }
    assert!(pieces > 2, "{pieces}");
    aside.splice(view, hydration);
    assert_eq!(aside.oracle.rows(id), [(20 + pieces).to_string()]);
}
