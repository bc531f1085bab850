//! Joins without keys, of whose lists the elements have metadata.
//!
//! DataFusion (55.2) repeats a row of one side for each of the other by way of a constant, and constants that are lists lose
//! the metadata of their elements: the rows then do not have the join's own schema. So such lists go through the join without
//! metadata.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, Result, internal_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

/// Takes the metadata of lists' elements away below joins without keys, and puts it back above.
#[derive(Debug)]
pub struct PlainLists;

impl PhysicalOptimizerRule for PlainLists {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| match plain_join(&node)? {
            Some(join) => Ok(Transformed::yes(with_fields(join, &node.schema())?)),
            None => Ok(Transformed::no(node)),
        });
        rewritten.data()
    }

    fn name(&self) -> &str {
        "plain_lists"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The join over plain lists; None for what is no such join, or has plain lists already.
fn plain_join(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(join) = node.downcast_ref::<CrossJoinExec>() {
        let Some([left, right]) = plain_sides([join.left(), join.right()])? else { return Ok(None) };
        return Ok(Some(Arc::new(CrossJoinExec::new(left, right))));
    }
    let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(None) };
    let Some([left, right]) = plain_sides([join.left(), join.right()])? else { return Ok(None) };
    let filter = join.filter().map(|filter| plain_filter(filter, [&left.schema(), &right.schema()])).transpose()?;
    let projection = join.projection().as_ref().map(|columns| columns.to_vec());
    Ok(Some(Arc::new(NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?)))
}

fn plain_sides(sides: [&Arc<dyn ExecutionPlan>; 2]) -> Result<Option<[Arc<dyn ExecutionPlan>; 2]>> {
    let [left, right] = sides.map(|side| (side, plain_schema(&side.schema())));
    if left.1.is_none() && right.1.is_none() {
        return Ok(None);
    }
    let of = |(side, schema): (&Arc<dyn ExecutionPlan>, Option<Schema>)| match schema {
        Some(schema) => with_fields(side.clone(), &schema),
        None => Ok(side.clone()),
    };
    Ok(Some([of(left)?, of(right)?]))
}

/// The schema without metadata of lists' elements, if there is any.
fn plain_schema(schema: &Schema) -> Option<Schema> {
    let tagged = |field: &Field| match field.data_type() {
        DataType::List(element) => !element.metadata().is_empty(),
        _ => false,
    };
    if !schema.fields().iter().any(|field| tagged(field)) {
        return None;
    }
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::List(element) if tagged(field) => {
            let element = element.as_ref().clone().with_metadata(Default::default());
            field.as_ref().clone().with_data_type(DataType::List(Arc::new(element)))
        }
        _ => field.as_ref().clone(),
    });
    Some(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// A plan's columns as columns of these types.
fn with_fields(plan: Arc<dyn ExecutionPlan>, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let given = plan.schema();
    let columns = schema.fields().iter().zip(given.fields()).enumerate().map(|(at, (field, given))| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(given.name(), at));
        let expr = match field.data_type() == given.data_type() {
            true => column,
            false => Arc::new(CastExpr::new_with_target_field(column, field.clone(), None)),
        };
        ProjectionExpr { expr, alias: field.name().clone() }
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
}

/// A join's condition, which is computed over columns of the sides.
fn plain_filter(filter: &JoinFilter, sides: [&Schema; 2]) -> Result<JoinFilter> {
    let field = |(index, field): (&ColumnIndex, &Arc<Field>)| {
        let side = match index.side {
            JoinSide::Left => sides[0],
            JoinSide::Right => sides[1],
            JoinSide::None => return Ok(field.as_ref().clone()),
        };
        match side.fields().get(index.index) {
            Some(given) => Ok(field.as_ref().clone().with_data_type(given.data_type().clone())),
            None => internal_err!("a join's condition over a column that is not there"),
        }
    };
    let fields = filter.column_indices().iter().zip(filter.schema().fields()).map(field).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields));
    Ok(JoinFilter::new(filter.expression().clone(), filter.column_indices().to_vec(), schema))
}
