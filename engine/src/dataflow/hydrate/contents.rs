//! What new nodes are fed: the contents of older ones, in slices that are made as they are asked for.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::progress::Progress;
use crate::data::{Epoch, ObjectId, ZSet};
use crate::dataflow::graph::{Graph, NodeId};
use crate::dataflow::operator::Outside;
use crate::dataflow::{Operator, StepContext};
use crate::error::{Error, Result};

/// Rows, in parts, that another thread reads.
pub type Rows = Box<dyn Iterator<Item = Result<ZSet>> + Send>;

/// Reads again all that a base relation without store has delivered so far: asked for once per edge that needs it.
pub type History<'a> = &'a mut dyn FnMut(ObjectId) -> Result<Rows>;

/// Of what contents are made.
pub(super) struct Sight<'a> {
    /// The last epoch made.
    pub at: Epoch,
    pub history: History<'a>,
    pub progress: &'a Arc<Progress>,
    /// Rows that are handed over at once.
    pub slice: usize,
}

impl Sight<'_> {
    /// Rows that the progress counts when they are read.
    fn counted(&self, rows: impl Iterator<Item = Result<ZSet>> + Send + 'static) -> Rows {
        let progress = self.progress.clone();
        Box::new(sliced(rows, self.slice).inspect(move |rows| {
            if let Ok(rows) = rows {
                progress.read(rows.len() as u64);
            }
        }))
    }
}

impl Graph {
    /// The contents of a node's output, as they are now, in slices.
    pub(super) fn contents(&mut self, id: NodeId, sight: &mut Sight<'_>) -> Result<Rows> {
        let node = self.node_mut(id)?;
        if let Some(store) = &node.store {
            sight.progress.expect(Some(store.rows()));
            return Ok(sight.counted(store.snapshot(sight.at).zsets()));
        }
        if let Some(state) = node.operator.state() {
            let parts = state.contents()?;
            sight.progress.expect(Some(parts.iter().map(|part| part.len() as u64).sum()));
            return Ok(sight.counted(parts.into_iter().map(Ok)));
        }
        if let (Some(relation), true) = (node.relation, node.inputs.is_empty()) {
            sight.progress.expect(None);
            let rows = (sight.history)(relation)?;
            return Ok(sight.counted(rows));
        }
        let inputs = node.inputs.clone();
        let schemas = inputs.iter().map(|input| Ok(self.schema(input.node)?.clone())).collect::<Result<Vec<_>>>()?;
        let mut parts: Vec<Rows> = Vec::with_capacity(inputs.len());
        for (port, input) in inputs.into_iter().enumerate().filter(|(_, input)| !input.probed) {
            let rows = self.contents(input.node, sight)?;
            let operator = self.node(id)?.operator.again();
            let operator = operator.ok_or_else(|| Error::internal("a node with state was asked as if it had none"))?;
            let mut asked = Asked { operator, port, schemas: schemas.clone(), at: sight.at };
            parts.push(Box::new(sliced(rows.map(move |rows| asked.ask(rows?)), sight.slice)));
        }
        Ok(Box::new(parts.into_iter().flatten()))
    }
}

/// A node without state, asked what it makes of the contents of one of its inputs.
struct Asked {
    operator: Box<dyn Operator>,
    port: usize,
    schemas: Vec<SchemaRef>,
    at: Epoch,
}

impl Asked {
    /// The rows it rejects it has rejected before.
    fn ask(&mut self, rows: ZSet) -> Result<ZSet> {
        let mut inputs: Vec<ZSet> = self.schemas.iter().map(|schema| ZSet::empty(schema.clone())).collect();
        inputs[self.port] = rows;
        let outside = Outside { own: Arc::new([]), before: self.at, now: self.at };
        self.operator.step(&inputs, &mut StepContext::new(self.at).beside(Some(outside)))
    }
}

/// The same rows, no more than so many at once.
fn sliced(
    rows: impl Iterator<Item = Result<ZSet>> + Send + 'static,
    slice: usize,
) -> impl Iterator<Item = Result<ZSet>> + Send {
    rows.flat_map(move |rows| {
        let (rows, error) = match rows {
            Ok(rows) => (Some(rows), None),
            Err(error) => (None, Some(Err(error))),
        };
        let slices = rows.into_iter().flat_map(move |rows| {
            let firsts = (0..rows.len()).step_by(slice);
            firsts.map(move |first| Ok(rows.slice(first, slice.min(rows.len() - first))))
        });
        slices.chain(error)
    })
}
