//! The sinks that are running.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::data::ObjectId;
use crate::dataflow::Graph;
use crate::dataflow::operators::Taker;
use crate::error::{Error, Result};
use crate::sink::{self, Outlet, Taken};

/// How all sinks are doing.
pub type Outlets = Arc<BTreeMap<ObjectId, Arc<Outlet>>>;

/// Which sinks there are.
#[derive(Default)]
pub struct Sinks {
    outlets: Outlets,
    /// What a checkpoint has of sinks that have not been opened yet.
    saved: BTreeMap<ObjectId, Taken>,
}

impl Sinks {
    /// Goes on from what a checkpoint has.
    ///
    /// # Errors
    /// XX001 when it does not read.
    pub fn load(saved: &BTreeMap<ObjectId, serde_json::Value>) -> Result<Sinks> {
        let read = |(id, value): (&ObjectId, &serde_json::Value)| {
            let unreadable = |error| Error::corrupt("what a sink was given cannot be read").with_source(error);
            Ok((*id, serde_json::from_value(value.clone()).map_err(unreadable)?))
        };
        Ok(Sinks { saved: saved.iter().map(read).collect::<Result<_>>()?, ..Sinks::default() })
    }

    /// What a checkpoint keeps: of sinks that are being filled nothing, since they are filled anew after a start.
    pub fn saved(&self, is_filled: impl Fn(ObjectId) -> bool) -> Result<BTreeMap<ObjectId, serde_json::Value>> {
        let write = |(id, outlet): (&ObjectId, &Arc<Outlet>)| {
            let unwritable = |error| Error::internal("cannot write what a sink was given").with_source(error);
            Ok((*id, serde_json::to_value(outlet.taken()).map_err(unwritable)?))
        };
        self.outlets.iter().filter(|(id, _)| is_filled(**id)).map(write).collect()
    }

    /// A sink is about to be given all that there is.
    pub fn begin(&self, id: ObjectId) {
        if let Some(outlet) = self.outlets.get(&id) {
            outlet.forget();
        }
    }

    /// Opens a sink: what its node hands changes to.
    pub fn open(&mut self, id: ObjectId, connector: &str) -> Result<Taker> {
        let outlet = Arc::new(Outlet::after(self.saved.remove(&id).unwrap_or_default()));
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
