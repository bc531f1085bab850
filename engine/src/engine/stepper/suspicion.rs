//! Views and sinks that keep failing their part of a step.
//!
//! A node that fails twice in a row in a step of the same input will fail for ever. What depends on it is suspended then, by an
//! entry of the log as any other change of the catalog; tables, and all other views, go on as if it had never been.
//!
//! What "the same input" is differs. A transaction has a step to itself, and gets it at once again; one of which a join makes
//! too much is refused instead. Deliveries are read again, in other batches: until the sources are past the place, nothing
//! else is in their steps. Where a join makes too much of them, they are taken in a few rows at a time first. Time comes again
//! by itself.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::transactions::Batch;
use crate::data::ObjectId;
use crate::dataflow::Fingerprint;
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
#[derive(Default)]
pub struct Suspicion {
    pub(super) culprit: Option<Culprit>,
    /// The node that failed the last step that time made.
    pub(super) time: Option<Fingerprint>,
    /// How deliveries are taken in since a step with some of them failed.
    deliveries: Option<Caution>,
}

/// Deliveries have steps to themselves.
struct Caution {
    /// How far the sources are when what failed is behind.
    places: BTreeMap<ObjectId, Progress>,
    /// The node that failed since.
    node: Option<Fingerprint>,
    /// Rows that a step may have of them.
    rows: usize,
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
}

impl Stepper {
    /// After a step failed that had deliveries, the last one `rows` of them: what is different when they come again.
    pub(super) fn suspect_deliveries(&mut self, deliveries: &[Delivery], alone: bool, rows: usize) {
        let Some(culprit) = self.suspicion.culprit.take() else { return };
        let mut places: BTreeMap<ObjectId, Progress> = BTreeMap::new();
        for delivery in deliveries {
            places.entry(delivery.relation).or_default().advance(&delivery.offsets, delivery.turn.as_ref());
        }
        let before = self.suspicion.deliveries.take();
        let (node, most) = before.map_or((None, usize::MAX), |before| (before.node, before.rows));
        let caution = |node, rows| Some(Caution { places, node, rows });
        let too_much = is_too_much(&culprit.why);
        self.suspicion.deliveries = match alone {
            // It may have been a transaction.
            false => caution(node, most),
            true if too_much && rows > 1 => caution(None, (rows / FEWER).max(1)),
            true if !too_much && node != Some(culprit.node) => caution(Some(culprit.node), most),
            true => return self.suspend(culprit),
        };
    }

    /// After deliveries were taken in.
    pub(super) fn trust_deliveries(&mut self) {
        let Some(caution) = &mut self.suspicion.deliveries else { return };
        if self.sources.have_reached(&caution.places) {
            (caution.node, caution.rows) = (None, caution.rows.saturating_mul(2));
            if caution.rows > MANY_ROWS {
                self.suspicion.deliveries = None;
            }
        }
    }

    /// After a step failed that nobody asked for.
    pub(super) fn suspect_by_time(&mut self) {
        let Some(culprit) = self.suspicion.culprit.take() else { return };
        if self.suspicion.time.replace(culprit.node) == Some(culprit.node) {
            self.suspicion.time = None;
            self.suspend(culprit);
        }
    }

    /// After a transaction failed that had a step to itself, which `before` had failed before: its answer, or what becomes of
    /// it.
    pub(super) fn suspect_transaction(&mut self, commit: Commit, error: &Error, before: Option<Fingerprint>) {
        let culprit = self.suspicion.culprit.take();
        let writes = commit.operations.iter().any(|operation| operation.written().is_some());
        let again = match culprit {
            Some(culprit) if writes && is_too_much(error) => {
                // Somebody is there to do something about it.
                let error = error.duplicate().reworded(|why| format!("{}: {why}", culprit.name));
                return commit.finish(Err(error));
            }
            Some(culprit) if before.is_none() => Some(culprit.node),
            Some(culprit) if before == Some(culprit.node) => {
                self.suspend(culprit);
                None
            }
            _ => return commit.finish(Err(error.duplicate())),
        };
        self.take_in(Batch::again(commit, again));
    }

    /// Suspends all that cannot be without a node that keeps failing.
    fn suspend(&mut self, Culprit { relations, name, why, .. }: Culprit) {
        tracing::error!(first = name, all = relations.len(), error = %why, "views are suspended: they keep failing");
        let operations = vec![Operation::Suspend { relations, why: why.message().to_owned() }];
        let (reply, _) = oneshot::channel();
        self.take_in(Batch::again(Commit { operations, locks: Locks::default(), reply }, None));
    }
}

fn is_too_much(error: &Error) -> bool {
    error.sqlstate() == SqlState::PROGRAM_LIMIT_EXCEEDED
}
