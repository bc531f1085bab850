//! Sources on a real Apache Kafka broker.

mod broker;
mod demo;
mod reader;
mod tables;

pub use broker::Broker;
