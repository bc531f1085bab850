//! What expressions read of a row: columns, and fields of columns of records.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::data::{Parts, ZSet};
use crate::error::{Error, Result};

/// The parts of a row that expressions read, each a column of its own: a filter copies nothing else, and a field that is
/// read several times is taken from its record once.
#[derive(Clone)]
pub struct Leaves {
    /// Where each is: a column, a field of it, a field of that.
    paths: Vec<Vec<usize>>,
    schema: SchemaRef,
}

impl Leaves {
    pub fn new() -> Leaves {
        Leaves { paths: Vec::new(), schema: Arc::new(Schema::empty()) }
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The leaves as columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The same expression over the leaves, of which there are more then.
    pub fn rewrite(&mut self, expr: Arc<dyn PhysicalExpr>, input: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = expr.transform_down(|part| match path(&part, input) {
            Some((path, field)) => {
                let at = self.place(path, field);
                let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&at.to_string(), at));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            }
            None => Ok(Transformed::no(part)),
        });
        Ok(rewritten.data()?)
    }

    fn place(&mut self, path: Vec<usize>, field: FieldRef) -> usize {
        if let Some(known) = self.paths.iter().position(|known| *known == path) {
            return known;
        }
        let field = field.as_ref().clone().with_name(self.paths.len().to_string()).with_nullable(true);
        let fields = self.schema.fields().iter().cloned().chain([Arc::new(field)]);
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.paths.push(path);
        self.paths.len() - 1
    }

    /// What is read, as parts of the row.
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::none();
        self.paths.iter().for_each(|path| parts.add(path));
        parts
    }

    /// The leaves in the order of the row.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|at| &self.paths[*at]);
        order
    }

    /// The leaves of rows.
    pub fn of(&self, rows: &ZSet) -> Result<ZSet> {
        let columns = self.paths.iter().map(|path| leaf(rows, path)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(rows.with_batch(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?))
    }
}

fn leaf(rows: &ZSet, path: &[usize]) -> Result<ArrayRef> {
    let nowhere = || Error::internal("an expression reads what is not there");
    let (column, fields) = path.split_first().ok_or_else(nowhere)?;
    let mut leaf = rows.batch().columns().get(*column).ok_or_else(nowhere)?;
    for field in fields {
        let record = leaf.as_struct_opt().ok_or_else(nowhere)?;
        leaf = record.columns().get(*field).ok_or_else(nowhere)?;
    }
    Ok(leaf.clone())
}

/// Where the leaf is that an expression is, and its type; None for any other expression.
fn path(expr: &Arc<dyn PhysicalExpr>, input: &Schema) -> Option<(Vec<usize>, FieldRef)> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        let field = input.fields().get(column.index())?;
        return Some((vec![column.index()], field.clone()));
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    if !call.fun().inner().is::<GetFieldFunc>() {
        return None;
    }
    let (record, names) = call.args().split_first()?;
    let (mut path, mut field) = path(record, input)?;
    for name in names {
        let name = name.downcast_ref::<Literal>()?.value().try_as_str()??;
        let DataType::Struct(fields) = field.data_type() else { return None };
        let (at, inner) = fields.find(name)?;
        let inner = inner.clone();
        path.push(at);
        field = inner;
    }
    Some((path, field))
}
