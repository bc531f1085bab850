//! How a GROUP BY is saved and loaded.
//!
//! | key | value |
//! |---|---|
//! | bucket, 0, key of the group | version, rows i64, states of the accumulators in order |
//! | bucket, part, length of the group's key u32 BE, key of the group, value | version, weight i64 |
//!
//! Part n is the nth set of values: those for DISTINCT first, then the ordered ones. A group's values share its bucket, so
//! that a scan meets the group before them.

use crate::data::OperatorId;
use crate::dataflow::agg_state::AggState;
use crate::dataflow::coding::{Reader, VERSION};
use crate::dataflow::slots::SlotTable;
use crate::error::{Error, Result, SqlState};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// The part of the key space that holds the groups themselves.
const GROUPS: u8 = 0;

impl AggState {
    /// Writes the entries that changed since the last call, `prefix` before their keys.
    ///
    /// # Errors
    /// 54000 for more sets of values than a byte counts.
    pub fn save(&mut self, id: OperatorId, prefix: &[u8], checkpoint: &mut Checkpoint) -> Result<()> {
        let mut part = GROUPS;
        let mut next_part = || {
            part = part.checked_add(1).ok_or_else(too_many)?;
            Ok::<u8, Error>(part)
        };
        let slots = &self.slots;
        for shared in &mut self.distinct {
            let mut writer = ValueWriter { id, prefix, part: next_part()?, slots, checkpoint, key: vec![] };
            shared.values.take_changed(|group, value, weight| writer.write(group, value, weight));
        }
        for shared in &mut self.ordered {
            let mut writer = ValueWriter { id, prefix, part: next_part()?, slots, checkpoint, key: vec![] };
            shared.values.take_changed(|group, value, weight| writer.write(group, value, weight));
        }
        self.save_groups(id, prefix, checkpoint);
        Ok(())
    }

    fn save_groups(&mut self, id: OperatorId, prefix: &[u8], checkpoint: &mut Checkpoint) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for slot in self.dirty.take() {
            key.clear();
            key.extend_from_slice(prefix);
            key.extend_from_slice(&self.slots.bucket(slot));
            key.push(GROUPS);
            self.slots.write_key(slot, &mut key);
            let index = slot as usize;
            if self.rows[index] != 0 || self.global {
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

    /// Takes over what was saved under this id; the state must be new.
    ///
    /// # Errors
    /// XX001 for entries that are not as they were written.
    pub fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        for entry in store.scan(KeyKind::Keyed, id)? {
            let (key, value) = entry?;
            self.load_entry(&key, &value)?;
        }
        Ok(())
    }

    /// Takes over one entry, its key without prefix. A group's own entry comes before those of its values.
    ///
    /// # Errors
    /// As [`load`](AggState::load).
    pub fn load_entry(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let [_, _, part, key @ ..] = key else { return Err(short_key()) };
        let mut reader = Reader::new(value)?;
        if *part == GROUPS {
            self.load_group(key, &mut reader)?;
        } else {
            self.load_value(usize::from(*part - 1), key, reader.i64()?)?;
        }
        reader.end()
    }

    fn load_group(&mut self, key: &[u8], reader: &mut Reader<'_>) -> Result<()> {
        for slot in self.slots.slots(&self.slots.read_key(key)?)? {
            self.grow();
            self.rows[slot as usize] = reader.i64()?;
            self.durable[slot as usize] = true;
            for accumulator in &mut self.accumulators {
                accumulator.states_mut().read(slot, reader)?;
            }
        }
        Ok(())
    }

    fn load_value(&mut self, set: usize, key: &[u8], weight: i64) -> Result<()> {
        let (length, rest) = key.split_first_chunk().ok_or_else(short_key)?;
        let (group, value) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(short_key)?;
        let groups = self.slots.len();
        let slots = self.slots.slots(&self.slots.read_key(group)?)?;
        let [slot] = slots[..] else { return Err(short_key()) };
        if self.slots.len() != groups {
            return Err(Error::corrupt("a value of a group that is not there"));
        }
        let ordered = set.checked_sub(self.distinct.len());
        match (self.distinct.get_mut(set), ordered.and_then(|set| self.ordered.get_mut(set))) {
            (Some(shared), _) => shared.values.restore(slot, value, weight),
            (_, Some(shared)) => shared.values.restore(slot, value, weight),
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
}

impl ValueWriter<'_> {
    fn write(&mut self, group: u32, value: &[u8], weight: Option<i64>) {
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
        match weight {
            Some(weight) => {
                let mut coded = [VERSION; 9];
                coded[1..].copy_from_slice(&weight.to_le_bytes());
                self.checkpoint.put(KeyKind::Keyed, self.id, key, &coded);
            }
            None => self.checkpoint.delete(KeyKind::Keyed, self.id, key),
        }
    }
}
