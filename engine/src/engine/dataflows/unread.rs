//! State that a start left to be read later, and what cannot be done without it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Dataflows;
use crate::catalog::ItemKind;
use crate::data::ObjectId;
use crate::dataflow::Unreadable;
use crate::engine::Operation;
use crate::engine::clock::Micros;
use crate::error::{Error, Result};

impl Dataflows {
    /// Returns when all state is there that a step needs which writes to these relations. Asked before the log has what is
    /// written: what a step cannot take in must not be there.
    ///
    /// # Errors
    /// XX001 and 58030, naming the relation that cannot be read.
    pub fn prepare(&mut self, relations: impl IntoIterator<Item = ObjectId>) -> Result<()> {
        self.reach(relations).map_err(|unreadable| unreadable.error)
    }

    /// The same for an entry of the log.
    ///
    /// # Errors
    /// What cannot be read, and the state to be replaced.
    pub fn prepare_again(&mut self, operations: &[Operation]) -> Result<(), Box<Unreadable>> {
        self.reach(operations.iter().filter_map(Operation::written))
    }

    fn reach(&mut self, relations: impl IntoIterator<Item = ObjectId>) -> Result<(), Box<Unreadable>> {
        let nodes: Vec<_> = relations.into_iter().filter_map(|id| self.graph.relation(id)).collect();
        self.graph.prepare(&nodes).map_err(|mut unreadable| {
            if let Some(relation) = unreadable.relation {
                unreadable.error = self.unreadable_relation(relation, unreadable.error);
            }
            unreadable
        })
    }

    fn unreadable_relation(&self, relation: ObjectId, cause: Error) -> Error {
        let Some(item) = self.catalog.by_id(relation) else { return cause };
        let error = unreadable(&item.name, cause);
        match item.kind {
            ItemKind::MaterializedView { .. } | ItemKind::Sink { .. } => error
                .with_hint("DROP it and create it anew: until then nothing can be written to what it is made from."),
            _ => error,
        }
    }

    /// The relations that may have rows which became too old before the start: the step that takes them away is still to come.
    pub fn overdue(&mut self, now: Micros) -> Arc<BTreeSet<ObjectId>> {
        let tables = self.retention.overdue(now);
        let reached = tables.into_iter().flat_map(|table| self.graph.relations_from(table));
        Arc::new(reached.collect())
    }

    /// Finds out what is too old in the tables that these relations are made of; waits for the tables to be read.
    pub fn look_at(&mut self, relations: &[ObjectId]) {
        let made_of = |table: &ObjectId| self.graph.relations_from(*table).iter().any(|id| relations.contains(id));
        let tables: Vec<ObjectId> = self.retention.unread().into_iter().filter(made_of).collect();
        for table in tables {
            let rows = self.stores.get(&table);
            match rows.map_or(Ok(()), |rows| rows.wait_readable()) {
                Ok(()) => self.retention.refresh([table], &self.stores),
                Err(error) => {
                    tracing::error!(%table, %error, "rows that are too old cannot go");
                    self.retention.halt(table);
                }
            }
        }
    }

    /// The tables of which what is too old can go now: with a retention, and with all state there that it takes.
    pub(super) fn without_unreadable(&mut self, mut due: Vec<(ObjectId, i64)>) -> Vec<(ObjectId, i64)> {
        due.retain(|(table, _)| match self.prepare([*table]) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%table, %error, "rows that are too old cannot go");
                self.retention.halt(*table);
                false
            }
        });
        due
    }
}

/// Why a relation's rows cannot be had.
pub fn unreadable(name: &str, cause: Error) -> Error {
    let message = format!("relation \"{name}\" cannot be read back: {}", cause.message());
    let error = Error::new(cause.sqlstate(), message);
    match cause.detail() {
        Some(detail) => error.with_detail(detail),
        None => error,
    }
}
