//! Taking new nodes out of the graph, and putting them back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::contents::{History, Readings, Sight, Work};
use super::hydration::{FIRST_FEED, Hydration, StoredInput};
use super::recorder::Hold;
use super::{Away, Progress, Recorder, Stage};
use crate::data::{Epoch, ObjectId};
use crate::dataflow::graph::{Graph, Node, NodeId};
use crate::error::{Error, Result};
use crate::view::RowStore;

/// Epochs that the first round takes in.
const STRIDE: u64 = 64;

impl Graph {
    /// Makes the new nodes that a relation's contents come from its own to hydrate, but for those that another relation
    /// has claimed. Whether there are any.
    pub fn claim(&mut self, relation: ObjectId) -> Result<bool> {
        let mut any = false;
        for node in self.upstream(relation)? {
            if let Some(claim @ None) = self.fresh.get_mut(&node) {
                *claim = Some(relation);
                any = true;
            }
        }
        Ok(any)
    }

    /// The relations that must be hydrated before this one can be.
    pub fn awaits(&self, relation: ObjectId) -> Result<BTreeSet<ObjectId>> {
        let mut others = BTreeSet::new();
        for node in self.claimed(relation) {
            let claims = self.node(node)?.inputs.iter().filter_map(|input| *self.fresh.get(&input.node)?);
            others.extend(claims.filter(|other| *other != relation));
        }
        Ok(others)
    }

    /// Whether a relation's rows are all there.
    pub fn is_hydrated(&self, relation: ObjectId) -> bool {
        self.relation(relation).is_some_and(|node| !self.fresh.contains_key(&node))
    }

    fn claimed(&self, relation: ObjectId) -> Vec<NodeId> {
        let own = self.fresh.iter().filter(|(_, claim)| **claim == Some(relation));
        own.map(|(node, _)| *node).collect()
    }

    /// Takes out the nodes that a relation has claimed. `epoch` is the last one made: what is read is what was there then,
    /// and from then on the graph remembers what the nodes miss.
    ///
    /// # Errors
    /// XX000 while the relation awaits another; what `history` gives. Then all is as before.
    pub fn set_aside(
        &mut self,
        relation: ObjectId,
        epoch: Epoch,
        history: History<'_>,
        progress: Arc<Progress>,
    ) -> Result<Hydration> {
        if !self.awaits(relation)?.is_empty() || self.asides.contains_key(&relation) {
            return Err(Error::internal(format!("relation {relation} cannot be hydrated now")));
        }
        let nodes = self.claimed(relation);
        let most_fed = progress.begin();
        let slice = self.slice;
        let work = self.work(&nodes, &mut Sight { at: epoch, history, progress: &progress, slice })?;
        let (stored, own) = (self.stored_inputs(&nodes)?, self.own_stores(&nodes)?);
        let recorder = Arc::new(Recorder::new(epoch, self.stores_read(&nodes)?, self.sources_of(&nodes)?));
        let graph = self.part(&nodes)?;
        self.asides.insert(relation, recorder.clone());
        Ok(Hydration {
            relation,
            graph,
            work,
            stored,
            own,
            recorder: Hold(recorder),
            progress,
            epoch: Epoch::ZERO,
            reached: epoch,
            stride: if most_fed == usize::MAX { STRIDE } else { 1 },
            rounds: 0,
            feed: FIRST_FEED.min(most_fed),
            most_fed,
            emitted: 0,
        })
    }

    /// What the nodes have to read, those nearest the view first.
    fn work(&mut self, nodes: &[NodeId], sight: &mut Sight<'_>) -> Result<VecDeque<Work>> {
        let mut readings = Readings::default();
        for node in nodes.iter().rev().copied() {
            readings.start(node);
            for (port, input) in self.node(node)?.inputs.clone().into_iter().enumerate() {
                if !input.probed && !nodes.contains(&input.node) {
                    self.read_contents(input.node, (node, port), &[], sight, &mut readings)?;
                }
            }
        }
        readings.into_work(sight)
    }

    fn stored_inputs(&self, nodes: &[NodeId]) -> Result<Vec<StoredInput>> {
        let mut inputs = Vec::new();
        for input in self.inputs_of(nodes)? {
            let node = self.node(input)?;
            let Some(rows) = node.store.clone() else { continue };
            let consumers = node.consumers.iter().filter(|(consumer, _)| nodes.contains(consumer)).copied().collect();
            inputs.push(StoredInput { rows, consumers });
        }
        Ok(inputs)
    }

    /// The other nodes that these stand on.
    fn inputs_of(&self, nodes: &[NodeId]) -> Result<BTreeSet<NodeId>> {
        let mut inputs = BTreeSet::new();
        for node in nodes {
            inputs.extend(self.node(*node)?.inputs.iter().map(|input| input.node));
        }
        inputs.retain(|input| !nodes.contains(input));
        Ok(inputs)
    }

    /// The nodes whose stores the hydration of these reads, as they were at epochs that it has reached: its inputs, and
    /// those that inputs without store or state read when they are asked what they hold. What such a node is itself fed
    /// from is a snapshot.
    fn stores_read(&self, nodes: &[NodeId]) -> Result<BTreeSet<NodeId>> {
        let mut read = BTreeSet::new();
        let mut asked: Vec<NodeId> = self.inputs_of(nodes)?.into_iter().collect();
        while let Some(id) = asked.pop() {
            let node = self.node(id)?;
            if node.store.is_some() {
                read.insert(id);
            } else if node.id.is_none() {
                asked.extend(node.inputs.iter().map(|input| input.node));
            }
        }
        Ok(read)
    }

