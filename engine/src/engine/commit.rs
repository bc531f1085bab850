//! What sessions ask of the step thread.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::catalog::Item;
use crate::data::ObjectId;
use crate::dataflow::PlanLine;
use crate::engine::{Locks, Operation, Snapshot};
use crate::error::{Error, Result, SqlState};
use crate::source::Delivery;

/// Bytes of rows that one transaction may write: what a step can hold in one piece, with room to spare.
const MOST_WRITTEN: usize = 512 << 20;

/// A transaction to be made durable and visible.
pub struct Commit {
    pub operations: Vec<Operation>,
    /// Released when the effect is published.
    pub locks: Locks,
    /// Answered with the first snapshot that has the effect.
    pub reply: oneshot::Sender<Result<Arc<Snapshot>>>,
}

impl Commit {
    /// Whether the catalog changes.
    pub fn is_ddl(&self) -> bool {
        self.operations.iter().any(|operation| !matches!(operation, Operation::Write { .. }))
    }

    /// Bytes of the rows that are written, in memory.
    pub fn bytes(&self) -> usize {
        self.operations.iter().map(Operation::bytes).sum()
    }

    /// Bytes of rows that are there afterwards and were not before; 0 when there are fewer.
    pub fn growth(&self) -> u64 {
        let grown = |operation: &Operation| match operation {
            Operation::Write { change, .. } if !change.is_empty() => {
                let bytes = change.bytes() as i64;
                let rows = change.len() as i64;
                let net = change.weights().map_or(rows, |weights| weights.iter().sum());
                bytes.saturating_mul(net.clamp(-rows, rows)) / rows
            }
            _ => 0,
        };
        self.operations.iter().map(grown).sum::<i64>().max(0).unsigned_abs()
    }

    /// Answers. Nobody listens when the client has gone, which is no error: what is durable stays.
    pub fn finish(self, outcome: Result<Arc<Snapshot>>) {
        if let Ok(snapshot) = &outcome {
            self.locks.release(snapshot.epoch);
        }
        self.reply.send(outcome).ok();
    }
}

/// Whether a transaction may write so many bytes of rows.
///
/// # Errors
/// 54000 when they are too many.
pub fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MOST_WRITTEN {
        return Ok(());
    }
    let hint = format!("Write at most {} MiB of rows in one transaction.", MOST_WRITTEN >> 20);
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a transaction writes too much").with_hint(hint))
}

/// What a dataflow is asked for.
pub enum Explained {
    Object(ObjectId),
    /// One that is not made.
    New(Box<Item>),
}

/// A message to the step thread.
pub enum Request {
    Commit(Commit),
    /// Rows of a source, from the reader of this number.
    Delivery(u64, Box<Delivery>),
    /// Answered when everything published now is durable in a checkpoint.
    Flush(oneshot::Sender<Result<()>>),
    /// Answered with the nodes of an object's dataflow.
    Explain(Explained, oneshot::Sender<Result<Vec<PlanLine>>>),
    /// The checkpoint in flight is durable.
    Durable(crate::engine::checkpointer::Done),
    /// The time was set: something may be due.
    Time,
    /// Answered when no rows are left in these relations, and in all that they are made of, that are too old.
    Settle(Vec<ObjectId>, oneshot::Sender<Arc<Snapshot>>),
    /// What a start left for later has been read.
    Loaded,
    /// The hydration of a relation has something to say: the thread of this number.
    Hydration(ObjectId, u64),
    /// Checkpoint and stop.
    Shutdown(oneshot::Sender<Result<()>>),
    /// Stop as if the process were killed.
    Abandon,
}
