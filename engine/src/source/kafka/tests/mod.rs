//! Readers against librdkafka's mock cluster.

mod fixture;
mod reading;
mod stopping;

pub use fixture::Cluster;
