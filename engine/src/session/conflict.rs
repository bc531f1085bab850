//! INSERT … ON CONFLICT: rows whose primary key is taken are left out, or update the rows that have it.
//!
//! The table is locked as for an UPDATE, so that the rows found stay as they are until the transaction ends. Another
//! INSERT takes no lock: if it commits the same key first, this one fails with 23505 like any that comes second.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow::row::OwnedRow;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast;

use crate::catalog::Item;
use crate::data::ZSet;
use crate::error::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::dml::{Returning, check_not_null, nullable, rows_of, write_target};
use crate::session::run::Arguments;
use crate::session::transaction::key_rows;
use crate::sql::bind::Purpose;
use crate::sql::fold;

/// The ON CONFLICT of an INSERT.
pub(super) fn on_conflict(insert: &ast::Insert) -> Result<Option<&ast::OnConflict>> {
    match &insert.on {
        None => Ok(None),
        Some(ast::OnInsert::OnConflict(conflict)) => Ok(Some(conflict)),
        Some(_) => Err(Error::unsupported("ON DUPLICATE KEY UPDATE").with_hint("Use ON CONFLICT … DO UPDATE.")),
    }
}

/// Its DO UPDATE.
pub(super) fn updating(conflict: &ast::OnConflict) -> Option<&ast::DoUpdate> {
    match &conflict.action {
        ast::OnConflictAction::DoNothing => None,
        ast::OnConflictAction::DoUpdate(update) => Some(update),
    }
}

/// Rows to insert, and those in conflict.
#[derive(Default)]
struct Split {
    inserted: Vec<u32>,
    /// Each with the row that has its key, in the order proposed.
    pairs: Vec<(u32, u32)>,
}

impl Session {
    /// Writes the rows proposed, or what the ON CONFLICT says in their place; returns the rows inserted and updated, as
    /// they are now, in the order in which they were proposed.
    pub(super) async fn insert_or(
        &mut self,
        conflict: &ast::OnConflict,
        table: &Arc<Item>,
        proposed: ZSet,
        returning: Returning<'_>,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<ZSet> {
        check_target(table, conflict)?;
        let Some(key) = &table.schema.primary_key else {
            // Nothing can be in conflict.
            self.transaction().write(table.id, proposed.clone())?;
            return Ok(proposed);
        };
        let columns: Vec<ArrayRef> = key.iter().map(|column| proposed.column(*column).clone()).collect();
        let keys = key_rows(&columns)?;
        let existing = {
            let mut seen = HashSet::new();
            let firsts = (0..).zip(&keys).filter(|(_, key)| seen.insert(*key)).map(|(row, _)| row);
            let once = proposed.take(&UInt32Array::from_iter_values(firsts))?;
            let columns: Vec<ArrayRef> = key.iter().map(|column| once.column(*column).clone()).collect();
            self.transaction().rows_of_keys(table, &columns)?
        };
        let columns: Vec<ArrayRef> = key.iter().map(|column| existing.column(*column).clone()).collect();
        let update = updating(conflict);
        let split = split(&keys, &key_rows(&columns)?, update.is_some())?;
        let mut rows: Vec<(u32, (usize, usize))> =
            split.inserted.iter().map(|row| (*row, (0, *row as usize))).collect();
        let mut updated = ZSet::empty(nullable(&table.schema));
        let mut replaced = Vec::new();
        if let (Some(update), true) = (update, split.pairs.is_empty()) {
            // What is wrong with it is wrong without conflicts too.
            let (target, pairs) = (write_target(table)?, no_pairs(table)?);
            self.bind(text, Purpose::Query, arguments, |binder| {
                binder.bind_conflict_update(&target, returning.alias, update, pairs)
            })?;
        }
        if let Some(update) = update.filter(|_| !split.pairs.is_empty()) {
            let (numbers, becoming) = self
                .updated(table, update, returning.alias, (&existing, &proposed, &split.pairs), text, arguments)
                .await?;
            check_not_null(table, &becoming)?;
            updated = becoming;
            for (number, (row, old)) in split.pairs.iter().enumerate() {
                if replaced.contains(old) {
                    return Err(twice());
                }
                if let Some(at) = numbers.get(&(number as u32)) {
                    replaced.push(*old);
                    rows.push((*row, (1, *at)));
                }
            }
        }
        rows.sort_unstable();
        let picks: Vec<(usize, usize)> = rows.into_iter().map(|(_, pick)| pick).collect();
        let after = ZSet::inserts(interleave_record_batch(&[proposed.batch(), updated.batch()], &picks)?);
        let before = ZSet::inserts(take_record_batch(&existing, &UInt32Array::from(replaced))?);
        let before = before.with_schema(nullable(&table.schema))?.negate();
        let change = ZSet::concat(&nullable(&table.schema), &[before, after.clone()])?.consolidate()?;
        self.transaction().write(table.id, change)?;
        Ok(after)
    }

