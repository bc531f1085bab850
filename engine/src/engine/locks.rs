//! Locks that order transactions: one a table, for those that change its rows, and one for the catalog.
//!
//! INSERT takes none: the step checks keys where the order of transactions is settled. A transaction's locks go with it
//! to the step and are released when its effect is published, even if its client has gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::data::{Epoch, ObjectId};
use crate::error::{Error, Result, SqlState};

/// After so long, a transaction that waits for one lock while it holds another is taken for one half of a deadlock.
/// PostgreSQL's `deadlock_timeout`.
const DEADLOCK: Duration = Duration::from_secs(1);

/// What a table's lock protects: the epoch at which rows of the table were last changed or deleted.
type LastChange = Epoch;

/// The locks there are.
#[derive(Default)]
pub struct LockTable {
    tables: Mutex<HashMap<ObjectId, Arc<AsyncMutex<LastChange>>>>,
    catalog: Arc<AsyncMutex<()>>,
}

impl LockTable {
    /// Waits for a table's lock.
    ///
    /// # Errors
    /// 40P01 when other locks are held and the wait is long, 55P03 after `limit`.
    pub async fn table(&self, table: ObjectId, held: &Locks, limit: Option<Duration>) -> Result<TableLock> {
        let lock = self.tables.lock().entry(table).or_default().clone();
        Ok(TableLock(wait(lock.lock_owned(), held, limit).await?))
    }

    /// Waits for the catalog's lock. Errors as [`table`](LockTable::table).
    pub async fn catalog(&self, held: &Locks, limit: Option<Duration>) -> Result<OwnedMutexGuard<()>> {
        wait(self.catalog.clone().lock_owned(), held, limit).await
    }

    /// Forgets the lock of a table that is no more.
    pub fn forget(&self, table: ObjectId) {
        self.tables.lock().remove(&table);
    }
}

async fn wait<T>(lock: impl Future<Output = T>, held: &Locks, limit: Option<Duration>) -> Result<T> {
    let deadlock = (!held.is_empty()).then_some(DEADLOCK);
    let Some(patience) = deadlock.into_iter().chain(limit).min() else { return Ok(lock.await) };
    timeout(patience, lock).await.map_err(|_| match limit {
        Some(limit) if limit == patience => {
            Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
        }
        _ => Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .with_hint("The transaction might succeed if retried."),
    })
}

/// A table's lock, held.
pub struct TableLock(OwnedMutexGuard<LastChange>);

impl TableLock {
    /// The epoch at which rows of the table were last changed or deleted.
    pub fn changed_at(&self) -> Epoch {
        *self.0
    }
}

/// The locks that a transaction holds.
#[derive(Default)]
pub struct Locks {
    tables: BTreeMap<ObjectId, TableLock>,
    catalog: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.catalog.is_none()
    }

    pub fn has_table(&self, table: ObjectId) -> bool {
        self.tables.contains_key(&table)
    }

    pub fn has_catalog(&self) -> bool {
        self.catalog.is_some()
    }

    pub fn add_table(&mut self, table: ObjectId, lock: TableLock) {
        self.tables.insert(table, lock);
    }

    pub fn add_catalog(&mut self, lock: OwnedMutexGuard<()>) {
        self.catalog = Some(lock);
    }

    /// Lets go, with the epoch at which the transaction's changes were published.
    pub fn release(mut self, epoch: Epoch) {
        self.tables.values_mut().for_each(|lock| *lock.0 = epoch);
    }
}
