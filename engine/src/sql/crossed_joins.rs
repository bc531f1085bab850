//! Joins written as products: DataFusion's rule, kept from what it gets wrong.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// [`EliminateCrossJoin`] takes inner joins apart and puts them together anew. On the way it drops every pair of keys of
/// which one side has become a constant, and treats NULLs in all of them as it does in one (DataFusion 55.2). So constant
/// keys are made conditions before, and it leaves plans alone in which NULL equals NULL in some join.
#[derive(Debug, Default)]
pub struct CrossedJoins(EliminateCrossJoin);

impl OptimizerRule for CrossedJoins {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let plan = plan.transform_up(|node| Ok(with_constant_conditions(node)))?;
        if plan.data.exists(|node| Ok(null_equals_null(node)))? {
            return Ok(plan);
        }
        let before = plan.transformed;
        let mut plan = self.0.rewrite(plan.data, config)?;
        plan.transformed |= before;
        Ok(plan)
    }
}

fn null_equals_null(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Join(join) if join.join_type == JoinType::Inner
        && join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty())
}

/// An inner join whose keys all have columns on both sides.
fn with_constant_conditions(node: LogicalPlan) -> Transformed<LogicalPlan> {
    let has_columns = |expr: &Expr| !expr.column_refs().is_empty();
    let is_key = |(left, right): &(Expr, Expr)| has_columns(left) && has_columns(right);
    match node {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !join.on.iter().all(is_key) => {
            let Join { on, filter, .. } = join.clone();
            let (keys, conditions): (Vec<_>, Vec<_>) = on.into_iter().partition(is_key);
            let equal = match join.null_equality {
                NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
                NullEquality::NullEqualsNothing => Operator::Eq,
            };
            let conditions = conditions.into_iter().map(|(left, right)| binary_expr(left, equal, right));
            let filter = conditions.chain(filter).reduce(Expr::and);
            Transformed::yes(LogicalPlan::Join(Join { on: keys, filter, ..join }))
        }
        node => Transformed::no(node),
    }
}
