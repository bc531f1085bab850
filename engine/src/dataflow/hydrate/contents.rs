//! What new nodes are fed: the contents of older ones, in slices that are made as they are asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::progress::Progress;
use crate::data::{Epoch, ObjectId, Parts, ZSet};
use crate::dataflow::graph::{Graph, NodeId};
use crate::dataflow::operator::Outside;
use crate::dataflow::step::PortChange;
use crate::dataflow::{Operator, StepContext};
use crate::error::{Error, Result};

/// Rows, in parts, that another thread reads.
pub type Rows = Box<dyn Iterator<Item = Result<ZSet>> + Send>;

/// Reads again all that a base relation without store has delivered so far, as far as these parts of it are concerned:
/// asked for once for all that need it together. With about how many rows that is, and hardly more.
pub type History<'a> = &'a mut dyn FnMut(ObjectId, &Parts) -> Result<(Rows, u64)>;

/// Of what contents are made.
pub(super) struct Sight<'a> {
    /// The last epoch made.
    pub at: Epoch,
    pub history: History<'a>,
    pub progress: &'a Arc<Progress>,
    /// Rows that are handed over at once.
    pub slice: usize,
}

/// A place in the graph where rows are fed: an input of a node.
pub(super) type Edge = (NodeId, usize);

/// Rows to be read once, and who takes them.
pub(super) struct Reading {
    rows: Rows,
    takers: Vec<Taker>,
    /// What is left of the slice that was read last.
    rest: Option<ZSet>,
}

/// An input that rows are for, by way of nodes without state.
pub(super) struct Taker {
    pub edge: Edge,
    /// From the rows' side to the input's.
    way: Vec<Asked>,
}

/// What is read for some inputs. The history of a source is read once for all of them.
#[derive(Default)]
pub(super) struct Readings {
    /// In the order in which they were asked for; of a source, the last time.
    order: Vec<Piece>,
    stored: BTreeMap<usize, Reading>,
    sources: BTreeMap<ObjectId, (Parts, Vec<Taker>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Start(NodeId),
    Stored(usize),
    Source(ObjectId),
}

/// A piece of work.
pub(super) enum Work {
    /// What the nodes need before they step, such as indexes on the rows of others.
    Open,
    /// What a node has before any input.
    Start(NodeId),
    /// The contents that come in by inputs of nodes.
    Feed(Reading),
}

impl Readings {
    pub(super) fn start(&mut self, node: NodeId) {
        self.order.push(Piece::Start(node));
    }

    fn stored(&mut self, rows: Rows, taker: Taker) {
        let number = self.stored.len();
        self.order.push(Piece::Stored(number));
        self.stored.insert(number, Reading { rows, takers: vec![taker], rest: None });
    }

    /// The later the rows of a source come, the more of the others are there: a join has its old rows before new ones come.
    fn source(&mut self, source: ObjectId, parts: Parts, taker: Taker) {
        self.order.retain(|piece| *piece != Piece::Source(source));
        self.order.push(Piece::Source(source));
        self.sources.entry(source).or_insert_with(|| (parts, Vec::new())).1.push(taker);
    }

