//! The row store itself: what it is made of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use parking_lot::{Mutex, RwLock};

use super::chunk::{ChunkId, ChunkList};
use super::index::Index;
use super::indexes::Indexes;
use super::journal::Journal;
use crate::data::Epoch;
use crate::error::Result;
use crate::state::Load;

/// What makes a row the same row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The columns of a primary key: one live row a key.
    Key(Vec<usize>),
    /// All columns, [exactly](crate::data::hash::Equality::Exact); a row may stand several times.
    FullRow,
}

/// A relation: its rows at every epoch from the horizon on, and indexes over them.
///
/// One thread at a time writes (others that try wait); readers go on meanwhile.
pub struct RowStore {
    schema: SchemaRef,
    pub(super) identity: Identity,
    chunks: RwLock<Arc<ChunkList>>,
    pub(super) indexes: RwLock<Indexes>,
    pub(super) writer: Mutex<Writer>,
    /// Live rows, each as often as it stands.
    pub(super) rows: AtomicU64,
    /// Rows deleted at this epoch or before may be gone from memory. Set before the first of them goes.
    horizon: AtomicU64,
    /// Where what was saved is read back while others go on: nothing is read or changed before it is there.
    pub(super) load: OnceLock<Arc<Load>>,
}

/// What only the writer needs.
#[derive(Default)]
pub(super) struct Writer {
    /// The last epoch that was applied.
    pub(super) epoch: Epoch,
    next_chunk: u64,
    /// Deleted rows that are still in live chunks.
    pub(super) dead: usize,
    /// Where rows are their own identity: live rows by all columns, there from the first deletion on.
    pub(super) full_row: Option<Arc<Index>>,
    pub(super) journal: Journal,
    /// Bytes of the rows that came since the last save.
    pub(super) unsaved: u64,
    /// When the rows to come arrive, where rows keep that.
    pub(super) arriving: Option<i64>,
}

impl Writer {
    pub(super) fn allocate(&mut self) -> ChunkId {
        let id = ChunkId(self.next_chunk);
        self.next_chunk += 1;
        id
    }

    /// A number that is taken.
    pub(super) fn used(&mut self, chunk: ChunkId) {
        self.next_chunk = self.next_chunk.max(chunk.0 + 1);
    }
}

impl RowStore {
    /// A relation without rows. With a key, its index is there from the start.
    pub fn new(schema: SchemaRef, identity: Identity) -> RowStore {
        let indexes = Indexes::new(match &identity {
            Identity::Key(columns) => Some(columns.clone()),
            Identity::FullRow => None,
        });
        RowStore {
            schema,
            identity,
            chunks: RwLock::default(),
            indexes: RwLock::new(indexes),
            writer: Mutex::default(),
            rows: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            load: OnceLock::new(),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What makes a row the same row.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the rows that were saved are there, so that nobody waits for them.
    pub fn is_readable(&self) -> bool {
        self.load.get().is_none_or(|load| load.is_readable())
    }

    /// Whether the indexes have all rows too.
    pub fn is_complete(&self) -> bool {
        self.load.get().is_none_or(|load| load.is_complete())
    }

    /// Returns when the rows that were saved are there; they are read now if they are not.
    ///
    /// # Errors
    /// XX001 when they do not read as what was saved, 58030 when they cannot be read.
    pub fn wait_readable(&self) -> Result<()> {
        self.load.get().map_or(Ok(()), Load::wait_readable)
    }

    /// The same, when the indexes have all rows too.
    ///
    /// # Errors
    /// As [`wait_readable`](RowStore::wait_readable).
    pub fn wait_complete(&self) -> Result<()> {
        self.load.get().map_or(Ok(()), Load::wait_complete)
    }

    /// Live rows at the last epoch applied, each as often as it stands; none before they are [readable](RowStore::is_readable).
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of memory that rows and indexes take, without what only old snapshots hold.
    pub fn bytes(&self) -> u64 {
        let chunks: u64 = self.chunks().live.iter().map(|chunk| chunk.bytes()).sum();
        let indexes: u64 = self.indexes().iter().map(|index| index.bytes()).sum();
        let full_row = self.writer.lock().full_row.as_ref().map_or(0, |index| index.bytes());
        chunks + indexes + full_row
    }

    /// About how many bytes of memory are taken by rows that are gone since `horizon`: kept for those who read before.
    pub fn kept_since(&self, horizon: Epoch) -> u64 {
        self.chunks().live.iter().map(|chunk| chunk.kept_since(horizon)).sum()
    }

    /// The chunks as they are now.
    pub(super) fn chunks(&self) -> Arc<ChunkList> {
        self.chunks.read().clone()
    }

    /// Changes the list of chunks, for all to see at once; whoever holds the list keeps it as it was. Writer only.
    pub(super) fn change_chunks(&self, change: impl FnOnce(&mut ChunkList)) {
        change(Arc::make_mut(&mut self.chunks.write()));
    }

    /// The epoch from which on everything can be read.
    pub(super) fn horizon(&self) -> Epoch {
        Epoch(self.horizon.load(Ordering::Acquire))
    }

    /// Lets the horizon go on; it never goes back.
    pub(super) fn advance_horizon(&self, to: Epoch) -> Epoch {
        Epoch(self.horizon.fetch_max(to.0, Ordering::AcqRel).max(to.0))
    }
}
