//! From a bound plan to one that can be run.

use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;

use crate::error::Result;
use crate::sql::decorrelate;

/// A plan with the values of `$1`, `$2`, … in place of its parameters, and joins in place of its subqueries.
///
/// # Errors
/// 0A000 for subqueries that cannot be made into joins.
pub fn runnable(plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return decorrelate(plan);
    }
    let values = ParamValues::List(parameters.iter().map(|value| value.clone().into()).collect());
    decorrelate(plan.replace_params_with_values(&values)?)
}
