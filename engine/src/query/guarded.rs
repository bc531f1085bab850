//! AND and OR in aggregates, windows and sorts, computed before these.
//!
//! Only filters, projections and joins have an [expression](super::in_turn) that goes from left to right. So what the others
//! compute of such ANDs and ORs becomes columns of a projection below them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, Operator, Projection, Sort, Window};

/// An optimized plan with such columns. The optimizer would take them back to where they are read.
pub fn guarded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut next = 0;
    plan.transform_up(|plan| apart(plan, &mut next)).data()
}

fn apart(plan: LogicalPlan, next: &mut usize) -> Result<Transformed<LogicalPlan>> {
    let mut before = Before { columns: Vec::new(), next };
    let names = NamePreserver::new(&plan);
    let exprs = match &plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Sort(_) => plan.expressions(),
        _ => return Ok(Transformed::no(plan)),
    };
    let given = plan.schema().clone();
    let mut exprs = exprs.into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(before.take(expr)?))
    });
    let exprs = exprs.by_ref().collect::<Result<Vec<_>>>()?;
    if before.columns.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let below = |input: &Arc<LogicalPlan>, computed: Vec<Expr>| {
        let columns = input.schema().columns().into_iter().map(Expr::Column).chain(computed).collect();
        Projection::try_new(columns, input.clone()).map(|projection| Arc::new(LogicalPlan::Projection(projection)))
    };
    let plan = match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let input = below(&aggregate.input, before.columns)?;
            let (groups, calls) = exprs.split_at(aggregate.group_expr.len());
            let plan = Aggregate::try_new(input, groups.to_vec(), calls.to_vec())?;
            return Ok(Transformed::yes(LogicalPlan::Aggregate(plan)));
        }
        LogicalPlan::Window(window) => {
            LogicalPlan::Window(Window::try_new(exprs, below(&window.input, before.columns)?)?)
        }
        LogicalPlan::Sort(mut sort) => {
            sort.expr.iter_mut().zip(exprs).for_each(|(key, expr)| key.expr = expr);
            LogicalPlan::Sort(Sort { input: below(&sort.input, before.columns)?, ..sort })
        }
        other => other,
    };
    let columns = given.columns().into_iter().map(Expr::Column).collect();
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?)))
}

/// What is computed before.
struct Before<'n> {
    columns: Vec<Expr>,
    next: &'n mut usize,
}

impl Before<'_> {
    /// The expression, with columns for the parts that are to be computed before.
    fn take(&mut self, expr: Expr) -> Result<Expr> {
        let taken = expr.transform_down(|part| match part {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
                let part = part.map_children(|argument| self.column(argument).map(Transformed::yes))?.data;
                Ok(Transformed::new(part, true, TreeNodeRecursion::Jump))
            }
            Expr::Alias(_) | Expr::GroupingSet(_) => Ok(Transformed::no(part)),
            part => Ok(Transformed::new(self.column(part)?, true, TreeNodeRecursion::Jump)),
        });
        taken.data()
    }

    fn column(&mut self, expr: Expr) -> Result<Expr> {
        if !expr.exists(goes_in_turn)? {
            return Ok(expr);
        }
        *self.next += 1;
        let name = format!("in_turn_{}", self.next);
        self.columns.push(expr.alias(&name));
        Ok(Expr::Column(Column::new_unqualified(name)))
    }
}

/// Whether an expression is AND or OR whose right side may fail.
fn goes_in_turn(expr: &Expr) -> Result<bool> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, right, .. }) => right.exists(computes),
        _ => Ok(false),
    }
}

/// Whether an expression calls anything, or computes with anything else than comparisons.
fn computes(expr: &Expr) -> Result<bool> {
    Ok(match expr {
        Expr::BinaryExpr(binary) => !binary.op.is_logic_operator() && !super::in_turn::is_comparison(&binary.op),
        Expr::ScalarFunction(_) | Expr::Negative(_) => true,
        _ => false,
    })
}
