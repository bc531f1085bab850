//! The values of a column in each group, with their weights: what DISTINCT and retractable min and max need.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::buffer::BooleanBuffer;

use crate::data::key::{Fixed, KeyEncoder, Keys};
use crate::dataflow::aggregates::{Accumulator, Weighted};
use crate::dataflow::coding::Reader;
use crate::dataflow::slot_set::SlotSet;
use crate::dataflow::slots::SlotTable;
use crate::dataflow::sorted_state::SortedState;
use crate::error::{Error, Result};
use crate::state::Checkpoint;

/// A value of 64 bits behind the slot of its group.
fn composite(slot: u32, value: u64) -> u128 {
    (u128::from(slot) << 64) | u128::from(value)
}

/// Writes a value of another layout behind the slot of its group.
fn write_composite(slot: u32, values: &Keys, row: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&slot.to_be_bytes());
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

/// How often each value stands in each group, so that each counts once. One value is kept once for all aggregates over it,
/// with a weight for each of the conditions (FILTER) under which they see it.
#[derive(Debug)]
pub struct DistinctValues {
    /// From group and value to a slot of its own.
    table: SlotTable,
    /// As many weights an entry as there are conditions.
    weights: Vec<i64>,
    conditions: usize,
    dirty: SlotSet,
    /// Zero bytes before the slot in the table's keys: those of 128 bits have 64 for the slot.
    padding: usize,
}

/// Rows that make a value appear in its group, with weight 1, or vanish, with weight -1.
#[derive(Debug, Default)]
pub struct Appearances {
    pub rows: Vec<u32>,
    pub slots: Vec<u32>,
    pub weights: Vec<i64>,
}

impl Appearances {
    fn push(&mut self, row: u32, slot: u32, weight: i64) {
        self.rows.push(row);
        self.slots.push(slot);
        self.weights.push(weight);
    }
}

impl DistinctValues {
    /// Values of the encoder's layout, under so many conditions.
    pub fn new(encoder: &KeyEncoder, conditions: usize) -> DistinctValues {
        let (table, padding) = match encoder.empty() {
            Keys::U64(_) => (SlotTable::like(&Keys::U128(Fixed { values: vec![], nulls: None })), 4),
            Keys::U128(_) | Keys::Bytes(_) => (SlotTable::like(&Keys::Bytes(BinaryArray::new_null(0))), 0),
        };
        DistinctValues { table, weights: vec![], conditions, dirty: SlotSet::default(), padding }
    }

    /// Takes rows of a batch in; `values` are the batch's, and `counting` says for each condition which of its rows meet it
    /// and are not NULL (None: all). Per condition come back the rows that make a value appear or vanish. The sums of their
    /// weights do not depend on the order of the rows.
    ///
    /// # Errors
    /// 54000 for more values than there are slots.
    pub fn update(
        &mut self,
        rows: Weighted<'_>,
        values: &Keys,
        counting: &[Option<BooleanBuffer>],
    ) -> Result<Vec<Appearances>> {
        self.table.has_room(rows.rows.len())?;
        let mut found: Vec<Appearances> = counting.iter().map(|_| Appearances::default()).collect();
        let DistinctValues { table, weights, conditions, dirty, .. } = self;
        let mut key = Vec::new();
        let mut lost = false;
        rows.each(|row, slot, weight| {
            let meets = |counting: &Option<BooleanBuffer>| counting.as_ref().is_none_or(|counting| counting.value(row));
            let Some(first) = counting.iter().position(meets) else { return };
            let entry = match values {
                Keys::U64(values) => table.wide_slot(composite(slot as u32, values.values[row])),
                wide => {
                    write_composite(slot as u32, wide, row, &mut key);
                    table.byte_slot(&key)
                }
            };
            let Some(entry) = entry else {
                lost = true;
                return;
            };
            dirty.insert(entry);
            let at = entry as usize * *conditions;
            if at >= weights.len() {
                weights.resize(at + *conditions, 0);
            }
            for condition in (first..counting.len()).filter(|condition| meets(&counting[*condition])) {
                let before = weights[at + condition];
                let after = before + weight;
                weights[at + condition] = after;
                let appears = i64::from(after > 0) - i64::from(before > 0);
                if appears != 0 {
                    found[condition].push(row as u32, slot as u32, appears);
                }
            }
        });
        if lost { Err(Error::internal("keys of another layout")) } else { Ok(found) }
    }

