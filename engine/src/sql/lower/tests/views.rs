//! The views that the oracle checks, each a logical plan.

use std::sync::Arc;

use datafusion::common::{Column, JoinType};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min, sum};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder as Plan, SortExpr, case, col, exists, in_subquery, lit,
    not_exists, not_in_subquery, out_ref_col, scalar_subquery,
};

use crate::catalog::RelationSource;

type Source = Arc<RelationSource>;

fn scan(source: &Source, alias: &str) -> Plan {
    Plan::scan(alias, source.clone(), None).unwrap()
}

fn on(left: &str, right: &str) -> (Vec<Column>, Vec<Column>) {
    (vec![Column::from_qualified_name(left)], vec![Column::from_qualified_name(right)])
}

/// Names and plans over a keyed table `a` and tables `b` and `c` with duplicates.
pub fn all(a: &Source, b: &Source, c: &Source) -> Vec<(String, LogicalPlan)> {
    let mut views = linear(a, b);
    views.extend(joins(a, b, c));
    views.extend(subqueries(a, b, c));
    views.extend(grouped(a, b, c));
    views.extend(top(a, b));
    views.extend(equal_rows(a, b));
    views.into_iter().map(|(name, plan)| (name.to_owned(), plan.build().unwrap())).collect()
}

fn linear(a: &Source, b: &Source) -> Vec<(&'static str, Plan)> {
    let doubled = scan(a, "a").project(vec![col("id"), (col("v") + col("v")).alias("w"), col("s")]).unwrap();
    let part = |source: &Source, name| scan(source, name).project(vec![col("k"), col("s")]).unwrap();
    vec![
        ("whole table", scan(a, "a")),
        ("whole table with duplicates", scan(b, "b")),
        ("filter", scan(a, "a").filter(col("v").gt(lit(1i64)).and(col("k").is_not_null())).unwrap()),
        ("filter over computed", doubled.clone().filter(col("w").gt(lit(2i64))).unwrap()),
        ("computed over computed", doubled.project(vec![(col("w") * col("w")).alias("x"), col("w")]).unwrap()),
        ("case", {
            let value =
                case(col("k")).when(lit(1), lit("one")).when(lit(2), lit("two")).otherwise(lit("many")).unwrap();
            scan(b, "b").project(vec![value.alias("x"), col("s")]).unwrap()
        }),
        ("union all", part(a, "a").union(part(b, "b").build().unwrap()).unwrap()),
        ("union all of itself", part(a, "a").union(part(a, "a2").build().unwrap()).unwrap()),
        ("union", part(a, "a").union_distinct(part(b, "b").build().unwrap()).unwrap()),
        ("distinct", part(b, "b").distinct().unwrap()),
        ("distinct of a key", scan(a, "a").project(vec![col("id"), col("s")]).unwrap().distinct().unwrap()),
        ("values", Plan::values(vec![vec![lit(1i64), lit("x")], vec![lit(2i64), lit("y")]]).unwrap()),
        ("values and rows", {
            let values = Plan::values(vec![vec![lit(1i32), lit("x")], vec![lit(1i32), lit("x")]]).unwrap();
            values.union(part(b, "b").build().unwrap()).unwrap()
        }),
        ("no from", Plan::empty(true).project(vec![lit(1i64).alias("one")]).unwrap()),
    ]
}

