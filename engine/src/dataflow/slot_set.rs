//! Which slots a step touched, or a save has to write.

use crate::data::lengthen;

/// A set of slots that remembers the order in which they came in.
#[derive(Debug, Default)]
pub struct SlotSet {
    list: Vec<u32>,
    marks: Vec<bool>,
}

impl SlotSet {
    /// Adds a slot; false if it is in the set already.
    #[inline]
    pub fn insert(&mut self, slot: u32) -> bool {
        let index = slot as usize;
        lengthen(&mut self.marks, index + 1, false);
        let new = !self.marks[index];
        if new {
            self.marks[index] = true;
            self.list.push(slot);
        }
        new
    }

    /// Takes all slots out, in the order in which they came.
    pub fn take(&mut self) -> Vec<u32> {
        let list = std::mem::take(&mut self.list);
        for slot in &list {
            self.marks[*slot as usize] = false;
        }
        list
    }

    /// Slots in the set.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of memory taken.
    pub fn bytes(&self) -> usize {
        self.marks.capacity() + self.list.capacity() * size_of::<u32>()
    }
}
