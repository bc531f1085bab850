//! Queries that nobody waits for any more, stopped inside a join or a window.
//!
//! A query can be stopped where it gives way to others, which scans do. But a join (DataFusion 55.2) may compare two large inputs
//! for minutes before it asks a scan for more, or has a row to give. So its condition asks each time whether it is still wanted,
//! and its rows are given out as a scan's are. The same goes for a window whose frames are computed anew for each row:
//! it asks its arguments.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::WindowExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

/// Whether a query is still wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// From now on nobody waits for the query.
    pub fn no_more(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The plan, whose joins and windows end once it is not wanted any more. Nothing may look for a kind of operator in it afterwards.
    ///
    /// # Errors
    /// XX000 where an operator cannot be made anew.
    pub fn while_wanted(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| match self.stoppable(&node)? {
            Some(operator) => Ok(Transformed::yes(Arc::new(CooperativeExec::new(operator)) as Arc<dyn ExecutionPlan>)),
            None => Ok(Transformed::no(node)),
        });
        rewritten.data()
    }

    /// The join with a condition that asks, the window with arguments that do; None for other operators.
    fn stoppable(&self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let (left, right) = (join.left().clone(), join.right().clone());
            let projection = join.projection().as_ref().map(|columns| columns.to_vec());
            let filter = Some(self.asking(filter));
            let join = NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?;
            return Ok(Some(Arc::new(join)));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = join.filter()
        {
            return Ok(Some(join.builder().with_filter(Some(self.asking(filter))).build_exec()?));
        }
        // How they were distributed and ordered is settled by now.
        if let Some(window) = node.downcast_ref::<WindowAggExec>() {
            let window =
                WindowAggExec::try_new(self.asking_windows(window.window_expr()), window.input().clone(), true)?;
            return Ok(Some(Arc::new(window)));
        }
        if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
            let (calls, input) = (self.asking_windows(window.window_expr()), window.input().clone());
            let window = BoundedWindowAggExec::try_new(calls, input, window.input_order_mode.clone(), true)?;
            return Ok(Some(Arc::new(window)));
        }
        let other = node.is::<NestedLoopJoinExec>()
            || node.is::<HashJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<SortMergeJoinExec>();
        Ok(other.then(|| node.clone()))
    }

    fn asking(&self, filter: &JoinFilter) -> JoinFilter {
        JoinFilter::new(
            self.ask(filter.expression().clone()),
            filter.column_indices().to_vec(),
            filter.schema().clone(),
        )
    }

    /// The calls with arguments that ask, where they can have others.
    fn asking_windows(&self, calls: &[Arc<dyn WindowExpr>]) -> Vec<Arc<dyn WindowExpr>> {
        let asking = |call: &Arc<dyn WindowExpr>| {
            let parts = call.all_expressions();
            // Constants some functions look at before there are rows.
            let ask = |arg: Arc<dyn PhysicalExpr>| if arg.is::<Literal>() { arg } else { self.ask(arg) };
            let args = parts.args.into_iter().map(ask).collect();
            call.with_new_expressions(args, parts.partition_by_exprs, parts.order_by_exprs)
        };
        calls.iter().map(|call| asking(call).unwrap_or_else(|| call.clone())).collect()
    }

    fn ask(&self, expr: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(Asking { expr, wanted: self.clone() })
    }
}

/// An expression that fails once its query is not wanted any more.
#[derive(Debug)]
struct Asking {
    expr: Arc<dyn PhysicalExpr>,
    wanted: Wanted,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Asking) -> bool {
        self.expr.eq(&other.expr)
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expr.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.expr.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.expr.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.expr.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.wanted.0.load(Ordering::Relaxed) {
            return exec_err!("nobody waits for the query any more");
        }
        self.expr.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.expr]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(expr) => Ok(Arc::new(Asking { expr, wanted: self.wanted.clone() })),
            None => internal_err!("an expression is gone"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt_sql(f)
    }
}
