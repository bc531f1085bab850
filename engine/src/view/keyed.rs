//! Rows by what a condition wants of their columns: a look-up where an index serves, instead of a scan.

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{CastOptions, cast_with_options, concat, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use std::collections::HashSet;

use super::snapshot::RowSnapshot;
use crate::data::hash::canonical;
use crate::error::Result;

/// Keys of one look-up at most: for more, a scan is as good.
const MOST_KEYS: usize = 1024;

/// A column, and the values one of which it must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub column: usize,
    /// Of the column's type, or of a type to which it can be widened. NULL is no value.
    pub values: Vec<ScalarValue>,
}

/// Rows found by an index.
#[derive(Debug)]
pub struct Found {
    pub rows: RecordBatch,
    /// The index's columns: these have the values that were wanted of them.
    pub columns: Vec<usize>,
}

impl RowSnapshot {
    /// The columns of each index there is, those of the primary key first.
    pub fn indexes(&self) -> Vec<Vec<usize>> {
        self.store().index_columns().into_iter().map(|(_, columns)| columns).collect()
    }

    /// The rows that have the wanted values in the columns of some index, and so at least all those that have them in
    /// all columns. None when no index serves.
    ///
    /// # Errors
    /// 72000 as reading the snapshot gives it.
    pub fn find(&self, wanted: &[Wanted]) -> Result<Option<Found>> {
        let of = |column: &usize| wanted.iter().find(|wanted| wanted.column == *column);
        for (index, columns) in self.store().index_columns() {
            let Some(wanted) = columns.iter().map(of).collect::<Option<Vec<_>>>() else { continue };
            if let Some(keys) = keys(self.schema(), &wanted)? {
                return Ok(Some(Found { rows: self.lookup(&index, &keys)?, columns }));
            }
        }
        Ok(None)
    }
}

/// What a filter over a relation's own columns wants of one of them: `column = constant`, alternatives of that, and
/// `column IN (constants)`. None for any other filter.
pub fn wanted(filter: &Expr, schema: &SchemaRef) -> Option<Wanted> {
    let literal = |expr: &Expr| match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (&**left, &**right) {
                (Expr::Column(column), value) | (value, Expr::Column(column)) => (column, value),
                _ => return None,
            };
            Some(Wanted { column: schema.index_of(&column.name).ok()?, values: vec![literal(value)?] })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (mut left, right) = (wanted(left, schema)?, wanted(right, schema)?);
            left.values.extend(right.values);
            (left.column == right.column).then_some(left)
        }
        Expr::InList(list) if !list.negated => {
            let Expr::Column(column) = &*list.expr else { return None };
            let values = list.list.iter().map(literal).collect::<Option<_>>()?;
            Some(Wanted { column: schema.index_of(&column.name).ok()?, values })
        }
        _ => None,
    }
}

/// Every combination of the wanted values, each once, as a probe takes them. None for types that no look-up compares,
/// and for too many.
fn keys(schema: &SchemaRef, wanted: &[&Wanted]) -> Result<Option<Vec<ArrayRef>>> {
    let mut lists = Vec::with_capacity(wanted.len());
    let mut total = 1usize;
    for wanted in wanted {
        let Some(list) = values(&wanted.values, schema.field(wanted.column).data_type())? else { return Ok(None) };
        total = total.saturating_mul(list.len());
        lists.push(list);
    }
    if total > MOST_KEYS {
        return Ok(None);
    }
    if lists.len() == 1 {
        return Ok(Some(lists));
    }
    let mut repeat = total;
    let mut combined = Vec::with_capacity(lists.len());
    for list in &lists {
        repeat /= list.len().max(1);
        let picks = (0..total).map(|row| (row / repeat % list.len()) as u32);
        combined.push(take(list, &UInt32Array::from_iter_values(picks), None)?);
    }
    Ok(Some(combined))
}

/// The values as the column has them, each once. None when the types do not compare value by value.
fn values(values: &[ScalarValue], ty: &DataType) -> Result<Option<ArrayRef>> {
    if values.len() > MOST_KEYS {
        return Ok(None);
    }
    let mut arrays = Vec::with_capacity(values.len());
    for value in values.iter().filter(|value| !value.is_null()) {
        let array = value.to_array()?;
        if array.data_type() == ty {
            arrays.push(array);
        } else if widens(ty, array.data_type()) {
            arrays.extend(narrowed(&array, ty)?);
        } else {
            return Ok(None);
        }
    }
    if arrays.len() < 2 {
        return Ok(Some(arrays.pop().unwrap_or_else(|| new_empty_array(ty))));
    }
    let all = concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    distinct(&all).map(Some)
}

/// Whether different values of a type stay different when they become values of another, as comparing them does.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Int16, Int32, Int64};
    matches!(
        (from, to),
        (Int16, Int32 | Int64 | Decimal128(..))
            | (Int32, Int64 | Decimal128(..))
            | (Int64 | Decimal128(..), Decimal128(..))
    )
}

/// The value of a narrower type that widens to this one, if there is one.
fn narrowed(value: &ArrayRef, ty: &DataType) -> Result<Option<ArrayRef>> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let narrow = cast_with_options(value, ty, &options)?;
    let back = cast_with_options(&narrow, value.data_type(), &options)?;
    Ok((narrow.is_valid(0) && *back == **value).then_some(narrow))
}

fn distinct(values: &ArrayRef) -> Result<ArrayRef> {
    let same = canonical(values);
    let rows = RowConverter::new(vec![SortField::new(same.data_type().clone())])?.convert_columns(&[same])?;
    let mut seen = HashSet::new();
    let firsts = (0..).zip(&rows).filter(|(_, row)| seen.insert(row.owned())).map(|(at, _)| at);
    Ok(take(values, &UInt32Array::from_iter_values(firsts), None)?)
}
