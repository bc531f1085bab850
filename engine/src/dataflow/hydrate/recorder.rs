//! What the graph tells a hydration while it steps on.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::data::{Epoch, ObjectId, ZSet};
use crate::dataflow::NodeId;
use crate::dataflow::step::PortChange;

/// How far the graph has come, how far the hydration has, and the changes between.
pub(in crate::dataflow) struct Recorder {
    /// Stores that the hydration reads at epochs it has reached.
    stores: BTreeSet<NodeId>,
    /// Base relations whose changes come to be recorded.
    sources: BTreeSet<ObjectId>,
    record: Mutex<Record>,
}

struct Record {
    /// The last epoch that the graph made.
    latest: Epoch,
    /// The epoch that the nodes aside agree with: from it on all must stay readable.
    reached: Epoch,
    /// What nodes without store emitted after that.
    changes: VecDeque<(Epoch, PortChange)>,
    bytes: usize,
    /// Nobody will ask.
    closed: bool,
}

/// A hydration's hold on its recorder: nothing is recorded, and nothing kept readable, for one that is gone.
pub(super) struct Hold(pub Arc<Recorder>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Recorder {
    pub fn new(at: Epoch, stores: BTreeSet<NodeId>, sources: BTreeSet<ObjectId>) -> Recorder {
        let record = Record { latest: at, reached: at, changes: VecDeque::new(), bytes: 0, closed: false };
        Recorder { stores, sources, record: Mutex::new(record) }
    }

    /// Whether the hydration reads a node's store at the epoch that it has reached.
    pub fn reads(&self, node: NodeId) -> bool {
        self.stores.contains(&node)
    }

    /// Those nodes.
    pub fn stores(&self) -> impl Iterator<Item = NodeId> {
        self.stores.iter().copied()
    }

    /// Whether changes of a base relation make it record more.
    pub fn follows(&self, relation: ObjectId) -> bool {
        self.sources.contains(&relation)
    }

    /// Nothing more is recorded, and nothing kept readable.
    pub fn close(&self) {
        let mut record = self.record.lock();
        (record.reached, record.bytes, record.closed) = (Epoch::NEVER, 0, true);
        let changes = std::mem::take(&mut record.changes);
        drop(record);
        drop(changes);
    }

    /// The change of a step that comes to a node aside.
    pub fn record(&self, epoch: Epoch, node: NodeId, port: usize, change: ZSet) {
        let mut record = self.record.lock();
        if record.closed {
            return;
        }
        record.bytes += bytes(&change);
        record.changes.push_back((epoch, PortChange { node, port, change }));
    }

    /// A step is done.
    pub fn stepped(&self, epoch: Epoch) {
        self.record.lock().latest = epoch;
    }

    pub fn latest(&self) -> Epoch {
        self.record.lock().latest
    }

    pub fn reached(&self) -> Epoch {
        self.record.lock().reached
    }

    /// Bytes of changes that wait.
    pub fn bytes(&self) -> usize {
        self.record.lock().bytes
    }

    /// The recorded changes of epochs up to this one.
    pub fn take(&self, to: Epoch) -> Vec<PortChange> {
        let mut record = self.record.lock();
        let count = record.changes.partition_point(|(epoch, _)| *epoch <= to);
        let taken: Vec<PortChange> = record.changes.drain(..count).map(|(_, delivery)| delivery).collect();
        record.bytes -= taken.iter().map(|delivery| bytes(&delivery.change)).sum::<usize>();
        taken
    }

    /// The nodes aside agree with this epoch.
    pub fn reach(&self, epoch: Epoch) {
        let mut record = self.record.lock();
        // One that was let go keeps nothing readable any more.
        if !record.closed {
            record.reached = epoch;
        }
    }
}

fn bytes(change: &ZSet) -> usize {
    change.batch().get_array_memory_size()
}
