//! A deterministic workload and its model, for the tests of this folder.

mod crash;
mod log;
mod model;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use levada_testing::Dice;

use super::*;
use crate::data::{Epoch, ObjectId, OperatorId};

const KINDS: [KeyKind; 4] = [KeyKind::Catalog, KeyKind::Rows, KeyKind::Deletions, KeyKind::Keyed];

/// What the state should hold: values under (kind, operator, key), and the meta data.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    values: BTreeMap<(KeyKind, OperatorId, Vec<u8>), Vec<u8>>,
    meta: Option<Meta>,
}

impl Model {
    fn drop_operator(&mut self, dropped: OperatorId) {
        self.values.retain(|(kind, operator, _), _| *kind == KeyKind::Catalog || *operator != dropped);
    }

    fn epoch(&self) -> u64 {
        self.meta.as_ref().map_or(0, |meta| meta.epoch.0)
    }

    /// What a store holds of operators up to `operators`.
    fn of(store: &StateStore, operators: u32) -> Model {
        let mut values = BTreeMap::new();
        for kind in KINDS {
            for operator in (0..=operators).map(OperatorId) {
                for pair in store.scan(kind, operator).unwrap() {
                    let (key, value) = pair.unwrap();
                    values.insert((kind, operator, key.into_vec()), value.into_vec());
                }
            }
        }
        Model { values, meta: store.meta().unwrap() }
    }
}

/// Checkpoints one after the other, and the model after each; all follows from the seed.
struct Workload {
    random: Dice,
    model: Model,
    live: BTreeSet<OperatorId>,
    /// The greatest operator there was.
    operators: u32,
}

impl Workload {
    fn new(seed: u64) -> Workload {
        let live = (0..5).map(OperatorId).collect();
        Workload { random: Dice::new(seed), model: Model::default(), live, operators: 4 }
    }

    /// The model after each of the first epochs; index 0 is the empty database.
    fn models(seed: u64, epochs: u64) -> (Vec<Model>, u32) {
        let mut workload = Workload::new(seed);
        let mut models = vec![workload.model.clone()];
        for _ in 0..epochs {
            workload.step();
            models.push(workload.model.clone());
        }
        (models, workload.operators)
    }

    /// The next checkpoint. Every fourth one drops an operator, around writes of that operator.
    fn step(&mut self) -> Checkpoint {
        let mut out = Checkpoint::default();
        let epoch = self.model.epoch() + 1;
        let dropped = if epoch.is_multiple_of(4) { self.live.pop_first() } else { None };
        let writes = 1 + self.random.below(80);
        let drop_at = self.random.below(writes);
        for number in 0..writes {
            if let Some(dropped) = dropped.filter(|_| number == drop_at) {
                out.put(KeyKind::Keyed, dropped, b"before", b"the drop");
                out.drop_operator(dropped);
                out.put(KeyKind::Rows, dropped, b"after", b"the drop");
                self.model.drop_operator(dropped);
                self.operators += 1;
                self.live.insert(OperatorId(self.operators));
            }
            self.write(&mut out);
        }
        let meta = Meta {
            epoch: Epoch(epoch),
            log_position: LogPosition(epoch * 3),
            next_object: 16_384,
            next_operator: self.operators + 1,
            clock: epoch as i64 * 1_000,
            sources: BTreeMap::from([(ObjectId(16_384), serde_json::json!({ "offset": epoch }))]),
            event_times: BTreeMap::from([(ObjectId(16_384), serde_json::json!({ "watermark": epoch }))]),
            tallies: BTreeMap::from([(ObjectId(16_384), serde_json::json!({ "0": epoch }))]),
            told: BTreeMap::from([(ObjectId(16_384), serde_json::json!({ "1": epoch }))]),
            sinks: BTreeMap::from([(ObjectId(16_385), serde_json::json!({ "inserted": epoch }))]),
        };
        out.set_meta(meta.clone());
        self.model.meta = Some(meta);
        out
    }

    fn write(&mut self, out: &mut Checkpoint) {
        let kind = KINDS[self.random.below(4)];
        let operator = *self.live.iter().nth(self.random.below(self.live.len())).unwrap();
        // Few and short keys, the empty one among them, so that they collide.
        let length = self.random.below(3);
        let key: Vec<u8> = (0..length).map(|_| [0, 1, 7, 0xff][self.random.below(4)]).collect();
        if self.random.below(4) == 0 {
            out.delete(kind, operator, &key);
            self.model.values.remove(&(kind, operator, key));
            return;
        }
        // Some values go to blob files.
        let length = if self.random.below(12) == 0 { 20_000 } else { self.random.below(100) };
        let value = self.random.bytes(length);
        out.put(kind, operator, &key, &value);
        self.model.values.insert((kind, operator, key), value);
    }
}

/// Commits by one of the two ways.
fn commit(store: &StateStore, checkpoint: Checkpoint, files: bool) {
    if files { store.commit_files(checkpoint, 2_000) } else { store.commit_batch(checkpoint) }.unwrap();
}

/// Moves everything to the lowest level, as time would.
fn compact(store: &StateStore) {
    store.db().compact_range(None::<&[u8]>, None::<&[u8]>);
}
