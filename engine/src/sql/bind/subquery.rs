//! Queries inside expressions and in FROM, and the columns they take from the queries around.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Spans;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use sqlparser::ast;

use crate::error::Result;
use crate::sql::bind::{Binder, BoundQuery, Scope};

impl Binder<'_> {
    /// Binds a query that stands in an expression; `scope` is what the expression sees.
    pub(super) fn bind_subquery(&mut self, query: &ast::Query, scope: &Scope) -> Result<BoundQuery> {
        let bound = self.query(query, Some(scope))?;
        self.settle_columns(bound)
    }

    /// A bound query as the operand of an expression that sees `scope`, with the columns it takes from it.
    pub(super) fn subquery(&mut self, plan: LogicalPlan, scope: &Scope) -> Result<Subquery> {
        let taken = outer_references(&plan)?.into_iter().filter(|(name, _)| scope.describe(name).is_some());
        let outer_ref_columns = taken.map(|(_, reference)| reference).collect();
        Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() })
    }

    /// A relation of FROM as its neighbour joins it: marked where it takes columns from those left of it.
    pub(super) fn dependent(&mut self, plan: LogicalPlan, around: &Scope) -> Result<LogicalPlan> {
        let references = outer_references(&plan)?;
        match references.keys().any(|name| around.own(name).is_some()) {
            true => Ok(LogicalPlan::Subquery(self.subquery(plan, around)?)),
            false => Ok(plan),
        }
    }
}

/// The columns of queries around that a plan refers to, by internal name. Those of its own subqueries' levels are
/// among them: ask a scope which are its.
pub(super) fn outer_references(plan: &LogicalPlan) -> Result<BTreeMap<String, Expr>> {
    let mut found = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    found.entry(column.name.clone()).or_insert_with(|| expr.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// The plan of a subquery expression.
pub(super) fn plan_of(expr: &Expr) -> Option<&LogicalPlan> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(&subquery.subquery),
        Expr::Exists(exists) => Some(&exists.subquery.subquery),
        Expr::InSubquery(within) => Some(&within.subquery.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery.subquery),
        _ => None,
    }
}

/// Whether a query stands anywhere in an expression.
pub(super) fn contains_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(plan_of(expr).is_some())).unwrap_or(false)
}

/// Whether an expression refers to a query around.
pub(super) fn contains_outer(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(..)))).unwrap_or(false)
}
