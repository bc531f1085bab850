//! Views and sinks that cannot be kept current.

use std::collections::BTreeSet;
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
    /// A [`step`](Dataflows::step) that was made before, and must be possible again: no operator makes too much for it, even
    /// if there was more memory then.
    pub fn step_again(&mut self, epoch: Epoch, now: Micros, operations: &[Operation]) -> Result<()> {
        self.graph.bound_steps(usize::MAX);
        let outcome = self.step(epoch, now, operations);
        self.graph.bound_steps(self.hydrations.most_made());
        outcome
    }

    /// Who is to blame for a step that failed with this: a node of views and sinks, unless it is the system's fault, as for a
    /// disk that cannot be read.
    pub fn culprit(&self, error: &Error) -> Option<Culprit> {
        let is_systems = matches!(error.sqlstate().code().get(..2), Some("53" | "57" | "58"));
        if is_systems || error.sqlstate() == SqlState::DATA_CORRUPTED {
            return None;
        }
        let Blame { node, relations } = self.graph.blame()?;
        let over = relations.iter().flat_map(|id| self.catalog.with_dependents(*id));
        let items: Vec<_> = over.filter(|item| item.is_maintained()).collect();
        let first = items.iter().min_by_key(|item| item.id)?;
        let name = format!("{} \"{}\"", first.kind_name(), first.name);
        Some(Culprit { node, relations: items.iter().map(|item| item.id).collect(), name, why: error.duplicate() })
    }

    /// Lets go of views and sinks, with all that stand on them: they stay in the catalog, without nodes and without rows.
    /// `epoch` is the last one made; returned is the last one used.
    pub(super) fn suspend(&mut self, relations: &BTreeSet<ObjectId>, why: &str, epoch: Epoch) -> Result<Epoch> {
        let ids: Vec<ObjectId> = relations.iter().copied().collect();
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
