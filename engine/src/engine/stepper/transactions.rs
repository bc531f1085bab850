//! Steps that transactions and deliveries make.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use bytes::Bytes;

use crate::catalog::SOURCE_ERRORS;
use crate::data::ObjectId;
use crate::dataflow::Fingerprint;
use crate::engine::commit::{Commit, Request, check_size};
use crate::engine::guard::guarded;
use crate::engine::keys::KeyCheck;
use crate::engine::stepper::Stepper;
use crate::engine::storage::Storage;
use crate::engine::{Operation, record};
use crate::error::{Error, Result};
use crate::source::Delivery;

/// Transactions taken into one step, so that its length stays bounded.
const MOST_COMMITS: usize = 1024;

/// Bytes of deliveries taken into one step.
const MOST_BYTES: usize = 16 << 20;

/// What becomes one epoch.
#[derive(Default)]
pub(super) struct Batch {
    commits: Vec<Commit>,
    deliveries: Vec<Delivery>,
    bytes: usize,
    /// The node that failed the step of a transaction before.
    failed: Option<Fingerprint>,
}

/// Why transactions and deliveries were not taken in.
struct Refusal {
    error: Error,
    /// Whether their step failed, and all is as it was before.
    step: bool,
    /// Rows of deliveries that were in the step.
    rows: usize,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { error, step: false, rows: 0 }
    }
}

impl Batch {
    /// One transaction, which a node may have failed before.
    pub(super) fn again(commit: Commit, failed: Option<Fingerprint>) -> Batch {
        Batch { commits: vec![commit], failed, ..Batch::default() }
    }

    fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.deliveries.is_empty()
    }

    /// Whether nothing more fits: there is enough, or a change of the catalog is in it.
    fn is_full(&self) -> bool {
        self.commits.len() >= MOST_COMMITS
            || self.bytes >= MOST_BYTES
            || self.commits.first().is_some_and(Commit::is_ddl)
    }
}

