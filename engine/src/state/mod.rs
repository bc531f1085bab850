//! Everything durable: the state of operators, the catalog, source offsets, and the log of statements.
//!
//! A data directory holds `FORMAT` (the number of the on-disk format), `state/` (one RocksDB with one column family, see
//! [`StateStore`]), `log/` (a second, small one, see [`Log`]) and `ingest/` (files of a checkpoint that is being written;
//! emptied at open). State changes only by a [`Checkpoint`], all of it or nothing. Keys are coded in `key.rs` alone.
//!
//! This folder knows nothing of relations, rows or SQL, and no other folder names RocksDB.

mod checkpoint;
mod crash;
mod format;
mod key;
mod loader;
mod log;
mod meta;
mod rocks;
mod sst;
mod store;
#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use crash::crash_point;
pub use key::{KeyKind, bucket};
pub use loader::{Load, Loader};
pub use log::{Log, LogEntries};
pub use meta::{LogPosition, Meta};
pub use rocks::StoreMemory;
pub use store::{CheckpointSizes, KeyBounds, Scan, StateStore};
