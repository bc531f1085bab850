//! Immutable runs of rows, and the epochs between which each row is there.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;

use super::arrival::Arrivals;
use crate::data::Epoch;

/// Rows a chunk holds at most: a row's position takes 16 bits of its address.
pub(super) const CHUNK_ROWS: usize = 1 << 16;
/// Bytes a chunk holds at most, unless a single row is larger.
pub(super) const CHUNK_BYTES: u64 = 16 << 20;

/// The oldest arrival of a chunk that has none.
const NO_ARRIVAL: i64 = i64::MAX;

/// A chunk of one row store, never used again. 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChunkId(pub(super) u64);

/// Where a row is: 48 bits of chunk, 16 bits of position in it.
///
/// Compaction moves rows, so an address is good only until the next [`compact`](super::RowStore::compact) or
/// [`save`](super::RowStore::save) of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowAddress(u64);

impl RowAddress {
    pub(super) fn new(chunk: ChunkId, row: usize) -> RowAddress {
        debug_assert!(row < CHUNK_ROWS);
        RowAddress(chunk.0 << 16 | row as u64)
    }

    pub(super) fn chunk(self) -> ChunkId {
        ChunkId(self.0 >> 16)
    }

    pub(super) fn row(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// Epochs from which a chunk's rows are there.
#[derive(Debug)]
pub(super) enum Created {
    All(Epoch),
    Each(Box<[Epoch]>),
}

/// A run of rows. All but the deletion epochs is immutable; those only ever go from never to an epoch.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) id: ChunkId,
    /// The place of the rows among those of other chunks: scans go by it, so that compaction does not shuffle a relation.
    pub(super) order: u64,
    pub(super) batch: RecordBatch,
    /// None where every row stands once.
    weights: Option<Int64Array>,
    created: Created,
    arrivals: Arrivals,
    /// No live row arrived before; [`NO_ARRIVAL`] where no time is kept.
    oldest: AtomicI64,
    /// Allocated when the first row is deleted.
    deleted: OnceLock<Box<[AtomicU64]>>,
    dead: AtomicUsize,
    last_deletion: AtomicU64,
    bytes: u64,
}

impl Chunk {
    pub(super) fn new(
        id: ChunkId,
        order: u64,
        batch: RecordBatch,
        weights: Option<Int64Array>,
        created: Created,
    ) -> Chunk {
        debug_assert!(batch.num_rows() <= CHUNK_ROWS);
        let weights = weights.filter(|weights| weights.values().iter().any(|weight| *weight != 1));
        let epochs = if matches!(created, Created::Each(_)) { 8 * batch.num_rows() as u64 } else { 0 };
        let bytes = data_bytes(&batch) + weights.as_ref().map_or(0, |weights| 8 * weights.len() as u64) + epochs;
        Chunk {
            id,
            order,
            batch,
            weights,
            created,
            arrivals: Arrivals::default(),
            oldest: AtomicI64::new(NO_ARRIVAL),
            deleted: OnceLock::new(),
            dead: AtomicUsize::new(0),
            last_deletion: AtomicU64::new(0),
            bytes,
        }
    }

    /// The same with the time of each row's arrival.
    pub(super) fn with_arrivals(mut self, arrivals: Arrivals) -> Chunk {
        debug_assert!(arrivals.is_empty() || arrivals.rows() == self.rows());
        self.oldest = AtomicI64::new(arrivals.earliest_after(i64::MIN).unwrap_or(NO_ARRIVAL));
        self.bytes += arrivals.bytes();
        self.arrivals = arrivals;
        self
    }

    pub(super) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.deleted.get().map_or(0, |deleted| 8 * deleted.len() as u64)
    }

    pub(super) fn weights(&self) -> Option<&Int64Array> {
        self.weights.as_ref()
    }

