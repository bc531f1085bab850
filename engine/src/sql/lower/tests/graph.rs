//! The graph itself: sharing, cost, determinism, refusals.

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlanBuilder as Plan, col, lit};
use levada_testing::Dice;

use super::oracle::{Oracle, view_schema};
use super::random::{Row, Table, zset};
use crate::data::{ObjectId, Parts, ZSet};
use crate::sql::lower::{add_source, lower_view};
use crate::sql::optimize_view;

fn scan(oracle: &Oracle, table: usize, alias: &str) -> Plan {
    Plan::scan(alias, oracle.source(table).clone(), None).unwrap()
}

#[test]
fn equal_plans_share_their_nodes_whatever_they_call_columns() {
    let mut oracle = Oracle::new(1);
    let grouped = |oracle: &Oracle, name: &str, out: &str| {
        let k = col(format!("{name}.k"));
        scan(oracle, 1, name).aggregate(vec![k], vec![count(lit(1i64)).alias(out)]).unwrap().build().unwrap()
    };
    let (first, second) = (grouped(&oracle, "x", "n"), grouped(&oracle, "y", "m"));
    oracle.create("first", first);
    let nodes = oracle.graph.len();
    oracle.create("second", second);
    assert_eq!(oracle.graph.len(), nodes + 1);
}

#[test]
fn a_join_reads_the_rows_of_tables_where_they_are() {
    let mut oracle = Oracle::new(1);
    let keys = (vec!["a.k"], vec!["b.k"]);
    let plan = scan(&oracle, 0, "a").join(scan(&oracle, 1, "b").build().unwrap(), JoinType::Inner, keys, None).unwrap();
    let nodes = oracle.graph.len();
    let joined = oracle.create("joined", plan.build().unwrap());
    // The join and the view.
    assert_eq!(oracle.graph.len(), nodes + 2);
    let lines = oracle.graph.explain(joined).unwrap();
    let shown: Vec<(usize, &str)> = lines.iter().map(|line| (line.depth, line.operator.as_str())).collect();
    let join = "join inner nulls_match=false left[[1][0, 1, 2, 3, 4]] right[[1][0, 1, 2, 3, 4]] where[]";
    assert_eq!(shown, [(0, "view 100 None"), (1, join), (2, "table 1"), (2, "table 2")]);
}

#[test]
fn idle_views_are_not_visited() {
    let mut oracle = Oracle::new(1);
    for at in 0..1000 {
        let plan = scan(&oracle, 0, "a").filter(col("v").gt(lit(at as i64))).unwrap();
        oracle.create("idle", plan.project(vec![col("id")]).unwrap().build().unwrap());
    }
    let plan = scan(&oracle, 1, "b").filter(col("v").gt(lit(0i64))).unwrap().build().unwrap();
    let busy = oracle.create("busy", plan);
    let mut took = Vec::new();
    for id in 0..200 {
        let row: Row = (id, None, Some(7), None);
        let change = zset(&oracle.tables[1].0.source, &[(row, 1)]);
        oracle.epoch = oracle.epoch.next();
        let start = std::time::Instant::now();
        let report = oracle.graph.step(oracle.epoch, vec![(oracle.tables[1].1, change)]).unwrap();
        took.push(start.elapsed());
        assert_eq!(report.visited, 3);
        assert_eq!(report.changes.len(), 2);
    }
    took.sort_unstable();
    println!("a step beside 1,000 idle views: {:?} (median)", took[took.len() / 2]);
    assert_eq!(oracle.rows(busy).len(), 200);
}

