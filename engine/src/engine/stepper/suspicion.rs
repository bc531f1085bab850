//! Views and sinks that keep failing their part of a step.
//!
//! A node that fails twice in a row in a step of the same input will fail for ever. What depends on it is suspended then, by an
//! entry of the log as any other change of the catalog; tables, and all other views, go on as if it had never been.
//!
//! What "the same input" is differs. A transaction has a step to itself, and gets it at once again; one of which a join makes
//! too much is refused instead. Deliveries are read again, in other batches: until their source is past the place, and that is
//! durable, nothing else is in their steps. Where a join makes too much of them, they are taken in a few rows at a time first.
//! Time comes again by itself; where a join makes too much of rows that are too old, fewer of them go at once.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::transactions::Batch;
use crate::data::ObjectId;
use crate::dataflow::{Fingerprint, MOST_EXPIRED};
use crate::engine::commit::Commit;
use crate::engine::dataflows::Culprit;
use crate::engine::stepper::Stepper;
use crate::engine::{Locks, Operation};
use crate::error::{Error, SqlState};
use crate::source::{Delivery, Place};

/// How many times fewer rows a step gets after a join made too much of them.
const FEWER: usize = 16;

/// Rows of deliveries in a step that are as good as no bound.
const MANY_ROWS: usize = 1 << 16;

/// Who failed the last step that failed, and who is watched for failing again.
pub struct Suspicion {
    pub(super) culprit: Option<Culprit>,
    /// The node that failed the last step that time made.
    pub(super) time: Option<Fingerprint>,
    /// Rows that may go in a step because of their age.
    expired: usize,
    /// How deliveries of sources are taken in since a step with some of them failed. Each on its own: one may be away for long.
    sources: BTreeMap<ObjectId, Caution>,
}

impl Default for Suspicion {
    fn default() -> Suspicion {
        Suspicion { culprit: None, time: None, expired: MOST_EXPIRED, sources: BTreeMap::new() }
    }
}

/// Deliveries of a source have steps to themselves.
struct Caution {
    /// How far the source is when what failed is behind.
    place: Place,
    /// The nodes that failed since.
    nodes: BTreeSet<Fingerprint>,
    /// Rows that a step may have of them.
    rows: usize,
    /// Whether the checkpoint that was begun last has all up to the place.
    saved: bool,
}

impl Default for Caution {
    fn default() -> Caution {
        Caution { place: Place::default(), nodes: BTreeSet::new(), rows: usize::MAX, saved: false }
    }
}

impl Suspicion {
    /// Rows of a delivery that a step may have, in which there must be nothing else; None for a source without suspicion.
    pub(super) fn most_rows(&self, source: ObjectId) -> Option<usize> {
        self.sources.get(&source).map(|caution| caution.rows)
    }

    /// Rows that may go in a step because of their age.
    pub(super) fn most_expired(&self) -> usize {
        self.expired
    }

    /// A checkpoint is begun: of which sources it has what failed, as `has_reached` tells of a source and a place.
    pub(super) fn saving(&mut self, has_reached: impl Fn(ObjectId, &Place) -> bool) {
        for (source, caution) in &mut self.sources {
            caution.saved = has_reached(*source, &caution.place);
        }
    }

    /// The checkpoint is durable: what has been done since the last failure is not lost to the next, and more can be tried.
    /// Not sooner: what was done in small steps would be done over and over, and of two sources that fail a node in turn,
    /// each would be trusted before the other fails.
    pub(super) fn try_more(&mut self) {
        self.expired = self.expired.saturating_mul(2).min(MOST_EXPIRED);
        self.sources.retain(|_, caution| {
            if !caution.saved {
                return true;
            }
            caution.nodes.clear();
            caution.rows = caution.rows.saturating_mul(2);
            caution.rows <= MANY_ROWS
        });
    }
}

