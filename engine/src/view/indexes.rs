//! Which indexes a row store has: its own, and those that others hold.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use super::chunk::{Chunk, ChunkId};
use super::index::Index;
use super::store::RowStore;
use crate::data::hash::Equality;
use crate::error::{Error, Result};

/// Rows that a new index may lack when writing stops for it.
const LITTLE: usize = 8192;
/// Times that a new index takes in what came while it was built, before it has writing stop for however much is left.
const MOST_ROUNDS: usize = 8;

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

impl RowStore {
    /// The index over the primary key, if rows have one.
    pub fn primary_index(&self) -> Option<HeldIndex> {
        self.indexes.read().primary.clone().map(HeldIndex)
    }

    /// Indexes the columns, over the rows there are and those to come; an index on the same columns is used again. It is
    /// freed when nobody holds it any more.
    ///
    /// Most of the rows are entered while others write.
    pub fn add_index(&self, columns: Vec<usize>) -> Result<HeldIndex> {
        self.wait_complete()?;
        if let Some(index) = self.index_on(&columns) {
            return Ok(index);
        }
        if columns.is_empty() || columns.iter().any(|column| *column >= self.schema().fields().len()) {
            return Err(Error::internal("an index needs columns of its relation"));
        }
        let index = Index::new(columns, Equality::Key);
        for _ in 0..MOST_ROUNDS {
            let (new, gone) = missing(&index, &self.chunks().live);
            if new.iter().map(|chunk| chunk.rows()).sum::<usize>() <= LITTLE {
                break;
            }
            index.forget(&gone);
            index.fill(&new, |_, _| true)?;
        }
        // The writer's lock keeps chunks from coming and going meanwhile.
        let _writer = self.writer.lock();
        // Somebody else may have made the same.
        if let Some(index) = self.index_on(&index.columns) {
            return Ok(index);
        }
        let (new, gone) = missing(&index, &self.chunks().live);
        index.forget(&gone);
        for chunk in &new {
            index.insert(chunk, &index.keys(chunk)?.hashes, |_| true)?;
        }
        let index = Arc::new(index);
        let mut indexes = self.indexes.write();
        indexes.others.retain(|other| other.strong_count() > 0);
        indexes.others.push(Arc::downgrade(&index));
        Ok(HeldIndex(index))
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
