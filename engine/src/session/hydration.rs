//! Views that are still being filled, as statements meet them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::data::ObjectId;
use crate::engine::Snapshot;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long a CREATE MATERIALIZED VIEW waits for its rows, at most.
const A_MOMENT: Duration = Duration::from_secs(1);

impl Session {
    /// What is filled in a moment can be read when CREATE returns.
    pub(super) async fn wait_a_moment(&self, snapshot: &Snapshot, created: &[ObjectId]) {
        if created.iter().any(|id| snapshot.hydrating.contains_key(id)) {
            tokio::time::timeout(A_MOMENT, self.engine.hydrated(created)).await.ok();
        }
    }

    /// Waits until these relations can be read: where the session says so, until views are filled; and always until
    /// the rows that a start left for later are there.
    pub(super) async fn wait_for_hydration(&mut self, relations: &BTreeSet<ObjectId>) -> Result<()> {
        let waiting = self.awaited(relations)?;
        if !waiting.is_empty() {
            let hydrated = self.engine.hydrated(&waiting).await?;
            self.transaction().move_to(hydrated);
        }
        self.wait_for_age(relations).await?;
        let stores = self.transaction().snapshot().stores.clone();
        let stores = relations.iter().filter_map(|id| stores.get(id).cloned());
        for store in stores.filter(|store| !store.is_readable()) {
            // Not on this thread: others have statements on it. What fails is said by whoever reads.
            tokio::task::spawn_blocking(move || store.wait_readable()).await.ok();
        }
        Ok(())
    }

    /// What became too old while nobody was there is gone before anybody reads.
    async fn wait_for_age(&mut self, relations: &BTreeSet<ObjectId>) -> Result<()> {
        if self.transaction().snapshot().overdue.is_empty() {
            return Ok(());
        }
        let overdue = self.transaction().snapshot().overdue.clone();
        let relations: Vec<ObjectId> = relations.iter().filter(|id| overdue.contains(id)).copied().collect();
        if !relations.is_empty() {
            let settled = self.engine.settled(relations).await?;
            self.transaction().move_to(settled);
        }
        Ok(())
    }

    /// Waits until a table that a start left for later can be written.
    ///
    /// # Errors
    /// XX001 when it cannot be read back: what is written to it could never be applied.
    pub(super) async fn wait_to_write(&mut self, table: ObjectId) -> Result<()> {
        let store = self.transaction().snapshot().stores.get(&table).cloned();
        let Some(store) = store.filter(|store| !store.is_complete()) else { return Ok(()) };
        let waited = tokio::task::spawn_blocking(move || store.wait_complete()).await;
        waited.map_err(|error| Error::internal("waiting for a table failed").with_source(error))?
    }

    /// Those that cannot be read yet; none where the session does not wait for it.
    fn awaited(&mut self, relations: &BTreeSet<ObjectId>) -> Result<Vec<ObjectId>> {
        if self.settings.get("wait_for_hydration")? != "on" {
            return Ok(Vec::new());
        }
        let hydrating = self.transaction().snapshot().hydrating.clone();
        if hydrating.is_empty() {
            return Ok(Vec::new());
        }
        Ok(relations.iter().filter(|id| hydrating.contains_key(id)).copied().collect())
    }
}
