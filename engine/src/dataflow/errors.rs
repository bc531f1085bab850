//! Rows that expressions failed on: kept apart from the views, and gone again once the input is mended.
//!
//! All are counted; of each node, the first [`KEPT`] are kept as text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::{Deserialize, Serialize};

use crate::data::hash::mix_bytes;
use crate::data::{ObjectId, OperatorId, ZSet};
use crate::dataflow::{Fingerprint, Graph, NodeId, Rejected};
use crate::error::{Error, Result};
use crate::state::{Checkpoint, KeyKind, StateStore};

/// Different rows of a node that are kept as text.
const KEPT: usize = 1000;

/// Bytes of a message or of a row that are kept; what is longer is cut.
const LONGEST: usize = 1024;

/// One row without an answer; without message and row, all those that are only counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The SQLSTATE's five characters.
    pub sqlstate: String,
    pub message: Option<String>,
    /// The row that the expression was given, as text: `(1, NULL, a)`.
    pub row: Option<String>,
}

impl ErrorRow {
    fn new(rejected: &Rejected) -> Result<ErrorRow> {
        let (message, row) = (cut(rejected.error.message().to_owned()), cut(text(&rejected.row)?));
        Ok(ErrorRow { message: Some(message), row: Some(row), ..ErrorRow::counted(rejected.error.sqlstate().code()) })
    }

    fn counted(sqlstate: &str) -> ErrorRow {
        ErrorRow { sqlstate: sqlstate.to_owned(), message: None, row: None }
    }

    fn is_counted_only(&self) -> bool {
        self.row.is_none()
    }
}

/// What one node left out, each row as often as the input has it.
#[derive(Clone, Debug, Default, PartialEq)]
struct NodeErrors {
    kept: Arc<BTreeMap<Arc<ErrorRow>, i64>>,
    /// How many more there are, by SQLSTATE.
    further: BTreeMap<String, i64>,
}

impl NodeErrors {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.further.is_empty()
    }

    fn count(&self) -> i64 {
        self.kept.values().chain(self.further.values()).sum()
    }

    fn rows(&self) -> impl Iterator<Item = (ErrorRow, i64)> {
        let kept = self.kept.iter().map(|(row, count)| ((**row).clone(), *count));
        kept.chain(self.further.iter().map(|(sqlstate, count)| (ErrorRow::counted(sqlstate), *count)))
    }

    fn get(&self, row: &ErrorRow) -> Option<i64> {
        match row.is_counted_only() {
            true => self.further.get(&row.sqlstate).copied(),
            false => self.kept.get(row).copied(),
        }
    }

    /// Adds to a count; gives what was counted, which is the row itself if it is among those that are kept.
    ///
    /// A row may be kept when all that were there before the step are: only then is it known not to be among those
    /// that are only counted.
    fn add(&mut self, row: ErrorRow, change: i64, all_kept: bool) -> ErrorRow {
        let keeps = !row.is_counted_only() && (self.kept.contains_key(&row) || all_kept && self.kept.len() < KEPT);
        if !keeps {
            let row = ErrorRow::counted(&row.sqlstate);
            let count = self.further.entry(row.sqlstate.clone()).or_default();
            *count += change;
            if *count == 0 {
                self.further.remove(&row.sqlstate);
            }
            return row;
        }
        let kept = Arc::make_mut(&mut self.kept);
        let count = kept.entry(Arc::new(row.clone())).or_default();
        *count += change;
        if *count == 0 {
            kept.remove(&row);
        }
        row
    }
}

/// The rows that each view lacks, at one epoch. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ViewErrors(Arc<BTreeMap<ObjectId, Vec<NodeErrors>>>);

impl ViewErrors {
    /// Whether no view lacks any row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rows the view lacks because an expression of its own plan failed on them, not one of a view it reads.
    pub fn count(&self, view: ObjectId) -> u64 {
        let count: i64 = self.0.get(&view).into_iter().flatten().map(NodeErrors::count).sum();
        count.max(0).unsigned_abs()
    }

    /// Those rows, and how often each came.
    pub fn rows(&self, view: ObjectId) -> impl Iterator<Item = (ErrorRow, i64)> {
        self.0.get(&view).into_iter().flatten().flat_map(NodeErrors::rows)
    }
}

/// The rows that each node of the graph left out, as often as the input has them.
pub(super) struct ErrorSet {
    owner: OperatorId,
    nodes: BTreeMap<Fingerprint, NodeErrors>,
    /// Entries that changed since they were last saved.
    dirty: BTreeSet<(Fingerprint, ErrorRow)>,
    published: ViewErrors,
    /// Nodes that left out other rows since then, and views that came or went.
    changed: BTreeSet<Fingerprint>,
    changed_views: BTreeSet<ObjectId>,
}

impl ErrorSet {
    pub fn new(owner: OperatorId) -> ErrorSet {
        let (nodes, dirty, published, changed, changed_views) = Default::default();
        ErrorSet { owner, nodes, dirty, published, changed, changed_views }
    }

    /// Adds what a node rejected in a step.
    pub fn record(&mut self, node: Fingerprint, rejected: &[Rejected]) -> Result<()> {
        if rejected.is_empty() {
            return Ok(());
        }
        let mut changes: BTreeMap<ErrorRow, i64> = BTreeMap::new();
        for rejected in rejected {
            let weight: i64 = (0..rejected.row.len()).map(|at| rejected.row.weight(at)).sum();
            *changes.entry(ErrorRow::new(rejected)?).or_default() += weight;
        }
        let errors = self.nodes.entry(node).or_default();
        let all_kept = errors.further.is_empty();
        for (row, change) in changes.into_iter().filter(|(_, change)| *change != 0) {
            self.dirty.insert((node, errors.add(row, change, all_kept)));
        }
        if errors.is_empty() {
            self.nodes.remove(&node);
        }
        self.changed.insert(node);
        Ok(())
    }