fn joins(a: &Source, b: &Source, c: &Source) -> Vec<(&'static str, Plan)> {
    let mut views = Vec::new();
    let kinds = [
        ("inner", JoinType::Inner),
        ("left", JoinType::Left),
        ("right", JoinType::Right),
        ("full", JoinType::Full),
        ("semi", JoinType::LeftSemi),
        ("anti", JoinType::LeftAnti),
        ("right semi", JoinType::RightSemi),
        ("right anti", JoinType::RightAnti),
        ("mark", JoinType::LeftMark),
    ];
    let residual = || col("a.v").lt(col("b.v"));
    for (name, kind) in kinds {
        let right = || scan(b, "b").build().unwrap();
        let named = |suffix: &str| -> &'static str { Box::leak(format!("{name} join{suffix}").into_boxed_str()) };
        views.push((named(""), scan(a, "a").join(right(), kind, on("a.k", "b.k"), None).unwrap()));
        views.push((named(" where"), scan(a, "a").join(right(), kind, on("a.k", "b.k"), Some(residual())).unwrap()));
        let filtered = scan(b, "b").filter(col("v").gt(lit(0i64))).unwrap().build().unwrap();
        views.push((named(" of filtered"), scan(a, "a").join(filtered, kind, on("a.k", "b.k"), None).unwrap()));
        views.push((named(" without key"), scan(a, "a").join_on(right(), kind, [residual()]).unwrap()));
    }
    let self_join = scan(b, "b1").join(scan(b, "b2").build().unwrap(), JoinType::Inner, on("b1.k", "b2.v"), None);
    views.push(("join of itself by other column", {
        let right = scan(b, "b2").project(vec![col("k"), col("s")]).unwrap().build().unwrap();
        scan(b, "b1").join(right, JoinType::Inner, on("b1.k", "b2.k"), None).unwrap()
    }));
    drop(self_join);
    views.push(("left join of itself", {
        let right = scan(a, "a2").build().unwrap();
        scan(a, "a1").join(right, JoinType::Left, on("a1.id", "a2.k"), None).unwrap()
    }));
    views.push(("two keys", {
        let keys = (
            vec![Column::from_qualified_name("a.k"), Column::from_qualified_name("a.s")],
            vec![Column::from_qualified_name("b.k"), Column::from_qualified_name("b.s")],
        );
        scan(a, "a").join(scan(b, "b").build().unwrap(), JoinType::Left, keys, None).unwrap()
    }));
    views.push(("computed key", {
        let keys = (vec![col("a.k") + lit(1)], vec![col("b.id")]);
        scan(a, "a").join_with_expr_keys(scan(b, "b").build().unwrap(), JoinType::Left, keys, None).unwrap()
    }));
    views.push(("three tables", {
        let two = scan(a, "a").join(scan(b, "b").build().unwrap(), JoinType::Inner, on("a.k", "b.k"), None).unwrap();
        two.join(scan(c, "c").build().unwrap(), JoinType::Left, on("b.id", "c.id"), None).unwrap()
    }));
    views.push(("cross join", {
        let keys = scan(a, "a").filter(col("id").lt(lit(5))).unwrap().project(vec![col("id")]).unwrap();
        keys.cross_join(scan(b, "b").build().unwrap()).unwrap()
    }));
    let side = |source: &Source, name| scan(source, name).project(vec![col("k"), col("v")]).unwrap();
    let build = |plan: Plan| plan.build().unwrap();
    views.push(("intersect", Plan::from(Plan::intersect(build(side(a, "a")), build(side(b, "b")), false).unwrap())));
    views.push(("except", Plan::from(Plan::except(build(side(a, "a")), build(side(b, "b")), false).unwrap())));
    views
}

