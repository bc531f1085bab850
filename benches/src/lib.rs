//! What the benchmark programs share: the server that they measure, the machine that it runs on, the Nexmark topic that it
//! reads, the view in which rows are looked up, and how latencies are summed up.

pub mod items;
pub mod latency;
pub mod machine;
pub mod server;
pub mod topic;

/// What can fail, with where it did.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
