//! Event time in the graph: the watermarks that a step is given, and the nodes that wait for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::ObjectId;
use crate::dataflow::graph::{Graph, NodeId};

/// The watermarks of sources, in microseconds since 1970, as of a step. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermarks(Arc<BTreeMap<ObjectId, i64>>);

impl Watermarks {
    /// The least of some sources; None as long as one of them has none.
    pub fn least(&self, sources: &BTreeSet<ObjectId>) -> Option<i64> {
        let all: Option<Vec<i64>> = sources.iter().map(|source| self.0.get(source).copied()).collect();
        all?.into_iter().min()
    }
}

impl FromIterator<(ObjectId, i64)> for Watermarks {
    fn from_iter<T: IntoIterator<Item = (ObjectId, i64)>>(watermarks: T) -> Watermarks {
        Watermarks(Arc::new(watermarks.into_iter().collect()))
    }
}

/// A node that does something when time has come, whether rows come or not.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The sources whose watermark it waits for.
    sources: BTreeSet<ObjectId>,
    /// The watermark of its last visit.
    seen: Option<i64>,
}

impl Waiting {
    pub fn new(sources: BTreeSet<ObjectId>) -> Waiting {
        Waiting { sources, seen: None }
    }

    /// The watermark, if it is another one than at the last visit.
    fn news(&self, watermarks: &Watermarks) -> Option<i64> {
        watermarks.least(&self.sources).filter(|watermark| self.seen.is_none_or(|seen| *watermark > seen))
    }
}

impl Graph {
    /// Sets the watermarks that the next step brings.
    pub fn set_watermarks(&mut self, watermarks: Watermarks) {
        self.watermarks = watermarks;
    }

    /// Whether a step would do something without any input: a node waits for a watermark that is there.
    pub fn is_due(&self) -> bool {
        self.awake().next().is_some()
    }

    /// The nodes that the watermarks have something new for, each with what it is.
    fn awake(&self) -> impl Iterator<Item = (NodeId, i64)> {
        let news = |(node, waiting): (&NodeId, &Waiting)| Some((*node, waiting.news(&self.watermarks)?));
        let can_step = |node: &NodeId| !self.fresh.contains_key(node) && !self.unread.is_stuck(*node);
        self.waiting.iter().filter_map(news).filter(move |(node, _)| can_step(node))
    }

    /// The nodes that the watermarks have something new for and that can step. They have seen it then.
    pub(super) fn awakened(&mut self) -> Vec<NodeId> {
        let news: BTreeMap<NodeId, i64> = self.awake().collect();
        let awakened = self.unstuck(news.keys().copied().collect());
        for node in &awakened {
            if let (Some(waiting), Some(watermark)) = (self.waiting.get_mut(node), news.get(node)) {
                waiting.seen = Some(*watermark);
            }
        }
        awakened
    }
}
