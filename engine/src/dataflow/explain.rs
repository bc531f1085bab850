//! What EXPLAIN shows of the graph.

use crate::data::ObjectId;
use crate::dataflow::graph::{Graph, NodeId};
use crate::dataflow::{Properties, StateSize};
use crate::error::Result;

/// A node of a relation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLine {
    /// How far below the relation's own node: 0 for that.
    pub depth: usize,
    pub node: NodeId,
    /// What it is the output of.
    pub relation: Option<ObjectId>,
    /// The operator, its columns by position: `$0` is the first of its input.
    pub operator: String,
    /// How many nodes and relations read it.
    pub readers: usize,
    pub properties: Properties,
    /// Whether it keeps anything.
    pub stateful: bool,
    /// Rows and bytes that the node keeps; none as long as it is filled elsewhere.
    pub size: StateSize,
}

impl Graph {
    /// Rows and bytes kept by the nodes that a relation's rows come from, down to other relations. Nodes that others read
    /// too are counted with each.
    pub fn size_of(&mut self, relation: ObjectId) -> Result<StateSize> {
        let mut total = StateSize::default();
        for node in self.upstream(relation)? {
            let size = self.node_mut(node)?.operator.state().map(|state| state.size()).unwrap_or_default();
            total = StateSize { rows: total.rows + size.rows, bytes: total.bytes + size.bytes };
        }
        Ok(total)
    }

    /// The nodes that a relation's rows come from, each before its inputs, down to other relations. A node that is read
    /// twice stands twice.
    pub fn explain(&mut self, relation: ObjectId) -> Result<Vec<PlanLine>> {
        let mut lines = Vec::new();
        let mut waiting: Vec<(NodeId, usize)> = self.relation(relation).map(|node| (node, 0)).into_iter().collect();
        while let Some((id, depth)) = waiting.pop() {
            let node = self.node_mut(id)?;
            lines.push(PlanLine {
                depth,
                node: id,
                relation: node.relation,
                operator: node.text.clone(),
                readers: node.consumers.len() + usize::from(node.relation.is_some()),
                properties: node.properties.clone(),
                stateful: node.id.is_some(),
                size: node.operator.state().map(|state| state.size()).unwrap_or_default(),
            });
            if depth == 0 || node.relation.is_none() {
                waiting.extend(node.inputs.iter().rev().map(|input| (input.node, depth + 1)));
            }
        }
        Ok(lines)
    }
}
