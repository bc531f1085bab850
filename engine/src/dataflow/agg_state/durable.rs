//! How a GROUP BY is saved and loaded.
//!
//! | key | value |
//! |---|---|
//! | bucket, 0, key of the group | version, rows i64, states of the accumulators in order |
//! | bucket, part, length of the group's key u32 BE, key of the group, value | version, weights i64 |
//!
//! Part n is the nth set of values: those for DISTINCT first, with a weight for each condition, then the ordered ones, with
//! one weight. A group's values share its bucket, so that a scan meets the group before them; a shard is a run of buckets.

use rayon::prelude::*;

use crate::data::OperatorId;
use crate::dataflow::agg_state::AggState;
use crate::dataflow::agg_state::shard::Shard;
use crate::dataflow::coding::{Reader, VERSION};
use crate::dataflow::shards::{buckets, shard_of_bucket};
use crate::dataflow::slots::SlotTable;
use crate::error::{Error, Result, SqlState};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// The part of the key space that holds the groups themselves.
const GROUPS: u8 = 0;

/// Shards that are read at the same time.
const TOGETHER: usize = 8;

impl AggState {
    /// Writes the entries that changed since the last call, `prefix` before their keys.
    ///
    /// # Errors
    /// 54000 for more sets of values than a byte counts.
    pub fn save(&mut self, id: OperatorId, prefix: &[u8], checkpoint: &mut Checkpoint) -> Result<()> {
        let global = self.plan.options.global;
        self.shards.iter_mut().flatten().try_for_each(|shard| shard.save(id, prefix, global, checkpoint))
    }

    /// Takes over what was saved under this id; the state must be new. Shards are read on as many threads as there are, once
    /// the first of them has told how much room they need.
    ///
    /// # Errors
    /// XX001 for entries that are not as they were written.
    pub fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        let AggState { plan, shards } = self;
        let mut room = 0;
        let (alone, others) = shards.split_at_mut(1);
        for (first, shards) in std::iter::once(alone).chain(others.chunks_mut(TOGETHER)).scan(0, numbered) {
            shards.par_iter_mut().enumerate().try_for_each(|(at, place)| {
                let (from, to) = buckets(first + at);
                let scan = store.scan_range(KeyKind::Keyed, id, &from, to.as_ref().map(<[u8; 2]>::as_slice))?;
                scan.each(|key, value| {
                    let [_, _, part, key @ ..] = key else { return Err(short_key()) };
                    let shard = place.get_or_insert_with(|| {
                        let mut shard = Box::new(Shard::new(plan));
                        shard.reserve(room);
                        shard
                    });
                    shard.load_entry(*part, key, value)
                })
            })?;
            if first == 0 {
                room = room_for(shards.iter().flatten().map(|shard| shard.groups()).sum());
            }
        }
        Ok(())
    }

    /// Takes over one entry, its key without prefix. A group's own entry comes before those of its values.
    ///
    /// # Errors
    /// As [`load`](AggState::load).
    pub fn load_entry(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let [high, low, part, key @ ..] = key else { return Err(short_key()) };
        self.shard(shard_of_bucket([*high, *low]))?.load_entry(*part, key, value)
    }
}

/// Some shards, with the number of the first of them.
fn numbered<'a>(
    next: &mut usize,
    shards: &'a mut [Option<Box<Shard>>],
) -> Option<(usize, &'a mut [Option<Box<Shard>>])> {
    let first = *next;
    *next += shards.len();
    Some((first, shards))
}

/// For how many groups a shard needs room where another one has so many: a hash spreads them, so that hardly any has more
/// beyond that than a few times the square root.
fn room_for(groups: usize) -> usize {
    groups + 4 * groups.isqrt()
}

impl Shard {
    fn save(&mut self, id: OperatorId, prefix: &[u8], global: bool, checkpoint: &mut Checkpoint) -> Result<()> {
        let mut part = GROUPS;
        let mut next_part = || {
            part = part.checked_add(1).ok_or_else(too_many)?;
            Ok::<u8, Error>(part)
        };
        let slots = &self.slots;
        for values in &mut self.distinct {
            let mut writer =
                ValueWriter { id, prefix, part: next_part()?, slots, checkpoint, key: vec![], coded: vec![] };
            values.take_changed(|group, value, weights| writer.write(group, value, weights));
        }
        for values in &mut self.ordered {
            let mut writer =
                ValueWriter { id, prefix, part: next_part()?, slots, checkpoint, key: vec![], coded: vec![] };
            values.take_changed(|group, value, weight| {
                writer.write(group, value, weight.as_ref().map(std::slice::from_ref))
            });
        }
        self.save_groups(id, prefix, global, checkpoint);
        Ok(())
    }

