//! The oracle: whatever happens to the tables, each view is the batch answer to its query.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemTable;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionContext;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};
use levada_testing::Dice;

use super::random::Table;
use super::views;
use crate::catalog::RelationSource;
use crate::data::{Column, Epoch, ObjectId, OperatorId, Parts, RelationSchema, SqlType};
use crate::dataflow::{Fingerprint, Graph, NodeId, Rows};
use crate::error::{Error, Result};
use crate::sql::lower::{add_table, lower_view};
use crate::sql::optimize_view;

/// Operator identifiers as a catalog gives them: a fingerprint's own, or one never used.
pub fn catalog(known: BTreeMap<Fingerprint, OperatorId>) -> impl FnMut(Fingerprint) -> Result<OperatorId> {
    let mut known = known;
    let mut next = known.values().map(|id| id.0).max().unwrap_or_default();
    move |fingerprint| {
        let mut new = || {
            next += 1;
            OperatorId(next)
        };
        Ok(*known.entry(fingerprint).or_insert_with(&mut new))
    }
}

/// Nothing here reads sources without store.
pub fn no_history(_: ObjectId, _: &Parts) -> Result<(Rows, u64)> {
    Err(Error::internal("asked for a history"))
}

/// Rows as text, in order.
pub fn sorted(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let text = |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>();
        rows.extend((0..batch.num_rows()).map(|row| text(row).join("|")));
    }
    rows.sort_unstable();
    rows
}

/// What a view's output is stored as.
pub fn view_schema(plan: &LogicalPlan) -> SchemaRef {
    let fields = plan.schema().fields().iter().enumerate();
    let field = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
        field.as_ref().clone().with_name(format!("c{at}")).with_nullable(true)
    };
    Arc::new(arrow::datatypes::Schema::new(fields.map(field).collect::<Vec<_>>()))
}

pub struct Oracle {
    pub graph: Graph,
    pub epoch: Epoch,
    pub tables: Vec<(Table, NodeId)>,
    pub views: Vec<(String, ObjectId, LogicalPlan)>,
    pub ids: Box<dyn FnMut(Fingerprint) -> Result<OperatorId>>,
    pub next_view: u32,
}

impl Oracle {
    pub fn new(threads: usize) -> Oracle {
        let tables = vec![Table::new(1, "a", true), Table::new(2, "b", false), Table::new(3, "c", false)];
        let mut oracle = Oracle::over(tables, threads, BTreeMap::new());
        oracle.hydrate();
        oracle
    }

    /// Tables, not hydrated yet, with the operator identifiers that a catalog knows.
    pub fn over(tables: Vec<Table>, threads: usize, known: BTreeMap<Fingerprint, OperatorId>) -> Oracle {
        let mut ids = catalog(known);
        let mut graph = Graph::new(OperatorId(0), OperatorId(u32::MAX), threads).unwrap();
        let mut add = |table: Table| {
            let node = add_table(&mut graph, table.source.id, &table.source.schema, false, &mut ids).unwrap();
            (table, node)
        };
        let tables = tables.into_iter().map(&mut add).collect();
        Oracle { graph, epoch: Epoch(1), tables, views: Vec::new(), ids: Box::new(ids), next_view: 100 }
    }

    pub fn source(&self, table: usize) -> &Arc<RelationSource> {
        &self.tables[table].0.source
    }

    pub fn hydrate(&mut self) {
        self.epoch = self.graph.hydrate(self.epoch, &mut no_history).unwrap();
    }

    pub fn create(&mut self, name: &str, plan: LogicalPlan) -> ObjectId {
        let view = ObjectId(self.next_view);
        self.next_view += 1;
        self.lower(name, view, plan);
        self.hydrate();
        view
    }

