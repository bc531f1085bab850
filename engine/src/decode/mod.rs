//! From messages to rows.

mod json;

use std::sync::Arc;

use crate::data::Parts;
use crate::error::Result;
use crate::source::{Decoder, Encoding, SourceSpec};

pub use json::JsonDecoder;

/// Brings a JSON text into the form that the engine keeps `jsonb` in.
pub type NormalizeJsonb = fn(&str) -> Result<String>;

/// The decoder that a source's spec asks for, which builds the parts of the columns that are wanted.
///
/// # Errors
/// 0A000 for columns of types that messages cannot carry, 42P16 for an upsert without key.
pub fn decoder(spec: &SourceSpec, wanted: &Parts, jsonb: NormalizeJsonb) -> Result<Arc<dyn Decoder>> {
    match spec.encoding {
        Encoding::Json => Ok(Arc::new(JsonDecoder::new(spec, wanted, jsonb)?)),
    }
}
