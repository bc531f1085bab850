//! d(A + B) = dA + dB: UNION ALL.

use arrow::datatypes::SchemaRef;

use crate::data::ZSet;
use crate::dataflow::{Operator, StepContext};
use crate::error::Result;

/// The sum of its inputs, which agree in the types of their columns.
#[derive(Clone)]
pub struct Union {
    schema: SchemaRef,
}

impl Union {
    pub fn new(schema: SchemaRef) -> Union {
        Union { schema }
    }
}

impl Operator for Union {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn step(&mut self, inputs: &[ZSet], _context: &mut StepContext) -> Result<ZSet> {
        let changed = inputs.iter().filter(|input| !input.is_empty());
        let parts = changed.map(|input| input.with_schema(self.schema.clone())).collect::<Result<Vec<_>>>()?;
        ZSet::concat(&self.schema, &parts)
    }

    fn again(&self) -> Option<Box<dyn Operator>> {
        Some(Box::new(self.clone()))
    }
}
