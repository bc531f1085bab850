//! What stands for a node's operator where that is elsewhere.

use arrow::datatypes::SchemaRef;

use crate::data::ZSet;
use crate::dataflow::{Operator, StepContext};
use crate::error::{Error, Result};

/// In the graph: a node that is being hydrated aside. Aside: a node of the graph that is an input.
pub(in crate::dataflow) struct Away(pub SchemaRef);

impl Operator for Away {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn step(&mut self, _inputs: &[ZSet], _context: &mut StepContext) -> Result<ZSet> {
        Err(Error::internal("a step through a node that is elsewhere"))
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }
}
