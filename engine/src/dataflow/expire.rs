//! The step that time makes: rows of base relations go because of their age.

use crate::data::{Epoch, ObjectId};
use crate::dataflow::StepReport;
use crate::dataflow::graph::Graph;
use crate::error::{Error, Result};

/// Rows that one step takes away at most, so that its length stays bounded.
pub const MOST_EXPIRED: usize = 1 << 16;

impl Graph {
    /// Says when the rows that a base relation gets in the next step arrive, in microseconds since 1970.
    ///
    /// # Errors
    /// XX000 for a relation that is not stored.
    pub fn arriving(&self, relation: ObjectId, at: i64) -> Result<()> {
        self.rows(relation).ok_or_else(|| not_stored(relation))?.arriving(at);
        Ok(())
    }

    /// Makes an epoch in which what arrived in each of the relations at its time or before is deleted, and all views with
    /// it, as by a DELETE. Takes so many rows at most: what is left goes at the next call. Nothing happens at `epoch`
    /// when the report has no node visited.
    ///
    /// # Errors
    /// XX000 for a relation that is not stored, and as [`step`](Graph::step).
    pub fn expire(&mut self, epoch: Epoch, due: &[(ObjectId, i64)], most: usize) -> Result<StepReport> {
        let mut left = most;
        let mut gone = Vec::with_capacity(due.len());
        for (relation, through) in due {
            let node = self.relation(*relation).ok_or_else(|| not_stored(*relation))?;
            let change = self.store(node).ok_or_else(|| not_stored(*relation))?.expire(*through, left, epoch)?;
            left -= change.len();
            if !change.is_empty() {
                gone.push((node, change));
            }
            if left == 0 {
                break;
            }
        }
        if gone.is_empty() {
            return Ok(StepReport::default());
        }
        let report = self.run(epoch, Vec::new(), gone)?;
        self.stepped(epoch);
        Ok(report)
    }
}

fn not_stored(relation: ObjectId) -> Error {
    Error::internal(format!("relation {relation} has no rows that could expire"))
}
