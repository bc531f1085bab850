//! The optimizer of views: those of DataFusion's rules that leave a plan which changes can be pushed through.
//!
//! Not in the list, and why:
//!
//! | rule | reason |
//! |---|---|
//! | PushDownLimit | pushes a limit into inputs, where it means other rows once one of them goes |
//! | ReplaceDistinctWithAggregate | DISTINCT is an operator of its own; its DISTINCT ON wants a function registry |
//! | SingleDistinctToGroupBy | builds a second aggregate keyed by the argument |
//! | FilterNullJoinKeys | lowering does it where a side is stored for the join alone; before, it would hide a table's own rows |
//! | UnionsToFilter | off by default in DataFusion too |
//! | ExtractLeafExpressions, PushDownLeafProjections | see [`LEFT_OUT`] |

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::eliminate_group_by_constant::EliminateGroupByConstant;
use datafusion::optimizer::eliminate_join::EliminateJoin;
use datafusion::optimizer::eliminate_limit::EliminateLimit;
use datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::optimize_unions::OptimizeUnions;
use datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerContext, OptimizerRule};

use crate::error::{Error, Result};
use crate::sql::crossed_joins::CrossedJoins;
use crate::sql::decorrelate;
use crate::sql::pushed_filters::PushedFilters;

/// The plan of a view, ready to be lowered: typed as it came, subqueries turned into joins.
///
/// # Errors
/// 0A000 naming the SQL, for subqueries that cannot be unnested, and for functions whose value is not decided by their
/// arguments.
pub fn optimize_view(plan: LogicalPlan) -> Result<LogicalPlan> {
    refuse(&plan)?;
    let mut options = ConfigOptions::default();
    options.optimizer.skip_failed_rules = false;
    // Without a start time nothing folds now() into a constant.
    let context = OptimizerContext::new_with_config_options(Arc::new(options)).without_query_execution_start_time();
    Optimizer::with_rules(rules()).optimize(decorrelate(plan)?, &context, |_, _| {}).map_err(refused)
}

/// Rules that queries do without. Made for files whose nested columns are read apart, they take `(row).field` through an
/// outer join's CASE as if the row were there (DataFusion 55.2).
const LEFT_OUT: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The rules for queries: DataFusion's, mended.
pub fn query_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mended: [Arc<dyn OptimizerRule + Send + Sync>; 2] =
        [Arc::new(CrossedJoins), Arc::new(PushedFilters::default())];
    let mend = |rule: Arc<dyn OptimizerRule + Send + Sync>| {
        mended.iter().find(|mended| mended.name() == rule.name()).cloned().unwrap_or(rule)
    };
    Optimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name())).map(mend).collect()
}

/// A plan that the rules will not have is SQL that we cannot do, whereas an error of an expression is its own.
fn refused(error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::Plan(reason) => {
            Error::unsupported("this query in a materialized view").with_detail(sentence(reason))
        }
        _ => Error::from(error),
    }
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(OptimizeUnions::new()),
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateDuplicatedExpr::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(CrossedJoins),
        Arc::new(EliminateLimit::new()),
        Arc::new(PropagateEmptyRelation::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(PushedFilters::default()),
        Arc::new(EliminateGroupByConstant::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ]
}

/// What must not reach the rules: they would answer it, but wrongly.
fn refuse(plan: &LogicalPlan) -> Result<()> {
    each_expression(plan, &mut |expr| {
        expr.apply(|inner| {
            if let Expr::ScalarFunction(function) = inner {
                refuse_volatile(function.name(), function.func.signature().volatility)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    })
}

fn refuse_volatile(name: &str, volatility: Volatility) -> Result<()> {
    if volatility == Volatility::Immutable {
        return Ok(());
    }
    Err(Error::unsupported(format!("{name}() in a materialized view")).with_hint(
        "A view follows its inputs alone: compute the value when the row is inserted, or in the query over the view.",
    ))
}

/// Every expression of every node, those of subqueries too.
fn each_expression(plan: &LogicalPlan, visit: &mut dyn FnMut(&Expr) -> Result<()>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            visit(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}
