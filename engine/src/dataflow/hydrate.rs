//! How new nodes get the contents that their inputs had before them.
//!
//! A new node is fed what its older inputs hold, in slices, each an epoch of its own in which nothing else changes, so
//! that stores still tell the rows of a slice from those before it. Two things decide the order:
//!
//! - Nodes nearest the views come first. A join whose left side is old and whose right side is new must see the left rows
//!   (and, being an outer join, emit them without match) before rows begin to arrive on the right.
//! - An input that the operator reads from its store ([`Input::probed`](crate::dataflow::Input::probed)) is not fed: rows fed by the other input meet its
//!   contents there.
//!
//! Contents come from a node's store, else from its state ([`Stateful::contents`](crate::dataflow::Stateful::contents)),
//! else, as a node without state can be asked anything without harm, from the contents of its inputs.

use crate::data::{Epoch, ObjectId, ZSet};
use crate::dataflow::StepContext;
use crate::dataflow::graph::{Graph, NodeId};
use crate::dataflow::step::Delivery;
use crate::error::{Error, Result};

/// Reads again all that a base relation without store has delivered so far: asked for once per edge that needs it.
pub type History<'a> = &'a mut dyn FnMut(ObjectId) -> Result<Box<dyn Iterator<Item = Result<ZSet>>>>;

/// Where contents go, slice by slice.
type Sink<'a> = &'a mut dyn FnMut(&mut Graph, ZSet) -> Result<()>;

impl Graph {
    /// Feeds all nodes added since the last call. `epoch` is the last one made; returned is the last one used, after which
    /// the next step follows.
    pub fn hydrate(&mut self, epoch: Epoch, history: History<'_>) -> Result<Epoch> {
        let mut now = epoch;
        for id in self.fresh.clone().into_iter().rev() {
            now = self.start(id, now)?;
            let inputs = self.node(id)?.inputs.clone();
            for (port, input) in inputs.into_iter().enumerate() {
                if input.probed || self.fresh.contains(&input.node) {
                    continue;
                }
                let mut feed = |graph: &mut Graph, change: ZSet| {
                    now = now.next();
                    graph.run(now, vec![Delivery { node: id, port, change }]).map(|_| ())
                };
                self.visit_contents(input.node, epoch, history, &mut feed)?;
            }
        }
        self.fresh.clear();
        Ok(now)
    }

    /// What the node has before any input.
    fn start(&mut self, id: NodeId, now: Epoch) -> Result<Epoch> {
        let mut context = StepContext::new(now.next());
        let node = self.node_mut(id)?;
        let Some(state) = node.operator.state() else { return Ok(now) };
        let output = state.start(&mut context)?;
        self.dirty.insert(id);
        let Some(output) = output else { return Ok(now) };
        let deliver = |&(node, port): &(NodeId, usize)| Delivery { node, port, change: output.clone() };
        let deliveries = self.node(id)?.consumers.iter().map(deliver).collect();
        self.run(now.next(), deliveries)?;
        Ok(now.next())
    }

    /// Hands the contents of a node's output, as of `at`, to the sink.
    fn visit_contents(&mut self, id: NodeId, at: Epoch, history: History<'_>, sink: Sink<'_>) -> Result<()> {
        let node = self.node_mut(id)?;
        if let Some(store) = node.store.clone() {
            let snapshot = store.snapshot(at);
            for part in snapshot.zsets() {
                sink(self, part?)?;
            }
            return Ok(());
        }
        if let Some(state) = node.operator.state() {
            for part in state.contents()? {
                sink(self, part)?;
            }
            return Ok(());
        }
        if let (Some(relation), true) = (node.relation, node.inputs.is_empty()) {
            for part in history(relation)? {
                sink(self, part?)?;
            }
            return Ok(());
        }
        let inputs = node.inputs.clone();
        for (port, input) in inputs.into_iter().enumerate().filter(|(_, input)| !input.probed) {
            let mut through = |graph: &mut Graph, part: ZSet| {
                let output = graph.ask(id, port, part, at)?;
                if output.is_empty() { Ok(()) } else { sink(graph, output) }
            };
            self.visit_contents(input.node, at, history, &mut through)?;
        }
        Ok(())
    }

    /// What a node without state of its own makes of some rows. The rows it rejects it has rejected before.
    fn ask(&mut self, id: NodeId, port: usize, rows: ZSet, at: Epoch) -> Result<ZSet> {
        let inputs = self.inputs(id, vec![(port, rows)])?;
        let node = self.node_mut(id)?;
        if node.operator.state().is_some() {
            return Err(Error::internal("a node with state was asked as if it had none"));
        }
        node.operator.step(&inputs, &mut StepContext::new(at.next()))
    }
}
