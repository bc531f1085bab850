//! New relations get their contents, at once or aside.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Culprit, Dataflows};
use crate::data::{Epoch, ObjectId, Parts};
use crate::dataflow::Hydration;
use crate::engine::hydrations::Outcome;
use crate::error::{Error, Result};

impl Dataflows {
    /// Takes note that a relation just added has to be hydrated, if it brought nodes that were not there.
    pub(super) fn claim(&mut self, relation: ObjectId) -> Result<()> {
        if self.graph.claim(relation)? {
            self.sinks.begin(relation);
            self.hydrations.add(relation);
        }
        Ok(())
    }

    /// Begins the hydrations that await nothing, and ends those that have little to do. `epoch` is the last one made;
    /// returned is the last one used.
    pub(super) fn hydrate(&mut self, epoch: Epoch) -> Result<Epoch> {
        let mut now = epoch;
        for relation in self.hydrations.idle() {
            if !self.graph.awaits(relation)?.is_empty() {
                continue;
            }
            let progress = self.hydrations.progress(relation);
            let (histories, catalog) = (self.histories.clone(), self.catalog.clone());
            let mut history = |source, wanted: &Parts| histories.read(&catalog, source, relation, wanted);
            let started = self.graph.set_aside(relation, now, &mut history, progress);
            match started.and_then(|hydration| self.hydrations.start(hydration)) {
                Ok(None) => {}
                Ok(Some(done)) => now = self.splice(relation, done, now)?,
                Err(error) => self.hydrations.fail(relation, &error)?,
            }
        }
        Ok(now)
    }

    pub(super) fn splice(&mut self, relation: ObjectId, hydration: Hydration, epoch: Epoch) -> Result<Epoch> {
        let spliced = catch_unwind(AssertUnwindSafe(|| self.graph.splice(hydration)));
        match spliced.unwrap_or_else(|_| Err(Error::internal("hydration panicked"))) {
            Ok(last) => {
                self.hydrations.remove(relation);
                for (source, times) in self.histories.take_times(relation) {
                    self.event_times.remember(source, times);
                }
                self.unsaved.operators_changed = true;
                Ok(epoch.max(last))
            }
            Err(error) => {
                self.hydrations.fail(relation, &error)?;
                Ok(epoch)
            }
        }
    }

    /// While memory is scarce: gives up the hydrations for each of which more than so many bytes are kept.
    pub fn give_up_hydrations(&mut self, most: u64) -> Result<()> {
        let relations: Vec<ObjectId> = self.hydrations.relations().collect();
        for relation in relations {
            let kept = self.graph.kept_for(relation);
            if kept > most {
                tracing::warn!(%relation, kept, "too much is kept for a view that is being filled; it begins anew when there is memory");
                self.hydrations.give_up(relation)?;
                self.graph.let_go(relation);
            }
        }
        Ok(())
    }

    /// Takes in what a hydration's thread has left. Returns the last epoch used, if there was something.
    pub fn hydration(&mut self, relation: ObjectId, run: u64, epoch: Epoch) -> Result<Option<Epoch>> {
        let mut now = epoch;
        match self.hydrations.outcome(relation, run) {
            None => return Ok(None),
            Some(Outcome::Level(hydration)) => now = self.splice(relation, *hydration, now)?,
            Some(Outcome::Failed(error) | Outcome::Hopeless(error)) => self.hydrations.fail(relation, &error)?,
            Some(Outcome::Again) => {
                let mut again = self.awaiting(&[relation])?;
                again.insert(relation);
                self.renew(&again)?;
            }
        }
        // Others may have waited for it.
        now = self.hydrate(now)?;
        self.collect_stores();
        self.sinks.measure(&mut self.graph)?;
        Ok(Some(now))
    }

    /// Who cannot be kept, if a hydration's thread has found that it would fail for ever.
    pub fn hopeless(&mut self, relation: ObjectId, run: u64) -> Option<Culprit> {
        let why = self.hydrations.hopeless(relation, run)?;
        let node = self.graph.relation(relation).and_then(|node| self.graph.fingerprint(node).ok())?;
        self.culprit_of(node, [relation].into(), &why)
    }

    /// Relations that cannot be hydrated before one of these is, themselves or by way of others.
    pub(super) fn awaiting(&self, relations: &[ObjectId]) -> Result<BTreeSet<ObjectId>> {
        let mut found = BTreeSet::new();
        for relation in self.hydrations.relations() {
            let awaits = self.graph.awaits(relation)?;
            if !relations.contains(&relation) && awaits.iter().any(|id| relations.contains(id) || found.contains(id)) {
                found.insert(relation);
            }
        }
        Ok(found)
    }

    /// Takes note in a view of the history that Kafka has deleted since the view was made.
    fn shorten(&mut self, view: ObjectId) -> Result<()> {
        let shortened = self.histories.take_shortened(view);
        let mut catalog = (*self.catalog).clone();
        let Some(item) = catalog.remove(view).filter(|_| !shortened.is_empty()) else { return Ok(()) };
        catalog.insert(Arc::unwrap_or_clone(item).with_partial(shortened))?;
        self.catalog = Arc::new(catalog);
        self.unsaved.created.push(view);
        Ok(())
    }

    /// Gives relations that are not hydrated new nodes: those they had are of no use any more.
    pub(super) fn renew(&mut self, relations: &BTreeSet<ObjectId>) -> Result<()> {
        for relation in relations.iter().rev() {
            let dropped = self.graph.remove(*relation)?;
            self.forget(&dropped);
            // Among them may be saved nodes of a view that was dropped: what is saved of them is of no use any more.
            self.unsaved.operators_changed |= !dropped.is_empty();
            self.unsaved.dropped_operators.extend(dropped);
        }
        for relation in relations {
            self.shorten(*relation)?;
            let Some(item) = self.catalog.by_id(*relation).cloned() else { continue };
            self.add(&item)?;
            self.graph.claim(*relation)?;
            self.hydrations.add(*relation);
        }
        Ok(())
    }
}
