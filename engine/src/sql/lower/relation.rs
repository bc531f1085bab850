//! Base relations and views: the nodes that the catalog pins.

use crate::data::{ObjectId, RelationSchema};
use crate::dataflow::operators::SourceInput;
use crate::dataflow::{Graph, NodeId, NodeSpec, OperatorIds, Properties};
use crate::error::Result;

/// Adds a stored base relation. Its changes come in by [`Graph::step`]; its rows are in [`Graph::rows`].
pub fn add_table(
    graph: &mut Graph,
    table: ObjectId,
    schema: &RelationSchema,
    append_only: bool,
    ids: OperatorIds<'_>,
) -> Result<NodeId> {
    let properties = properties(schema, append_only);
    let node = graph
        .intern(&format!("table {table}"), Vec::new(), ids, |_| Ok(NodeSpec::stored(schema.arrow(), properties)))?;
    graph.pin(node, table)?;
    Ok(node)
}

/// Adds a source that is not stored: its changes come in by [`Graph::step`] and pass on to the views over it.
pub fn add_source(
    graph: &mut Graph,
    source: ObjectId,
    schema: &RelationSchema,
    append_only: bool,
    ids: OperatorIds<'_>,
) -> Result<NodeId> {
    let node = graph.intern(&format!("source {source}"), Vec::new(), ids, |_| {
        let operator = Box::new(SourceInput::new(schema.arrow()));
        Ok(NodeSpec { operator, store: None, properties: properties(schema, append_only) })
    })?;
    graph.pin(node, source)?;
    Ok(node)
}

fn properties(schema: &RelationSchema, append_only: bool) -> Properties {
    Properties { keys: schema.primary_key.iter().cloned().collect(), append_only, ..Properties::default() }
}
