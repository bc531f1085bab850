//! What a session has done and not committed yet.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use crate::catalog::{Catalog, Item, RelationSource};
use crate::data::hash::canonical;
use crate::data::{ObjectId, ZSet};
use crate::engine::{
    KeyCheck, Locks, Operation, Snapshot, TableLock, check_size, not_readable, serialization_failure, unreadable,
};
use crate::error::{Error, Result, SqlState};
use crate::query::Tables;
use crate::session::Settings;
use crate::view::{RowSnapshot, SnapshotTable};

/// A transaction: one epoch to read, and the operations that become one entry of the log at COMMIT.
///
/// Its own statements see the rows it has written to tables; views follow at COMMIT. Isolation is PostgreSQL's
/// "repeatable read": of two transactions that change rows of the same table, the later to begin its change fails with
/// 40001 if the other committed after the first's snapshot.
pub struct Transaction {
    snapshot: Arc<Snapshot>,
    /// The snapshot's catalog with this transaction's changes.
    catalog: Arc<Catalog>,
    operations: Vec<Operation>,
    /// Bytes of the rows that they write.
    written: usize,
    writes: BTreeMap<ObjectId, Vec<ZSet>>,
    locks: Locks,
    /// The keys that its writes touch.
    keys: Option<KeyCheck>,
    /// Microseconds since 1970: what `now()` is throughout.
    began_at: i64,
    /// Whether a query has read rows, and later ones must read the same epoch.
    has_read: bool,
    /// Its savepoints, the oldest first.
    marks: Vec<Mark>,
}

impl Transaction {
    pub fn new(snapshot: Arc<Snapshot>) -> Transaction {
        let catalog = snapshot.catalog.clone();
        let (operations, writes, locks) = Default::default();
        let began_at = chrono::Utc::now().timestamp_micros();
        let (keys, has_read, marks) = (None, false, Vec::new());
        Transaction { snapshot, catalog, operations, written: 0, writes, locks, keys, began_at, has_read, marks }
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub fn began_at(&self) -> i64 {
        self.began_at
    }

    /// Whether nothing was written yet.
    pub fn is_clean(&self) -> bool {
        self.operations.is_empty()
    }

    /// What goes to the log, and the locks that hold until it is published.
    pub fn into_parts(self) -> (Vec<Operation>, Locks) {
        (self.operations, self.locks)
    }

    pub fn locks(&mut self) -> &mut Locks {
        &mut self.locks
    }

    /// A query reads rows: from here on the epoch stays.
    pub fn read(&mut self) {
        self.has_read = true;
    }

    /// Takes a later snapshot, after the wait for a lock, if nothing rests on the one it has.
    pub fn move_to(&mut self, snapshot: Arc<Snapshot>) {
        if self.is_clean() && !self.has_read {
            self.catalog = snapshot.catalog.clone();
            // Nothing was done before any of them either.
            self.marks.iter_mut().for_each(|mark| mark.catalog = snapshot.catalog.clone());
            self.snapshot = snapshot;
            self.keys = None;
        }
    }

    /// Adds the lock of a table whose rows this transaction will change.
    ///
    /// # Errors
    /// 40001 when rows of the table were changed after this transaction's snapshot.
    pub fn hold(&mut self, table: ObjectId, lock: TableLock) -> Result<()> {
        if lock.changed_at() > self.snapshot.epoch {
            return Err(serialization_failure());
        }
        self.locks.add_table(table, lock);
        Ok(())
    }

    /// Adds rows to a table or takes them away.
    ///
    /// # Errors
    /// 23505 for a key that is there already, as far as this transaction can see; COMMIT finds the others. 54000 when it
    /// writes too much.
    pub fn write(&mut self, table: ObjectId, change: ZSet) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let operation = Operation::Write { table, change: change.clone() };
        let written = self.written + operation.bytes();
        check_size(written)?;
        let snapshot = &self.snapshot;
        let keys = self.keys.get_or_insert_with(|| KeyCheck::new(snapshot.stores.clone(), snapshot.epoch));
        keys.accept(&self.catalog, std::slice::from_ref(&operation))?;
        self.writes.entry(table).or_default().push(change);
        self.operations.push(operation);
        self.written = written;
        Ok(())
    }

