//! `change = rows whose weight crosses 0, with +1 or -1`: a GROUP BY all columns without aggregates.

use arrow::datatypes::SchemaRef;

use crate::dataflow::operators::{Aggregate, AggregateSpec};
use crate::error::Result;

/// SELECT DISTINCT, and the second half of UNION: each row once.
///
/// Rows come out as keys do: -0.0 as 0.0.
///
/// # Errors
/// 0A000 for a column whose values cannot be compared.
pub fn distinct(schema: SchemaRef) -> Result<Aggregate> {
    let keys = (0..schema.fields().len()).collect();
    let spec = AggregateSpec { input: schema.clone(), output: schema, keys, aggregates: vec![], append_only: false };
    Aggregate::with_options(spec, false)
}
