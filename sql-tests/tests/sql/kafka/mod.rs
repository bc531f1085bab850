//! Sources on a real Apache Kafka broker.

mod bad_records;
mod broker;
mod crash;
mod database;
mod demo;
mod event_time;
mod losses;
mod memory;
mod psql;
mod reader;
mod retention;
mod source_watermarks;
mod sources;
pub mod tables;
mod too_much;

pub use broker::Broker;
