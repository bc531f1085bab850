//! A node whose state is read back while others work already: the operator is away until then.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use crate::data::{Epoch, ObjectId, OperatorId, ZSet};
use crate::dataflow::{Operator, StateSize, Stateful, StepContext};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, Load, Loader, StateStore};

/// An operator that does what another does, as soon as the other's state is there; who asks before that waits.
pub struct Deferred {
    schema: SchemaRef,
    awaits: Option<BTreeSet<ObjectId>>,
    operator: Arc<Mutex<Box<dyn Operator>>>,
    load: Arc<Load>,
}

impl Deferred {
    /// The operator is new; its state was saved under this id.
    pub fn new(operator: Box<dyn Operator>, id: OperatorId, loader: &mut Loader) -> Deferred {
        let (schema, awaits) = (operator.schema().clone(), operator.awaits().cloned());
        let operator = Arc::new(Mutex::new(operator));
        let away = operator.clone();
        let load = loader.add(move |store, _| {
            let mut operator = away.lock();
            let loaded = operator.state().ok_or_else(no_state)?.load(id, store);
            loaded.map_err(|error| match error.detail() {
                None => error.with_detail(format!("The state of operator {id} cannot be read back.")),
                Some(_) => error,
            })
        });
        Deferred { schema, awaits, operator, load }
    }

    /// The reading of its state.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // What is durable of it may go now.
        self.load.call_off();
    }
}

impl Operator for Deferred {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        self.load.wait_complete()?;
        self.operator.lock().step(inputs, context)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn awaits(&self) -> Option<&BTreeSet<ObjectId>> {
        self.awaits.as_ref()
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for Deferred {
    fn contents(&self) -> Result<Vec<ZSet>> {
        self.load.wait_complete()?;
        self.operator.lock().state().ok_or_else(no_state)?.contents()
    }

    fn save(&mut self, id: OperatorId, durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        self.load.wait_complete()?;
        self.operator.lock().state().ok_or_else(no_state)?.save(id, durable, checkpoint)
    }

    fn unsaved(&self) -> u64 {
        if !self.load.is_complete() {
            return 0;
        }
        self.operator.lock().state().map(|state| state.unsaved()).unwrap_or_default()
    }

    fn load(&mut self, _id: OperatorId, _store: &StateStore) -> Result<()> {
        self.load.wait_complete()
    }

    /// Nothing until it is there.
    fn size(&self) -> StateSize {
        if !self.load.is_complete() {
            return StateSize::default();
        }
        self.operator.lock().state().map(|state| state.size()).unwrap_or_default()
    }
}

fn no_state() -> Error {
    Error::internal("an operator lost its state")
}
