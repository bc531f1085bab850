//! What a relation's rows did between two epochs, read from the rows themselves.

use arrow::array::UInt32Array;

use super::chunk::Chunk;
use super::store::RowStore;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};

impl RowStore {
    /// The change that brings the relation from what it was at `from` to what it is at `to`. What came and went between
    /// the two is not in it. Takes time proportional to the chunks, and to the rows of those that changed.
    ///
    /// Both must have been applied, and the horizon of compaction must not have passed `from` since.
    ///
    /// # Errors
    /// XX000 when it has.
    pub fn changes(&self, from: Epoch, to: Epoch) -> Result<Vec<ZSet>> {
        self.wait_readable()?;
        let chunks = self.chunks();
        if from < self.horizon() {
            return Err(Error::internal(format!("changes since epoch {from} can no longer be read")));
        }
        let changed = chunks.in_order().into_iter().filter(|chunk| chunk.changed_after(from));
        let changes = changed.map(|chunk| change(&chunk, from, to));
        changes.filter(|change| !matches!(change, Ok(change) if change.is_empty())).collect()
    }
}

fn change(chunk: &Chunk, from: Epoch, to: Epoch) -> Result<ZSet> {
    let (mut rows, mut weights) = (Vec::new(), Vec::new());
    for row in 0..chunk.rows() {
        let weight = match (chunk.visible(row, from), chunk.visible(row, to)) {
            (false, true) => chunk.weight(row),
            (true, false) => -chunk.weight(row),
            _ => continue,
        };
        rows.push(row as u32);
        weights.push(weight);
    }
    let rows = ZSet::inserts(chunk.batch.clone()).take(&UInt32Array::from(rows))?;
    Ok(match weights.iter().all(|weight| *weight == 1) {
        true => rows,
        false => ZSet::new(rows.batch().clone(), weights.into()),
    })
}
