//! Replayable inputs with offsets.
//!
//! A [`Reader`] follows one topic from given [`Offsets`] and hands over [`Delivery`]s: rows, the messages that are no
//! rows, and the offsets that both reach. A [`History`] reads a stretch of a topic once more, from offsets to offsets. What makes rows of messages is a [`Decoder`]. All readers of an engine share
//! one [`Intake`]: the memory that deliveries may take before readers pause, and the threads that decode.

mod delivery;
mod intake;
mod kafka;
mod message;
pub mod nexmark;
mod offsets;
mod spec;
mod status;
mod times;

#[cfg(test)]
pub use delivery::delivery;
pub use delivery::{BadRecord, Delivery, Loss, LostRange};
pub use intake::{Intake, Pause, Permit};
#[cfg(test)]
pub use kafka::Cluster;
pub use kafka::{Extent, History, Part, Reader, Resolved, Start, Watch, extent, resolve};
pub use message::{Decoded, Decoder, Header, Message, Refusal};
pub use offsets::{Offsets, Place, TopicId, Turn};
pub use spec::{Encoding, Envelope, Kafka, OnError, OnGap, Origin, SourceColumn, SourceSpec, Watermark};
pub use status::{PartitionState, PartitionStatus, SourceStatus};
pub use times::Times;
