//! The values of a column in each group, with their weights: what DISTINCT and retractable min and max need.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder};
use arrow::datatypes::DataType;

use crate::data::key::{Fixed, KeyEncoder, Keys};
use crate::dataflow::aggregates::{Accumulator, Weighted};
use crate::dataflow::slot_set::SlotSet;
use crate::dataflow::slots::SlotTable;
use crate::dataflow::sorted_state::SortedState;
use crate::error::{Error, Result};

/// A value of 64 bits behind the slot of its group.
fn composite(slot: usize, value: u64) -> u128 {
    ((slot as u128) << 64) | u128::from(value)
}

/// Writes a value of another layout behind the slot of its group.
fn write_composite(slot: usize, values: &Keys, row: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&(slot as u32).to_be_bytes());
    match values {
        Keys::U64(keys) => out.extend_from_slice(&keys.values[row].to_be_bytes()),
        Keys::U128(keys) => out.extend_from_slice(&keys.values[row].to_be_bytes()),
        Keys::Bytes(keys) => out.extend_from_slice(keys.value(row)),
    }
}

fn corrupt() -> Error {
    Error::corrupt("a value of a group has a wrong length")
}

fn value64(bytes: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| corrupt())?))
}

/// Where the group's slot and the value are cut apart.
fn split(composite: &[u8]) -> (u32, &[u8]) {
    let (slot, value) = composite.split_at(4);
    (slot.iter().fold(0, |slot, byte| slot << 8 | u32::from(*byte)), value)
}

/// How often each value stands in each group, so that each counts once.
#[derive(Debug)]
pub struct DistinctValues {
    encoder: KeyEncoder,
    /// From group and value to a slot of its own.
    table: SlotTable,
    weights: Vec<i64>,
    dirty: SlotSet,
    /// Zero bytes before the slot in the table's keys: those of 128 bits have 64 for the slot.
    padding: usize,
}

impl DistinctValues {
    pub fn new(data_type: &DataType) -> Result<DistinctValues> {
        let encoder = KeyEncoder::new(std::slice::from_ref(data_type))?;
        let (table, padding) = match encoder.empty() {
            Keys::U64(_) => (SlotTable::like(&Keys::U128(Fixed { values: vec![], nulls: None })), 4),
            Keys::U128(_) | Keys::Bytes(_) => (SlotTable::like(&Keys::Bytes(BinaryArray::new_null(0))), 0),
        };
        Ok(DistinctValues { encoder, table, weights: vec![], dirty: SlotSet::default(), padding })
    }

    /// Takes a batch in and gives the weights of the distinct values instead of the rows': +1 where a row makes its value
    /// appear in its group, -1 where it makes it vanish. Their sums do not depend on the order of the rows.
    pub fn update(&mut self, rows: Weighted<'_>, column: &ArrayRef) -> Result<Vec<i64>> {
        let values = self.encoder.encode(std::slice::from_ref(column), column.len())?;
        let mut counted: Vec<(usize, i64)> = Vec::with_capacity(column.len());
        let nulls = column.logical_nulls();
        let keys = match &values {
            Keys::U64(values) => {
                let mut keys = Vec::with_capacity(column.len());
                rows.each(nulls.as_ref(), |row, slot, weight| {
                    counted.push((row, weight));
                    keys.push(composite(slot, values.values[row]));
                });
                Keys::U128(Fixed { values: keys, nulls: None })
            }
            wide => {
                let mut keys = BinaryBuilder::new();
                let mut key = Vec::new();
                rows.each(nulls.as_ref(), |row, slot, weight| {
                    counted.push((row, weight));
                    write_composite(slot, wide, row, &mut key);
                    keys.append_value(&key);
                });
                Keys::Bytes(keys.finish())
            }
        };
        let entries = self.table.slots(&keys)?;
        self.weights.resize(self.table.capacity().max(self.weights.len()), 0);
        let mut distinct = vec![0; column.len()];
        for ((row, weight), entry) in counted.into_iter().zip(entries) {
            let before = self.weights[entry as usize];
            let after = before + weight;
            self.weights[entry as usize] = after;
            distinct[row] = i64::from(after > 0) - i64::from(before > 0);
            self.dirty.insert(entry);
        }
        Ok(distinct)
    }

    /// Calls `f` with the group's slot, the value and its weight (None: gone) of each entry that changed since the last
    /// call, and forgets the ones that went.
    pub fn take_changed(&mut self, mut f: impl FnMut(u32, &[u8], Option<i64>)) {
        let mut key = Vec::new();
        for entry in self.dirty.take() {
            key.clear();
            self.table.write_key(entry, &mut key);
            let weight = self.weights[entry as usize];
            let (group, value) = split(&key[self.padding..]);
            f(group, value, (weight != 0).then_some(weight));
            if weight == 0 {
                self.table.remove(entry);
            }
        }
    }

