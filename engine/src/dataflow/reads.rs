//! What is read of a node's output.

use crate::data::{ObjectId, Parts};
use crate::dataflow::graph::{Graph, NodeId};
use crate::error::Result;

impl Graph {
    /// What all that reads a relation reads of it, new nodes included.
    pub fn parts_read(&self, relation: ObjectId) -> Result<Parts> {
        self.relation(relation).map_or(Ok(Parts::none()), |node| self.parts_read_of(node))
    }

    pub(super) fn parts_read_of(&self, node: NodeId) -> Result<Parts> {
        let mut parts = Parts::none();
        for (consumer, _) in &self.node(node)?.consumers {
            match &self.node(*consumer)?.reads {
                Some(read) => parts.extend(read),
                None => parts.extend(&self.parts_read_of(*consumer)?),
            }
        }
        Ok(parts)
    }

    /// Whether a node's rows are those of a source, of which only what is read need be there.
    pub fn is_source(&self, node: NodeId) -> Result<bool> {
        Ok(self.node(node)?.reads.is_none())
    }
}
