//! How much the nodes of the graph keep.

use std::collections::BTreeMap;

use crate::data::ObjectId;
use crate::dataflow::{Graph, StateSize};

/// What is kept, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// By all nodes of a relation's own plan, up to other relations. A node that several share counts for each.
    pub relations: BTreeMap<ObjectId, StateSize>,
    /// By all nodes, each counted once.
    pub total: StateSize,
}

impl Graph {
    /// What the nodes keep now. The work depends on how many there are.
    pub fn sizes(&mut self) -> Sizes {
        let size = |node: &mut super::graph::Node| node.operator.state().map(|state| state.size()).unwrap_or_default();
        let nodes: Vec<StateSize> =
            self.nodes.iter_mut().map(|node| node.as_mut().map(size).unwrap_or_default()).collect();
        let of_plan = |relation: ObjectId| {
            let plan = self.upstream(relation).unwrap_or_default();
            plan.iter().filter_map(|node| nodes.get(node.0 as usize)).copied().sum()
        };
        let relations = self.relations.keys().map(|relation| (*relation, of_plan(*relation))).collect();
        Sizes { relations, total: nodes.iter().copied().sum() }
    }
}