    /// Adds a view, not hydrated yet.
    pub fn lower(&mut self, name: &str, view: ObjectId, plan: LogicalPlan) {
        let optimized = optimize_view(plan.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        lower_view(&optimized, view, view_schema(&plan), &mut self.graph, &mut self.ids)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{}", optimized.display_indent()));
        self.views.push((name.to_owned(), view, plan));
    }

    pub fn change(&mut self, random: &mut Dice) {
        let mut inputs = Vec::new();
        for (table, node) in &mut self.tables {
            if random.below(3) > 0 {
                inputs.push((*node, table.change(random)));
            }
        }
        self.epoch = self.epoch.next();
        self.graph.step(self.epoch, inputs).unwrap();
    }

    pub fn rows(&self, view: ObjectId) -> Vec<String> {
        sorted(&self.snapshot(view))
    }

    fn snapshot(&self, view: ObjectId) -> Vec<RecordBatch> {
        self.graph.rows(view).unwrap().snapshot(self.epoch).batches().collect::<Result<_>>().unwrap()
    }

    /// A view as the plans of others name it, its columns being int, bigint, bigint.
    pub fn source_of(&self, view: ObjectId) -> Arc<RelationSource> {
        let types = [SqlType::Int4, SqlType::Int8, SqlType::Int8].into_iter().enumerate();
        let columns = types.map(|(at, ty)| Column::new(format!("c{at}"), ty, true)).collect();
        let primary_key = self.graph.key(self.graph.relation(view).unwrap()).map(<[usize]>::to_vec);
        RelationSource::new(view, "view", RelationSchema { columns, primary_key })
    }

    /// Compares every view with DataFusion's own answer.
    pub fn check(&self, runtime: &tokio::runtime::Runtime, situation: &str) {
        for (name, view, plan) in &self.views {
            let expected = runtime.block_on(self.batch_answer(plan.clone()));
            assert_eq!(self.rows(*view), expected, "view \"{name}\" {situation}\n{}", plan.display_indent());
        }
    }

    async fn batch_answer(&self, plan: LogicalPlan) -> Vec<String> {
        let plan = plan
            .transform_down_with_subqueries(|node| {
                let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
                let Some(relation) = scan.source.downcast_ref::<RelationSource>() else {
                    return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
                };
                let rows = match self.tables.iter().find(|(table, _)| table.source.id == relation.id) {
                    Some((table, _)) => vec![table.batch()],
                    // A view over a view: over the answer of the one below, which is checked for itself.
                    None => self.snapshot(relation.id),
                };
                let rows = MemTable::try_new(relation.schema.arrow(), vec![rows])?;
                scan.source = provider_as_source(Arc::new(rows));
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            })
            .data()
            .unwrap();
        let frame = SessionContext::new().execute_logical_plan(plan).await.unwrap();
        sorted(&frame.collect().await.unwrap())
    }
}

fn run(seed: u64, steps: usize, threads: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(seed);
    let mut oracle = Oracle::new(threads);
    let mut waiting = views::all(oracle.source(0), oracle.source(1), oracle.source(2));
    // Some views are there from the start, the others come while rows are there already, in any order.
    for step in 0..steps {
        let created = if step == 0 { waiting.len() / 2 } else { waiting.len().div_ceil(steps - step) };
        for _ in 0..created {
            let (name, plan) = waiting.swap_remove(random.below(waiting.len()));
            oracle.create(&name, plan);
        }
        if random.below(3) == 0 && oracle.views.len() > 8 {
            let dropped = random.below(oracle.views.len());
            let (name, view, plan) = oracle.views.swap_remove(dropped);
            oracle.graph.remove(view).unwrap();
            waiting.push((name, plan));
        }
        oracle.change(&mut random);
        oracle.check(&runtime, &format!("after step {step} of seed {seed}"));
    }
    // Without views only the tables are left.
    for (_, view, _) in std::mem::take(&mut oracle.views) {
        oracle.graph.remove(view).unwrap();
    }
    assert_eq!(oracle.graph.len(), oracle.tables.len());
}

/// Views over views, one of them joined with what it is made of.
#[test]
fn views_over_views_agree_at_every_epoch() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(11);
    let mut oracle = Oracle::new(1);
    (0..5).for_each(|_| oracle.change(&mut random));
    let scan = |source: &Arc<RelationSource>, name: &str| LogicalPlanBuilder::scan(name, source.clone(), None).unwrap();
    let calls = vec![count(lit(1i64)).alias("n"), sum(col("v")).alias("t")];
    let totals = scan(oracle.source(1), "b").aggregate(vec![col("k")], calls).unwrap().build().unwrap();
    let totals = oracle.create("totals", totals);
    let totals = oracle.source_of(totals);
    let large = scan(&totals, "t").filter(col("c1").gt(lit(2i64))).unwrap().build().unwrap();
    let large = oracle.create("large", large);
    let large = oracle.source_of(large);
    for (name, kind) in [("shares", JoinType::Inner), ("all shares", JoinType::Left), ("others", JoinType::LeftAnti)] {
        let right = scan(&large, "l").build().unwrap();
        let joined = scan(oracle.source(1), "b").join(right, kind, (vec!["b.k"], vec!["l.c0"]), None).unwrap();
        oracle.create(name, joined.build().unwrap());
        oracle.change(&mut random);
    }
    let again = scan(&totals, "t1").join(
        scan(&totals, "t2").build().unwrap(),
        JoinType::Left,
        (vec!["t1.c1"], vec!["t2.c2"]),
        None,
    );
    oracle.create("totals beside totals", again.unwrap().build().unwrap());
    for step in 0..40 {
        oracle.change(&mut random);
        oracle.check(&runtime, &format!("after step {step}"));
    }
}

#[test]
fn distinct_on_is_the_first_of_each() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut random = Dice::new(12);
    let mut oracle = Oracle::new(1);
    let [distinct, numbered] = views::first_of_each(oracle.source(1));
    let distinct = oracle.create("distinct on", distinct);
    oracle.views.clear();
    let numbered = oracle.create("first of each", numbered);
    for step in 0..40 {
        oracle.change(&mut random);
        oracle.check(&runtime, &format!("after step {step}"));
        assert_eq!(oracle.rows(distinct), oracle.rows(numbered), "after step {step}");
    }
}

#[test]
fn views_equal_the_batch_answer() {
    for seed in 1..=3 {
        run(seed, 25, 1);
    }
}

#[test]
fn views_equal_the_batch_answer_on_several_threads() {
    for threads in [2, 7] {
        run(4, 6, threads);
    }
}
