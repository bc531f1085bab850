//! What a checkpoint gets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Dataflows;
use crate::catalog;
use crate::data::{Epoch, ObjectId, OperatorId};
use crate::engine::clock::Micros;
use crate::engine::operators;
use crate::error::Result;
use crate::state::{Checkpoint, LogPosition, Meta};

/// What the next checkpoint must hold besides the graph's own changes.
#[derive(Default)]
pub(super) struct CatalogChanges {
    pub(super) created: Vec<ObjectId>,
    pub(super) dropped: Vec<ObjectId>,
    pub(super) dropped_operators: Vec<OperatorId>,
    /// Whether nodes became part of the graph.
    pub(super) operators_changed: bool,
}

impl Dataflows {
    /// About how many bytes of memory the next checkpoint takes while it is written.
    pub fn unsaved(&mut self) -> u64 {
        self.graph.unsaved()
    }

    /// Puts all that changed since the last call into a checkpoint.
    pub fn save(&mut self, durable: Epoch, out: &mut Checkpoint) -> Result<()> {
        let CatalogChanges { created, dropped, dropped_operators, operators_changed } =
            std::mem::take(&mut self.unsaved);
        let changed = operators_changed || !dropped.is_empty();
        dropped_operators.into_iter().for_each(|operator| out.drop_operator(operator));
        dropped.into_iter().for_each(|id| catalog::store::delete(id, out));
        for item in created.iter().filter_map(|id| self.catalog.by_id(*id)) {
            catalog::store::save(item, out)?;
        }
        // Without state of theirs, operators that are still hydrated aside must not be known to the next start.
        if changed {
            operators::save(&self.graph.operators().collect(), out)?;
        }
        self.sinks.measure(&mut self.graph)?;
        self.graph.save(durable, out)
    }

    /// What a checkpoint of this state says of itself.
    pub fn meta(
        &self,
        epoch: Epoch,
        log_position: LogPosition,
        clock: Micros,
        sources: BTreeMap<ObjectId, serde_json::Value>,
    ) -> Result<Meta> {
        let (next_object, next_operator) = (self.next_object, self.next_operator);
        let (event_times, (tallies, told)) = (self.event_times.saved()?, self.histories.counts().saved()?);
        let filling: BTreeSet<ObjectId> = self.hydrations.relations().collect();
        let sinks = self.sinks.saved(|id| !filling.contains(&id))?;
        Ok(Meta { epoch, log_position, next_object, next_operator, clock, sources, event_times, tallies, told, sinks })
    }

    /// The owners of durable state: what is lost goes with the next checkpoint, which has what stands in for it.
    pub fn known_operators(&self) -> HashSet<OperatorId> {
        let known = self.operators.values().chain(&self.unsaved.dropped_operators).copied();
        known.chain([operators::OWNER, operators::ERRORS, operators::LATE]).collect()
    }
}