    /// The pieces in their order. Sources are asked for their history now.
    pub(super) fn into_work(mut self, sight: &mut Sight<'_>) -> Result<VecDeque<Work>> {
        let mut work = VecDeque::with_capacity(1 + self.order.len());
        work.push_back(Work::Open);
        for piece in self.order {
            work.push_back(match piece {
                Piece::Start(node) => Work::Start(node),
                Piece::Stored(number) => match self.stored.remove(&number) {
                    Some(reading) => Work::Feed(reading),
                    None => continue,
                },
                Piece::Source(source) => {
                    let Some((parts, takers)) = self.sources.remove(&source) else { continue };
                    let (rows, about) = (sight.history)(source, &parts)?;
                    sight.progress.expect_from_outside(about);
                    Work::Feed(Reading { rows: sight.counted(rows), takers, rest: None })
                }
            });
        }
        Ok(work)
    }
}

impl Reading {
    /// The next rows, at most so many: how many they are, and what each of the inputs takes. None after the last.
    pub(super) fn next(&mut self, at_most: usize) -> Result<Option<(usize, Vec<PortChange>)>> {
        let rest = self.rest.take().map(Ok);
        let Some(slice) = rest.or_else(|| self.rows.next()).transpose()? else { return Ok(None) };
        let count = at_most.min(slice.len());
        if count < slice.len() {
            self.rest = Some(slice.slice(count, slice.len() - count));
        }
        let rows = slice.slice(0, count);
        let deliveries = self.takers.iter_mut().map(|taker| taker.take(rows.clone())).collect::<Result<_>>()?;
        Ok(Some((count, deliveries)))
    }
}

impl Taker {
    fn take(&mut self, rows: ZSet) -> Result<PortChange> {
        let (node, port) = self.edge;
        let change = self.way.iter_mut().try_fold(rows, |rows, asked| asked.ask(rows))?;
        Ok(PortChange { node, port, change })
    }
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
    /// Has the contents of a node's output, as they are now, read for an input, by way of `way`: nodes without state, the one
    /// next to the input first.
    pub(super) fn read_contents(
        &mut self,
        id: NodeId,
        edge: Edge,
        way: &[(NodeId, usize)],
        sight: &mut Sight<'_>,
        readings: &mut Readings,
    ) -> Result<()> {
        let node = self.node_mut(id)?;
        if let Some(store) = &node.store {
            let snapshot = store.snapshot(sight.at);
            sight.progress.expect(store.rows());
            let rows = sight.counted(snapshot.zsets());
            readings.stored(rows, self.taker(edge, way, sight.at)?);
            return Ok(());
        }
        if let Some(state) = node.operator.state() {
            let parts = state.contents()?;
            sight.progress.expect(parts.iter().map(|part| part.len() as u64).sum());
            let rows = sight.counted(parts.into_iter().map(Ok));
            readings.stored(rows, self.taker(edge, way, sight.at)?);
            return Ok(());
        }
        if let (Some(relation), true) = (node.relation, node.inputs.is_empty()) {
            let parts = self.parts_read_of(id)?;
            readings.source(relation, parts, self.taker(edge, way, sight.at)?);
            return Ok(());
        }
        for (port, input) in node.inputs.clone().into_iter().enumerate().filter(|(_, input)| !input.probed) {
            self.read_contents(input.node, edge, &[way, &[(id, port)]].concat(), sight, readings)?;
        }
        Ok(())
    }

    fn taker(&self, edge: Edge, way: &[(NodeId, usize)], at: Epoch) -> Result<Taker> {
        let asked = |&(id, port): &(NodeId, usize)| {
            let node = self.node(id)?;
            let schemas = node.inputs.iter().map(|input| Ok(self.schema(input.node)?.clone()));
            let operator = node.operator.again();
            let operator = operator.ok_or_else(|| Error::internal("a node with state was asked as if it had none"))?;
            let schemas = schemas.collect::<Result<Vec<_>>>()?;
            Ok(Asked { operator, port, schemas, at, most_made: self.most_made })
        };
        Ok(Taker { edge, way: way.iter().rev().map(asked).collect::<Result<_>>()? })
    }
}

/// A node without state, asked what it makes of the contents of one of its inputs.
struct Asked {
    operator: Box<dyn Operator>,
    port: usize,
    schemas: Vec<SchemaRef>,
    at: Epoch,
    most_made: usize,
}

impl Asked {
    /// The rows it rejects it has rejected before.
    fn ask(&mut self, rows: ZSet) -> Result<ZSet> {
        let mut inputs: Vec<ZSet> = self.schemas.iter().map(|schema| ZSet::empty(schema.clone())).collect();
        inputs[self.port] = rows;
        let outside = Outside { own: Arc::new([]), before: self.at, now: self.at };
        let mut context = StepContext::new(self.at).beside(Some(outside)).with_most_made(self.most_made);
        self.operator.step(&inputs, &mut context)
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
