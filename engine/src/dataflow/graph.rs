//! The one graph of all views: nodes in topological order, equal sub-plans shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::data::{ObjectId, OperatorId, Parts, STACK};
use crate::dataflow::errors::ErrorSet;
use crate::dataflow::event_time::{Waiting, Watermarks};
use crate::dataflow::hydrate::{Claim, Recorder};
use crate::dataflow::operator::Outside;
use crate::dataflow::operators::Stored;
use crate::dataflow::unread::Unread;
use crate::dataflow::{EventTime, Fingerprint, Operator, Properties, SLICE};
use crate::error::{Error, Result};
use crate::view::{Identity, RowStore};

/// A node of the graph. Numbers rise along every edge and are never used again, so their order is topological.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// The dataflow of all views.
///
/// A node lives as long as a relation or another node needs it: base relations and views are *pinned* by the catalog,
/// everything between them is counted by its consumers.
pub struct Graph {
    /// Dropped nodes leave a hole.
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) by_fingerprint: HashMap<Fingerprint, NodeId>,
    pub(super) relations: BTreeMap<ObjectId, NodeId>,
    /// Nodes neither hydrated nor loaded yet: steps pass them by.
    pub(super) fresh: BTreeMap<NodeId, Claim>,
    /// Nodes whose state is read later.
    pub(super) unread: Unread,
    /// Relations whose new nodes are hydrated aside, and what those miss meanwhile.
    pub(super) asides: BTreeMap<ObjectId, Arc<Recorder>>,
    /// Rows that new nodes are fed at once.
    pub(super) slice: usize,
    /// Where these nodes are aside themselves: how the stores they stand on read.
    pub(super) outside: Option<Outside>,
    /// Nodes that wait for watermarks, and those there are.
    pub(super) waiting: BTreeMap<NodeId, Waiting>,
    pub(super) watermarks: Watermarks,
    /// Nodes with state that stepped since it was last saved.
    pub(super) dirty: BTreeSet<NodeId>,
    /// Nodes whose stores may have chunks to merge.
    pub(super) uncompacted: BTreeSet<NodeId>,
    pub(super) errors: ErrorSet,
    /// Rows that came too late for nodes that had freed their state.
    pub(super) late: ErrorSet,
    pub(super) pool: Option<Arc<ThreadPool>>,
    /// Bytes of rows that an operator may make in a step.
    pub(super) most_made: usize,
    /// The node whose part of a step has begun and not come to its end.
    pub(super) visiting: Option<NodeId>,
}

/// What a node is made of.
pub struct NodeSpec {
    pub operator: Box<dyn Operator>,
    /// The rows of the output, where the node keeps them.
    pub store: Option<Arc<RowStore>>,
    pub properties: Properties,
}

impl NodeSpec {
    /// A node that keeps its rows, told apart by the best key they have, and passes them on. A relation of at most one row
    /// has an empty key, and all of its columns to compare.
    pub fn stored(schema: SchemaRef, properties: Properties) -> NodeSpec {
        let identity = match properties.best_key() {
            Some(key) if !key.is_empty() => Identity::Key(key.clone()),
            _ => Identity::FullRow,
        };
        let rows = Arc::new(RowStore::new(schema, identity));
        NodeSpec { operator: Box::new(Stored::new(rows.clone())), store: Some(rows), properties }
    }
}

/// An edge of the graph, seen from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    pub node: NodeId,
    /// The operator reads this input's whole contents from the store of `node`, so that rows which come in by another
    /// input meet it there: a new node must not be fed the contents over this edge too.
    pub probed: bool,
}

impl Input {
    /// An input of which the operator sees the changes only.
    pub fn plain(node: NodeId) -> Input {
        Input { node, probed: false }
    }

    /// An input that the operator also reads from its store.
    pub fn probed(node: NodeId) -> Input {
        Input { node, probed: true }
    }
}

pub(super) struct Node {
    /// The operator written out, for EXPLAIN.
    pub text: String,
    pub fingerprint: Fingerprint,
    pub operator: Box<dyn Operator>,
    /// Owner of the durable state, where there is any.
    pub id: Option<OperatorId>,
    pub inputs: Vec<Input>,
    /// Consumers and the number of the consumer's input, in the order in which they were added.
    pub consumers: Vec<(NodeId, usize)>,
    pub store: Option<Arc<RowStore>>,
    pub properties: Properties,
    /// What the operator reads of its inputs, as [`Operator::reads`] tells.
    pub reads: Option<Parts>,
    pub relation: Option<ObjectId>,
}