    pub(super) fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights.value(row))
    }

    pub(super) fn created(&self, row: usize) -> Epoch {
        match &self.created {
            Created::All(epoch) => *epoch,
            Created::Each(epochs) => epochs[row],
        }
    }

    /// When the rows arrived, where that is kept.
    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// No row that is there arrived before this time. None where times are not kept, or no row is there.
    pub(super) fn oldest_arrival(&self) -> Option<i64> {
        let oldest = self.oldest.load(Ordering::Relaxed);
        (oldest != NO_ARRIVAL && self.dead() < self.rows()).then_some(oldest)
    }

    /// Live rows that arrived at `through` or before, in order, at most so many.
    pub(super) fn arrived_by(&self, through: i64, at_most: usize) -> Vec<u32> {
        let old = self.arrivals.runs().filter(|(_, at)| *at <= through).flat_map(|(rows, _)| rows);
        old.filter(|row| self.live(*row)).take(at_most).map(|row| row as u32).collect()
    }

    /// Takes note that no live row arrived at `through` or before.
    pub(super) fn expired(&self, through: i64) {
        self.oldest.store(self.arrivals.earliest_after(through).unwrap_or(NO_ARRIVAL), Ordering::Relaxed);
    }

    /// The epoch from which the row is gone.
    pub(super) fn deleted(&self, row: usize) -> Epoch {
        // Relaxed: a reader at an epoch learnt of it by a synchronising load after the deletions up to it were stored,
        // and those of later epochs make no difference to it.
        self.deleted.get().map_or(Epoch::NEVER, |deleted| Epoch(deleted[row].load(Ordering::Relaxed)))
    }

    /// Whether rows may have come or gone after the epoch.
    pub(super) fn changed_after(&self, epoch: Epoch) -> bool {
        let came = match &self.created {
            Created::All(created) => *created > epoch,
            Created::Each(created) => created.iter().any(|created| *created > epoch),
        };
        came || self.last_deletion.load(Ordering::Relaxed) > epoch.0
    }

    /// Whether the row is there at the epoch.
    pub(super) fn visible(&self, row: usize, at: Epoch) -> bool {
        self.created(row) <= at && at < self.deleted(row)
    }

    pub(super) fn live(&self, row: usize) -> bool {
        self.deleted(row) == Epoch::NEVER
    }

    /// Marks a row as gone from the epoch on; false if it was gone already. Called by the store's writer only.
    pub(super) fn delete(&self, row: usize, epoch: Epoch) -> bool {
        let deleted = self
            .deleted
            .get_or_init(|| std::iter::repeat_with(|| AtomicU64::new(Epoch::NEVER.0)).take(self.rows()).collect());
        if deleted[row].load(Ordering::Relaxed) != Epoch::NEVER.0 {
            return false;
        }
        deleted[row].store(epoch.0, Ordering::Relaxed);
        self.dead.fetch_add(1, Ordering::Relaxed);
        self.last_deletion.fetch_max(epoch.0, Ordering::Relaxed);
        true
    }

    /// Rows that have been deleted at any epoch.
    pub(super) fn dead(&self) -> usize {
        self.dead.load(Ordering::Relaxed)
    }

    /// About how many bytes are kept for those who read before the last deletion, if it was after the horizon.
    pub(super) fn kept_since(&self, horizon: Epoch) -> u64 {
        if self.last_deletion.load(Ordering::Relaxed) <= horizon.0 {
            return 0;
        }
        self.bytes() * self.dead() as u64 / self.rows().max(1) as u64
    }

    /// Rows that nobody who reads at the horizon or later sees.
    pub(super) fn droppable(&self, horizon: Epoch) -> usize {
        if self.last_deletion.load(Ordering::Relaxed) <= horizon.0 {
            return self.dead();
        }
        (0..self.rows()).filter(|row| self.deleted(*row) <= horizon).count()
    }

    /// The rows that those who read at the horizon or later may see; None means all.
    pub(super) fn survivors(&self, horizon: Epoch) -> Option<BooleanBuffer> {
        if self.dead() == 0 {
            return None;
        }
        Some(BooleanBuffer::collect_bool(self.rows(), |row| self.deleted(row) > horizon))
    }

    /// Which of a run of rows are there at the epoch; None means all.
    pub(super) fn visible_rows(&self, at: Epoch, offset: usize, length: usize) -> Option<BooleanBuffer> {
        let created = matches!(&self.created, Created::All(epoch) if *epoch <= at);
        if created && self.dead() == 0 {
            return None;
        }
        Some(BooleanBuffer::collect_bool(length, |row| self.visible(offset + row, at)))
    }

    /// How many rows are there at the epoch, each as often as it stands.
    pub(super) fn count(&self, at: Epoch) -> u64 {
        match (self.visible_rows(at, 0, self.rows()), &self.weights) {
            (None, None) => self.rows() as u64,
            (Some(visible), None) => visible.count_set_bits() as u64,
            (None, Some(weights)) => weights.values().iter().map(|weight| weight.unsigned_abs()).sum(),
            (Some(visible), Some(weights)) => visible.set_indices().map(|row| weights.value(row).unsigned_abs()).sum(),
        }
    }
}

/// Bytes that the rows themselves take, whatever buffers they are slices of.
pub(super) fn data_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| {
        let data = column.to_data();
        // The exact size is not defined for every type; the buffers' capacity always is.
        data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size()) as u64
    });
    sizes.sum()
}

/// The chunks of a store at one moment. Both lists are sorted by chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkList {
    /// What scans read.
    pub(super) live: Vec<Arc<Chunk>>,
    /// Replaced by a live chunk, but still named by some index.
    pub(super) retired: Vec<Arc<Chunk>>,
}

impl ChunkList {
    /// The chunk's position, counted through both lists.
    pub(super) fn position(&self, id: ChunkId) -> Option<usize> {
        let find = |chunks: &[Arc<Chunk>]| chunks.binary_search_by_key(&id, |chunk| chunk.id).ok();
        find(&self.live).or_else(|| find(&self.retired).map(|position| position + self.live.len()))
    }

    pub(super) fn at(&self, position: usize) -> &Arc<Chunk> {
        self.live.get(position).unwrap_or_else(|| &self.retired[position - self.live.len()])
    }

    pub(super) fn positions(&self) -> usize {
        self.live.len() + self.retired.len()
    }

    /// Looks chunks up by the addresses of rows, most of which are near each other.
    pub(super) fn finder(&self) -> Finder<'_> {
        Finder { chunks: self, last: None }
    }

    /// The live chunks as a scan reads them.
    pub(super) fn in_order(&self) -> Vec<Arc<Chunk>> {
        let mut chunks = self.live.clone();
        chunks.sort_by_key(|chunk| chunk.order);
        chunks
    }
}

/// A cursor over a chunk list that remembers where it was.
pub(super) struct Finder<'a> {
    chunks: &'a ChunkList,
    last: Option<(usize, &'a Arc<Chunk>)>,
}

impl<'a> Finder<'a> {
    /// The position and the chunk of a row's address, or None if the chunk is not in the list.
    pub(super) fn find(&mut self, address: RowAddress) -> Option<(usize, &'a Arc<Chunk>)> {
        match self.last {
            Some((position, chunk)) if chunk.id == address.chunk() => Some((position, chunk)),
            _ => {
                let position = self.chunks.position(address.chunk())?;
                self.last = Some((position, self.chunks.at(position)));
                self.last
            }
        }
    }
}
