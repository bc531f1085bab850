//! From what is durable to what was: the last checkpoint, then the log's tail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::{Epoch, ObjectId};
use crate::engine::clock::Micros;
use crate::engine::dataflows::Dataflows;
use crate::engine::entry;
use crate::engine::guard::guarded;
use crate::engine::history::Histories;
use crate::engine::hydrations::Hydrations;
use crate::engine::record::{self, Record};
use crate::engine::sources::saved_progress;
use crate::engine::storage::Storage;
use crate::error::{Error, Result, SqlState};
use crate::source::{Intake, Progress};
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
    /// Entries that turned out not to be possible, and why.
    pub voided: BTreeMap<LogPosition, Error>,
    /// How far each source has been taken in.
    pub histories: Histories,
    /// How far they had been when transactions of the log's tail were acknowledged.
    pub places: BTreeMap<ObjectId, Progress>,
}

/// Reads the last checkpoint and applies the entries of the log after it, each as a step.
///
/// New views are hydrated aside, as they are while the server runs.
///
/// An entry that fails, and of which nobody was told that it is there, becomes void, for good: it must not keep the
/// database from opening. These are the entries after `acknowledged`; a start knows only that those which were written
/// last, all at once, may be among them.
///
/// # Errors
/// What an acknowledged entry fails with, and what cannot be read or written.
pub fn recover(
    storage: &Storage,
    threads: usize,
    hydrations: &dyn Fn() -> Hydrations,
    intake: &Arc<Intake>,
    acknowledged: Option<LogPosition>,
) -> Result<Recovered> {
    let mut voided = BTreeMap::new();
    loop {
        let tail = Tail::read(storage)?;
        let failure = match apply(storage, threads, hydrations(), intake, &tail) {
            Ok(recovered) => return Ok(Recovered { voided, ..recovered }),
            Err(failure) => failure,
        };
        let Failure { at: Some(at), error } = failure else { return Err(failure.error) };
        let from_outside = [SqlState::IO_ERROR, SqlState::DATA_CORRUPTED].contains(&error.sqlstate());
        if from_outside || at <= acknowledged.unwrap_or(tail.acknowledged) {
            let why = error.detail().map(|detail| format!("{detail} ")).unwrap_or_default();
            return Err(error.with_detail(format!("{why}Entry {at} of the log cannot be applied.")));
        }
        tracing::error!(position = %at, %error, "a transaction cannot be applied; it is void");
        storage.log.append(&[record::void(at)])?;
        voided.insert(at, error);
    }
}

/// What is known of the log's tail before anything of it is applied.
struct Tail {
    void: BTreeSet<LogPosition>,
    /// The transactions up to this one were followed by others, so those who asked for them were answered.
    acknowledged: LogPosition,
}

impl Tail {
    fn read(Storage { store, log }: &Storage) -> Result<Tail> {
        let from = store.meta()?.unwrap_or_default().log_position;
        let mut tail = Tail { void: BTreeSet::new(), acknowledged: from };
        for entry in log.read_after(from)? {
            let (at, bytes) = entry?;
            match record::read(&bytes)? {
                Record::Void(position) => drop(tail.void.insert(position)),
                Record::Transaction { index: 0, .. } => tail.acknowledged = LogPosition(at.0 - 1),
                Record::Transaction { .. } | Record::Sources(_) => {}
            }
        }
        Ok(tail)
    }
}

/// Why recovery came to an end: at an entry of the log, or elsewhere.
struct Failure {
    at: Option<LogPosition>,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { at: None, error }
    }
}

fn apply(
    storage: &Storage,
    threads: usize,
    hydrations: Hydrations,
    intake: &Arc<Intake>,
    tail: &Tail,
) -> std::result::Result<Recovered, Failure> {
    let Storage { store, log } = storage;
    let meta = store.meta()?.unwrap_or_default();
    let histories = Histories::new(intake.clone(), saved_progress(&meta.sources)?);
    let load = || Dataflows::load(store, &meta, threads, hydrations, histories.clone());
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
            Record::Transaction { entry, .. } => entry,
            Record::Sources(read) => {
                places.extend(read);
                continue;
            }
            Record::Void(_) => continue,
        };
        if tail.void.contains(&at) {
            continue;
        }
        let operations = entry::decode(entry)?;
        let step = || {
            histories.begin(&operations);
            let epoch = dataflows.create(&operations, epoch)?.next();
            dataflows.step(epoch, meta.clock, &operations)?;
            let (_, last) = dataflows.finish(&operations, epoch)?;
            Ok(last)
        };
        epoch = guarded(step).map_err(|error| Failure { at: Some(at), error })?;
    }
    // Not earlier: what the log's tail needs comes first.
    dataflows.load_rest()?;
    let (durable, clock, voided) = (meta.epoch, meta.clock, BTreeMap::new());
    Ok(Recovered { dataflows, epoch, durable, position, clock, histories, places, voided })
}
