//! The two durable stores of a data directory.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::state::{CheckpointSizes, Log, StateStore, StoreMemory};

/// How much of what is written at once, and how much memory it takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct StorageSizes {
    pub checkpoints: CheckpointSizes,
    pub memory: StoreMemory,
}

/// What is durable: state as of the last checkpoint, and the log of transactions.
#[derive(Clone)]
pub struct Storage {
    pub store: Arc<StateStore>,
    pub log: Arc<Log>,
}

impl Storage {
    /// Opens both; the data directory must not be open elsewhere.
    pub fn open(data_dir: &Path, sizes: StorageSizes) -> Result<Storage> {
        Ok(Storage {
            store: Arc::new(StateStore::open_within(data_dir, sizes.memory)?.with_sizes(sizes.checkpoints)),
            log: Arc::new(Log::open_within(data_dir, sizes.memory)?),
        })
    }

    /// Closes both and opens them again: after a failed write they take no other.
    pub fn reopen(storage: &mut Option<Storage>, data_dir: &Path, sizes: StorageSizes) -> Result<()> {
        *storage = None;
        *storage = Some(Storage::open(data_dir, sizes)?);
        Ok(())
    }

    /// The storage, unless opening it again failed.
    pub fn of(storage: &Option<Storage>) -> Result<&Storage> {
        storage.as_ref().ok_or_else(|| Error::internal("the data directory is not open"))
    }
}
