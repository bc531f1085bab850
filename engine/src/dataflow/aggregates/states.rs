//! What is kept for one group, and vectors of it indexed by slot.

use std::sync::Arc;

use crate::data::lengthen;
use crate::dataflow::coding::{Reader, VERSION};
use crate::error::Result;

/// What one aggregate keeps for one group. The default is that of a group without rows.
pub trait State: Clone + Default + Send {
    /// Appends the durable form.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what `write` wrote.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;

    /// Called once a step for each group that changed, after all changes.
    fn settle(&mut self) {}
}

/// One state as bytes that stand alone.
pub fn write_state(state: &impl State) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    state.write(&mut bytes);
    bytes
}

/// Reads what [`write_state`] wrote.
///
/// # Errors
/// XX001 for other bytes.
pub fn read_state<S: State>(bytes: &[u8]) -> Result<S> {
    let mut reader = Reader::new(bytes)?;
    let state = S::read(&mut reader)?;
    reader.end()?;
    Ok(state)
}

/// A vector of states, whatever their type.
pub trait States {
    /// Takes the memory for slots below `slots`, and no more.
    fn reserve(&mut self, slots: usize);
    /// Makes room for slots below `slots`.
    fn grow(&mut self, slots: usize);
    /// Back to the state of a group without rows.
    fn reset(&mut self, slot: u32);
    fn settle(&mut self, slots: &[u32]);
    fn write(&self, slot: u32, out: &mut Vec<u8>);
    fn read(&mut self, slot: u32, reader: &mut Reader<'_>) -> Result<()>;
    /// Bytes of memory taken, what states point to left aside.
    fn bytes(&self) -> usize;
}

impl<S: State> States for Vec<S> {
    fn reserve(&mut self, slots: usize) {
        self.reserve_exact(slots.saturating_sub(self.len()));
    }

    fn grow(&mut self, slots: usize) {
        lengthen(self, slots, S::default());
    }

    fn reset(&mut self, slot: u32) {
        self[slot as usize] = S::default();
    }

    fn settle(&mut self, slots: &[u32]) {
        for slot in slots {
            self[*slot as usize].settle();
        }
    }

    fn write(&self, slot: u32, out: &mut Vec<u8>) {
        self[slot as usize].write(out);
    }

    fn read(&mut self, slot: u32, reader: &mut Reader<'_>) -> Result<()> {
        self[slot as usize] = S::read(reader)?;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.capacity() * size_of::<S>()
    }
}

impl State for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<i64> {
        reader.i64()
    }
}

/// Rows where a condition holds, and where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub trues: i64,
    pub falses: i64,
}

impl State for Truth {
    fn write(&self, out: &mut Vec<u8>) {
        self.trues.write(out);
        self.falses.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Truth> {
        Ok(Truth { trues: reader.i64()?, falses: reader.i64()? })
    }
}

impl State for Option<u64> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        self.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<u64>> {
        Ok(if reader.flag()? { Some(u64::from_le_bytes(reader.array()?)) } else { None })
    }
}

impl State for Option<u128> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        self.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<u128>> {
        Ok(if reader.flag()? { Some(u128::from_le_bytes(reader.array()?)) } else { None })
    }
}

impl State for Option<Arc<[u8]>> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<Arc<[u8]>>> {
        Ok(if reader.flag()? { Some(reader.bytes()?.into()) } else { None })
    }
}
