//! How a TopK is saved, loaded and read. Durable: bucket of the partition, key -> version, weight i64.

use crate::data::hash::mix_bytes;
use crate::data::{Epoch, OperatorId, ZSet};
use crate::dataflow::coding::{Reader, VERSION};
use crate::dataflow::operators::top_k::window::Run;
use crate::dataflow::operators::top_k::{TopK, partition_of};
use crate::dataflow::{StateSize, Stateful};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore, bucket};

/// Rows of a part of the contents.
const PART: usize = 1 << 16;

impl Stateful for TopK {
    fn contents(&self) -> Result<Vec<ZSet>> {
        let mut parts = vec![];
        let mut run = Run::new();
        let mut window = self.window();
        let mut partition: Option<&[u8]> = None;
        for (key, weight) in self.state.iter() {
            let own = partition_of(key, self.partition.is_some());
            if partition != Some(own) {
                (partition, window) = (Some(own), self.window());
            }
            let taken = window.clip(weight);
            if taken != 0 {
                run.push((key.clone(), taken));
            }
            if run.len() == PART {
                parts.push(self.decode(&run)?);
                run.clear();
            }
        }
        if !run.is_empty() {
            parts.push(self.decode(&run)?);
        }
        Ok(parts)
    }

    fn save(&mut self, id: OperatorId, _durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        let partitioned = self.partition.is_some();
        let mut durable = Vec::new();
        self.state.take_changed(|key, weight| {
            durable.clear();
            durable.extend_from_slice(&bucket(mix_bytes(partition_of(key, partitioned))));
            durable.extend_from_slice(key);
            match weight {
                Some(weight) => {
                    let mut value = [VERSION; 9];
                    value[1..].copy_from_slice(&weight.to_le_bytes());
                    checkpoint.put(KeyKind::Keyed, id, &durable, &value);
                }
                None => checkpoint.delete(KeyKind::Keyed, id, &durable),
            }
        });
        Ok(())
    }

    fn unsaved(&self) -> u64 {
        self.state.unsaved() as u64
    }

    fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        for entry in store.scan(KeyKind::Keyed, id)? {
            let (key, value) = entry?;
            let [_, _, key @ ..] = &*key else { return Err(Error::corrupt("a durable key has a wrong length")) };
            let mut reader = Reader::new(&value)?;
            self.state.restore(key.into(), reader.i64()?);
            reader.end()?;
        }
        Ok(())
    }

    fn size(&self) -> StateSize {
        StateSize { rows: self.state.len() as u64, bytes: self.state.bytes() as u64 }
    }
}
