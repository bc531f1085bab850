//! From what is durable to what was: the last checkpoint, then the log's tail.

use std::collections::BTreeMap;

use crate::data::{Epoch, ObjectId};
use crate::engine::clock::Micros;
use crate::engine::dataflows::Dataflows;
use crate::engine::entry;
use crate::engine::hydrations::Hydrations;
use crate::engine::storage::Storage;
use crate::error::Result;
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
    /// How far the checkpoint has taken in each source.
    pub sources: BTreeMap<ObjectId, serde_json::Value>,
}

/// Reads the last checkpoint and applies the entries of the log after it, each as a step.
///
/// New views are hydrated aside, as they are while the server runs.
pub fn recover(storage: &Storage, threads: usize, hydrations: Hydrations) -> Result<Recovered> {
    let Storage { store, log } = storage;
    let meta = store.meta()?.unwrap_or_default();
    let (mut dataflows, mut epoch) = Dataflows::load(store, &meta, threads, hydrations)?;
    // Before the log's tail: what it drops is still part of the checkpoint, should this start be cut short.
    store.delete_unknown(&dataflows.known_operators())?;
    let mut position = meta.log_position;
    for entry in log.read_after(meta.log_position)? {
        let (at, bytes) = entry?;
        let operations = entry::decode(&bytes)?;
        epoch = dataflows.create(&operations, epoch)?.next();
        dataflows.step(epoch, meta.clock, &operations)?;
        (_, epoch) = dataflows.finish(&operations, epoch)?;
        position = at;
    }
    Ok(Recovered { dataflows, epoch, durable: meta.epoch, position, clock: meta.clock, sources: meta.sources })
}
