//! Kafka through librdkafka.
//!
//! Partitions are read from explicit offsets without a consumer group (librdkafka's simple consumer), so nothing that a
//! broker remembers decides what we read. [`queue`] and [`identity`] alone have `unsafe` code.

mod client;
mod history;
mod identity;
mod losses;
mod queue;
mod reader;
mod runs;
mod start;
#[cfg(test)]
mod tests;
mod tracker;

pub use history::{History, Part};
pub use reader::{Reader, Watch};
pub use start::{Extent, Resolved, Start, extent, resolve};
#[cfg(test)]
pub use tests::Cluster;
