//! Which indexes a row store has: its own, and those that others hold.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use super::chunk::{CHUNK_ROWS, Chunk, ChunkId};
use super::index::Index;
use super::store::RowStore;
use crate::data::hash::Equality;
use crate::error::{Error, Result};

/// Rows that a new index may lack when writing stops for it.
const LITTLE: usize = 8192;
/// Times that a new index takes in what came while it was built, before it has writing stop for however much is left.
const MOST_ROUNDS: usize = 8;
/// Rows that a new index takes in at once: two chunks, or many small ones.
const PIECE: usize = 2 * CHUNK_ROWS;

/// An index of one row store. It is there, and has all rows, as long as somebody holds it.
#[derive(Clone)]
pub struct HeldIndex(pub(super) Arc<Index>);

/// The indexes of a store. A change of its rows enters all of them.
pub(super) struct Indexes {
    /// That of the primary key, held by the store itself.
    primary: Option<Arc<Index>>,
    /// Gone as soon as nobody holds them any more: whoever finds one that is not gone holds it too, so it is complete.
    others: Vec<Weak<Index>>,
}

impl Indexes {
    /// Of a store without rows: none but that over the columns of its key.
    pub(super) fn new(key: Option<Vec<usize>>) -> Indexes {
        let primary = key.map(|columns| Arc::new(Index::new(columns, Equality::Key)));
        Indexes { primary, others: Vec::new() }
    }
}

/// An index that gets its rows some at a time, while others write; nobody reads it yet.
pub struct NewIndex {
    index: Index,
    rounds: usize,
    /// The chunks of this round have lower numbers.
    until: ChunkId,
}

impl NewIndex {
    fn new(columns: &[usize]) -> NewIndex {
        NewIndex { index: Index::new(columns.to_vec(), Equality::Key), rounds: 0, until: ChunkId(0) }
    }

    /// Takes in some of the chunks there are; whether so much is left that writing should not stop for it.
    fn take_in(&mut self, chunks: &[Arc<Chunk>]) -> Result<bool> {
        let (lacking, gone) = missing(&self.index, chunks);
        self.index.forget(&gone);
        let rows = lacking.iter().map(|chunk| chunk.rows()).sum::<usize>();
        if rows <= LITTLE {
            return Ok(false);
        }
        if lacking.iter().all(|chunk| chunk.id >= self.until) {
            if self.rounds >= MOST_ROUNDS {
                return Ok(false);
            }
            if self.rounds == 0 {
                self.index.reserve(rows);
            }
            self.rounds += 1;
            let last = lacking.iter().map(|chunk| chunk.id.0).max();
            self.until = ChunkId(last.map_or(0, |last| last + 1));
        }
        let mut entered = 0;
        for chunk in lacking.iter().filter(|chunk| chunk.id < self.until) {
            if entered > 0 && entered + chunk.rows() > PIECE {
                break;
            }
            self.index.enter(chunk)?;
            entered += chunk.rows();
        }
        Ok(true)
    }
}

impl RowStore {
    /// The index over the primary key, if rows have one.
    pub fn primary_index(&self) -> Option<HeldIndex> {
        self.indexes.read().primary.clone().map(HeldIndex)
    }

    /// Indexes the columns, over the rows there are and those to come; an index on the same columns is used again. It is
    /// freed when nobody holds it any more.
    ///
    /// Most of the rows are entered while others write.
    pub fn add_index(&self, columns: &[usize]) -> Result<HeldIndex> {
        let mut building = None;
        loop {
            if let Some(index) = self.build_index(columns, &mut building)? {
                return Ok(index);
            }
        }
    }

    /// Does a bounded piece of that, on the thread that calls: None as long as there is more to do. What there is of the
    /// index until then is in `building`, which begins as None.
    pub fn build_index(&self, columns: &[usize], building: &mut Option<NewIndex>) -> Result<Option<HeldIndex>> {
        self.wait_complete()?;
        if let Some(index) = self.index_on(columns) {
            *building = None;
            return Ok(Some(index));
        }
        if columns.is_empty() || columns.iter().any(|column| *column >= self.schema().fields().len()) {
            return Err(Error::internal("an index needs columns of its relation"));
        }
        let mut new = building.take().unwrap_or_else(|| NewIndex::new(columns));
        if new.take_in(&self.chunks().live)? {
            *building = Some(new);
            return Ok(None);
        }
        let NewIndex { index, .. } = new;
        // The writer's lock keeps chunks from coming and going meanwhile.
        let _writer = self.writer.lock();
        // Somebody else may have made the same.
        if let Some(index) = self.index_on(columns) {
            return Ok(Some(index));
        }
        let (lacking, gone) = missing(&index, &self.chunks().live);
        index.forget(&gone);
        lacking.iter().try_for_each(|chunk| index.enter(chunk))?;
        let index = Arc::new(index);
        let mut indexes = self.indexes.write();
        indexes.others.retain(|other| other.strong_count() > 0);
        indexes.others.push(Arc::downgrade(&index));
        Ok(Some(HeldIndex(index)))
    }

    fn index_on(&self, columns: &[usize]) -> Option<HeldIndex> {
        self.indexes().into_iter().find(|index| index.columns == columns).map(HeldIndex)
    }

    /// The indexes there are, each with its columns, that of the primary key first.
    pub(super) fn index_columns(&self) -> Vec<(HeldIndex, Vec<usize>)> {
        let indexes = self.indexes().into_iter().map(HeldIndex);
        indexes.map(|index| (index.clone(), index.0.columns.clone())).collect()
    }

    /// The same as the writer and readers use them.
    pub(super) fn indexes(&self) -> Vec<Arc<Index>> {
        let indexes = self.indexes.read();
        indexes.primary.iter().cloned().chain(indexes.others.iter().filter_map(Weak::upgrade)).collect()
    }
}

/// The chunks that an index lacks, of those there are, and those that it has and that are not there any more.
fn missing(index: &Index, chunks: &[Arc<Chunk>]) -> (Vec<Arc<Chunk>>, Vec<ChunkId>) {
    let mut known: HashSet<ChunkId> = index.chunks().into_iter().collect();
    let new = chunks.iter().filter(|chunk| !known.remove(&chunk.id)).cloned().collect();
    (new, known.into_iter().collect())
}