impl Stepper {
    /// Takes in what else is waiting: deliveries, and transactions that only write rows, share a step and an fsync; one
    /// that changes the catalog has a step to itself. Returns the request that did not fit.
    pub(super) fn gather(&mut self, first: Request, requests: &Receiver<Request>) -> Option<Request> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut left = None;
        // Deliveries under suspicion make many steps: others get their turn between.
        let mut apart = false;
        while let Some(request) = next.take() {
            match request {
                Request::Commit(commit) if batch.is_empty() || !commit.is_ddl() => {
                    batch.bytes += commit.bytes();
                    batch.commits.push(commit);
                }
                Request::Delivery(run, delivery) if batch.is_empty() || !self.is_suspected(delivery.relation) => {
                    if self.sources.expects(run, &delivery) {
                        apart = self.is_suspected(delivery.relation);
                        batch.bytes += delivery.permit.bytes();
                        batch.deliveries.push(*delivery);
                    }
                }
                other => {
                    left = Some(other);
                    break;
                }
            }
            if !apart && !batch.is_full() {
                next = requests.try_recv().ok().and_then(|request| self.hold(request));
            }
        }
        self.take_in(batch);
        left
    }

    /// Whether deliveries of a source are taken in with nothing else.
    fn is_suspected(&self, source: ObjectId) -> bool {
        self.suspicion.most_rows(source).is_some()
    }

    /// Makes transactions durable and visible, and deliveries visible, all at one epoch.
    pub(super) fn take_in(&mut self, Batch { commits, deliveries, failed, .. }: Batch) {
        if let Some(error) = &self.failed {
            let error = error.duplicate();
            return commits.into_iter().for_each(|commit| commit.finish(Err(error.duplicate())));
        }
        let (commits, mut deliveries) = (self.accepted(commits), self.within_reach(deliveries));
        if commits.is_empty() && deliveries.is_empty() {
            return;
        }
        if let [delivery] = &*deliveries
            && let Some(most) = self.suspicion.most_rows(delivery.relation)
        {
            deliveries = deliveries.into_iter().flat_map(|delivery| delivery.split(most)).collect();
        }
        match self.step_and_log(&commits, &deliveries) {
            Ok(()) => self.taken_in(commits, &deliveries),
            Err(Refusal { error, step: true, rows }) if self.failed.is_none() => {
                // Nobody has seen anything of it; sources are read again from where they were.
                self.publish();
                if deliveries.is_empty() {
                    return self.one_by_one(commits, &error, failed);
                }
                self.suspect_deliveries(&deliveries, commits.is_empty(), rows);
                drop(deliveries);
                for commit in commits {
                    self.take_in(Batch::again(commit, None));
                }
            }
            Err(Refusal { error, .. }) => {
                commits.into_iter().for_each(|commit| commit.finish(Err(error.duplicate())));
            }
        }
    }

    /// Publishes what was taken in, and answers.
    fn taken_in(&mut self, commits: Vec<Commit>, deliveries: &[Delivery]) {
        let snapshot = self.publish();
        // After a step that failed they are read again.
        if self.failures == 0 {
            self.metrics.delivered(deliveries);
        }
        if commits.iter().any(Commit::is_ddl) {
            self.sources.follow(&self.dataflows, self.epoch);
        }
        commits.into_iter().for_each(|commit| commit.finish(Ok(snapshot.clone())));
    }

    /// After a step of theirs failed: each transaction gets a step to itself, so that only those fail that cannot be. What
    /// becomes of one that had it depends on the node that `failed` it before.
    fn one_by_one(&mut self, mut commits: Vec<Commit>, error: &Error, failed: Option<Fingerprint>) {
        match commits.pop() {
            Some(alone) if commits.is_empty() => {
                // What made the step fail has gone.
                self.failures = 0;
                self.suspect_transaction(alone, error, failed);
            }
            last => {
                for commit in commits.into_iter().chain(last) {
                    self.take_in(Batch::again(commit, None));
                }
            }
        }
    }

    /// Answers the transactions that cannot be, and returns the others.
    fn accepted(&mut self, group: Vec<Commit>) -> Vec<Commit> {
        let catalog = self.dataflows.catalog().clone();
        let mut keys = KeyCheck::new(self.dataflows.stores().clone(), self.epoch);
        let mut accepted = Vec::with_capacity(group.len());
        for mut commit in group {
            commit.operations.iter_mut().for_each(|operation| self.sources.settle(operation));
            let fits = check_size(commit.bytes()).and_then(|()| self.memory.admit(commit.growth()));
            let written = commit.operations.iter().filter_map(Operation::written);
            let prepared = fits.and_then(|()| guarded(|| self.dataflows.prepare(written)));
            match prepared.and_then(|()| guarded(|| keys.accept(&catalog, &commit.operations))) {
                Ok(()) => accepted.push(commit),
                Err(error) => commit.finish(Err(error)),
            }
        }
        accepted
    }

    /// The deliveries that a step can take in. Sources whose rows would come to state that cannot be read stop, until
    /// something is dropped.
    fn within_reach(&mut self, mut deliveries: Vec<Delivery>) -> Vec<Delivery> {
        let relations: BTreeSet<ObjectId> = deliveries.iter().map(|delivery| delivery.relation).collect();
        for source in relations {
            let own = || deliveries.iter().filter(|delivery| delivery.relation == source);
            let rows = own().any(|delivery| delivery.rows.num_rows() > 0).then_some(source);
            let errors = own().any(Delivery::has_errors).then_some(SOURCE_ERRORS);
            if let Err(error) = guarded(|| self.dataflows.prepare(rows.into_iter().chain(errors))) {
                self.sources.halt(source, &error);
                deliveries.retain(|delivery| delivery.relation != source);
            }
        }
        deliveries
    }

    /// One step, then the log: what is in the log has been shown to apply. Nobody sees anything of either before both are
    /// done. An error after the beginning of the step sends the engine back to its last checkpoint, from where the log and
    /// the sources bring it to where it was before.
    fn step_and_log(&mut self, commits: &[Commit], deliveries: &[Delivery]) -> Result<(), Refusal> {
        let mut records = record::transactions(commits.iter().map(|commit| commit.operations.as_slice()))?;
        if let Some(first) = commits.first().filter(|_| commits.iter().any(Commit::is_ddl)) {
            self.create(&first.operations)?;
        }
        if !records.is_empty() {
            // Of the epoch before: whoever asked for the transactions has seen no later one.
            records.extend(self.sources.unlogged()?);
        }
        let mut rows = 0;
        match self.steps(commits, deliveries, &mut rows) {
            Ok(gone) => {
                self.failures = 0;
                self.log(&records)?;
                gone.into_iter().for_each(|table| self.locks.forget(table));
                Ok(())
            }
            Err(error) => {
                self.recover(&error)?;
                Err(Refusal { error, step: true, rows })
            }
        }
    }

    /// One step; for the parts of a delivery under suspicion, one each. Returned are the tables that are gone. `rows` is left
    /// with the rows of deliveries of the last step.
    fn steps(&mut self, commits: &[Commit], deliveries: &[Delivery], rows: &mut usize) -> Result<Vec<ObjectId>> {
        let suspected = deliveries.first().is_some_and(|delivery| self.is_suspected(delivery.relation));
        let together = if suspected { 1 } else { deliveries.len().max(1) };
        let mut gone = Vec::new();
        if deliveries.is_empty() {
            return self.step(commits, &[]);
        }
        for deliveries in deliveries.chunks(together) {
            *rows = deliveries.iter().map(|delivery| delivery.rows.num_rows()).sum();
            gone.extend(self.step(commits, deliveries)?);
        }
        Ok(gone)
    }

    /// Returned are the tables that are gone.
    fn step(&mut self, commits: &[Commit], deliveries: &[Delivery]) -> Result<Vec<ObjectId>> {
        let (before, now) = (self.epoch, self.clock.read());
        let (gone, last) = guarded(|| {
            let mut operations: Vec<Operation> =
                commits.iter().flat_map(|commit| commit.operations.iter().cloned()).collect();
            operations.extend(self.sources.operations(deliveries, &mut self.dataflows, before)?);
            self.dataflows.observe(deliveries, now)?;
            self.dataflows.step(before.next(), now, &operations)?;
            // A hydration that begins now reads up to here.
            self.sources.advance(deliveries);
            self.dataflows.finish(&operations, before.next())
        })?;
        self.epoch = last;
        Ok(gone)
    }

    /// Appends records of a step that is done, with one fsync.
    fn log(&mut self, records: &[Bytes]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let before = self.position;
        match Storage::of(&self.storage)?.log.append(records) {
            Ok(position) => {
                self.position = position;
                Ok(())
            }
            Err(error) => {
                self.recover(&error)?;
                // A failed write may be there all the same, and then it was applied.
                let there = self.position.0 >= before.0 + records.len() as u64;
                if there {
                    return Ok(());
                }
                self.publish();
                Err(error)
            }
        }
    }

    /// Adds what a transaction creates. An error leaves everything as it was; after a panic nothing is sure.
    fn create(&mut self, operations: &[Operation]) -> Result<(), Refusal> {
        let epoch = self.epoch;
        let created = guarded(|| Ok(self.dataflows.create(operations, epoch)));
        match created {
            Ok(Ok(created)) => self.epoch = created,
            Ok(Err(error)) if !operations.iter().any(|operation| matches!(operation, Operation::Suspend { .. })) => {
                self.sources.follow(&self.dataflows, self.epoch);
                return Err(error.into());
            }
            Ok(Err(error)) | Err(error) => {
                self.recover(&error)?;
                return Err(Refusal { error, step: true, rows: 0 });
            }
        }
        Ok(())
    }
}
