//! Set-returning functions in the select list: a row for each of their values, several side by side.

use datafusion::common::NullHandling;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::{Error, Result};
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, column, plan};

impl Binder<'_> {
    /// Takes the set-returning functions out of the targets and spreads their lists over the rows of `input`.
    pub(super) fn unnest_targets(&mut self, input: LogicalPlan, targets: &mut [Target]) -> Result<LogicalPlan> {
        let mut lists: Vec<(Expr, String)> = Vec::new();
        for target in targets {
            let position = target.bound.position;
            let expr = std::mem::take(&mut target.bound.expr);
            let replaced = expr.transform_down(|expr| {
                let Expr::Unnest(list) = expr else { return Ok(Transformed::no(expr)) };
                let name = match lists.iter().find(|(other, _)| *other == *list.expr) {
                    Some((_, name)) => name.clone(),
                    None => {
                        let name = self.fresh();
                        lists.push((*list.expr, name.clone()));
                        name
                    }
                };
                Ok(Transformed::new(column(name), true, TreeNodeRecursion::Jump))
            })?;
            target.bound.expr = replaced.data;
            let nested =
                |(list, _): &(Expr, String)| list.exists(|e| Ok(matches!(e, Expr::Unnest(_)))).unwrap_or(false);
            if lists.iter().any(nested) {
                return Err(Error::unsupported("a set-returning function in the arguments of another").at(position));
            }
        }
        if lists.is_empty() {
            return Ok(input);
        }
        let names: Vec<String> = lists.iter().map(|(_, name)| name.clone()).collect();
        let exprs = lists.into_iter().map(|(list, name)| list.alias(name)).collect();
        plan::unnest(plan::extend(input, exprs)?, &names, NullHandling::Drop)
    }
}