    /// The base relations whose changes reach these nodes by way of nodes without store.
    fn sources_of(&self, nodes: &[NodeId]) -> Result<BTreeSet<ObjectId>> {
        let mut sources = BTreeSet::new();
        let mut reached = BTreeSet::new();
        let mut above: Vec<NodeId> = self.inputs_of(nodes)?.into_iter().collect();
        above.retain(|id| self.store(*id).is_none());
        while let Some(id) = above.pop() {
            if !reached.insert(id) {
                continue;
            }
            let node = self.node(id)?;
            if node.inputs.is_empty() {
                sources.extend(node.relation);
            }
            above.extend(node.inputs.iter().map(|input| input.node));
        }
        Ok(sources)
    }

    fn own_stores(&self, nodes: &[NodeId]) -> Result<Arc<[Arc<RowStore>]>> {
        let stores = nodes.iter().map(|node| Ok(self.node(*node)?.store.clone()));
        Ok(stores.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// A graph of these nodes, whose operators it gets, over what stands for their inputs. Steps of it use no threads.
    fn part(&mut self, nodes: &[NodeId]) -> Result<Graph> {
        let mut part = Graph::new(self.errors.owner(), self.late.owner(), 1)?;
        part.nodes.resize_with(self.nodes.len(), || None);
        part.bound_steps(self.most_made);
        for id in self.inputs_of(nodes)? {
            let node = self.node(id)?;
            let away = Box::new(Away(node.operator.schema().clone()));
            part.nodes[id.0 as usize] = Some(Node { inputs: Vec::new(), consumers: Vec::new(), ..node.with(away) });
        }
        for id in nodes {
            let node = self.node_mut(*id)?;
            let away = Box::new(Away(node.operator.schema().clone()));
            let operator = std::mem::replace(&mut node.operator, away);
            let consumers = node.consumers.iter().filter(|(consumer, _)| nodes.contains(consumer)).copied().collect();
            part.nodes[id.0 as usize] = Some(Node { consumers, ..node.with(operator) });
        }
        Ok(part)
    }

    /// Puts nodes back, after they have taken in what is left. `Hydration` must be the relation's last one. Returns the last
    /// epoch used: the next step's must be later.
    ///
    /// # Errors
    /// As [`Hydration::advance`]: the graph is as before, and goes on without the nodes.
    pub fn splice(&mut self, mut hydration: Hydration) -> Result<Epoch> {
        let relation = hydration.relation;
        let latest = hydration.recorder.0.latest();
        while hydration.advance()? == Stage::Reading {}
        hydration.round(latest)?;
        let mut part = hydration.graph;
        for id in self.claimed(relation) {
            let node = part.nodes.get_mut(id.0 as usize).and_then(Option::take);
            self.node_mut(id)?.operator = node.ok_or_else(|| Error::internal("a node was lost aside"))?.operator;
            self.fresh.remove(&id);
        }
        self.asides.remove(&relation);
        self.errors.absorb(part.errors);
        self.late.absorb(part.late);
        self.dirty.append(&mut part.dirty);
        self.uncompacted.append(&mut part.uncompacted);
        Ok(hydration.epoch.max(latest))
    }

    /// Hydrates all new nodes here and now. `epoch` is the last one made; returned is the last one used, after which the
    /// next step follows.
    pub fn hydrate(&mut self, epoch: Epoch, history: History<'_>) -> Result<Epoch> {
        let relations: BTreeSet<(NodeId, ObjectId)> =
            self.relations.iter().map(|(relation, node)| (*node, *relation)).collect();
        let mut now = epoch;
        for (_, relation) in relations {
            if self.claim(relation)? {
                let hydration = self.set_aside(relation, now, history, Arc::default())?;
                now = now.max(self.splice(hydration)?);
            }
        }
        Ok(now)
    }

    /// Feeds new nodes so many rows at once.
    #[cfg(test)]
    pub fn set_slice(&mut self, rows: usize) {
        self.slice = rows;
    }

    /// The oldest epoch at which a hydration still reads a node's store.
    pub(in crate::dataflow) fn oldest_reached(&self, node: NodeId) -> Option<Epoch> {
        self.asides.values().filter(|recorder| recorder.reads(node)).map(|recorder| recorder.reached()).min()
    }

    /// About how many bytes of memory are kept only for a relation's hydration: old rows, and changes that wait for it.
    pub fn kept_for(&self, relation: ObjectId) -> u64 {
        let Some(recorder) = self.asides.get(&relation) else { return 0 };
        let reached = recorder.reached();
        let stores = recorder.stores().filter_map(|node| self.store(node));
        stores.map(|store| store.kept_since(reached)).sum::<u64>() + recorder.bytes() as u64
    }

    /// Keeps nothing any more for a relation's hydration: it can come to nothing then.
    pub fn let_go(&mut self, relation: ObjectId) {
        if let Some(recorder) = self.asides.get(&relation) {
            recorder.close();
            self.uncompacted.extend(recorder.stores());
        }
    }

    /// Whether changes of a base relation would wait for a hydration for which some wait already.
    pub fn is_recorded(&self, relation: ObjectId) -> bool {
        self.asides.values().any(|recorder| recorder.bytes() > 0 && recorder.follows(relation))
    }

    /// Bytes of changes that wait for hydrations to take them in.
    pub fn recorded(&self) -> usize {
        self.asides.values().map(|recorder| recorder.bytes()).sum()
    }
}
