//! The step: changes of base relations, pushed through the nodes that they reach, in topological order.

use std::collections::BTreeMap;

use crate::data::{Epoch, ObjectId, ZSet};
use crate::dataflow::StepContext;
use crate::dataflow::graph::{Graph, NodeId};
use crate::error::{Error, Result};

/// What a step did.
#[derive(Debug, Default)]
pub struct StepReport {
    /// The change of every base relation and view that changed, net where it is stored.
    pub changes: Vec<(ObjectId, ZSet)>,
    /// Nodes visited.
    pub visited: usize,
    /// Rows that expressions failed on, counting both the coming and the going of a row.
    pub rejected: usize,
}

/// A change that waits before a node: the node, which of its inputs, the change.
pub(super) struct Delivery {
    pub node: NodeId,
    pub port: usize,
    pub change: ZSet,
}

impl Graph {
    /// Makes an epoch: takes the changes of base relations through the graph. All stores have them when it returns, under
    /// `epoch`, which must be later than any before. The work depends on the nodes reached, not on how many there are.
    ///
    /// # Errors
    /// A broken invariant: memory is no longer to be trusted, the engine reopens from its last checkpoint.
    pub fn step(&mut self, epoch: Epoch, inputs: Vec<(NodeId, ZSet)>) -> Result<StepReport> {
        if inputs.iter().any(|(node, _)| self.fresh.contains_key(node)) {
            return Err(Error::internal("a step before a base relation was there"));
        }
        let deliver = |(node, change)| Delivery { node, port: 0, change };
        let report = self.run(epoch, inputs.into_iter().map(deliver).collect())?;
        self.asides.values().for_each(|recorder| recorder.stepped(epoch));
        Ok(report)
    }

    /// Visits the nodes that the deliveries reach, in topological order.
    pub(super) fn run(&mut self, epoch: Epoch, deliveries: Vec<Delivery>) -> Result<StepReport> {
        let mut report = StepReport::default();
        let mut waiting: BTreeMap<NodeId, Vec<(usize, ZSet)>> = BTreeMap::new();
        for Delivery { node, port, change } in deliveries {
            if !change.is_empty() {
                waiting.entry(node).or_default().push((port, change));
            }
        }
        let mut context = StepContext::new(epoch).with_pool(self.pool.clone()).beside(self.outside.clone());
        while let Some((id, changes)) = waiting.pop_first() {
            let output = self.visit(id, changes, &mut context)?;
            let rejected = context.take_rejected();
            report.visited += 1;
            report.rejected += rejected.len();
            let node = self.node(id)?;
            self.errors.record(node.fingerprint, &rejected)?;
            if output.is_empty() {
                continue;
            }
            let node = self.node(id)?;
            for (consumer, port) in &node.consumers {
                match self.fresh.get(consumer) {
                    None => waiting.entry(*consumer).or_default().push((*port, output.clone())),
                    // Rows that are stored tell their changes later.
                    Some(claim) if node.store.is_none() => {
                        if let Some(recorder) = claim.and_then(|relation| self.asides.get(&relation)) {
                            recorder.record(epoch, *consumer, *port, output.clone());
                        }
                    }
                    Some(_) => {}
                }
            }
            report.changes.extend(node.relation.map(|relation| (relation, output)));
        }
        Ok(report)
    }

    /// One node's part of the step.
    fn visit(&mut self, id: NodeId, changes: Vec<(usize, ZSet)>, context: &mut StepContext) -> Result<ZSet> {
        let inputs = self.inputs(id, changes)?;
        let node = self.node_mut(id)?;
        let output = node.operator.step(&inputs, context)?;
        let (stateful, stored) = (node.id.is_some(), node.store.is_some());
        if stateful {
            self.dirty.insert(id);
        }
        if stored {
            self.uncompacted.insert(id);
        }
        Ok(output)
    }

    /// The changes in the order of the node's inputs, empty ones where nothing came.
    pub(super) fn inputs(&self, id: NodeId, changes: Vec<(usize, ZSet)>) -> Result<Vec<ZSet>> {
        let node = self.node(id)?;
        // A base relation has no input within the graph: what comes is from outside, and already of its schema.
        let mut inputs: Vec<ZSet> = match node.inputs.as_slice() {
            [] => vec![ZSet::empty(node.operator.schema().clone())],
            inputs => {
                inputs.iter().map(|input| Ok(ZSet::empty(self.schema(input.node)?.clone()))).collect::<Result<_>>()?
            }
        };
        for (port, change) in changes {
            let input =
                inputs.get_mut(port).ok_or_else(|| Error::internal("a change for an input that is not there"))?;
            *input = match input.is_empty() {
                true => change,
                false => ZSet::concat(&change.schema(), &[input.clone(), change])?,
            };
        }
        Ok(inputs)
    }
}
