//! What a start left to be read later, and what a step needs of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::{ObjectId, OperatorId};
use crate::dataflow::graph::{Graph, NodeId};
use crate::error::Error;
use crate::state::Load;

/// States that are read at the same time for a step.
const SIDE_BY_SIDE: usize = 4;

/// State of nodes that is not known to be there.
#[derive(Default)]
pub(super) struct Unread {
    loads: BTreeMap<NodeId, Arc<Load>>,
    /// Nodes that watermarks have something new for, and that cannot step.
    stuck: BTreeSet<NodeId>,
}

/// State that a step needs and that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Whose it is, and that of all who are made from it: with new state for all of them it can be done without. None where
    /// it is that of a base relation.
    pub replaceable: Vec<OperatorId>,
    /// The relation that it is part of, or the first of those that are made from it.
    pub relation: Option<ObjectId>,
    pub error: Error,
}

impl Unread {
    pub fn add(&mut self, node: NodeId, load: Arc<Load>) {
        self.loads.insert(node, load);
    }

    /// Forgets a node. Others may no longer need what could not be read.
    pub fn remove(&mut self, node: NodeId) {
        self.loads.remove(&node);
        self.stuck.clear();
    }

    pub fn is_stuck(&self, node: NodeId) -> bool {
        self.stuck.contains(&node)
    }
}

impl Graph {
    /// Returns when all state is there that a step needs which brings these nodes something: theirs, that of all nodes which
    /// it may reach, and the stores that they look into.
    ///
    /// # Errors
    /// What cannot be read: a step must not reach it.
    pub fn prepare(&mut self, nodes: &[NodeId]) -> std::result::Result<(), Box<Unreadable>> {
        self.unread.loads.retain(|_, load| !load.is_complete());
        if self.unread.loads.is_empty() {
            return Ok(());
        }
        let needed = self.needed(nodes).into_iter();
        let loads: Vec<(NodeId, Arc<Load>)> =
            needed.filter_map(|id| Some((id, self.unread.loads.get(&id)?.clone()))).collect();
        for (at, (id, load)) in loads.iter().enumerate() {
            let id = *id;
            loads[at..].iter().take(SIDE_BY_SIDE).for_each(|(_, load)| load.begin());
            if let Err(error) = load.wait_complete() {
                let is_base = self.node(id).is_ok_and(|node| node.inputs.is_empty());
                let made_from_it = if is_base { Vec::new() } else { self.downstream(&[id]) };
                let replaceable = made_from_it.into_iter().filter_map(|id| self.node(id).ok()?.id).collect();
                return Err(Box::new(Unreadable { replaceable, relation: self.relation_of(id), error }));
            }
        }
        Ok(())
    }

    /// Of nodes that watermarks have something new for, those that can step. The others are left alone from now on, until
    /// something is dropped.
    pub(super) fn unstuck(&mut self, nodes: Vec<NodeId>) -> Vec<NodeId> {
        let able = |id: &NodeId| match self.prepare(&[*id]) {
            Ok(()) => true,
            Err(unreadable) => {
                tracing::error!(error = %unreadable.error, "windows cannot be closed: state cannot be read");
                self.unread.stuck.insert(*id);
                false
            }
        };
        nodes.into_iter().filter(able).collect()
    }

    /// The nodes that a step may visit and those whose stores they look into.
    fn needed(&self, nodes: &[NodeId]) -> BTreeSet<NodeId> {
        let mut needed = BTreeSet::new();
        for id in self.downstream(nodes) {
            needed.insert(id);
            let inputs = self.node(id).map_or(&[][..], |node| &node.inputs);
            // Who looks into one side for what is new of the other does the same the other way round.
            if inputs.iter().any(|input| input.probed) {
                needed.extend(inputs.iter().map(|input| input.node));
            }
        }
        needed
    }

    /// These nodes and those that their output comes to, the nearest first.
    fn downstream(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut found = nodes.to_vec();
        let mut seen: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let mut next = 0;
        while next < found.len() {
            let consumers = self.node(found[next]).map_or(&[][..], |node| &node.consumers);
            let new = consumers.iter().map(|(id, _)| *id);
            let new: Vec<NodeId> = new.filter(|id| !self.fresh.contains_key(id) && seen.insert(*id)).collect();
            found.extend(new);
            next += 1;
        }
        found
    }

    /// A relation and all that are made from it.
    pub fn relations_from(&self, relation: ObjectId) -> Vec<ObjectId> {
        let nodes = self.relation(relation).map_or(Vec::new(), |node| self.downstream(&[node]));
        nodes.into_iter().filter_map(|id| self.node(id).ok()?.relation).collect()
    }

    fn relation_of(&self, node: NodeId) -> Option<ObjectId> {
        self.downstream(&[node]).into_iter().find_map(|id| self.node(id).ok()?.relation)
    }
}
