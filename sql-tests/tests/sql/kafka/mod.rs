//! Sources on a real Apache Kafka broker.

mod broker;
mod reader;
mod tables;

pub use broker::Broker;