/// A source keeps no rows: a view that comes later is fed its history, but for what nodes it shares remember.
#[test]
fn a_view_over_a_source_is_fed_the_history() {
    let mut oracle = Oracle::new(1);
    let table = Table::new(9, "events", false);
    let source = table.source.clone();
    let node = add_source(&mut oracle.graph, source.id, &source.schema, true, &mut oracle.ids).unwrap();
    oracle.hydrate();
    let batches: Vec<ZSet> = (0..4)
        .map(|at| zset(&source, &[((at, Some(at % 2), Some(10), None), 1), ((at, None, Some(1), None), 1)]))
        .collect();
    for batch in &batches {
        oracle.epoch = oracle.epoch.next();
        oracle.graph.step(oracle.epoch, vec![(node, batch.clone())]).unwrap();
    }
    let mut asked = 0;
    let mut view = |oracle: &mut Oracle, id: u32, plan: Plan| {
        let plan = plan.build().unwrap();
        let optimized = optimize_view(plan.clone()).unwrap();
        let view = ObjectId(id);
        lower_view(&optimized, view, view_schema(&plan), &mut oracle.graph, &mut oracle.ids).unwrap();
        let history = batches.clone();
        let mut replay = |relation: ObjectId, _: &Parts| {
            assert_eq!(relation, source.id);
            asked += 1;
            Ok((Box::new(history.clone().into_iter().map(Ok)) as crate::dataflow::Rows, history.len() as u64))
        };
        oracle.epoch = oracle.graph.hydrate(oracle.epoch, &mut replay).unwrap();
        (oracle.rows(view), asked)
    };
    let events = || Plan::scan("e", source.clone(), None).unwrap();
    let grouped = || events().aggregate(vec![col("k")], vec![count(lit(1i64)).alias("n")]).unwrap();
    let counts = ["0|2", "1|2", "NULL|4"].map(str::to_owned).to_vec();
    assert_eq!(view(&mut oracle, 50, grouped()), (counts.clone(), 1));
    // The groups are there already: nothing is read again.
    assert_eq!(view(&mut oracle, 51, grouped()), (counts, 1));
    let large = events().filter(col("v").gt(lit(5i64))).unwrap().project(vec![col("id")]).unwrap();
    assert_eq!(view(&mut oracle, 52, large).0.len(), 4);
    let right = events().filter(col("v").lt(lit(5i64))).unwrap().build().unwrap();
    let right = Plan::from(right).alias("r").unwrap().build().unwrap();
    let joined = Plan::scan("l", source.clone(), None).unwrap();
    let joined = joined.join(right, JoinType::Left, (vec!["l.id"], vec!["r.id"]), None).unwrap();
    assert_eq!(view(&mut oracle, 53, joined).0.len(), 8);
}

/// Enough rows for several tasks a node.
#[test]
fn the_number_of_threads_changes_nothing() {
    let outputs: Vec<Vec<String>> = [1, 2, 7].map(large_run).to_vec();
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
}

fn large_run(threads: usize) -> Vec<String> {
    let mut oracle = Oracle::new(threads);
    let keys = (vec!["a.k"], vec!["b.id"]);
    let plan = scan(&oracle, 0, "a").join(scan(&oracle, 1, "b").build().unwrap(), JoinType::Left, keys, None).unwrap();
    let plan = plan.project(vec![col("a.id"), (col("a.v") + col("b.v")).alias("t"), col("b.s")]).unwrap();
    oracle.create("joined", plan.build().unwrap());
    let keys = (vec!["a.k"], vec!["b.id"]);
    let condition = Some(col("a.v").lt(col("b.v")));
    let right = scan(&oracle, 1, "b").build().unwrap();
    let plan = scan(&oracle, 0, "a").join(right, JoinType::LeftAnti, keys, condition).unwrap();
    oracle.create("without", plan.build().unwrap());
    let mut random = Dice::new(9);
    let mut outputs = Vec::new();
    for step in 0..3 {
        let rows = |random: &mut Dice| -> Vec<(Row, i64)> {
            (0..30_000)
                .map(|id| {
                    let k = random.below(20_000) as i32;
                    ((step * 30_000 + id, Some(k), Some(random.below(9) as i64), Some("x".into())), 1)
                })
                .collect()
        };
        let inputs = (0..2)
            .map(|table| (oracle.tables[table].1, zset(&oracle.tables[table].0.source, &rows(&mut random))))
            .collect();
        oracle.epoch = oracle.epoch.next();
        for (relation, change) in oracle.graph.step(oracle.epoch, inputs).unwrap().changes {
            outputs.push(format!("{relation} {:?} {:?}", change.batch(), change.weights()));
        }
    }
    outputs
}

#[test]
fn what_cannot_be_maintained_is_refused_by_name() {
    let mut oracle = Oracle::new(1);
    let refused = |oracle: &mut Oracle, plan: Plan| {
        let plan = plan.build().unwrap();
        let nodes = oracle.graph.len();
        let error = optimize_view(plan.clone())
            .and_then(|optimized| {
                lower_view(&optimized, ObjectId(99), view_schema(&plan), &mut oracle.graph, &mut oracle.ids)
            })
            .expect_err("refused");
        assert_eq!(error.sqlstate().code(), "0A000", "{error}");
        assert_eq!(oracle.graph.len(), nodes, "a refused view leaves nothing behind");
        error.message().to_owned()
    };
    let number = datafusion::functions_window::expr_fn::row_number();
    let window = scan(&oracle, 0, "a").window(vec![number]).unwrap();
    assert!(refused(&mut oracle, window).starts_with("using the number that row_number() gives"));
    let rank = datafusion::functions_window::expr_fn::rank();
    let window = scan(&oracle, 0, "a").window(vec![rank]).unwrap();
    assert!(refused(&mut oracle, window).starts_with("a window function (OVER) other than"));
    let random = scan(&oracle, 0, "a").project(vec![datafusion::functions::expr_fn::random()]).unwrap();
    assert_eq!(refused(&mut oracle, random), "random() in a materialized view is not supported");
}
