//! Views and sinks that keep failing their part of a step.
//!
//! A node that fails twice in a row in a step of the same input will fail for ever. What depends on it is suspended then, by an
//! entry of the log as any other change of the catalog; tables, and all other views, go on as if it had never been.
//!
//! What "the same input" is differs. A transaction has a step to itself, and gets it at once again; one of which a join makes
//! too much is refused instead. Deliveries are read again, in other batches: until the sources are past the place, nothing
//! else is in their steps. Where a join makes too much of them, they are taken in a few rows at a time first. Time comes again
//! by itself; where a join makes too much of rows that are too old, fewer of them go at once.

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
use crate::source::{Delivery, Progress};

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
    /// How deliveries are taken in since a step with some of them failed.
    deliveries: Option<Caution>,
}

impl Default for Suspicion {
    fn default() -> Suspicion {
        Suspicion { culprit: None, time: None, expired: MOST_EXPIRED, deliveries: None }
    }
}

/// Deliveries have steps to themselves.
struct Caution {
    /// How far the sources are when what failed is behind.
    places: BTreeMap<ObjectId, Progress>,
    /// The nodes that failed since: deliveries of several sources come again in another order.
    nodes: BTreeSet<Fingerprint>,
    /// Rows that a step may have of them.
    rows: usize,
    /// Whether what failed is behind.
    behind: bool,
}

impl Default for Caution {
    fn default() -> Caution {
        Caution { places: BTreeMap::new(), nodes: BTreeSet::new(), rows: usize::MAX, behind: false }
    }
}

impl Suspicion {
    /// Whether transactions and deliveries must not share a step.
    pub(super) fn keeps_apart(&self) -> bool {
        self.deliveries.is_some()
    }

    /// Rows of a delivery that a step may have; None where there is no bound.
    pub(super) fn most_rows(&self) -> Option<usize> {
        self.deliveries.as_ref().map(|caution| caution.rows)
    }

    /// Rows that may go in a step because of their age.
    pub(super) fn most_expired(&self) -> usize {
        self.expired
    }

    /// A checkpoint is durable: what has been done since the last failure is not lost to the next, and more can be tried. Not
    /// sooner: what was done in small steps would be done over and over.
    pub(super) fn try_more(&mut self) {
        self.expired = self.expired.saturating_mul(2).min(MOST_EXPIRED);
        self.deliveries.take_if(|caution| {
            caution.rows = if caution.behind { caution.rows.saturating_mul(2) } else { caution.rows };
            caution.behind && caution.rows > MANY_ROWS
        });
    }
}

impl Stepper {
    /// After a step failed that had deliveries, the last one `rows` of them: what is different when they come again.
    pub(super) fn suspect_deliveries(&mut self, deliveries: &[Delivery], alone: bool, rows: usize) {
        let Some(culprit) = self.suspicion.culprit.take() else { return };
        let Caution { mut places, mut nodes, rows: most, .. } = self.suspicion.deliveries.take().unwrap_or_default();
        for delivery in deliveries {
            places.entry(delivery.relation).or_default().advance(&delivery.offsets, delivery.turn.as_ref());
        }
        let too_much = is_too_much(&culprit.why);
        let rows = match alone {
            // It may have been a transaction.
            false => most,
            true if too_much && rows > 1 => (rows / FEWER).max(1),
            true if !too_much && nodes.insert(culprit.node) => most,
            true => {
                let why = culprit.why.duplicate();
                if !self.suspend(culprit) && self.failed.is_none() {
                    self.fail(&why);
                }
                return;
            }
        };
        self.suspicion.deliveries = Some(Caution { places, nodes, rows, behind: false });
    }

    /// After deliveries were taken in.
    pub(super) fn trust_deliveries(&mut self) {
        let sources = &self.sources;
        self.suspicion.deliveries.take_if(|caution| {
            caution.behind |= sources.have_reached(&caution.places);
            if caution.behind {
                caution.nodes.clear();
            }
            caution.behind && caution.rows > MANY_ROWS
        });
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
    fn suspend(&mut self, Culprit { relations, name, why, .. }: Culprit) -> bool {
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
