//! Rows that an expression fails on.

use datafusion::logical_expr::{LogicalPlanBuilder as Plan, col, lit};

use super::oracle::Oracle;
use super::random::{Row, zset};
use crate::data::{Epoch, ObjectId};

fn row(id: i32, v: i64) -> Row {
    (id, Some(id), Some(v), None)
}

fn step(oracle: &mut Oracle, delta: &[(Row, i64)]) {
    let change = zset(&oracle.tables[0].0.source, delta);
    oracle.epoch = oracle.epoch.next();
    oracle.graph.step(oracle.epoch, vec![(oracle.tables[0].1, change)]).unwrap();
}

fn failing(oracle: &mut Oracle, view: ObjectId) -> Vec<(String, String, i64)> {
    let errors = oracle.graph.view_errors();
    errors.rows(view).map(|(error, weight)| (error.sqlstate, error.row.unwrap_or_default(), weight)).collect()
}

#[test]
fn a_failing_row_is_left_out_until_it_is_mended() {
    let mut oracle = Oracle::new(1);
    let quotient = (lit(12i64) / col("v")).alias("q");
    let plan = Plan::scan("a", oracle.source(0).clone(), None).unwrap().project(vec![col("id"), quotient]).unwrap();
    let view = oracle.create("quotients", plan.build().unwrap());
    let rows: Vec<(Row, i64)> = (0..50).map(|id| (row(id, i64::from(id % 25)), 1)).collect();
    step(&mut oracle, &rows);
    assert_eq!(oracle.rows(view).len(), 48);
    let zero = |id: i32| ("22012".to_owned(), format!("({id}, {id}, 0, NULL, 24 hours)"), 1);
    assert_eq!(failing(&mut oracle, view), vec![zero(0), zero(25)]);

    step(&mut oracle, &[(row(0, 0), -1), (row(0, 6), 1)]);
    assert_eq!(failing(&mut oracle, view), vec![zero(25)]);
    assert!(oracle.rows(view).contains(&"0|2".to_owned()));

    step(&mut oracle, &[(row(25, 0), -1)]);
    assert_eq!(failing(&mut oracle, view), vec![]);
    assert_eq!(oracle.rows(view).len(), 49);
}

#[test]
fn a_condition_keeps_failing_rows_from_the_projection() {
    let mut oracle = Oracle::new(1);
    let scan = Plan::scan("a", oracle.source(0).clone(), None).unwrap();
    let plan = scan.filter(col("v").not_eq(lit(0i64))).unwrap();
    let plan = plan.project(vec![col("id"), (lit(12i64) / col("v")).alias("q")]).unwrap();
    let view = oracle.create("quotients", plan.build().unwrap());
    step(&mut oracle, &[(row(1, 0), 1), (row(2, 3), 1)]);
    assert_eq!(oracle.rows(view), vec!["2|4"]);
    assert_eq!(failing(&mut oracle, view), vec![]);
}

#[test]
fn a_new_view_finds_the_failing_rows_there_are() {
    let mut oracle = Oracle::new(1);
    step(&mut oracle, &[(row(1, 0), 1), (row(2, 3), 1)]);
    assert!(oracle.epoch > Epoch(1));
    let scan = |oracle: &Oracle| Plan::scan("a", oracle.source(0).clone(), None).unwrap();
    let quotients = |oracle: &Oracle| {
        scan(oracle).project(vec![col("id"), (lit(12i64) / col("v")).alias("q")]).unwrap().build().unwrap()
    };
    let (first, plan) = (quotients(&oracle), quotients(&oracle));
    let first = oracle.create("first", first);
    assert_eq!(failing(&mut oracle, first).len(), 1);
    // It shares the failing node, and does not count its rows again.
    let second = oracle.create("second", plan);
    let of_first = failing(&mut oracle, first);
    assert_eq!(failing(&mut oracle, second), of_first);
    assert_eq!(failing(&mut oracle, second)[0].2, 1);
    oracle.graph.remove(second).unwrap();
    assert_eq!(failing(&mut oracle, first).len(), 1);
}

/// Many failing rows take little memory; they are counted to the last one, and gone when their input is.
#[test]
fn failing_rows_beyond_those_that_are_kept_are_counted() {
    let mut oracle = Oracle::new(1);
    let quotient = (lit(12i64) / col("v")).alias("q");
    let plan = Plan::scan("a", oracle.source(0).clone(), None).unwrap().project(vec![col("id"), quotient]).unwrap();
    let view = oracle.create("quotients", plan.build().unwrap());
    let rows = |from: i32, to: i32, weight: i64| (from..to).map(|id| (row(id, 0), weight)).collect::<Vec<_>>();
    step(&mut oracle, &rows(0, 1500, 1));
    assert_eq!(failing(&mut oracle, view).len(), 1001);
    assert_eq!(failing(&mut oracle, view).last().unwrap(), &("22012".to_owned(), String::new(), 500));
    assert_eq!(oracle.graph.view_errors().count(view), 1500);
    // Of which ones go, those that are kept say so; others that come while some are only counted are counted.
    step(&mut oracle, &rows(100, 1500, -1));
    let kept = failing(&mut oracle, view).iter().map(|(_, _, count)| count).sum::<i64>();
    assert_eq!((kept, oracle.graph.view_errors().count(view)), (100, 100));
    step(&mut oracle, &rows(2000, 2010, 1));
    assert_eq!(oracle.graph.view_errors().count(view), 110);
    step(&mut oracle, &rows(2000, 2010, -1));
    step(&mut oracle, &rows(0, 100, -1));
    assert_eq!(failing(&mut oracle, view), vec![]);
    assert!(oracle.graph.view_errors().is_empty());
}