    /// Calls `f` with the group's slot, the value and its weights (None: gone) of each entry that changed since the last
    /// call, and forgets the ones that went.
    pub fn take_changed(&mut self, mut f: impl FnMut(u32, &[u8], Option<&[i64]>)) {
        let mut key = Vec::new();
        for entry in self.dirty.take() {
            key.clear();
            self.table.write_key(entry, &mut key);
            let at = entry as usize * self.conditions;
            let weights = &self.weights[at..at + self.conditions];
            let gone = weights.iter().all(|weight| *weight == 0);
            let (group, value) = split(&key[self.padding..]);
            f(group, value, (!gone).then_some(weights));
            if gone {
                self.table.remove(entry);
            }
        }
    }

    /// Puts an entry back that was saved.
    ///
    /// # Errors
    /// XX001 when the entry is of another form.
    pub fn restore(&mut self, group: u32, value: &[u8], reader: &mut Reader<'_>) -> Result<()> {
        self.table.has_room(1)?;
        let entry = match self.padding {
            0 => self.table.byte_slot(&[&group.to_be_bytes(), value].concat()),
            _ => self.table.wide_slot(composite(group, value64(value)?)),
        };
        let at = entry.ok_or_else(corrupt)? as usize * self.conditions;
        if at >= self.weights.len() {
            self.weights.resize(at + self.conditions, 0);
        }
        self.weights[at..at + self.conditions].iter_mut().try_for_each(|weight| {
            *weight = reader.i64()?;
            Ok(())
        })
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// About how many bytes of memory the entries take that changed since the last save.
    pub fn unsaved(&self) -> usize {
        self.dirty.len() * (self.bytes() / self.table.capacity().max(1) + Checkpoint::OF_A_CHANGE)
    }

    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.weights.capacity() * size_of::<i64>() + self.dirty.bytes()
    }
}

/// The values of each group in order.
#[derive(Debug)]
pub struct OrderedValues {
    values: Ordered,
}

/// Group's slot and value as one key.
#[derive(Debug)]
enum Ordered {
    Fixed(SortedState<u128>),
    Bytes(SortedState<Arc<[u8]>>),
}

impl OrderedValues {
    /// Values of the encoder's layout.
    pub fn new(encoder: &KeyEncoder) -> OrderedValues {
        let values = match encoder.empty() {
            Keys::U64(_) => Ordered::Fixed(SortedState::default()),
            Keys::U128(_) | Keys::Bytes(_) => Ordered::Bytes(SortedState::default()),
        };
        OrderedValues { values }
    }

    /// Takes rows of a batch in; `values` are the batch's.
    ///
    /// # Errors
    /// XX000 for values of another layout.
    pub fn update(&mut self, rows: Weighted<'_>, values: &Keys) -> Result<()> {
        match (&mut self.values, values) {
            (Ordered::Fixed(own), Keys::U64(values)) => {
                rows.each(|row, slot, weight| {
                    own.add(&composite(slot as u32, values.values[row]), weight);
                });
            }
            (Ordered::Bytes(own), wide) => {
                let mut key = Vec::new();
                rows.each(|row, slot, weight| {
                    write_composite(slot as u32, wide, row, &mut key);
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
                    let all = values.range(composite(*group, 0)..=composite(*group, u64::MAX));
                    best[*group as usize] = end_of(all, greatest).map(|key| *key as u64);
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

    /// As [`DistinctValues::take_changed`], with one weight.
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
    ///
    /// # Errors
    /// XX001 when the entry is of another form.
    pub fn restore(&mut self, group: u32, value: &[u8], reader: &mut Reader<'_>) -> Result<()> {
        let weight = reader.i64()?;
        match &mut self.values {
            Ordered::Fixed(values) => values.restore(composite(group, value64(value)?), weight),
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

    /// About how many bytes of memory the entries take that changed since the last save.
    pub fn unsaved(&self) -> usize {
        match &self.values {
            Ordered::Fixed(values) => values.unsaved(),
            Ordered::Bytes(values) => values.unsaved(),
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
