//! Sources on a real Apache Kafka broker.

mod broker;
mod demo;
mod reader;
mod retention;
mod tables;

pub use broker::Broker;
