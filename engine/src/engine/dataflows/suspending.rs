//! Views and sinks that cannot be kept current.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Dataflows;
use crate::data::{Epoch, ObjectId};
use crate::dataflow::{Blame, Fingerprint};
use crate::engine::Operation;
use crate::engine::clock::Micros;
use crate::error::{Error, Result, SqlState};

/// A node that failed a step, and the views and sinks that cannot be without it.
pub struct Culprit {
    pub node: Fingerprint,
    pub relations: BTreeSet<ObjectId>,
    /// The first of them as messages name it.
    pub name: String,
    /// What it failed with.
    pub why: Error,
}

impl Dataflows {
    /// Does what a transaction did before, after the epoch `last`; returns the last epoch used. It must be possible again: no
    /// operator makes too much for it, even if there was more memory then, and what it creates over views that are suspended
    /// only now is suspended with them.
    pub fn make_again(&mut self, operations: &[Operation], last: Epoch, now: Micros) -> Result<Epoch> {
        let operations = self.without_suspended(operations);
        let epoch = self.create(&operations, last)?.next();
        self.graph.bound_steps(usize::MAX);
        let outcome = self.step(epoch, now, &operations);
        self.graph.bound_steps(self.hydrations.most_made());
        outcome?;
        let (_, last) = self.finish(&operations, epoch)?;
        Ok(last)
    }

    /// The operations, of which those that create something over what is suspended create it suspended.
    fn without_suspended(&self, operations: &[Operation]) -> Vec<Operation> {
        // What an operation creates, those after it may stand on.
        let mut behind: BTreeMap<ObjectId, String> = BTreeMap::new();
        let again = |operation: &Operation| {
            let Operation::Create(item) = operation else { return operation.clone() };
            let here = || item.depends_on.iter().find_map(|id| behind.get(id).cloned());
            let before = || self.catalog.refusal(&item.depends_on).map(|refusal| refusal.message().to_owned());
            let Some(why) = here().or_else(before) else { return operation.clone() };
            let again = if item.is_maintained() { item.clone().suspend(&why) } else { item.clone() };
            behind.insert(item.id, why);
            Operation::Create(again)
        };
        operations.iter().map(again).collect()
    }

    /// Who is to blame for a step that failed with this: a node of views and sinks, unless it is the system's fault, as for a
    /// disk that cannot be read.
    pub fn culprit(&self, error: &Error) -> Option<Culprit> {
        let is_systems = matches!(error.sqlstate().code().get(..2), Some("53" | "57" | "58"));
        if is_systems || error.sqlstate() == SqlState::DATA_CORRUPTED {
            return None;
        }
        let Blame { node, relations } = self.graph.blame()?;
        self.culprit_of(node, relations, error)
    }

    /// A node of these relations.
    pub(super) fn culprit_of(
        &self,
        node: Fingerprint,
        relations: BTreeSet<ObjectId>,
        error: &Error,
    ) -> Option<Culprit> {
        let over = relations.iter().flat_map(|id| self.catalog.with_dependents(*id));
        let items: Vec<_> = over.filter(|item| item.is_maintained()).collect();
        let first = items.iter().min_by_key(|item| item.id)?;
        let name = format!("{} \"{}\"", first.kind_name(), first.name);
        Some(Culprit { node, relations: items.iter().map(|item| item.id).collect(), name, why: error.duplicate() })
    }

    /// Lets go of views and sinks, with all that stand on them: they stay in the catalog, without nodes and without rows.
    /// `epoch` is the last one made; returned is the last one used.
    pub(super) fn suspend(&mut self, relations: &BTreeSet<ObjectId>, why: &str, epoch: Epoch) -> Result<Epoch> {
        let is_kept = |id: &ObjectId| self.catalog.by_id(*id).is_some_and(|item| item.suspended.is_none());
        let ids: Vec<ObjectId> = relations.iter().copied().filter(is_kept).collect();
        let stranded = self.awaiting(&ids)?;
        let mut catalog = (*self.catalog).clone();
        for id in ids.into_iter().rev() {
            self.take_out(id)?;
            if let Some(item) = catalog.remove(id) {
                catalog.insert(Arc::unwrap_or_clone(item).suspend(why))?;
                self.unsaved.created.push(id);
            }
        }
        self.unsaved.operators_changed = true;
        self.catalog = Arc::new(catalog);
        self.event_times.follow(&self.catalog);
        self.retention.resume();
        // What waited for rows of theirs has nodes of its own from now on.
        self.renew(&stranded)?;
        self.hydrate(epoch)
    }
}
