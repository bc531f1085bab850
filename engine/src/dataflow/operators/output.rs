//! d(X) = dX, and dX leaves the graph: sinks.

use arrow::datatypes::SchemaRef;

use crate::data::{Epoch, ZSet};
use crate::dataflow::{Operator, StepContext};
use crate::error::Result;

/// Takes the changes that leave the graph. Called within the step: it does not wait for anything.
pub type Taker = Box<dyn FnMut(Epoch, &ZSet) -> Result<()> + Send>;

/// Hands the net change on to the outside. Nothing is kept here, nor of what is handed on.
pub struct Output {
    schema: SchemaRef,
    take: Taker,
}

impl Output {
    pub fn new(schema: SchemaRef, take: Taker) -> Output {
        Output { schema, take }
    }
}

impl Operator for Output {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], context: &mut StepContext) -> Result<ZSet> {
        let change = inputs[0].with_schema(self.schema.clone())?;
        // What only comes cannot cancel.
        let cancels = change.weights().is_some_and(|weights| weights.iter().any(|weight| *weight <= 0));
        let change = if cancels { change.consolidate()? } else { change };
        if !change.is_empty() {
            (self.take)(context.epoch(), &change)?;
        }
        Ok(change)
    }

    /// Nobody reads a sink.
    fn again(&self) -> Option<Box<dyn Operator>> {
        None
    }
}