    /// Puts an entry back that was saved.
    pub fn restore(&mut self, group: u32, value: &[u8], weight: i64) -> Result<()> {
        let key = [&[0; 4][..self.padding], &group.to_be_bytes(), value].concat();
        for entry in self.table.slots(&self.table.read_key(&key)?)? {
            self.weights.resize(self.table.capacity(), 0);
            self.weights[entry as usize] = weight;
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.weights.capacity() * size_of::<i64>() + self.dirty.bytes()
    }
}

/// The values of each group in order.
#[derive(Debug)]
pub struct OrderedValues {
    encoder: KeyEncoder,
    values: Ordered,
}

/// Group's slot and value as one key.
#[derive(Debug)]
enum Ordered {
    Fixed(SortedState<u128>),
    Bytes(SortedState<Arc<[u8]>>),
}

impl OrderedValues {
    pub fn new(data_type: &DataType) -> Result<OrderedValues> {
        let encoder = KeyEncoder::new(std::slice::from_ref(data_type))?;
        let values = match encoder.empty() {
            Keys::U64(_) => Ordered::Fixed(SortedState::default()),
            Keys::U128(_) | Keys::Bytes(_) => Ordered::Bytes(SortedState::default()),
        };
        Ok(OrderedValues { encoder, values })
    }

    /// Takes a batch in.
    pub fn update(&mut self, rows: Weighted<'_>, column: &ArrayRef) -> Result<()> {
        let values = self.encoder.encode(std::slice::from_ref(column), column.len())?;
        let nulls = column.logical_nulls();
        match (&mut self.values, &values) {
            (Ordered::Fixed(own), Keys::U64(values)) => {
                rows.each(nulls.as_ref(), |row, slot, weight| {
                    own.add(&composite(slot, values.values[row]), weight);
                });
            }
            (Ordered::Bytes(own), wide) => {
                let mut key = Vec::new();
                rows.each(nulls.as_ref(), |row, slot, weight| {
                    write_composite(slot, wide, row, &mut key);
                    own.add(&key, weight);
                });
            }
            _ => return Err(Error::internal("keys of another layout")),
        }
        Ok(())
    }

    /// Sets the least or greatest value of these groups.
    ///
    /// # Errors
    /// XX001 when a value is not of the accumulator's layout.
    pub fn refresh(&self, groups: &[u32], best: &mut Accumulator, greatest: bool) -> Result<()> {
        match (&self.values, best) {
            (Ordered::Fixed(values), Accumulator::Best64(best)) => {
                for group in groups {
                    let slot = *group as usize;
                    let all = values.range(composite(slot, 0)..=composite(slot, u64::MAX));
                    best[slot] = end_of(all, greatest).map(|key| *key as u64);
                }
            }
            (Ordered::Bytes(values), Accumulator::Best128(best)) => {
                for group in groups {
                    best[*group as usize] = match end_of_group(values, *group, greatest) {
                        Some(value) => Some(u128::from_be_bytes(value.try_into().map_err(|_| corrupt())?)),
                        None => None,
                    };
                }
            }
            (Ordered::Bytes(values), Accumulator::BestBytes(best)) => {
                for group in groups {
                    let (old, new) = (&mut best[*group as usize], end_of_group(values, *group, greatest));
                    if old.as_deref() != new {
                        *old = new.map(Into::into);
                    }
                }
            }
            _ => return Err(Error::internal("an aggregate's states are another's")),
        }
        Ok(())
    }

    /// As [`DistinctValues::take_changed`].
    pub fn take_changed(&mut self, mut f: impl FnMut(u32, &[u8], Option<i64>)) {
        match &mut self.values {
            Ordered::Fixed(values) => values.take_changed(|key, weight| {
                f((key >> 64) as u32, &(*key as u64).to_be_bytes(), weight);
            }),
            Ordered::Bytes(values) => values.take_changed(|key, weight| {
                let (group, value) = split(key);
                f(group, value, weight);
            }),
        }
    }

    /// Puts an entry back that was saved.
    pub fn restore(&mut self, group: u32, value: &[u8], weight: i64) -> Result<()> {
        match &mut self.values {
            Ordered::Fixed(values) => values.restore(composite(group as usize, value64(value)?), weight),
            Ordered::Bytes(values) => values.restore([&group.to_be_bytes(), value].concat().into(), weight),
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        match &self.values {
            Ordered::Fixed(values) => values.len(),
            Ordered::Bytes(values) => values.len(),
        }
    }

    pub fn bytes(&self) -> usize {
        match &self.values {
            Ordered::Fixed(values) => values.bytes(),
            Ordered::Bytes(values) => values.bytes(),
        }
    }
}

/// The first or last key that is there.
fn end_of<'a, K>(mut entries: impl DoubleEndedIterator<Item = (&'a K, i64)>, greatest: bool) -> Option<&'a K> {
    let present = |(_, weight): &(&K, i64)| *weight > 0;
    let entry = if greatest { entries.rfind(present) } else { entries.find(present) };
    entry.map(|(key, _)| key)
}

fn end_of_group(values: &SortedState<Arc<[u8]>>, group: u32, greatest: bool) -> Option<&[u8]> {
    let (from, to) = (group.to_be_bytes(), (group + 1).to_be_bytes());
    let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&from), Bound::Excluded(&to));
    end_of(values.range(range), greatest).map(|key| split(key).1)
}
