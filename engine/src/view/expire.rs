//! Rows that go because of their age.

use arrow::array::{Int64Array, UInt32Array};
use arrow::compute::take_record_batch;

use super::chunk::{Chunk, RowAddress};
use super::store::RowStore;
use crate::data::{Epoch, ZSet};
use crate::error::{Error, Result};

impl RowStore {
    /// Says when the rows to come arrive, in microseconds since 1970. A store that was told so once keeps the time of each
    /// row; it must be told so before its first row.
    pub fn arriving(&self, at: i64) {
        self.writer.lock().arriving = Some(at);
    }

    /// Whether rows have a time of arrival.
    pub fn keeps_arrivals(&self) -> bool {
        self.writer.lock().arriving.is_some()
    }

    /// No row that is there arrived before this time; None when there is no row with a time. Of rows that are not
    /// [readable](RowStore::is_readable) yet nothing is known.
    pub fn oldest_arrival(&self) -> Option<i64> {
        self.chunks().live.iter().filter_map(|chunk| chunk.oldest_arrival()).min()
    }

    /// Deletes rows that arrived at `through` or before, at most so many, from the epoch on. Returns the change: what was
    /// deleted. Whoever gets fewer than `at_most` rows has got all.
    ///
    /// The work is proportional to the rows that go and to the number of chunks: rows are found by where they are.
    ///
    /// # Errors
    /// XX000 for an epoch before the last one applied.
    pub fn expire(&self, through: i64, at_most: usize, epoch: Epoch) -> Result<ZSet> {
        self.wait_complete()?;
        let mut writer = self.writer.lock();
        let chunks = self.chunks();
        let due = |chunk: &&std::sync::Arc<Chunk>| chunk.oldest_arrival().is_some_and(|oldest| oldest <= through);
        let mut due: Vec<_> = chunks.live.iter().filter(due).collect();
        due.sort_by_key(|chunk| chunk.order);
        let (mut parts, mut left) = (Vec::new(), at_most);
        for chunk in due {
            let rows = chunk.arrived_by(through, left);
            if rows.len() < left {
                chunk.expired(through);
            }
            left -= rows.len();
            if rows.is_empty() {
                continue;
            }
            let weights = Int64Array::from_iter_values(rows.iter().map(|row| -chunk.weight(*row as usize)));
            let gone: Vec<RowAddress> = rows.iter().map(|row| RowAddress::new(chunk.id, *row as usize)).collect();
            parts.push(ZSet::new(take_record_batch(&chunk.batch, &UInt32Array::from(rows))?, weights));
            if epoch < writer.epoch {
                return Err(Error::internal(format!("epoch {epoch} is applied after epoch {}", writer.epoch)));
            }
            writer.epoch = epoch;
            self.take_away(&mut writer, chunk, &gone, epoch)?;
            if left == 0 {
                break;
            }
        }
        ZSet::concat(self.schema(), &parts)
    }
}