    pub fn owner(&self) -> OperatorId {
        self.owner
    }

    /// Adds what was collected for nodes of its own.
    pub fn absorb(&mut self, other: ErrorSet) {
        self.nodes.extend(other.nodes);
        self.dirty.extend(other.dirty);
        self.changed.extend(other.changed);
    }

    /// Drops what a node left out, with the node.
    pub fn forget(&mut self, node: Fingerprint) {
        let Some(errors) = self.nodes.remove(&node) else { return };
        self.dirty.extend(errors.rows().map(|(row, _)| (node, row)));
        self.changed.insert(node);
    }

    /// Takes note that a relation was added or removed.
    pub fn changed_view(&mut self, view: ObjectId) {
        self.changed_views.insert(view);
    }

    pub fn save(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        for key in std::mem::take(&mut self.dirty) {
            let bytes = durable_key(&key)?;
            match self.nodes.get(&key.0).and_then(|errors| errors.get(&key.1)) {
                Some(weight) => checkpoint.put(KeyKind::Keyed, self.owner, &bytes, &encode(&(&key, weight))?),
                None => checkpoint.delete(KeyKind::Keyed, self.owner, &bytes),
            }
        }
        Ok(())
    }

    pub fn load(&mut self, store: &StateStore) -> Result<()> {
        for entry in store.scan(KeyKind::Keyed, self.owner)? {
            let (_, value) = entry?;
            let unreadable = |error| Error::corrupt("a saved error row does not read").with_source(error);
            let ((node, row), weight): ((Fingerprint, ErrorRow), i64) =
                serde_json::from_slice(&value).map_err(unreadable)?;
            self.nodes.entry(node).or_default().add(row, weight, true);
            self.changed.insert(node);
        }
        Ok(())
    }

    /// Drops what nodes left out that are not there any more.
    pub fn retain(&mut self, is_there: impl Fn(Fingerprint) -> bool) {
        let gone: Vec<Fingerprint> = self.nodes.keys().copied().filter(|node| !is_there(*node)).collect();
        gone.into_iter().for_each(|node| self.forget(node));
    }
}

impl Graph {
    /// The rows that views lack because an expression failed on them, as of the last step. The work depends on the nodes
    /// whose errors changed since the last call.
    pub fn view_errors(&mut self) -> ViewErrors {
        self.published(|graph| &mut graph.errors)
    }

    /// The rows that views lack because they came too late, in the same way.
    pub fn late_rows(&mut self) -> ViewErrors {
        self.published(|graph| &mut graph.late)
    }

    fn published(&mut self, set: fn(&mut Graph) -> &mut ErrorSet) -> ViewErrors {
        let mut views = std::mem::take(&mut set(self).changed_views);
        for node in std::mem::take(&mut set(self).changed) {
            views.extend(self.readers(node));
        }
        let errors = set(self);
        if views.is_empty() || errors.nodes.is_empty() && errors.published.is_empty() {
            return errors.published.clone();
        }
        let own: Vec<(ObjectId, Vec<Fingerprint>)> =
            views.into_iter().map(|view| (view, self.own_nodes(view))).collect();
        let errors = set(self);
        let published = Arc::make_mut(&mut errors.published.0);
        for (view, nodes) in own {
            let found: Vec<NodeErrors> = nodes.iter().filter_map(|node| errors.nodes.get(node)).cloned().collect();
            match found.is_empty() {
                true => drop(published.remove(&view)),
                false => drop(published.insert(view, found)),
            }
        }
        errors.published.clone()
    }

    /// The relations that a node's output goes into, up to the next ones.
    fn readers(&self, node: Fingerprint) -> BTreeSet<ObjectId> {
        let mut relations = BTreeSet::new();
        let mut seen: BTreeSet<NodeId> = self.by_fingerprint.get(&node).copied().into_iter().collect();
        let mut waiting: Vec<NodeId> = seen.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            let Ok(node) = self.node(id) else { continue };
            match node.relation {
                Some(relation) => drop(relations.insert(relation)),
                None => waiting.extend(node.consumers.iter().map(|(id, _)| *id).filter(|id| seen.insert(*id))),
            }
        }
        relations
    }

    /// The nodes of a relation's own plan.
    fn own_nodes(&self, relation: ObjectId) -> Vec<Fingerprint> {
        let nodes = self.upstream(relation).unwrap_or_default();
        nodes.into_iter().filter_map(|node| self.fingerprint(node).ok()).collect()
    }
}

/// Bucket, then a hash of what the entry is.
fn durable_key(key: &(Fingerprint, ErrorRow)) -> Result<[u8; 10]> {
    let hash = mix_bytes(&encode(key)?);
    let bucket = ((hash >> 40) & 1023) as u16;
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&bucket.to_be_bytes());
    bytes[2..].copy_from_slice(&hash.to_be_bytes());
    Ok(bytes)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal("an error row does not serialise").with_source(error))
}

/// A row as text.
fn text(row: &ZSet) -> Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut values = Vec::with_capacity(row.batch().num_columns());
    if row.len() == 1 {
        for column in row.batch().columns() {
            values.push(ArrayFormatter::try_new(column.as_ref(), &options)?.value(0).try_to_string()?);
        }
    }
    Ok(format!("({})", values.join(", ")))
}

/// The beginning of a text that is too long to be kept.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
