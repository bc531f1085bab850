//! A base relation as a logical plan names it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Constraint, Constraints};
use datafusion::logical_expr::{LogicalPlan, TableSource};

use crate::data::{ObjectId, RelationSchema};
use crate::error::Result;

/// A stored or virtual relation: the `source` of every `TableScan` that the binder makes.
#[derive(Clone, Debug)]
pub struct RelationSource {
    /// The object read.
    pub id: ObjectId,
    /// Its name, for EXPLAIN.
    pub name: String,
    /// Its columns as declared.
    pub schema: RelationSchema,
    /// Of a source with only a part of its history: the place where that part begins.
    pub since: Option<String>,
    arrow: SchemaRef,
    constraints: Option<Constraints>,
}

impl RelationSource {
    pub fn new(id: ObjectId, name: impl Into<String>, schema: RelationSchema) -> Arc<RelationSource> {
        let constraints = (schema.primary_key.clone())
            .map(|columns| Constraints::new_unverified(vec![Constraint::PrimaryKey(columns)]));
        let (name, arrow) = (name.into(), schema.arrow());
        Arc::new(RelationSource { id, name, arrow, schema, since: None, constraints })
    }

    /// The same source with only that part of its history that begins here.
    pub fn since(self: Arc<RelationSource>, place: String) -> Arc<RelationSource> {
        Arc::new(RelationSource { since: Some(place), ..Arc::unwrap_or_clone(self) })
    }

    /// The relations that a plan reads.
    pub fn all_in(plan: &LogicalPlan) -> Result<BTreeSet<ObjectId>> {
        let mut found = BTreeSet::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(relation) = scan.source.downcast_ref::<RelationSource>()
            {
                found.insert(relation.id);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    }
}

impl TableSource for RelationSource {
    fn schema(&self) -> SchemaRef {
        self.arrow.clone()
    }

    /// We enforce the primary key, so the optimizer may trust it.
    fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
    }
}
