//! Names that outlive renames: identifiers that are handed out once and never again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A catalog object (table, view, source, sink, index). Never used again after DROP.
///
/// The number is also the object's PostgreSQL OID, so it starts where PostgreSQL's user objects do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u32);

impl ObjectId {
    /// The first identifier of a user's object, as PostgreSQL's `FirstNormalObjectId`.
    pub const FIRST: ObjectId = ObjectId(16384);
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One stateful node of the dataflow: the owner of a range of durable keys. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperatorId(pub u32);

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
