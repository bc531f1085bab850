//! The sinks that are running.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::data::ObjectId;
use crate::dataflow::Graph;
use crate::dataflow::operators::Taker;
use crate::error::Result;
use crate::sink::{self, Outlet};

/// How all sinks are doing.
pub type Outlets = Arc<BTreeMap<ObjectId, Arc<Outlet>>>;

/// Which sinks there are.
#[derive(Default)]
pub struct Sinks {
    outlets: Outlets,
}

impl Sinks {
    /// Opens a sink: what its node hands changes to.
    pub fn open(&mut self, id: ObjectId, connector: &str) -> Result<Taker> {
        let outlet = Arc::<Outlet>::default();
        let take = sink::open(connector, outlet.clone())?;
        Arc::make_mut(&mut self.outlets).insert(id, outlet);
        Ok(Box::new(take))
    }

    /// Forgets sinks that are not in the catalog, or suspended.
    pub fn follow(&mut self, catalog: &Catalog) {
        let is_gone = |id: &ObjectId| catalog.by_id(*id).is_none_or(|item| item.suspended.is_some());
        if self.outlets.keys().any(is_gone) {
            Arc::make_mut(&mut self.outlets).retain(|id, _| !is_gone(id));
        }
    }

    /// Finds out how much state each of them has.
    pub fn measure(&self, graph: &mut Graph) -> Result<()> {
        for (id, outlet) in self.outlets.iter() {
            outlet.set_state_bytes(graph.size_of(*id)?.bytes);
        }
        Ok(())
    }

    /// What tells how they are doing, now and later.
    pub fn outlets(&self) -> &Outlets {
        &self.outlets
    }
}