impl Node {
    /// The same place in a graph, with another operator.
    pub fn with(&self, operator: Box<dyn Operator>) -> Node {
        Node {
            text: self.text.clone(),
            fingerprint: self.fingerprint,
            operator,
            id: self.id,
            inputs: self.inputs.clone(),
            consumers: self.consumers.clone(),
            store: self.store.clone(),
            properties: self.properties.clone(),
            reads: self.reads.clone(),
            relation: self.relation,
        }
    }
}

/// Hands out the identifier of a stateful node: the saved one where the catalog knows the fingerprint, else a new one.
pub type OperatorIds<'a> = &'a mut dyn FnMut(Fingerprint) -> Result<OperatorId>;

impl Graph {
    /// A graph without nodes, whose steps use this many threads where there is work for them. `errors` owns the durable
    /// part of the rows that expressions failed on, `late` that of the rows that came too late.
    pub fn new(errors: OperatorId, late: OperatorId, threads: usize) -> Result<Graph> {
        let pool = match threads {
            0 | 1 => None,
            _ => {
                let builder = ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK);
                let builder = builder.thread_name(|at| format!("step-{at}"));
                let failed = |error| Error::internal("the threads of the dataflow did not start").with_source(error);
                Some(Arc::new(builder.build().map_err(failed)?))
            }
        };
        Ok(Graph {
            nodes: Vec::new(),
            by_fingerprint: HashMap::new(),
            relations: BTreeMap::new(),
            fresh: BTreeMap::new(),
            unread: Unread::default(),
            asides: BTreeMap::new(),
            slice: SLICE,
            outside: None,
            waiting: BTreeMap::new(),
            watermarks: Watermarks::default(),
            dirty: BTreeSet::new(),
            uncompacted: BTreeSet::new(),
            errors: ErrorSet::new(errors),
            late: ErrorSet::new(late),
            pool,
            most_made: usize::MAX,
            visiting: None,
        })
    }

    /// The node of an operator, which `text` writes out canonically, over its inputs; made by `build` unless there is one.
    pub fn intern(
        &mut self,
        text: &str,
        inputs: Vec<Input>,
        ids: OperatorIds<'_>,
        build: impl FnOnce(&Graph) -> Result<NodeSpec>,
    ) -> Result<NodeId> {
        let input_fingerprints = inputs.iter().map(|input| self.fingerprint(input.node)).collect::<Result<Vec<_>>>()?;
        let fingerprint = Fingerprint::new(text, input_fingerprints);
        if let Some(node) = self.by_fingerprint.get(&fingerprint) {
            return Ok(*node);
        }
        let NodeSpec { mut operator, store, properties } = build(self)?;
        let id = if operator.state().is_some() { Some(ids(fingerprint)?) } else { None };
        let node = NodeId(u32::try_from(self.nodes.len()).map_err(|_| Error::internal("the graph is full"))?);
        for (port, input) in inputs.iter().enumerate() {
            self.node_mut(input.node)?.consumers.push((node, port));
        }
        if let Some(sources) = operator.awaits() {
            self.waiting.insert(node, Waiting::new(sources.clone()));
        }
        let (text, consumers, reads, relation) = (text.to_owned(), Vec::new(), operator.reads(), None);
        let made = Node { text, fingerprint, operator, id, inputs, consumers, store, properties, reads, relation };
        self.nodes.push(Some(made));
        self.by_fingerprint.insert(fingerprint, node);
        self.fresh.insert(node, None);
        Ok(node)
    }

    /// Makes a node the output of a base relation or view: it stays until [`remove`](Graph::remove), and its changes are
    /// reported by every step.
    pub fn pin(&mut self, node: NodeId, relation: ObjectId) -> Result<()> {
        self.node_mut(node)?.relation = Some(relation);
        self.errors.changed_view(relation);
        self.late.changed_view(relation);
        match self.relations.insert(relation, node) {
            None => Ok(()),
            Some(_) => Err(Error::internal(format!("relation {relation} has two nodes"))),
        }
    }

    /// Takes a relation out, with all nodes that nothing else needs. Their durable state is to be dropped by the next
    /// checkpoint: the identifiers returned.
    ///
    /// # Errors
    /// XX000 when another relation reads it: the catalog refuses such a DROP first.
    pub fn remove(&mut self, relation: ObjectId) -> Result<Vec<OperatorId>> {
        let Some(node) = self.relations.get(&relation).copied() else { return Ok(Vec::new()) };
        let removed = self.node_mut(node)?;
        if !removed.consumers.is_empty() {
            return Err(Error::internal(format!("relation {relation} is still read")));
        }
        removed.relation = None;
        self.relations.remove(&relation);
        self.errors.changed_view(relation);
        self.late.changed_view(relation);
        self.asides.remove(&relation);
        self.release(node)
    }

    /// Drops a node and, in turn, its inputs, as far as nothing needs them.
    pub(super) fn release(&mut self, node: NodeId) -> Result<Vec<OperatorId>> {
        let mut dropped = Vec::new();
        let mut candidates = vec![node];
        while let Some(candidate) = candidates.pop() {
            let slot = self.nodes.get_mut(candidate.0 as usize);
            let unused = |node: &mut Node| node.consumers.is_empty() && node.relation.is_none();
            let Some(node) = slot.and_then(|slot| slot.take_if(unused)) else { continue };
            if let Some(store) = &node.store {
                // Those who read it still shall have all of it, and its durable state goes. It goes damaged, too.
                store.wait_complete().ok();
            }
            self.by_fingerprint.remove(&node.fingerprint);
            self.fresh.remove(&candidate);
            self.unread.remove(candidate);
            self.dirty.remove(&candidate);
            self.uncompacted.remove(&candidate);
            self.waiting.remove(&candidate);
            self.errors.forget(node.fingerprint);
            self.late.forget(node.fingerprint);
            dropped.extend(node.id);
            for input in node.inputs {
                self.node_mut(input.node)?.consumers.retain(|(consumer, _)| *consumer != candidate);
                candidates.push(input.node);
            }
        }
        Ok(dropped)
    }

    /// Drops the nodes from `first` on that nothing needs: what a failed lowering left.
    pub fn sweep(&mut self, first: NodeId) -> Result<()> {
        for node in (first.0 as usize..self.nodes.len()).rev() {
            self.release(NodeId(node as u32))?;
        }
        Ok(())
    }

    /// The node that will be added next.
    pub fn next_node(&self) -> NodeId {
        NodeId(self.nodes.len() as u32)
    }

    /// The node of a base relation or view.
    pub fn relation(&self, relation: ObjectId) -> Option<NodeId> {
        self.relations.get(&relation).copied()
    }

    /// The rows of a base relation or view; None where it is not stored, or unknown.
    pub fn rows(&self, relation: ObjectId) -> Option<&Arc<RowStore>> {
        self.store(self.relation(relation)?)
    }

    /// The rows of a node's output, where it keeps them.
    pub fn store(&self, node: NodeId) -> Option<&Arc<RowStore>> {
        self.node(node).ok()?.store.as_ref()
    }

    /// The columns that tell a node's stored rows apart; None where all of them do, or nothing is stored.
    pub fn key(&self, node: NodeId) -> Option<&[usize]> {
        match self.store(node)?.identity() {
            Identity::Key(key) => Some(key),
            Identity::FullRow => None,
        }
    }

    /// The columns of a node's output.
    pub fn schema(&self, node: NodeId) -> Result<&SchemaRef> {
        Ok(self.node(node)?.operator.schema())
    }

    /// Says that a column of a base relation follows event time.
    pub fn set_event_time(&mut self, node: NodeId, column: usize, time: EventTime) -> Result<()> {
        self.node_mut(node)?.properties.event_times.insert(column, time);
        Ok(())
    }

    /// What is known of a node's output.
    pub fn properties(&self, node: NodeId) -> Result<&Properties> {
        Ok(&self.node(node)?.properties)
    }

    pub fn fingerprint(&self, node: NodeId) -> Result<Fingerprint> {
        Ok(self.node(node)?.fingerprint)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The owners of all durable state but that of nodes not hydrated yet, with the fingerprints by which they are found again.
    pub fn operators(&self) -> impl Iterator<Item = (Fingerprint, OperatorId)> {
        let here = self.nodes.iter().enumerate().filter(|(at, _)| !self.fresh.contains_key(&NodeId(*at as u32)));
        here.filter_map(|(_, node)| node.as_ref()).filter_map(|node| Some((node.fingerprint, node.id?)))
    }

    /// The nodes a relation's contents come from, itself included, up to other relations.
    pub(super) fn upstream(&self, relation: ObjectId) -> Result<Vec<NodeId>> {
        let Some(root) = self.relation(relation) else { return Ok(Vec::new()) };
        let mut found = vec![root];
        let mut next = 0;
        while next < found.len() {
            for input in &self.node(found[next])?.inputs {
                if self.node(input.node)?.relation.is_none() && !found.contains(&input.node) {
                    found.push(input.node);
                }
            }
            next += 1;
        }
        Ok(found)
    }

    pub(super) fn node(&self, node: NodeId) -> Result<&Node> {
        self.nodes.get(node.0 as usize).and_then(Option::as_ref).ok_or_else(|| missing(node))
    }

    pub(super) fn node_mut(&mut self, node: NodeId) -> Result<&mut Node> {
        self.nodes.get_mut(node.0 as usize).and_then(Option::as_mut).ok_or_else(|| missing(node))
    }
}

fn missing(node: NodeId) -> Error {
    Error::internal(format!("the graph has no node {}", node.0))
}