    fn save_groups(&mut self, id: OperatorId, prefix: &[u8], global: bool, checkpoint: &mut Checkpoint) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for slot in self.dirty.take() {
            key.clear();
            key.extend_from_slice(prefix);
            key.extend_from_slice(&self.slots.bucket(slot));
            key.push(GROUPS);
            self.slots.write_key(slot, &mut key);
            let index = slot as usize;
            if self.rows[index] != 0 || global {
                value.clear();
                value.push(VERSION);
                value.extend_from_slice(&self.rows[index].to_le_bytes());
                self.accumulators.iter().for_each(|accumulator| accumulator.states().write(slot, &mut value));
                checkpoint.put(KeyKind::Keyed, id, &key, &value);
                self.durable[index] = true;
            } else {
                if std::mem::take(&mut self.durable[index]) {
                    checkpoint.delete(KeyKind::Keyed, id, &key);
                }
                self.accumulators.iter_mut().for_each(|accumulator| accumulator.states_mut().reset(slot));
                self.slots.remove(slot);
            }
        }
    }

    fn load_entry(&mut self, part: u8, key: &[u8], value: &[u8]) -> Result<()> {
        let mut reader = Reader::new(value)?;
        match part.checked_sub(GROUPS + 1) {
            None => self.load_group(key, &mut reader)?,
            Some(set) => self.load_value(usize::from(set), key, &mut reader)?,
        }
        reader.end()
    }

    fn load_group(&mut self, key: &[u8], reader: &mut Reader<'_>) -> Result<()> {
        let slot = self.slots.durable_slot(key)?;
        self.grow();
        self.rows[slot as usize] = reader.i64()?;
        self.durable[slot as usize] = true;
        self.accumulators.iter_mut().try_for_each(|accumulator| accumulator.states_mut().read(slot, reader))
    }

    fn load_value(&mut self, set: usize, key: &[u8], reader: &mut Reader<'_>) -> Result<()> {
        let (length, rest) = key.split_first_chunk().ok_or_else(short_key)?;
        let (group, value) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(short_key)?;
        let groups = self.slots.len();
        let slot = self.slots.durable_slot(group)?;
        if self.slots.len() != groups {
            return Err(Error::corrupt("a value of a group that is not there"));
        }
        let ordered = set.checked_sub(self.distinct.len());
        match (self.distinct.get_mut(set), ordered.and_then(|set| self.ordered.get_mut(set))) {
            (Some(values), _) => values.restore(slot, value, reader),
            (_, Some(values)) => values.restore(slot, value, reader),
            _ => Err(Error::corrupt("values of an aggregate that is not there")),
        }
    }
}

fn short_key() -> Error {
    Error::corrupt("a durable key has a wrong length")
}

fn too_many() -> Error {
    let message = "too many different DISTINCT, min and max arguments in one GROUP BY";
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

/// Writes the entries of one set of values.
struct ValueWriter<'a> {
    id: OperatorId,
    prefix: &'a [u8],
    part: u8,
    slots: &'a SlotTable,
    checkpoint: &'a mut Checkpoint,
    key: Vec<u8>,
    coded: Vec<u8>,
}

impl ValueWriter<'_> {
    fn write(&mut self, group: u32, value: &[u8], weights: Option<&[i64]>) {
        let key = &mut self.key;
        key.clear();
        key.extend_from_slice(self.prefix);
        key.extend_from_slice(&self.slots.bucket(group));
        key.push(self.part);
        let length_at = key.len();
        key.extend_from_slice(&[0; 4]);
        self.slots.write_key(group, key);
        let length = (key.len() - length_at - 4) as u32;
        key[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        key.extend_from_slice(value);
        match weights {
            Some(weights) => {
                self.coded.clear();
                self.coded.push(VERSION);
                weights.iter().for_each(|weight| self.coded.extend_from_slice(&weight.to_le_bytes()));
                self.checkpoint.put(KeyKind::Keyed, self.id, key, &self.coded);
            }
            None => self.checkpoint.delete(KeyKind::Keyed, self.id, key),
        }
    }
}