impl Stepper {
    /// After a step failed that had deliveries, the last one `rows` of them: what is different when they come again.
    pub(super) fn suspect_deliveries(&mut self, deliveries: &[Delivery], alone: bool, rows: usize) {
        let Some(culprit) = self.suspicion.culprit.take() else { return };
        let too_much = is_too_much(&culprit.why);
        let mut has_news = !alone;
        for Delivery { relation, offsets, turn, .. } in deliveries {
            let caution = self.suspicion.sources.entry(*relation).or_default();
            caution.place.advance(offsets, turn.as_ref());
            caution.saved = false;
            match alone {
                // It may have been a transaction.
                false => {}
                true if too_much && rows > 1 => {
                    caution.rows = caution.rows.min(rows / FEWER).max(1);
                    has_news = true;
                }
                true => has_news |= !too_much && caution.nodes.insert(culprit.node),
            }
        }
        if has_news {
            return;
        }
        deliveries.iter().for_each(|delivery| drop(self.suspicion.sources.remove(&delivery.relation)));
        let why = culprit.why.duplicate();
        if !self.suspend(culprit) && self.failed.is_none() {
            self.fail(&why);
        }
    }

    /// After a step failed that nobody asked for.
    pub(super) fn suspect_by_time(&mut self) {
        let Some(culprit) = self.suspicion.culprit.take() else { return };
        if is_too_much(&culprit.why) && self.suspicion.expired > 1 {
            self.suspicion.expired = (self.suspicion.expired / FEWER).max(1);
        } else if self.suspicion.time.replace(culprit.node) == Some(culprit.node) {
            self.suspicion.time = None;
            let why = culprit.why.duplicate();
            if !self.suspend(culprit) && self.failed.is_none() {
                self.fail(&why);
            }
        }
    }

    /// After a transaction failed that had a step to itself, which `before` had failed before: its answer, or what becomes of
    /// it.
    pub(super) fn suspect_transaction(&mut self, commit: Commit, error: &Error, before: Option<Fingerprint>) {
        let mut culprit = self.suspicion.culprit.take();
        if let Some(culprit) = &mut culprit {
            // Of those that it would have made itself there is nothing to suspend.
            let catalog = self.dataflows.catalog();
            culprit.relations.retain(|id| catalog.by_id(*id).is_some());
        }
        let writes = commit.operations.iter().any(|operation| operation.written().is_some());
        let again = match culprit {
            Some(culprit) if writes && is_too_much(error) => {
                // Somebody is there to do something about it.
                let error = error.duplicate().reworded(|why| format!("{}: {why}", culprit.name));
                return commit.finish(Err(error));
            }
            Some(culprit) if before.is_none() => Some(culprit.node),
            Some(culprit) if before == Some(culprit.node) => {
                if !self.suspend(culprit) {
                    return commit.finish(Err(error.duplicate()));
                }
                None
            }
            _ => return commit.finish(Err(error.duplicate())),
        };
        self.take_in(Batch::again(commit, again));
    }

    /// Suspends all that cannot be without a node that keeps failing; whether that is so now, and not for nothing.
    pub(super) fn suspend(&mut self, Culprit { relations, name, why, .. }: Culprit) -> bool {
        if relations.is_empty() {
            return false;
        }
        tracing::error!(first = name, all = relations.len(), error = %why, "views are suspended: they keep failing");
        let operations = vec![Operation::Suspend { relations: relations.clone(), why: why.message().to_owned() }];
        let (reply, _) = oneshot::channel();
        self.take_in(Batch::again(Commit { operations, locks: Locks::default(), reply }, None));
        let catalog = self.dataflows.catalog();
        relations.iter().all(|id| catalog.by_id(*id).is_some_and(|item| item.suspended.is_some()))
    }
}

fn is_too_much(error: &Error) -> bool {
    error.sqlstate() == SqlState::PROGRAM_LIMIT_EXCEEDED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caution_ends_with_a_checkpoint_that_has_the_place() {
        let source = ObjectId(1);
        let mut suspicion = Suspicion::default();
        suspicion.sources.insert(source, Caution { rows: MANY_ROWS, ..Caution::default() });
        // The steps come to the place while it is written.
        suspicion.saving(|_, _| false);
        suspicion.try_more();
        assert_eq!(suspicion.most_rows(source), Some(MANY_ROWS));
        suspicion.saving(|_, _| true);
        assert_eq!(suspicion.most_rows(source), Some(MANY_ROWS));
        suspicion.try_more();
        assert_eq!(suspicion.most_rows(source), None);
    }
}
