//! The walk over a plan: inputs first, then the subqueries in a node's own expressions.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::fragment::Domain;
use super::node;
use super::outer;
use super::recursive::Round;
use super::scalar::Beside;
use super::unnest::is_sorted;
use crate::error::{Error, Result};

/// Takes subqueries out of a plan.
#[derive(Default)]
pub(super) struct Decorrelator {
    next: usize,
    /// The recursive queries whose recursive terms are being unnested.
    pub(super) rounds: Vec<Round>,
}

impl Decorrelator {
    /// A column name that is used nowhere else: the binder's begin with another letter.
    pub fn fresh(&mut self) -> String {
        self.next += 1;
        format!("d{}", self.next)
    }

    /// The plan without subqueries.
    pub fn rewrite(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Ok(self.walk(plan)?.data)
    }

    fn walk(&mut self, plan: LogicalPlan) -> datafusion::common::Result<Transformed<LogicalPlan>> {
        let mut walked = plan.map_children(|input| self.walk(input))?;
        if walked.transformed {
            walked.data = walked.data.recompute_schema()?;
        }
        let dependent = has_subqueries(&walked.data)?;
        let plan = match walked.data {
            LogicalPlan::Join(join) if matches!(join.right.as_ref(), LogicalPlan::Subquery(_)) => self.lateral(join)?,
            LogicalPlan::Join(join) if dependent => self.join_condition(join)?,
            LogicalPlan::Filter(filter) if dependent => self.condition(filter)?,
            // Aggregates take rows in the order of their input, which no operator below promises to keep.
            LogicalPlan::Aggregate(aggregate) if !dependent && is_sorted(&aggregate.input) => {
                let input = aggregate.input.clone();
                let nothing = Domain { outer: &input, columns: BTreeSet::new() };
                self.aggregate(aggregate, &nothing)?.plan
            }
            plan if dependent => self.expressions(plan)?,
            plan => return Ok(Transformed::new(plan, walked.transformed, TreeNodeRecursion::Continue)),
        };
        Ok(Transformed::yes(plan))
    }

    /// A node that computes expressions over its input.
    fn expressions(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let input = match &plan {
            LogicalPlan::Projection(projection) => projection.input.clone(),
            LogicalPlan::Aggregate(aggregate) => aggregate.input.clone(),
            LogicalPlan::Window(window) => window.input.clone(),
            LogicalPlan::Sort(sort) => sort.input.clone(),
            LogicalPlan::Limit(_) => return Err(Error::unsupported("a subquery in LIMIT or OFFSET")),
            _ => return Err(Error::unsupported("a subquery in this place").with_hint("Write it as a join.")),
        };
        let names = node::names(&plan);
        let mut beside = Beside::new(&input);
        let mut exprs = Vec::new();
        for expr in plan.expressions() {
            let keep = matches!(plan, LogicalPlan::Sort(_)) || !outer::has_subquery(&expr);
            let name = expr.schema_name().to_string();
            let inlined = self.inline(expr, &mut beside)?;
            exprs.push(if keep { inlined } else { outer::named(inlined, name) });
        }
        let rewritten = plan.with_new_exprs(exprs, vec![beside.plan])?;
        restore(rewritten, &names)
    }

    /// The expression with each subquery replaced by a value that now stands beside the rows.
    pub fn inline(&mut self, expr: Expr, beside: &mut Beside) -> Result<Expr> {
        let inlined = expr.transform_up(|part| match outer::is_subquery(&part) {
            false => Ok(Transformed::no(part)),
            true => Ok(Transformed::yes(self.value(part, beside)?)),
        })?;
        Ok(inlined.data)
    }

    /// The value of a subquery expression, beside the rows; the same expression is computed once.
    fn value(&mut self, expr: Expr, beside: &mut Beside) -> Result<Expr> {
        if let Some((_, value)) = beside.known.iter().find(|(known, _)| *known == expr) {
            return Ok(value.clone());
        }
        let value = match expr.clone() {
            Expr::ScalarSubquery(subquery) => self.scalar(subquery.subquery, beside)?,
            Expr::Exists(exists) => {
                let found = self.exists(exists.subquery.subquery, beside)?;
                if exists.negated { Expr::Not(Box::new(found)) } else { found }
            }
            quantified => self.quantified(quantified, beside)?,
        };
        beside.known.push((expr, value.clone()));
        Ok(value)
    }

    /// The plan of a subquery, its own subqueries gone, with what it takes from the rows around.
    pub fn inner<'a>(
        &mut self,
        subquery: Arc<LogicalPlan>,
        outer: &'a LogicalPlan,
    ) -> Result<(LogicalPlan, Domain<'a>)> {
        let inner = self.rewrite(Arc::unwrap_or_clone(subquery))?;
        let domain = Domain::new(outer, &inner)?;
        Ok((inner, domain))
    }
}

/// The plan with these columns only.
pub(super) fn restore(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    match node::names(&plan) == names {
        true => Ok(plan),
        false => node::project(plan, node::named_columns(names)),
    }
}

fn has_subqueries(plan: &LogicalPlan) -> datafusion::common::Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= outer::has_subquery(expr);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
