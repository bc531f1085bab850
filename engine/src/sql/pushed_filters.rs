//! Conditions near their rows: DataFusion's rule, kept from what it gets wrong.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Distinct, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// [`PushDownFilter`] puts conditions where they mean something else (DataFusion 55.2). Nothing belongs below
///
/// - an aggregation without keys, which has one row even of no rows: of `SELECT … FROM (SELECT count(*), 1 AS one …) WHERE
///   one = 2` none is left;
/// - DISTINCT ON, of which another row would be the first.
#[derive(Debug, Default)]
pub struct PushedFilters(PushDownFilter);

impl OptimizerRule for PushedFilters {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if matches!(plan, LogicalPlan::Filter(_)) && is_barrier(filtered(&plan)) {
            return Ok(Transformed::no(plan));
        }
        self.0.rewrite(plan, config)
    }
}

/// What is below conditions that follow each other: the rule makes one of them.
fn filtered(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Filter(filter) => filtered(&filter.input),
        other => other,
    }
}

fn is_barrier(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Distinct(distinct) => matches!(distinct, Distinct::On(_)),
        _ => false,
    }
}
