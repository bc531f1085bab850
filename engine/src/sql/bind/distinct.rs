//! DISTINCT ON: the first row of each group, in the order of ORDER BY.

use std::sync::Arc;

use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, LogicalPlan, SortExpr, WindowFrame, WindowFunctionDefinition, lit,
};
use sqlparser::ast::{self, Spanned};

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::order::SortKey;
use crate::sql::bind::select::comparable;
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Clause, Purpose, Scope, column, plan};

impl Binder<'_> {
    /// The targets that DISTINCT ON names. They must be the first keys of ORDER BY, if there are any (42P10).
    pub(super) fn distinct_on(
        &mut self,
        exprs: &[ast::Expr],
        keys: &[SortKey],
        targets: &mut Vec<Target>,
        scope: &Scope,
    ) -> Result<Vec<usize>> {
        let mut on = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let index = self.output_target(expr, targets, scope, Clause::DistinctOn)?;
            self.settle_target(&mut targets[index])?;
            comparable(&targets[index].bound)?;
            if !on.contains(&index) {
                on.push(index);
            }
        }
        let leading = keys.iter().take_while(|key| on.contains(&key.target)).count();
        if leading < on.len() && leading < keys.len() {
            let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
            let unmatched = exprs.iter().find(|_| true).and_then(|expr| self.position(expr.span()));
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(unmatched));
        }
        Ok(on)
    }

    /// The rows that come first among those equal in the columns `on`: those of row number 1.
    pub(super) fn first_of_each(
        &mut self,
        input: LogicalPlan,
        names: &[String],
        on: &[usize],
        keys: &[SortKey],
        targets: &[Target],
    ) -> Result<LogicalPlan> {
        if self.purpose == Purpose::View {
            return first_of_each_kept(input, names, on, keys);
        }
        let key = |index: &usize| self.key(column(&names[*index]), &targets[*index].bound.ty);
        let partition = on.iter().map(key).collect();
        let order = keys.iter().filter(|key| !on.contains(&key.target)).map(|key| key.sort(names)).collect();
        let number = self.fresh();
        let outputs = plan::columns(&input).collect();
        let numbered = plan::window(input, vec![row_number(partition, order).alias(&number)])?;
        let first = plan::filter(numbered, column(number).eq(lit(1u64)))?;
        plan::project(first, outputs)
    }
}

/// The same as an operator of its own, which a view keeps up to date.
fn first_of_each_kept(input: LogicalPlan, names: &[String], on: &[usize], keys: &[SortKey]) -> Result<LogicalPlan> {
    let key = |index: &usize| match keys.iter().find(|key| key.target == *index) {
        Some(key) => key.sort(names).expr,
        None => column(&names[*index]),
    };
    let on = on.iter().map(key).collect();
    let order = (!keys.is_empty()).then(|| keys.iter().map(|key| key.sort(names)).collect());
    let outputs = plan::columns(&input).collect();
    let first = DistinctOn::try_new(on, outputs, order, Arc::new(input))?;
    Ok(LogicalPlan::Distinct(Distinct::On(first)))
}

/// `row_number() OVER (PARTITION BY … ORDER BY …)`, a UInt64.
pub(super) fn row_number(partition_by: Vec<Expr>, order_by: Vec<SortExpr>) -> Expr {
    let mut call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(row_number_udwf()), Vec::new());
    call.params.window_frame = WindowFrame::new((!order_by.is_empty()).then_some(false));
    call.params.partition_by = partition_by;
    call.params.order_by = order_by;
    Expr::WindowFunction(Box::new(call))
}
