//! d(X) = dX, and X is kept: tables, views, and the sides of joins.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::data::{Epoch, OperatorId, ZSet};
use crate::dataflow::{Operator, StateSize, Stateful, StepContext};
use crate::error::Result;
use crate::state::{Checkpoint, StateStore};
use crate::view::RowStore;

/// Applies the net change to a row store and passes it on. Consumers run later in the same step, so they find the rows
/// as they are now under the step's epoch, and as they were under the one before.
pub struct Stored {
    rows: Arc<RowStore>,
}

impl Stored {
    pub fn new(rows: Arc<RowStore>) -> Stored {
        Stored { rows }
    }
}

impl Operator for Stored {
    fn schema(&self) -> &SchemaRef {
        self.rows.schema()
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let change = inputs[0].with_schema(self.rows.schema().clone())?;
        // What only comes cannot cancel.
        let cancels = change.weights().is_some_and(|weights| weights.iter().any(|weight| *weight <= 0));
        let net = if cancels { change.consolidate()? } else { change.clone() };
        // Where rows have an age, one that is replaced by itself is young again, and nobody else hears of it.
        self.rows.apply_net(if self.rows.keeps_arrivals() { &change } else { &net }, context.epoch())?;
        Ok(net)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for Stored {
    fn contents(&self) -> Result<Vec<ZSet>> {
        let snapshot = self.rows.snapshot(Epoch::NEVER.previous());
        snapshot.zsets().collect()
    }

    fn save(&mut self, id: OperatorId, durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        self.rows.save(id, durable, checkpoint)
    }

    fn unsaved(&self) -> u64 {
        self.rows.unsaved()
    }

    fn load(&mut self, id: OperatorId, store: &StateStore) -> Result<()> {
        self.rows.load(id, store)
    }

    fn size(&self) -> StateSize {
        StateSize { rows: self.rows.rows(), bytes: self.rows.bytes() }
    }
}
