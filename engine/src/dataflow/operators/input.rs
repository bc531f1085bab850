//! A source that is not stored: what it delivers passes through.

use arrow::datatypes::SchemaRef;

use crate::data::{Parts, ZSet};
use crate::dataflow::{Operator, StepContext};
use crate::error::Result;

/// The place in the graph where a source's changes come in.
pub struct SourceInput {
    schema: SchemaRef,
}

impl SourceInput {
    pub fn new(schema: SchemaRef) -> SourceInput {
        SourceInput { schema }
    }
}

impl Operator for SourceInput {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], _context: &mut StepContext) -> Result<ZSet> {
        Ok(inputs[0].clone())
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        Some(Box::new(SourceInput::new(self.schema.clone())))
    }

    fn reads(&self) -> Option<Parts> {
        None
    }
}