fn subqueries(a: &Source, b: &Source, c: &Source) -> Vec<(&'static str, Plan)> {
    let keys = |source: &Source, name| Arc::new(scan(source, name).project(vec![col("k")]).unwrap().build().unwrap());
    let known = |source: &Source, name| {
        let rows = scan(source, name).filter(col("k").is_not_null().and(col("v").gt(lit(1i64)))).unwrap();
        Arc::new(rows.project(vec![col("k")]).unwrap().build().unwrap())
    };
    let correlated = |source: &Source, name: &str| {
        let same = col(format!("{name}.k")).eq(out_ref_col(arrow::datatypes::DataType::Int32, "a.k"));
        scan(source, name).filter(same).unwrap()
    };
    let matching = || Arc::new(correlated(b, "b").project(vec![col("b.id")]).unwrap().build().unwrap());
    // No key, and a condition over both sides.
    let bounds = || {
        let outer = |name: &str| out_ref_col(arrow::datatypes::DataType::Int64, name);
        let within = col("b.v").lt_eq(outer("a.v")).and(outer("a.v").lt_eq(col("b.v") + lit(1i64)));
        Arc::new(scan(b, "b").filter(within).unwrap().project(vec![col("b.id")]).unwrap().build().unwrap())
    };
    let total = |call: Expr| {
        let rows = correlated(b, "b").aggregate(Vec::<Expr>::new(), vec![call.alias("n")]).unwrap();
        scalar_subquery(Arc::new(rows.project(vec![col("n")]).unwrap().build().unwrap()))
    };
    let most = || {
        let rows = scan(c, "c").aggregate(Vec::<Expr>::new(), vec![max(col("v")).alias("m")]).unwrap();
        scalar_subquery(Arc::new(rows.project(vec![col("m")]).unwrap().build().unwrap()))
    };
    let filtered = |predicate: Expr| scan(a, "a").filter(predicate).unwrap();
    vec![
        ("in", filtered(in_subquery(col("a.k"), keys(b, "b")))),
        ("not in", filtered(not_in_subquery(col("a.k"), keys(b, "b")))),
        ("not in what has no null", filtered(not_in_subquery(col("a.k"), known(b, "b")))),
        ("exists", filtered(exists(matching()))),
        ("not exists", filtered(not_exists(matching()))),
        ("not exists within bounds", filtered(not_exists(bounds()))),
        ("exists within bounds or", filtered(exists(bounds()).or(col("a.v").eq(lit(0i64))))),
        ("exists or", filtered(exists(matching()).or(col("a.v").eq(lit(0i64))))),
        ("in or", filtered(in_subquery(col("a.k"), keys(c, "c")).or(col("a.v").eq(lit(0i64))))),
        ("scalar", filtered(col("a.v").eq(most()))),
        ("scalar in select", scan(a, "a").project(vec![col("a.id"), most().alias("m")]).unwrap()),
        ("correlated sum", filtered(col("a.v").lt(total(sum(col("b.v")))))),
        ("correlated count", scan(a, "a").project(vec![col("a.id"), total(count(lit(1i64))).alias("n")]).unwrap()),
    ]
}

fn grouped(a: &Source, b: &Source, c: &Source) -> Vec<(&'static str, Plan)> {
    let group = |plan: Plan, keys: Vec<Expr>, calls: Vec<Expr>| plan.aggregate(keys, calls).unwrap();
    let calls = || {
        vec![count(lit(1i64)).alias("n"), sum(col("v")).alias("t"), min(col("v")).alias("l"), max(col("s")).alias("m")]
    };
    let having = group(scan(b, "b"), vec![col("k")], calls()).filter(col("n").gt(lit(1i64))).unwrap();
    let joined = scan(a, "a").join(scan(b, "b").build().unwrap(), JoinType::Left, on("a.k", "b.k"), None).unwrap();
    let per_key = group(scan(b, "b"), vec![col("b.k")], vec![count(lit(1i64)).alias("n")]).build().unwrap();
    let some = count(col("v")).filter(col("k").eq(lit(1))).build().unwrap();
    vec![
        ("grouped", group(scan(b, "b"), vec![col("k")], calls())),
        ("global", group(scan(b, "b"), vec![], calls())),
        ("global of none", group(scan(b, "b").filter(col("id").lt(lit(0))).unwrap(), vec![], calls())),
        ("having", having.project(vec![col("k"), col("t")]).unwrap()),
        ("computed group", group(scan(a, "a"), vec![(col("k") + lit(1)).alias("g")], vec![sum(col("v") * col("v"))])),
        ("filtered aggregate", group(scan(b, "b"), vec![col("s")], vec![some.alias("n"), count(col("v")).alias("m")])),
        ("distinct aggregate", group(scan(b, "b"), vec![col("k")], vec![count_distinct(col("s")).alias("n")])),
        (
            "grouped join",
            group(joined, vec![col("a.s")], vec![count(col("b.id")).alias("n"), sum(col("a.v")).alias("t")]),
        ),
        ("join of grouped", {
            let keys = on("a.k", "b.k");
            scan(a, "a").join(per_key.clone(), JoinType::Left, keys, None).unwrap()
        }),
        ("grouped twice", group(Plan::from(per_key), vec![col("n")], vec![count(lit(1i64)).alias("m")])),
        ("cross join of one row", {
            let one = group(scan(c, "c"), vec![], vec![max(col("c.v")).alias("m")]).build().unwrap();
            scan(a, "a").project(vec![col("a.id")]).unwrap().cross_join(one).unwrap()
        }),
        ("group without aggregate", group(scan(b, "b"), vec![col("k"), col("s")], vec![])),
    ]
}

