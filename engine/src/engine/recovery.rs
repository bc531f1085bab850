//! From what is durable to what was: the last checkpoint, then the log's tail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::{Epoch, ObjectId, OperatorId};
use crate::dataflow::{Fingerprint, Unreadable};
use crate::engine::clock::Micros;
use crate::engine::dataflows::{Culprit, Dataflows};
use crate::engine::guard::guarded;
use crate::engine::history::Histories;
use crate::engine::hydrations::Hydrations;
use crate::engine::record::{self, Record};
use crate::engine::sources::saved_places;
use crate::engine::storage::Storage;
use crate::engine::tally::Counts;
use crate::engine::{Operation, entry};
use crate::error::{Error, Result, SqlState};
use crate::source::{Intake, Place};
use crate::state::LogPosition;

/// An engine's state as it was when the last acknowledged transaction was published.
pub struct Recovered {
    pub dataflows: Dataflows,
    pub epoch: Epoch,
    /// The epoch of the checkpoint that was read.
    pub durable: Epoch,
    pub position: LogPosition,
    /// The step clock of the checkpoint.
    pub clock: Micros,
    /// How far each source has been taken in.
    pub histories: Histories,
    /// How far they had been when transactions of the log's tail were acknowledged.
    pub places: BTreeMap<ObjectId, Place>,
}

/// Reads the last checkpoint and applies the entries of the log after it, each as a step.
///
/// New views are hydrated aside, as they are while the server runs. So are those of which an entry needs state that cannot be
/// read: what they are made from is there. Views at which an entry fails twice are suspended before it, again at every start
/// until a checkpoint has it.
///
/// # Errors
/// What an entry fails with elsewhere, and what cannot be read or written. No entry is given up: each was applied once before
/// it was logged.
pub fn recover(
    storage: &Storage,
    threads: usize,
    hydrations: &dyn Fn() -> Hydrations,
    intake: &Arc<Intake>,
) -> Result<Recovered> {
    let mut without = Without::default();
    loop {
        match apply(storage, threads, hydrations(), intake, &without) {
            Ok(recovered) => return Ok(recovered),
            Err(failure) => without.learn(failure)?,
        }
    }
}

/// What an attempt does without, for what came to light in those before.
#[derive(Default)]
struct Without {
    /// State that cannot be read.
    lost: BTreeSet<OperatorId>,
    /// The nodes at which entries failed, and how often.
    failed: BTreeMap<(LogPosition, Fingerprint), u32>,
    /// What is suspended before an entry.
    suspended: BTreeMap<LogPosition, Vec<Operation>>,
}

impl Without {
    /// Makes the next attempt another one.
    ///
    /// # Errors
    /// That of the failure, where nothing can be done about it.
    fn learn(&mut self, Failure { replaceable, culprit, error }: Failure) -> Result<()> {
        if let Some(culprit) = culprit {
            let (at, Culprit { node, relations, name, why }) = *culprit;
            let times = self.failed.entry((at, node)).or_default();
            *times += 1;
            match times {
                1 => tracing::error!(%error, "it is tried again"),
                2 => {
                    tracing::error!(first = name, all = relations.len(), %error, "views are suspended: they keep failing");
                    let suspend = Operation::Suspend { relations, why: why.message().to_owned() };
                    self.suspended.entry(at).or_default().push(suspend);
                }
                _ => return Err(error),
            }
            return Ok(());
        }
        let before = self.lost.len();
        // What cannot be read for a moment may be as it should be.
        if error.sqlstate() == SqlState::DATA_CORRUPTED {
            self.lost.extend(replaceable);
        }
        if self.lost.len() == before {
            return Err(error);
        }
        tracing::error!(%error, "what is made from it is filled anew");
        Ok(())
    }
}

/// Why an attempt came to an end.
struct Failure {
    /// State that can be done without.
    replaceable: Vec<OperatorId>,
    /// The entry that failed, and whose fault it was, if that of views and sinks.
    culprit: Option<Box<(LogPosition, Culprit)>>,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { replaceable: Vec::new(), culprit: None, error }
    }
}

fn apply(
    storage: &Storage,
    threads: usize,
    hydrations: Hydrations,
    intake: &Arc<Intake>,
    without: &Without,
) -> Result<Recovered, Failure> {
    let Storage { store, log } = storage;
    let meta = store.meta()?.unwrap_or_default();
    let counts = Counts::load(&meta.tallies, &meta.told)?;
    let histories = Histories::new(intake.clone(), saved_places(&meta.sources)?, counts);
    let load = || Dataflows::load(store, &meta, threads, hydrations, histories.clone(), &without.lost);
    let (mut dataflows, mut epoch) = guarded(load)?;
    // Before the log's tail: what it drops is still part of the checkpoint, should this start be cut short.
    match store.delete_unknown(&dataflows.known_operators()) {
        // What is damaged is an error of those who read it. The rest can be looked through another time.
        Err(error) if error.sqlstate() == SqlState::DATA_CORRUPTED => {
            tracing::error!(%error, "state that belongs to nobody cannot be looked for");
        }
        outcome => outcome?,
    }
    let (mut position, mut places) = (meta.log_position, BTreeMap::new());
    for read in log.read_after(meta.log_position)? {
        let (at, bytes) = read?;
        position = at;
        let entry = match record::read(&bytes)? {
            Record::Transaction(entry) => entry,
            Record::Sources(read) => {
                places.extend(read);
                continue;
            }
        };
        let operations = entry::decode(entry)?;
        let named = |error: Error| {
            let why = error.detail().map(|detail| format!("{detail} ")).unwrap_or_default();
            error.with_detail(format!("{why}Entry {at} of the log cannot be applied."))
        };
        dataflows.prepare_again(&operations).map_err(|unreadable| {
            let Unreadable { mut replaceable, error, .. } = *unreadable;
            // Numbers that entries before this one gave out are given out again.
            replaceable.retain(|operator| operator.0 < meta.next_operator);
            Failure { replaceable, culprit: None, error: named(error) }
        })?;
        let suspensions = without.suspended.get(&at).into_iter().flatten();
        for operations in suspensions.map(std::slice::from_ref).chain([operations.as_slice()]) {
            epoch = guarded(|| dataflows.make_again(operations, epoch, meta.clock)).map_err(|error| {
                let culprit = dataflows.culprit(&error).map(|culprit| Box::new((at, culprit)));
                Failure { replaceable: Vec::new(), culprit, error: named(error) }
            })?;
        }
    }
    // Not earlier: what the log's tail needs comes first.
    dataflows.load_rest()?;
    let (durable, clock) = (meta.epoch, meta.clock);
    Ok(Recovered { dataflows, epoch, durable, position, clock, histories, places })
}
