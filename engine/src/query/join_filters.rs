//! Conditions of joins without keys that compute in turn.
//!
//! DataFusion (55.2) computes each part of such a condition that is about one side for all rows of that side: `ON a.x <> 0 AND
//! 1 / a.x > b.y` divided by zero. A [`Whole`] condition has no parts that it could see.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;

use super::in_turn::in_turn;

/// Has conditions of joins without keys compute [in turn](in_turn). Before the rules that take them apart.
#[derive(Debug)]
pub struct WholeJoinFilters;

impl PhysicalOptimizerRule for WholeJoinFilters {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
            let Some(filter) = join.filter().map(whole).transpose()?.flatten() else {
                return Ok(Transformed::no(node));
            };
            let projection = join.projection().as_ref().map(|columns| columns.to_vec());
            let (left, right) = (join.left().clone(), join.right().clone());
            let join = NestedLoopJoinExec::try_new(left, right, Some(filter), join.join_type(), projection)?;
            Ok(Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>))
        });
        rewritten.data()
    }

    fn name(&self) -> &str {
        "whole_join_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The condition in one piece; None where it may be taken apart.
fn whole(filter: &JoinFilter) -> Result<Option<JoinFilter>> {
    let condition = in_turn(filter.expression().clone())?;
    if Arc::ptr_eq(&condition, filter.expression()) {
        return Ok(None);
    }
    let mut columns: Vec<Column> = collect_columns(&condition).into_iter().collect();
    columns.sort_by_key(Column::index);
    let columns = columns.into_iter().map(|column| Arc::new(column) as _).collect();
    let whole = Arc::new(Whole { condition, columns });
    Ok(Some(JoinFilter::new(whole, filter.column_indices().to_vec(), filter.schema().clone())))
}

/// A condition of which only the columns can be seen.
#[derive(Debug, Eq)]
struct Whole {
    condition: Arc<dyn PhysicalExpr>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

impl PartialEq for Whole {
    fn eq(&self, other: &Whole) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Hash for Whole {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for Whole {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.columns.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, columns: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        if columns.len() != self.columns.len() {
            return internal_err!("a condition over other columns");
        }
        let renamed = self.condition.clone().transform_up(|part| {
            let at = self.columns.iter().position(|column| part.is::<Column>() && column.eq(&part));
            Ok(at.map_or(Transformed::no(part), |at| Transformed::yes(columns[at].clone())))
        });
        Ok(Arc::new(Whole { condition: renamed.data()?, columns }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