    /// What DO UPDATE makes of pairs: the rows, and which of them is that of each pair for which the condition holds.
    async fn updated(
        &mut self,
        table: &Arc<Item>,
        update: &ast::DoUpdate,
        alias: Option<&ast::TableAlias>,
        (existing, proposed, pairs): (&RecordBatch, &ZSet, &[(u32, u32)]),
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<(HashMap<u32, usize>, ZSet)> {
        let (new, old): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
        let old = take_record_batch(existing, &UInt32Array::from(old))?;
        let new = take_record_batch(proposed.batch(), &UInt32Array::from(new))?;
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..pairs.len() as u32));
        let columns = old.columns().iter().chain(new.columns()).cloned().chain([numbers]).collect();
        let plan = pairs_plan(table, vec![RecordBatch::try_new(pairs_schema(table), columns)?])?;
        let target = write_target(table)?;
        let bound = self.bind(text, Purpose::Query, arguments, |binder| {
            binder.bind_conflict_update(&target, alias, update, plan)
        })?;
        let batches = self.batches(bound.plan, arguments.values).await?;
        let Some(first) = batches.first() else { return Ok((HashMap::new(), ZSet::empty(nullable(&table.schema)))) };
        let all = concat_batches(&first.schema(), &batches)?;
        let numbers = all.column(0).as_primitive::<UInt32Type>().values();
        let numbers = numbers.iter().enumerate().map(|(at, number)| (*number, at)).collect();
        Ok((numbers, rows_of(&table.schema, &all, 1)?))
    }
}

/// Tells rows to insert from rows in conflict, with those there are or, unless that is an error, among themselves.
fn split(proposed: &[OwnedRow], existing: &[OwnedRow], updates: bool) -> Result<Split> {
    let existing: HashMap<&OwnedRow, u32> = existing.iter().zip(0..).collect();
    let mut inserted = HashSet::new();
    let mut split = Split::default();
    for (row, key) in (0..).zip(proposed) {
        match existing.get(key) {
            Some(old) if updates => split.pairs.push((row, *old)),
            Some(_) => {}
            None if inserted.insert(key) => split.inserted.push(row),
            None if updates => return Err(twice()),
            None => {}
        }
    }
    Ok(split)
}

fn twice() -> Error {
    let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    Error::new(SqlState::CARDINALITY_VIOLATION, message).with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

/// The target must be the primary key, of which there is at most one.
fn check_target(table: &Item, conflict: &ast::OnConflict) -> Result<()> {
    let key = table.schema.primary_key.as_deref();
    match &conflict.conflict_target {
        None if updating(conflict).is_some() => {
            let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            Err(Error::new(SqlState::SYNTAX_ERROR, message).with_hint("For example, ON CONFLICT (column_name)."))
        }
        None => Ok(()),
        Some(ast::ConflictTarget::Columns(columns)) => {
            let mut named = HashSet::new();
            for column in columns {
                let name = fold(column);
                let found = table.schema.columns.iter().position(|column| column.name == name);
                named.insert(found.ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
                })?);
            }
            if key.is_some_and(|key| key.iter().copied().collect::<HashSet<_>>() == named) {
                return Ok(());
            }
            let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
            Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message))
        }
        Some(ast::ConflictTarget::OnConstraint(name)) => {
            let named = name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
            if key.is_some() && named == format!("{}_pkey", table.name) {
                return Ok(());
            }
            let message = format!("constraint \"{named}\" for table \"{}\" does not exist", table.name);
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
        }
    }
}

/// Columns of the table, those of the row proposed, and a number.
fn pairs_schema(table: &Item) -> Arc<Schema> {
    let columns = &table.schema.columns;
    let fields = columns.iter().chain(columns).enumerate();
    let fields = fields.map(|(at, column)| column.field().with_name(format!("p{at}")).with_nullable(true));
    Arc::new(Schema::new(fields.chain([Field::new("number", DataType::UInt32, false)]).collect::<Vec<_>>()))
}

fn pairs_plan(table: &Item, batches: Vec<RecordBatch>) -> Result<LogicalPlan> {
    let pairs = MemTable::try_new(pairs_schema(table), vec![batches])?;
    Ok(LogicalPlanBuilder::scan("pairs", provider_as_source(Arc::new(pairs)), None)?.build()?)
}

/// No rows in conflict: for the types of a statement's parameters.
pub(super) fn no_pairs(table: &Item) -> Result<LogicalPlan> {
    pairs_plan(table, Vec::new())
}
