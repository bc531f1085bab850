//! Conditions near their rows: DataFusion's rule, kept from what it gets wrong.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// [`PushDownFilter`] puts conditions without columns below an aggregation, which without keys has one row even of no
/// rows (DataFusion 55.2): of `SELECT … FROM (SELECT count(*), 1 AS one …) WHERE one = 2` none is left. Nothing belongs
/// below such an aggregation.
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
        if let LogicalPlan::Filter(filter) = &plan
            && let LogicalPlan::Aggregate(aggregate) = &*filter.input
            && aggregate.group_expr.is_empty()
        {
            return Ok(Transformed::no(plan));
        }
        self.0.rewrite(plan, config)
    }
}
