//! AND and OR that compute the right side only of rows that the left one leaves open.
//!
//! DataFusion (55.2) computes it for all rows of a batch unless few are open: `WHERE y <> 0 AND 10 / y > 2` divided by zero.
//! PostgreSQL goes from left to right, row by row, and queries count on that.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, or_kleene};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

/// Of so many rows one is few: the others are left out at once, and not only where all together fail.
const FEW: usize = 5;

/// `left AND right`, or `left OR right`.
#[derive(Debug, Eq)]
struct InTurn {
    left: Arc<dyn PhysicalExpr>,
    right: Arc<dyn PhysicalExpr>,
    /// The value of the left side that decides: OR's, or AND's.
    deciding: bool,
}

impl PartialEq for InTurn {
    fn eq(&self, other: &InTurn) -> bool {
        self.deciding == other.deciding && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Hash for InTurn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.left.hash(state);
        self.right.hash(state);
        self.deciding.hash(state);
    }
}

impl InTurn {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, if self.deciding { "OR" } else { "AND" }, self.right)
    }
}

impl fmt::Display for InTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl PhysicalExpr for InTurn {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        Ok(self.left.nullable(schema)? || self.right.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let left = booleans(self.left.evaluate(batch)?, rows)?;
        let open: BooleanArray = left.iter().map(|value| Some(value != Some(self.deciding))).collect();
        let count = open.true_count();
        if count == 0 {
            return Ok(ColumnarValue::Array(Arc::new(left)));
        }
        let of_open = || self.right.evaluate_selection(batch, &open);
        let right = match count * FEW <= rows {
            true => of_open()?,
            false => self.right.evaluate(batch).or_else(|error| if count < rows { of_open() } else { Err(error) })?,
        };
        let right = booleans(right, rows)?;
        // What the right side is where the left one decides does not matter.
        let both = if self.deciding { or_kleene(&left, &right) } else { and_kleene(&left, &right) };
        Ok(ColumnarValue::Array(Arc::new(both?)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.pop()) {
            (Some(right), Some(left)) => Ok(Arc::new(InTurn { left, right, deciding: self.deciding })),
            _ => internal_err!("AND and OR have two sides"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

fn booleans(value: ColumnarValue, rows: usize) -> Result<BooleanArray> {
    let array = value.into_array(rows)?;
    match array.as_boolean_opt() {
        Some(booleans) => Ok(booleans.clone()),
        None if array.data_type() == &DataType::Null => Ok(BooleanArray::new_null(array.len())),
        None => internal_err!("a side of AND or OR is not boolean"),
    }
}

/// The same expression, whose ANDs and ORs go from left to right where the right side might fail.
pub fn in_turn(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let rewritten = expr.transform_up(|part| {
        let Some(binary) = part.downcast_ref::<BinaryExpr>() else { return Ok(Transformed::no(part)) };
        let deciding = match binary.op() {
            Operator::And => false,
            Operator::Or => true,
            _ => return Ok(Transformed::no(part)),
        };
        if !binary.right().exists(|part| Ok(!is_plain(part)))? {
            return Ok(Transformed::no(part));
        }
        let (left, right) = (binary.left().clone(), binary.right().clone());
        Ok(Transformed::yes(Arc::new(InTurn { left, right, deciding }) as Arc<dyn PhysicalExpr>))
    });
    rewritten.data()
}

pub fn is_comparison(operator: &Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether an expression itself fails on no row.
fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return is_comparison(binary.op()) || binary.op().is_logic_operator();
    }
    expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<NotExpr>()
        || expr.is::<LikeExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<InTurn>()
}

/// Has filters, projections and joins by keys of a plan compute [in turn](in_turn). The last of all rules: the others know no such expression.
#[derive(Debug)]
pub struct ComputeInTurn;

impl PhysicalOptimizerRule for ComputeInTurn {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| {
            if let Some(filter) = node.downcast_ref::<FilterExec>() {
                let predicate = in_turn(filter.predicate().clone())?;
                if !Arc::ptr_eq(&predicate, filter.predicate()) {
                    let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
                    return Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>));
                }
            } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                if let Some(filter) = join.filter() {
                    let condition = in_turn(filter.expression().clone())?;
                    if !Arc::ptr_eq(&condition, filter.expression()) {
                        let (columns, schema) = (filter.column_indices().to_vec(), filter.schema().clone());
                        let join = join.builder().with_filter(Some(JoinFilter::new(condition, columns, schema)));
                        return Ok(Transformed::yes(join.build_exec()?));
                    }
                }
            } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                let column = |ProjectionExpr { expr, alias }: &ProjectionExpr| {
                    Ok(ProjectionExpr { expr: in_turn(expr.clone())?, alias: alias.clone() })
                };
                let columns = projection.expr().iter().map(column).collect::<Result<Vec<_>>>()?;
                let mut pairs = columns.iter().zip(projection.expr());
                if pairs.any(|(now, before)| !Arc::ptr_eq(&now.expr, &before.expr)) {
                    let projection = ProjectionExec::try_new(columns, projection.input().clone())?;
                    return Ok(Transformed::yes(Arc::new(projection) as Arc<dyn ExecutionPlan>));
                }
            }
            Ok(Transformed::no(node))
        });
        rewritten.data()
    }

    fn name(&self) -> &str {
        "compute_in_turn"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
