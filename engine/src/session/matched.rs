//! UPDATE … FROM and DELETE … USING: the other tables, and rows that match several of theirs.

use std::collections::HashSet;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, SortField};
use sqlparser::ast;

use crate::catalog::Item;
use crate::data::hash::canonical;
use crate::error::{Error, Result};

/// The tables of `UPDATE … FROM`.
pub(super) fn update_from(update: &ast::Update) -> Result<&[ast::TableWithJoins]> {
    match &update.from {
        None => Ok(&[]),
        Some(ast::UpdateTableFromKind::AfterSet(tables)) => Ok(tables),
        Some(ast::UpdateTableFromKind::BeforeSet(_)) => Err(Error::unsupported("UPDATE with FROM before SET")),
    }
}

/// Refuses what needs to tell rows apart.
pub(super) fn check_matched(table: &Item, others: &[ast::TableWithJoins]) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    let hint = "Use a subquery in WHERE or SET.";
    if table.schema.primary_key.is_none() {
        let what = "UPDATE … FROM and DELETE … USING of a table without a primary key";
        return Err(Error::unsupported(what).with_hint(hint));
    }
    Ok(())
}

/// The first row of each primary key; the table's columns come first in the batches.
pub(super) fn first_matches(table: &Item, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let (Some(key), Some(first)) = (&table.schema.primary_key, batches.first()) else { return Ok(batches) };
    let fields = key.iter().map(|column| SortField::new(canonical(first.column(*column)).data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        let columns: Vec<ArrayRef> = key.iter().map(|column| canonical(batch.column(*column))).collect();
        let rows = converter.convert_columns(&columns)?;
        let firsts = (0..).zip(&rows).filter(|(_, row)| seen.insert(row.owned())).map(|(index, _)| index);
        kept.push(take_record_batch(&batch, &UInt32Array::from_iter_values(firsts))?);
    }
    Ok(kept)
}
