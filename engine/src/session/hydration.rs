//! Views that are still being filled, as statements meet them.

use std::time::Duration;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::RelationSource;
use crate::data::ObjectId;
use crate::engine::Snapshot;
use crate::error::Result;
use crate::session::Session;

/// How long a CREATE MATERIALIZED VIEW waits for its rows, at most.
const A_MOMENT: Duration = Duration::from_secs(1);

impl Session {
    /// What is filled in a moment can be read when CREATE returns.
    pub(super) async fn wait_a_moment(&self, snapshot: &Snapshot, created: &[ObjectId]) {
        if created.iter().any(|id| snapshot.hydrating.contains_key(id)) {
            tokio::time::timeout(A_MOMENT, self.engine.hydrated(created)).await.ok();
        }
    }

    /// Where the session says so, waits until all that a plan reads can be read.
    pub(super) async fn wait_for_hydration(&mut self, plan: &LogicalPlan) -> Result<()> {
        let waiting = self.awaited(plan)?;
        if !waiting.is_empty() {
            let hydrated = self.engine.hydrated(&waiting).await?;
            self.transaction().move_to(hydrated);
        }
        Ok(())
    }

    /// What a plan reads that cannot be read yet; nothing where the session does not wait for it.
    fn awaited(&mut self, plan: &LogicalPlan) -> Result<Vec<ObjectId>> {
        let mut waiting = Vec::new();
        if self.settings.get("wait_for_hydration")? != "on" {
            return Ok(waiting);
        }
        let hydrating = self.transaction().snapshot().hydrating.clone();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(relation) = scan.source.downcast_ref::<RelationSource>()
                && hydrating.contains_key(&relation.id)
            {
                waiting.push(relation.id);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(waiting)
    }
}