/// The first row of each group, in two forms: DataFusion executes only the second.
pub fn first_of_each(b: &Source) -> [LogicalPlan; 2] {
    let columns = || vec![col("k"), col("v"), col("s")];
    let by_key = std::iter::once(col("k").sort(true, false)).chain(order()).collect();
    let distinct = scan(b, "b").distinct_on(vec![col("k")], columns(), Some(by_key)).unwrap();
    let numbered = numbered(b).filter(col("n").eq(lit(1u64))).unwrap().project(columns()).unwrap();
    [distinct, numbered].map(|plan| plan.build().unwrap())
}

fn order() -> Vec<SortExpr> {
    let ascending = |name: &str| col(name).sort(true, false);
    vec![col("v").sort(false, true), ascending("id"), ascending("k"), ascending("s")]
}

fn numbered(b: &Source) -> Plan {
    let number = row_number().partition_by(vec![col("k")]).order_by(order()).build().unwrap().alias("n");
    scan(b, "b").window(vec![number]).unwrap()
}

fn top(a: &Source, b: &Source) -> Vec<(&'static str, Plan)> {
    let first = |condition: Expr| numbered(b).filter(condition).unwrap();
    vec![
        ("top", scan(b, "b").sort(order()).unwrap().limit(0, Some(5)).unwrap()),
        ("top after offset", scan(b, "b").sort(order()).unwrap().limit(2, Some(3)).unwrap()),
        ("top by a dropped column", {
            scan(a, "a").sort(order()).unwrap().project(vec![col("s")]).unwrap().limit(0, Some(4)).unwrap()
        }),
        ("first of each", first(lit(1u64).eq(col("n"))).project(vec![col("id"), col("k"), col("n")]).unwrap()),
        ("first three of each", first(col("n").lt_eq(lit(3u64))).project(vec![col("id"), col("v"), col("s")]).unwrap()),
        ("second and third of each", {
            let range = col("n").gt(lit(1u64)).and(col("n").lt(lit(4u64))).and(col("v").gt(lit(0i64)));
            first(range).project(vec![col("v"), col("s")]).unwrap()
        }),
        ("sorted", scan(a, "a").sort(order()).unwrap()),
    ]
}

/// Views whose rows are equal without being the same: they have an interval, but not the text that it goes with.
fn equal_rows(a: &Source, b: &Source) -> Vec<(&'static str, Plan)> {
    let rows = |source: &Source, name| scan(source, name).project(vec![col("k"), col("v"), col("w")]).unwrap();
    let part = |source: &Source, name| scan(source, name).project(vec![col("k"), col("w")]).unwrap();
    let join = |kind| {
        let right = part(b, "b").build().unwrap();
        part(a, "a").join(right, kind, on("a.k", "b.k"), None).unwrap()
    };
    let order = || ["v", "k", "w"].map(|name| col(name).sort(true, false)).to_vec();
    let first = |condition: Expr| {
        let number = row_number().partition_by(vec![col("k")]).order_by(order()).build().unwrap().alias("n");
        let rows = rows(b, "b").window(vec![number]).unwrap().filter(condition).unwrap();
        rows.project(vec![col("k"), col("w")]).unwrap()
    };
    let semi = |kind| {
        let right = scan(a, "a").filter(col("a.v").gt(lit(0i64))).unwrap().build().unwrap();
        part(b, "b").join(right, kind, on("b.k", "a.k"), None).unwrap()
    };
    vec![
        ("equal rows", part(b, "b")),
        ("equal rows of two tables", part(a, "a").union(part(b, "b").build().unwrap()).unwrap()),
        ("equal rows that meet", join(JoinType::Inner)),
        ("equal rows that meet or not", join(JoinType::Left)),
        ("all equal rows", join(JoinType::Full)),
        ("equal rows with a match", semi(JoinType::LeftSemi)),
        ("equal rows without a match", semi(JoinType::LeftAnti)),
        ("top of equal rows", rows(b, "b").sort(order()).unwrap().limit(0, Some(6)).unwrap()),
        ("top of equal rows after some", rows(b, "b").sort(order()).unwrap().limit(3, Some(4)).unwrap()),
        ("first of equal rows", first(col("n").eq(lit(1u64)))),
        ("first three of equal rows", first(col("n").lt_eq(lit(3u64)))),
    ]
}
