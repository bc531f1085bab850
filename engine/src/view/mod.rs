//! Relations as they are stored and read: tables, views and the sides of joins share one structure.
//!
//! ```text
//! step ── apply(delta, epoch) ──> RowStore: chunks of rows (created <= epoch < deleted) + indexes (hash of key -> addresses)
//!                                    │                                 │
//! joins ── probe(key, at epoch) ─────┘            snapshot(at epoch) ──┴──> SnapshotTable (SELECT), lookup (WHERE key = $1)
//! ```
//!
//! One writer, the step; any number of readers. A reader is at one epoch and never waits for the writer, nor the writer
//! for it: chunks are immutable but for their rows' deletion epochs, the list of chunks is swapped whole, and an index
//! shard is locked for microseconds. Compaction merges small chunks, drops rows that no epoch from the horizon on sees,
//! and leaves replaced chunks to the readers that hold them.
//!
//! A checkpoint saves the chunks and deletions that are new since the last one; a chunk is the same chunk in durable storage.
//!
//! It knows nothing of SQL or of how a change came about.

mod apply;
mod arrival;
mod changes;
mod chunk;
mod compact;
mod durable;
mod encoding;
mod expire;
mod gather;
mod index;
mod indexes;
mod journal;
mod keyed;
mod probe;
mod snapshot;
mod store;
mod table;

#[cfg(test)]
mod tests;

pub use chunk::RowAddress;
pub use indexes::{HeldIndex, NewIndex};
pub use keyed::{Found, Wanted, wanted};
pub use probe::Pairs;
pub use snapshot::RowSnapshot;
pub use store::{Identity, RowStore};
pub use table::SnapshotTable;
