//! SELECT over the relations of one epoch.
//!
//! A bound plan names relations; a [`Tables`] says what rows they have, and DataFusion's default optimizer and operators
//! do the rest. Queries run on threads of their own, fewer than the machine's cores, so that a scan cannot starve the steps.
//! A [`PointQuery`] needs neither planner nor threads.

mod guarded;
mod in_turn;
mod join_filters;
mod padded;
mod plain_lists;
mod point;
mod reading;
mod stopping;
mod stream;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use tokio::runtime::{Builder, Runtime};

use crate::catalog::RelationSource;
use crate::data::STACK;
use crate::error::{Error, Result};
use crate::query::guarded::guarded;
use crate::query::in_turn::ComputeInTurn;
use crate::query::join_filters::WholeJoinFilters;
use crate::query::padded::PadOuterJoins;
use crate::query::plain_lists::PlainLists;
use crate::query::stopping::Wanted;
use crate::view::RowSnapshot;

pub use point::PointQuery;
pub use reading::{Open, ReadingTable, Stopped};
pub use stream::RowStream;

/// Where the rows of a relation come from.
pub trait Tables: Sync {
    /// The rows of a relation, under the schema of its source.
    ///
    /// # Errors
    /// 55000 when the relation cannot be read now.
    fn rows(&self, relation: &RelationSource) -> Result<Arc<dyn TableProvider>>;

    /// The relation's rows as they are stored; None where they come from anywhere else.
    ///
    /// # Errors
    /// As [`rows`](Tables::rows).
    fn stored(&self, relation: &RelationSource) -> Result<Option<RowSnapshot>>;
}

/// Threads of queries at least: the system shares the cores among them.
const THREADS: usize = 8;

/// Runs bound plans.
pub struct QueryEngine {
    state: SessionState,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

impl QueryEngine {
    /// An engine on `threads` threads whose queries may hold `memory` bytes together, optimized by `rules`.
    ///
    /// # Errors
    /// 58030 when no threads can be started.
    pub fn new(threads: usize, memory: usize, rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Result<QueryEngine> {
        let runtime = Builder::new_multi_thread()
            // More than partitions: a query that computes for long must not keep others from their turn.
            .worker_threads(THREADS.max(2 * threads))
            .thread_name("levada-query")
            .enable_time()
            .thread_stack_size(STACK)
            .build()
            .map_err(|error| Error::internal("cannot start the query threads").with_source(error))?;
        // No query writes to the disk: what does not fit the memory fails with 53200.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let mut config = SessionConfig::new().with_target_partitions(threads).with_information_schema(false);
        // The physical plan may simplify an aggregate's input until it could be NULL for all that it can tell.
        config.options_mut().execution.skip_physical_aggregate_schema_check = true;
        // Sorted apart, the inputs of a UNION ALL are sorted without the columns that are constant in each, but the first
        // rows of all are told from each other by what is left (DataFusion 55.2).
        config.options_mut().optimizer.repartition_sorts = false;
        let mut physical_rules = PhysicalOptimizer::new().rules;
        physical_rules.splice(..0, [Arc::new(PadOuterJoins) as _, Arc::new(WholeJoinFilters) as _]);
        physical_rules.extend([Arc::new(PlainLists) as _, Arc::new(ComputeInTurn) as _]);
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(config)
            .with_runtime_env(environment)
            .with_optimizer_rules(rules)
            .with_physical_optimizer_rules(physical_rules)
            .build();
        Ok(QueryEngine { state, runtime: Some(runtime) })
    }

    /// Starts a plan that has neither parameters nor subqueries left.
    ///
    /// # Errors
    /// Whatever planning gives; what rows give comes by the stream.
    pub async fn run(&self, plan: LogicalPlan, tables: &dyn Tables) -> Result<RowStream> {
        self.start(&self.plan(plan, tables).await?)
    }

    /// Runs such a plan to its end; returns its operators, a line each, with how many rows each gave.
    ///
    /// # Errors
    /// As [`run`](QueryEngine::run), and what rows give.
    pub async fn analyze(&self, plan: LogicalPlan, tables: &dyn Tables) -> Result<Vec<String>> {
        let planned = self.plan(plan, tables).await?;
        let mut rows = self.start(&planned)?;
        while rows.try_next().await?.is_some() {}
        let mut lines = Vec::new();
        measured(&planned.operators, 0, &mut lines);
        Ok(lines)
    }

    fn start(&self, planned: &Planned) -> Result<RowStream> {
        let rows = execute_stream(planned.operators.clone(), planned.context.clone())?;
        Ok(RowStream::spawn(self.runtime()?.handle(), rows, planned.wanted.clone()))
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().ok_or_else(|| Error::internal("the query threads have stopped"))
    }

    /// Does on a query thread what takes its time and does not wait. Who no longer waits for it leaves it to its end.
    ///
    /// # Errors
    /// Those of the work; XX000 where it panics.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let done = self.runtime()?.spawn(async move { work() });
        done.await.map_err(|error| Error::internal(format!("a query failed to plan: {error}")))?
    }

    async fn plan(&self, plan: LogicalPlan, tables: &dyn Tables) -> Result<Planned> {
        let plan = with_rows(plan, tables)?;
        let state = self.state.clone();
        // Planning folds constants and may call functions: it belongs on the query threads as well.
        let planned = self.runtime()?.spawn(async move {
            let wanted = Wanted::default();
            let plan = guarded(state.optimize(&plan)?)?;
            let operators = state.query_planner().create_physical_plan(&plan, &state).await?;
            let operators = wanted.while_wanted(operators)?;
            Ok::<_, Error>(Planned { operators, context: state.task_ctx(), wanted })
        });
        planned.await.map_err(|error| Error::internal(format!("a query failed to plan: {error}")))?
    }

    /// A plan as the optimizer leaves it, for EXPLAIN. `plan` makes it on a query thread, too.
    pub async fn optimized(&self, plan: impl FnOnce() -> Result<LogicalPlan> + Send + 'static) -> Result<LogicalPlan> {
        let state = self.state.clone();
        self.aside(move || Ok(state.optimize(&plan()?)?)).await
    }
}

/// A query that can begin.
struct Planned {
    operators: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    /// What its operators ask.
    wanted: Wanted,
}

impl Drop for QueryEngine {
    fn drop(&mut self) {
        // A runtime must not be dropped where async code runs; its queries have nobody left to read them.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An operator that has run, and those below it, indented as PostgreSQL does.
fn measured(operator: &Arc<dyn ExecutionPlan>, depth: usize, lines: &mut Vec<String>) {
    let arrow = if depth == 0 { String::new() } else { format!("{}->  ", " ".repeat(6 * depth - 4)) };
    let rows = operator.metrics().and_then(|metrics| metrics.output_rows());
    let rows = rows.map_or(String::new(), |rows| format!("  (actual rows={rows})"));
    lines.push(format!("{arrow}{}{rows}", displayable(operator.as_ref()).one_line().to_string().trim_end()));
    operator.children().into_iter().for_each(|below| measured(below, depth + 1, lines));
}

/// Puts the rows of its relations into a plan.
fn with_rows(plan: LogicalPlan, tables: &dyn Tables) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let Some(relation) = scan.source.downcast_ref::<RelationSource>() else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = provider_as_source(tables.rows(relation)?);
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(rewritten.data)
}
