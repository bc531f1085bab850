//! Queries that nobody waits for any more, stopped inside a join.
//!
//! A query can be stopped where it gives way to others, which scans do. But a join (DataFusion 55.2) may compare two large inputs
//! for minutes before it asks a scan for more, or has a row to give. So its condition asks each time whether it is still wanted,
//! and its rows are given out as a scan's are.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};

/// Whether a query is still wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// From now on nobody waits for the query.
    pub fn no_more(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The plan, whose joins end once it is not wanted any more. Nothing may look for a kind of operator in it afterwards.
    ///
    /// # Errors
    /// XX000 where an operator cannot be made anew.
    pub fn while_wanted(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| match self.stoppable(&node)? {
            Some(join) => Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>)),
            None => Ok(Transformed::no(node)),
        });
        rewritten.data()
    }

    /// The join with a condition that asks; None for what is no join.
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
        let other = node.is::<NestedLoopJoinExec>()
            || node.is::<HashJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<SortMergeJoinExec>();
        Ok(other.then(|| node.clone()))
    }

    fn asking(&self, filter: &JoinFilter) -> JoinFilter {
        let condition = Asking { condition: filter.expression().clone(), wanted: self.clone() };
        JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), filter.schema().clone())
    }
}

/// A condition that fails once its query is not wanted any more.
#[derive(Debug)]
struct Asking {
    condition: Arc<dyn PhysicalExpr>,
    wanted: Wanted,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Asking) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.wanted.0.load(Ordering::Relaxed) {
            return exec_err!("nobody waits for the query any more");
        }
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.pop() {
            Some(condition) => Ok(Arc::new(Asking { condition, wanted: self.wanted.clone() })),
            None => internal_err!("a condition is gone"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
