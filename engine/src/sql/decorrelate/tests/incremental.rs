//! The corpus as views, kept up to date while the tables go from one version to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Int64Array;
use datafusion::logical_expr::LogicalPlan;

use super::corpus::{Case, Corpus, shown};
use crate::data::{Epoch, ObjectId, OperatorId, Parts, ZSet};
use crate::dataflow::{Fingerprint, Graph, NodeId, OperatorIds};
use crate::error::{Error, Result};
use crate::sql::bind::Purpose;
use crate::sql::{add_table, lower_view, optimize_view};

const VIEW: ObjectId = ObjectId(1000);

/// What views cannot do, whether in a subquery or not.
const REFUSED: [&str; 3] = ["the aggregate function", "a window function (OVER)", "using the number that row_number()"];

#[test]
fn views_follow_their_tables() {
    let corpus = Corpus::recorded();
    let (mut failures, mut followed) = (Vec::new(), 0);
    for case in &corpus.cases {
        match follow(&corpus, case) {
            Ok(None) => followed += 1,
            Ok(Some(failure)) => failures.push(failure),
            Err(error) if REFUSED.iter().any(|refused| error.message().starts_with(refused)) => {}
            Err(error) => failures.push(format!("{}\n{error} {:?}\n", case.sql, error.detail())),
        }
    }
    assert!(failures.is_empty(), "{} differ\n\n{}", failures.len(), failures.join("\n"));
    assert!(followed >= 140, "only {followed} views could be made");
}

/// What brings the tables to a version from the one before.
fn changes(corpus: &Corpus, tables: &[NodeId], version: usize) -> Result<Vec<(NodeId, ZSet)>> {
    let mut inputs = Vec::new();
    for (table, node) in tables.iter().enumerate() {
        let new = corpus.versions[version][table].clone();
        let mut parts = vec![ZSet::inserts(new.clone())];
        if version > 0 {
            let old = corpus.versions[version - 1][table].clone();
            let gone = Int64Array::from(vec![-1; old.num_rows()]);
            parts.push(ZSet::new(old, gone));
        }
        inputs.push((*node, ZSet::concat(&new.schema(), &parts)?));
    }
    Ok(inputs)
}

/// The corpus as views that are made when the tables are at their first version, and hydrated aside while they go on.
#[test]
fn views_that_come_late_have_the_last_answer() {
    let corpus = Corpus::recorded();
    let (mut failures, mut followed) = (Vec::new(), 0);
    for (at, case) in corpus.cases.iter().enumerate() {
        match come_late(&corpus, case, 1 + at % 4) {
            Ok(None) => followed += 1,
            Ok(Some(failure)) => failures.push(failure),
            Err(error) if REFUSED.iter().any(|refused| error.message().starts_with(refused)) => {}
            Err(error) => failures.push(format!("{}\n{error} {:?}\n", case.sql, error.detail())),
        }
    }
    assert!(failures.is_empty(), "{} differ\n\n{}", failures.len(), failures.join("\n"));
    assert!(followed >= 140, "only {followed} views could be made");
}

/// The view of a case, fed so many rows at once, where its last answer is wrong.
fn come_late(corpus: &Corpus, case: &Case, slice: usize) -> Result<Option<String>> {
    let mut ids = operator_ids();
    let mut graph = Graph::new(OperatorId(0), OperatorId(u32::MAX), 1)?;
    graph.set_slice(slice);
    let mut no_history = |_: ObjectId, _: &Parts| Err(Error::internal("asked for a history"));
    let mut tables: Vec<NodeId> = Vec::new();
    for source in &corpus.sources {
        tables.push(add_table(&mut graph, source.id, &source.schema, false, &mut ids)?);
    }
    let mut epoch = graph.hydrate(Epoch(1), &mut no_history)?.next();
    graph.step(epoch, changes(corpus, &tables, 0)?)?;
    lower(corpus, case, &mut graph, &mut ids)?;
    graph.claim(VIEW)?;
    let mut hydration = graph.set_aside(VIEW, epoch, &mut no_history, Arc::default())?;
    for version in 1..case.answers.len() {
        for _ in 0..version * slice {
            hydration.advance()?;
        }
        epoch = epoch.next();
        graph.step(epoch, changes(corpus, &tables, version)?)?;
        graph.compact(epoch)?;
    }
    epoch = epoch.max(graph.splice(hydration)?);
    let expected = case.answers.last().map_or("", String::as_str);
    let rows = graph.rows(VIEW).ok_or_else(|| Error::internal("no view"))?.snapshot(epoch);
    let found = shown(&rows.batches().collect::<Result<Vec<_>>>()?);
    // A failing row is left out of a view, where a query fails.
    let same = expected.starts_with("ERROR") || found == *expected;
    Ok((!same).then(|| format!("{}\nexpected: {expected}\nfound:    {found}\n", case.sql)))
}

/// Adds the view of a case to the graph.
fn lower(corpus: &Corpus, case: &Case, graph: &mut Graph, ids: OperatorIds<'_>) -> Result<LogicalPlan> {
    let plan: LogicalPlan = optimize_view(corpus.bind(&case.sql, Purpose::View)?.plan)?;
    let fields = plan.schema().fields().iter().enumerate();
    let fields = fields.map(|(at, field)| field.as_ref().clone().with_name(format!("c{at}")).with_nullable(true));
    let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    lower_view(&plan, VIEW, schema.into(), graph, ids)?;
    Ok(plan)
}

/// The first answer that is wrong.
fn follow(corpus: &Corpus, case: &Case) -> Result<Option<String>> {
    let mut ids = operator_ids();
    let mut graph = Graph::new(OperatorId(0), OperatorId(u32::MAX), 1)?;
    let mut tables: Vec<NodeId> = Vec::new();
    for source in &corpus.sources {
        tables.push(add_table(&mut graph, source.id, &source.schema, false, &mut ids)?);
    }
    let plan = lower(corpus, case, &mut graph, &mut ids)?;
    let mut epoch = graph.hydrate(Epoch(1), &mut |_, _| Err(Error::internal("asked for a history")))?;
    for (version, expected) in case.answers.iter().enumerate() {
        epoch = epoch.next();
        graph.step(epoch, changes(corpus, &tables, version)?)?;
        // A failing row is left out of a view, where a query fails.
        if expected.starts_with("ERROR") {
            continue;
        }
        let rows = graph.rows(VIEW).ok_or_else(|| Error::internal("no view"))?.snapshot(epoch);
        let found = shown(&rows.batches().collect::<Result<Vec<_>>>()?);
        if found != *expected {
            let plan = plan.display_indent();
            let sql = &case.sql;
            return Ok(Some(format!("{sql}\nversion {version}\nexpected: {expected}\nfound:    {found}\n{plan}\n")));
        }
    }
    Ok(None)
}

fn operator_ids() -> impl FnMut(Fingerprint) -> Result<OperatorId> {
    let mut known: BTreeMap<Fingerprint, OperatorId> = BTreeMap::new();
    move |fingerprint| {
        let next = OperatorId(known.len() as u32 + 1);
        Ok(*known.entry(fingerprint).or_insert(next))
    }
}