    /// Adds what changes neither the catalog nor rows.
    pub fn add(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// Changes the catalog.
    pub fn change_catalog(&mut self, catalog: Catalog, operation: Operation) {
        self.catalog = Arc::new(catalog);
        self.operations.push(operation);
    }

    /// Whether there is a savepoint to go back to.
    pub fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// Sets a savepoint, with the session's state to go back to; an older one of the same name is hidden.
    pub fn mark(&mut self, name: &str, session: SessionMark) {
        let writes = self.writes.iter().map(|(table, changes)| (*table, changes.len())).collect();
        let (catalog, operations) = (self.catalog.clone(), self.operations.len());
        self.marks.push(Mark { name: name.to_owned(), operations, writes, catalog, session });
    }

    /// Forgets a savepoint and those after it.
    ///
    /// # Errors
    /// 3B001 when there is none of that name.
    pub fn release(&mut self, name: &str) -> Result<()> {
        let index = self.find_mark(name)?;
        self.marks.truncate(index);
        Ok(())
    }

    /// Undoes what came after a savepoint, which stays. Locks stay until the end of the transaction.
    ///
    /// # Errors
    /// 3B001 when there is none of that name.
    pub fn roll_back_to(&mut self, name: &str) -> Result<SessionMark> {
        let index = self.find_mark(name)?;
        self.marks.truncate(index + 1);
        let mark = &self.marks[index];
        self.operations.truncate(mark.operations);
        self.written = self.operations.iter().map(Operation::bytes).sum();
        self.writes.retain(|table, changes| {
            changes.truncate(mark.writes.get(table).copied().unwrap_or(0));
            !changes.is_empty()
        });
        self.catalog = mark.catalog.clone();
        let mut keys = KeyCheck::new(self.snapshot.stores.clone(), self.snapshot.epoch);
        for operation in &self.operations {
            // A table that this transaction has dropped since takes no more rows.
            if matches!(operation, Operation::Write { table, .. } if self.catalog.by_id(*table).is_some()) {
                keys.accept(&self.catalog, std::slice::from_ref(operation))?;
            }
        }
        self.keys = Some(keys);
        Ok(mark.session.clone())
    }

    fn find_mark(&self, name: &str) -> Result<usize> {
        self.marks
            .iter()
            .rposition(|mark| mark.name == name)
            .ok_or_else(|| Error::new(SqlState::INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist")))
    }

    /// The rows of a table that have one of these primary keys, each given once: an array for each column of the key.
    pub fn rows_of_keys(&self, table: &Item, keys: &[ArrayRef]) -> Result<RecordBatch> {
        let mut parts = Vec::new();
        if let Some(store) = self.snapshot.stores.get(&table.id)
            && let Some(index) = store.primary_index()
        {
            parts.push(ZSet::inserts(store.snapshot(self.snapshot.epoch).lookup(&index, keys)?));
        }
        let key = table.schema.primary_key.as_deref().unwrap_or_default();
        let wanted: HashSet<OwnedRow> = key_rows(keys)?.into_iter().collect();
        for write in self.writes.get(&table.id).into_iter().flatten() {
            let columns: Vec<ArrayRef> = key.iter().map(|column| write.column(*column).clone()).collect();
            let mask: BooleanArray = key_rows(&columns)?.iter().map(|row| Some(wanted.contains(row))).collect();
            parts.push(write.filter(&mask)?);
        }
        ZSet::concat(&table.schema.arrow(), &parts)?.consolidate()?.expand()
    }

    /// A relation with this transaction's own writes.
    fn with_writes(&self, relation: &RelationSource, writes: &[ZSet]) -> Result<RecordBatch> {
        let schema = relation.schema.arrow();
        let mut parts = Vec::new();
        if let Some(store) = self.snapshot.stores.get(&relation.id) {
            for batch in store.snapshot(self.snapshot.epoch).batches() {
                parts.push(ZSet::inserts(batch?));
            }
        }
        parts.extend(writes.iter().cloned());
        ZSet::concat(&schema, &parts)?.consolidate()?.expand()
    }
}

/// Keys as bytes that are equal where the keys are; an array for each column.
pub fn key_rows(columns: &[ArrayRef]) -> Result<Vec<OwnedRow>> {
    let columns: Vec<ArrayRef> = columns.iter().map(canonical).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| row.owned()).collect())
}

/// A savepoint: how far the transaction had come.
struct Mark {
    name: String,
    operations: usize,
    writes: BTreeMap<ObjectId, usize>,
    catalog: Arc<Catalog>,
    session: SessionMark,
}

/// What a savepoint keeps of the session.
#[derive(Clone)]
pub struct SessionMark {
    pub settings: Settings,
    pub local_settings: BTreeMap<String, String>,
    /// The number of the first cursor after it.
    pub cursors: u64,
}

impl Transaction {
    /// What a relation without stored rows has.
    ///
    /// # Errors
    /// 55000 for one that would have rows, and has not.
    fn absent(&self, relation: &RelationSource, written: bool) -> Result<Option<RowSnapshot>> {
        if let Some(progress) = self.snapshot.hydrating.get(&relation.id) {
            return Err(not_readable(&self.catalog, relation.id, &progress.status()));
        }
        let Some(item) = self.catalog.by_id(relation.id) else { return Ok(None) };
        if let Some(refusal) = item.refusal() {
            return Err(refusal);
        }
        if written || item.kind_name() != "materialized view" {
            return Ok(None);
        }
        let message = format!("materialized view \"{}\" has not been populated", relation.name);
        let hint = "It can be read after this transaction has ended.";
        Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(hint))
    }
}

impl Tables for Transaction {
    fn rows(&self, relation: &RelationSource) -> Result<Arc<dyn TableProvider>> {
        if let Some(stored) = self.stored(relation)? {
            return Ok(Arc::new(SnapshotTable(stored)));
        }
        let writes = self.writes.get(&relation.id).map_or(&[][..], Vec::as_slice);
        let batch = self.with_writes(relation, writes)?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }

    fn stored(&self, relation: &RelationSource) -> Result<Option<RowSnapshot>> {
        let written = self.writes.contains_key(&relation.id);
        match self.snapshot.stores.get(&relation.id) {
            Some(store) if !written => {
                store.wait_readable().map_err(|error| unreadable(&relation.name, error))?;
                Ok(Some(store.snapshot(self.snapshot.epoch)))
            }
            None => self.absent(relation, written),
            Some(_) => Ok(None),
        }
    }
}
