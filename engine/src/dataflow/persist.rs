//! How the state of the graph becomes durable, and comes back.

use crate::data::{Epoch, OperatorId, ZSet};
use crate::dataflow::deferred::Deferred;
use crate::dataflow::graph::{Graph, Node, NodeId};
use crate::dataflow::operators::Constant;
use crate::error::Result;
use crate::state::{Checkpoint, Loader};

impl Graph {
    /// Writes everything that changed since the last call. `durable` is the epoch of the checkpoint before this one. The
    /// work depends on the nodes that stepped.
    pub fn save(&mut self, durable: Epoch, checkpoint: &mut Checkpoint) -> Result<()> {
        for id in std::mem::take(&mut self.dirty) {
            let node = self.node_mut(id)?;
            if let (Some(owner), Some(state)) = (node.id, node.operator.state()) {
                state.save(owner, durable, checkpoint)?;
            }
        }
        self.errors.save(checkpoint)?;
        self.late.save(checkpoint)
    }

    /// About how many bytes of memory the next save takes while it is written. The work depends on the nodes that stepped.
    pub fn unsaved(&mut self) -> u64 {
        let Graph { nodes, dirty, .. } = self;
        let unsaved = |node: &mut Node| node.operator.state().map(|state| state.unsaved());
        let unsaved = |id: &NodeId| nodes.get_mut(id.0 as usize)?.as_mut().and_then(unsaved);
        dirty.iter().filter_map(unsaved).sum()
    }

    /// Takes over the saved state of a graph that was built anew from the catalog: of the nodes whose identifier `saved`
    /// knows. The others (their plan came out differently, say after an upgrade) are left for
    /// [`hydrate`](Graph::hydrate).
    ///
    /// What nodes keep is only noted for the loader: whoever needs it waits for it.
    pub fn load(&mut self, loader: &mut Loader, saved: &dyn Fn(OperatorId) -> bool) -> Result<()> {
        self.errors.load(loader.store())?;
        self.late.load(loader.store())?;
        // Rows enter the indexes that are there when they are read.
        for node in self.nodes.iter_mut().flatten() {
            while !node.operator.open()? {}
        }
        let unknown: Vec<NodeId> = (self.fresh.keys().copied())
            .filter(|id| self.node(*id).is_ok_and(|node| node.id.is_some_and(|owner| !saved(owner))))
            .collect();
        for (id, claim) in std::mem::take(&mut self.fresh) {
            let node = self.node(id)?;
            // What a new node feeds is new as well: its fingerprint contains the other's.
            if unknown.contains(&id) || node.inputs.iter().any(|input| self.fresh.contains_key(&input.node)) {
                self.fresh.insert(id, claim);
                continue;
            }
            let node = self.node_mut(id)?;
            let load = match (node.id, &node.store) {
                (Some(owner), Some(rows)) => rows.load_later(owner, loader)?,
                (Some(owner), None) => {
                    let nothing = Constant::new(ZSet::empty(node.operator.schema().clone()));
                    let operator = std::mem::replace(&mut node.operator, Box::new(nothing));
                    let deferred = Deferred::new(operator, owner, loader);
                    let load = deferred.load().clone();
                    node.operator = Box::new(deferred);
                    load
                }
                (None, _) => continue,
            };
            self.unread.add(id, load);
        }
        self.widen_fresh();
        // What is not loaded meets its input again, and fails on the same rows.
        let loaded = |node: &NodeId| !self.fresh.contains_key(node);
        self.errors.retain(|node| self.by_fingerprint.get(&node).is_some_and(loaded));
        self.late.retain(|node| self.by_fingerprint.get(&node).is_some_and(loaded));
        Ok(())
    }

    /// A node without state that only new ones read is new itself: better it is taken out with them than that it makes
    /// changes which must be recorded.
    fn widen_fresh(&mut self) {
        let ids = (0..self.nodes.len() as u32).rev().map(NodeId);
        for id in ids {
            let Ok(node) = self.node(id) else { continue };
            let read_by_new =
                !node.consumers.is_empty() && node.consumers.iter().all(|(id, _)| self.fresh.contains_key(id));
            if node.id.is_none() && node.relation.is_none() && read_by_new {
                self.fresh.insert(id, None);
            }
        }
    }
}
