//! d(c) = 0: VALUES, and SELECT without FROM.

use arrow::datatypes::SchemaRef;

use crate::data::{Epoch, OperatorId, ZSet};
use crate::dataflow::{Operator, StateSize, Stateful, StepContext};
use crate::error::Result;
use crate::state::{Checkpoint, StateStore};

/// Rows that the query itself spells out. They are there from the start and never change; the plan has them, so none of
/// it is saved.
pub struct Constant {
    rows: ZSet,
    schema: SchemaRef,
}

impl Constant {
    pub fn new(rows: ZSet) -> Constant {
        Constant { schema: rows.schema(), rows }
    }
}

impl Operator for Constant {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, _inputs: &[ZSet], _context: &mut StepContext) -> Result<ZSet> {
        Ok(ZSet::empty(self.schema.clone()))
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }

    fn state(&mut self) -> Option<&mut dyn Stateful> {
        Some(self)
    }
}

impl Stateful for Constant {
    fn start(&mut self, _context: &mut StepContext) -> Result<Option<ZSet>> {
        Ok(Some(self.rows.clone()))
    }

    fn contents(&self) -> Result<Vec<ZSet>> {
        Ok(vec![self.rows.clone()])
    }

    fn save(&mut self, _id: OperatorId, _durable: Epoch, _checkpoint: &mut Checkpoint) -> Result<()> {
        Ok(())
    }

    fn unsaved(&self) -> u64 {
        0
    }

    fn load(&mut self, _id: OperatorId, _store: &StateStore) -> Result<()> {
        Ok(())
    }

    fn size(&self) -> StateSize {
        StateSize { rows: self.rows.len() as u64, bytes: self.rows.batch().get_array_memory_size() as u64 }
    }
}
