//! Primary keys, enforced where the order of transactions is settled: before their entries go to the log.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::catalog::{Catalog, DEFAULT_SCHEMA, Item};
use crate::data::hash::canonical;
use crate::data::{Epoch, ObjectId, ZSet};
use crate::engine::Operation;
use crate::engine::dataflows::Stores;
use crate::error::{Error, Result, SqlState, Violated};
use crate::sql::format;
use crate::view::RowStore;

/// The keys of tables as they will be after the transactions accepted for one step.
///
/// Holds only keys that those transactions touch; others are looked up in the tables' indexes.
pub struct KeyCheck {
    stores: Arc<Stores>,
    epoch: Epoch,
    tables: HashMap<ObjectId, TableKeys>,
}

/// Keys and what was known of them before, in the order in which it changed.
type Undo = Vec<(ObjectId, OwnedRow, bool)>;

/// The touched keys of one table: whether a row has the key.
struct TableKeys {
    converter: RowConverter,
    columns: Vec<usize>,
    present: HashMap<OwnedRow, bool>,
}

impl KeyCheck {
    /// Checks against the tables as they were at `epoch`.
    pub fn new(stores: Arc<Stores>, epoch: Epoch) -> KeyCheck {
        KeyCheck { stores, epoch, tables: HashMap::new() }
    }

    /// Takes a transaction in, or refuses it and forgets about it.
    ///
    /// # Errors
    /// 23505 for a key that is there already, 40001 for the change of a row that is gone, 42P01 for a table that is gone.
    pub fn accept(&mut self, catalog: &Catalog, operations: &[Operation]) -> Result<()> {
        let mut undo = Vec::new();
        let accepted = self.try_accept(catalog, operations, &mut undo);
        if accepted.is_err() {
            for (table, key, before) in undo.into_iter().rev() {
                if let Some(keys) = self.tables.get_mut(&table) {
                    keys.present.insert(key, before);
                }
            }
        }
        accepted
    }

    fn try_accept(&mut self, catalog: &Catalog, operations: &[Operation], undo: &mut Undo) -> Result<()> {
        let mut created: HashMap<ObjectId, &Item> = HashMap::new();
        for operation in operations {
            match operation {
                Operation::Create(item) => {
                    created.insert(item.id, item);
                }
                Operation::Drop(_) | Operation::Begin { .. } | Operation::Suspend { .. } => {}
                Operation::Write { table, change } => {
                    let item = created.get(table).copied().or_else(|| catalog.by_id(*table).map(AsRef::as_ref));
                    let item = item.ok_or_else(|| {
                        Error::new(SqlState::UNDEFINED_TABLE, format!("relation with OID {table} does not exist"))
                    })?;
                    self.write(item, change, undo)?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, item: &Item, change: &ZSet, undo: &mut Undo) -> Result<()> {
        let Some(columns) = &item.schema.primary_key else { return Ok(()) };
        let arrays: Vec<ArrayRef> = columns.iter().map(|column| canonical(change.column(*column))).collect();
        let keys = match self.tables.entry(item.id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(TableKeys::new(columns, &arrays)?),
        };
        let rows = keys.converter.convert_columns(&arrays)?;
        let stored = match self.stores.get(&item.id) {
            Some(store) => stored_keys(store, columns, &arrays, change.len(), self.epoch)?,
            None => vec![false; change.len()],
        };
        // Deletions first: a transaction may delete a key and insert it again.
        let deletions = (0..change.len()).filter(|row| change.weight(*row) < 0);
        let insertions = (0..change.len()).filter(|row| change.weight(*row) > 0);
        for row in deletions.chain(insertions) {
            let key = rows.row(row).owned();
            let present = *keys.present.get(&key).unwrap_or(&stored[row]);
            let insert = change.weight(row) > 0;
            if insert && (present || change.weight(row) > 1) {
                return Err(duplicate_key(item, &keys.columns, change, row));
            }
            if !insert && !present {
                return Err(crate::engine::serialization_failure());
            }
            keys.present.insert(key.clone(), insert);
            undo.push((item.id, key, present));
        }
        Ok(())
    }
}

impl TableKeys {
    fn new(columns: &[usize], arrays: &[ArrayRef]) -> Result<TableKeys> {
        let fields = arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
        Ok(TableKeys { converter: RowConverter::new(fields)?, columns: columns.to_vec(), present: HashMap::new() })
    }
}

/// Which of these keys a table has.
fn stored_keys(store: &RowStore, columns: &[usize], keys: &[ArrayRef], rows: usize, epoch: Epoch) -> Result<Vec<bool>> {
    let index = store.add_index(columns)?;
    let mut present = vec![false; rows];
    for row in store.probe(&index, keys, epoch, true)?.probe_rows() {
        present[*row as usize] = true;
    }
    Ok(present)
}

fn duplicate_key(item: &Item, columns: &[usize], change: &ZSet, row: usize) -> Error {
    let names: Vec<&str> = columns.iter().map(|column| item.schema.columns[*column].name.as_str()).collect();
    let values: Vec<String> = (columns.iter())
        .map(|column| format::shown(change.column(*column), &item.schema.columns[*column].ty, row))
        .collect();
    let constraint = format!("{}_pkey", item.name);
    let message = format!("duplicate key value violates unique constraint \"{constraint}\"");
    let detail = format!("Key ({})=({}) already exists.", names.join(", "), values.join(", "));
    let (schema, table) = (DEFAULT_SCHEMA.to_owned(), item.name.clone());
    Error::new(SqlState::UNIQUE_VIOLATION, message).with_detail(detail).of(Violated {
        schema,
        table,
        column: None,
        constraint: Some(constraint),
    })
}
