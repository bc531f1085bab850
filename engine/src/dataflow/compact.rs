//! Tidying the stores that steps have written to.

use crate::data::Epoch;
use crate::dataflow::graph::Graph;
use crate::error::Result;

impl Graph {
    /// About how many bytes of memory all stores keep only for those who read at `horizon`.
    pub fn kept_since(&self, horizon: Epoch) -> u64 {
        self.nodes.iter().flatten().filter_map(|node| node.store.as_ref()).map(|store| store.kept_since(horizon)).sum()
    }

    /// Merges small chunks and frees rows deleted at `horizon` or before, which no snapshot to come may read. Does a
    /// bounded piece of work in each store that steps have written to, and goes on with it at the next call.
    pub fn compact(&mut self, horizon: Epoch) -> Result<()> {
        for id in std::mem::take(&mut self.uncompacted) {
            let Some(store) = self.store(id) else { continue };
            // What hydrations read at must stay.
            let horizon = self.oldest_reached(id).map_or(horizon, |oldest| oldest.min(horizon));
            if store.compact(horizon)? {
                self.uncompacted.insert(id);
            }
        }
        Ok(())
    }
}
