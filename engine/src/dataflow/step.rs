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
    /// Rows that the node which emitted the most emitted.
    pub emitted: usize,
}

/// A change that waits before a node: the node, which of its inputs, the change.
pub(super) struct PortChange {
    pub node: NodeId,
    pub port: usize,
    pub change: ZSet,
}

/// The changes that wait before nodes, each with the number of the node's input.
type Inbox = BTreeMap<NodeId, Vec<(usize, ZSet)>>;

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
        let deliver = |(node, change)| PortChange { node, port: 0, change };
        let report = self.run(epoch, inputs.into_iter().map(deliver).collect(), Vec::new())?;
        self.stepped(epoch);
        Ok(report)
    }

    /// Tells those that are hydrated aside that an epoch was made.
    pub(super) fn stepped(&self, epoch: Epoch) {
        self.asides.values().for_each(|recorder| recorder.stepped(epoch));
    }

    /// Visits the nodes that the deliveries reach, and those that watermarks have something new for, in topological order.
    /// What is `made` has been done to the stores of these nodes already: it is their output.
    pub(super) fn run(
        &mut self,
        epoch: Epoch,
        deliveries: Vec<PortChange>,
        made: Vec<(NodeId, ZSet)>,
    ) -> Result<StepReport> {
        let mut report = StepReport::default();
        let mut inbox = Inbox::default();
        inbox.extend(self.awakened().into_iter().map(|node| (node, Vec::new())));
        for PortChange { node, port, change } in deliveries {
            if !change.is_empty() {
                inbox.entry(node).or_default().push((port, change));
            }
        }
        for (id, output) in made {
            report.visited += 1;
            self.written(id)?;
            self.pass_on(epoch, id, output, &mut inbox, &mut report)?;
        }
        let context = StepContext::new(epoch).with_pool(self.pool.clone()).beside(self.outside.clone());
        let mut context = context.with_most_made(self.most_made);
        context.set_watermarks(self.watermarks.clone());
        while let Some((id, changes)) = inbox.pop_first() {
            self.visiting = Some(id);
            let output = self.visit(id, changes, &mut context)?;
            let (rejected, late) = (context.take_rejected(), context.take_late());
            report.visited += 1;
            report.rejected += rejected.len();
            let fingerprint = self.node(id)?.fingerprint;
            self.errors.record(fingerprint, &rejected)?;
            self.late.record(fingerprint, &late)?;
            self.pass_on(epoch, id, output, &mut inbox, &mut report)?;
            self.visiting = None;
        }
        Ok(report)
    }

    /// Hands a node's output to those that read it.
    fn pass_on(
        &self,
        epoch: Epoch,
        id: NodeId,
        output: ZSet,
        inbox: &mut Inbox,
        report: &mut StepReport,
    ) -> Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        report.emitted = report.emitted.max(output.len());
        let node = self.node(id)?;
        for (consumer, port) in &node.consumers {
            match self.fresh.get(consumer) {
                None => inbox.entry(*consumer).or_default().push((*port, output.clone())),
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
        Ok(())
    }

    /// One node's part of the step.
    fn visit(&mut self, id: NodeId, changes: Vec<(usize, ZSet)>, context: &mut StepContext) -> Result<ZSet> {
        let inputs = self.inputs(id, changes)?;
        let node = self.node_mut(id)?;
        let output = node.operator.step(&inputs, context)?;
        self.written(id)?;
        Ok(output)
    }

    /// Takes note that a node's state has changed.
    fn written(&mut self, id: NodeId) -> Result<()> {
        let node = self.node(id)?;
        let (stateful, stored) = (node.id.is_some(), node.store.is_some());
        if stateful {
            self.dirty.insert(id);
        }
        if stored {
            self.uncompacted.insert(id);
        }
        Ok(())
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
