//! Shards: the parts into which keyed state is cut, so that threads can work beside each other.
//!
//! A key's shard follows from its hash alone. How many shards there are is fixed, whatever the number of threads, so neither
//! state nor results depend on that.

use std::ops::Range;

use arrow::array::Array;

use crate::data::hash::{mix_bytes, mix_u64, mix_u128};
use crate::data::key::{Fixed, Keys};

/// Shards of a keyed state.
pub const SHARDS: usize = 64;

/// The shard of a hash: the upper six of the ten bits that are its durable [`bucket`](crate::state::bucket), so that a shard's
/// keys are one range of durable keys.
pub fn shard_of(hash: u64) -> usize {
    (hash >> 44) as usize % SHARDS
}

/// The shard of what stands in this [`bucket`](crate::state::bucket) of durable state.
pub fn shard_of_bucket(bucket: [u8; 2]) -> usize {
    usize::from(u16::from_be_bytes(bucket)) * SHARDS / 1024 % SHARDS
}

/// The first [`bucket`](crate::state::bucket) of a shard, and that of the next one; None after the last.
pub fn buckets(shard: usize) -> ([u8; 2], Option<[u8; 2]>) {
    let first = |shard: usize| ((shard * (1024 / SHARDS)) as u16).to_be_bytes();
    (first(shard), (shard + 1 < SHARDS).then(|| first(shard + 1)))
}

/// The hash of each key: what decides its shard, and its bucket in durable state.
pub fn hashes(keys: &Keys) -> Vec<u64> {
    fn fixed<T: Copy>(keys: &Fixed<T>, hash: impl Fn(T) -> u64) -> Vec<u64> {
        match &keys.nulls {
            None => keys.values.iter().map(|key| hash(*key)).collect(),
            Some(_) => {
                let keys =
                    keys.values.iter().enumerate().map(|(row, key)| if keys.is_null(row) { 0 } else { hash(*key) });
                keys.collect()
            }
        }
    }
    match keys {
        Keys::U64(keys) => fixed(keys, mix_u64),
        Keys::U128(keys) => fixed(keys, mix_u128),
        Keys::Bytes(keys) => (0..keys.len()).map(|row| mix_bytes(keys.value(row))).collect(),
    }
}

/// The rows of a batch, shard by shard; in order within each.
#[derive(Debug)]
pub struct RowsByShard {
    rows: Vec<u32>,
    /// Where in `rows` each shard's begin, and at last where they end.
    starts: [u32; SHARDS + 1],
}

impl RowsByShard {
    /// Sorts rows by the shards of their hashes.
    pub fn new(hashes: &[u64]) -> RowsByShard {
        let mut starts = [0u32; SHARDS + 1];
        for hash in hashes {
            starts[shard_of(*hash) + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let (mut next, mut rows) = (starts, vec![0; hashes.len()]);
        for (row, hash) in hashes.iter().enumerate() {
            let place = &mut next[shard_of(*hash)];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        RowsByShard { rows, starts }
    }

    /// The rows of a shard.
    pub fn rows(&self, shard: usize) -> &[u32] {
        &self.rows[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }

    /// Runs of shards that are worth a task each, given how many rows are. Together they are all shards.
    pub fn tasks(&self, rows_a_task: usize) -> Vec<Range<usize>> {
        let tasks = (self.rows.len() / rows_a_task).clamp(1, SHARDS).next_power_of_two();
        let shards = SHARDS / tasks;
        (0..tasks).map(|task| task * shards..(task + 1) * shards).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hash::mix_u64;
    use crate::state::bucket;

    #[test]
    fn a_shard_is_a_range_of_buckets() {
        for hash in (0..5000).map(mix_u64) {
            assert_eq!(shard_of_bucket(bucket(hash)), shard_of(hash));
            let (from, to) = buckets(shard_of(hash));
            assert!(from <= bucket(hash) && to.is_none_or(|to| bucket(hash) < to));
        }
        assert_eq!((buckets(0), buckets(63)), (([0, 0], Some([0, 16])), ([3, 0xf0], None)));
    }

    #[test]
    fn every_row_is_in_its_shard_once_and_in_order() {
        let hashes: Vec<u64> = (0..1000).map(mix_u64).collect();
        let rows = RowsByShard::new(&hashes);
        let mut seen = 0;
        for shard in 0..SHARDS {
            let own = rows.rows(shard);
            assert!(own.is_sorted() && own.iter().all(|row| shard_of(hashes[*row as usize]) == shard));
            seen += own.len();
        }
        assert_eq!(seen, 1000);
        for (rows_a_task, tasks) in [(8192, 1), (501, 1), (500, 2), (300, 4), (1, 64)] {
            let ranges = rows.tasks(rows_a_task);
            assert_eq!((ranges.len(), ranges[0].start, ranges[tasks - 1].end), (tasks, 0, SHARDS));
        }
    }
}
