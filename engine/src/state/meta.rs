//! What a checkpoint says about itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::{Epoch, ObjectId, sealed};
use crate::error::Result;

/// A place in the log: the number of an entry, counted from 1. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition(pub u64);

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the database stood when a checkpoint was taken. Committed with the state that goes with it.
///
/// Stored as [sealed] JSON: a field that a later version adds needs `#[serde(default)]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The last step whose changes are in the state.
    pub epoch: Epoch,
    /// The last log entry whose changes are in the state.
    pub log_position: LogPosition,
    /// The first number that no catalog object has had.
    pub next_object: u32,
    /// The first number that no operator has had.
    pub next_operator: u32,
    /// The step clock, in microseconds since 1970.
    #[serde(default)]
    pub clock: i64,
    /// What each source needs to go on after this epoch (its offsets), in the source's own form.
    #[serde(default)]
    pub sources: BTreeMap<ObjectId, serde_json::Value>,
    /// How far each source with a watermark has come in event time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub event_times: BTreeMap<ObjectId, serde_json::Value>,
    /// What was counted of each source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tallies: BTreeMap<ObjectId, serde_json::Value>,
    /// Which messages of each source that views have read are counted, where they count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<ObjectId, serde_json::Value>,
    /// What each sink was given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<ObjectId, serde_json::Value>,
}

impl Meta {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        sealed::encode(self, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Meta> {
        sealed::decode(bytes, "the checkpoint's meta data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let sources = BTreeMap::from([(ObjectId(16_384), serde_json::json!({"offsets": [1, 2]}))]);
        let (epoch, log_position, clock) = (Epoch(7), LogPosition(9), 1_700_000_000_000_000);
        let meta =
            Meta { epoch, log_position, next_object: 16_390, next_operator: 4, clock, sources, ..Meta::default() };
        let bytes = meta.encode().unwrap();
        let golden = r#"{"epoch":7,"log_position":9,"next_object":16390,"next_operator":4,"clock":1700000000000000,"sources":{"16384":{"offsets":[1,2]}}}"#;
        assert_eq!(String::from_utf8(bytes[8..].to_vec()).unwrap(), golden);
        assert_eq!(Meta::decode(&bytes).unwrap(), meta);
        assert_eq!(Meta::decode(b"{}").unwrap_err().sqlstate().code(), "XX001");
    }
}
