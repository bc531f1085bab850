//! What the demo is started with.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::memory_limit::MemoryLimit;

/// Flags of `levada demo`.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Events per second
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Address and port for Postgres clients
    #[arg(long, value_name = "ADDRESS", default_value = crate::config::DEFAULT_LISTEN)]
    pub listen: String,
    /// An empty directory for the state; by default one of the demo's own that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Kafka brokers to use instead of the built-in one, as host:port,…; the topics there are levada-demo-…
    #[arg(long, value_name = "BROKERS")]
    pub brokers: Option<String>,
    /// Memory that it may take before it reads no more: bytes, or percent of what there is
    #[arg(long, value_name = "BYTES", default_value = "2GB")]
    pub memory_limit: MemoryLimit,
    /// Another number gives other events
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Allow to listen where other machines can connect: there are no passwords and no encryption
    #[arg(long)]
    pub insecure: bool,
    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

impl Flags {
    /// How long the demo runs; None means until it is stopped.
    pub fn duration(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs)
    }
}
