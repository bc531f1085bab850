//! What the engine tells of itself: its checkpoints, its memory.

use std::time::Duration;

/// A checkpoint that was made, or is being made.
#[derive(Clone, Debug)]
pub struct CheckpointRecord {
    pub epoch: u64,
    pub state: CheckpointState,
    /// Microseconds since 1970.
    pub began_at: i64,
    /// The same; None while it is being made.
    pub finished_at: Option<i64>,
    /// How long it took, or has taken so far.
    pub duration: Option<Duration>,
    /// Bytes of keys and values, and how many they are.
    pub bytes: u64,
    pub entries: u64,
    /// The last entry of the log that it covers.
    pub log_position: u64,
    pub error: Option<String>,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointState {
    Running,
    Durable,
    Failed,
}

impl CheckpointState {
    /// As `levada_catalog.checkpoints` names it.
    pub fn name(self) -> &'static str {
        match self {
            CheckpointState::Running => "running",
            CheckpointState::Durable => "durable",
            CheckpointState::Failed => "failed",
        }
    }
}

/// How old messages were when their effect was published, over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Freshness {
    /// Milliseconds; None where there were no messages.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Messages that the figures are of.
    pub messages: u64,
}

/// Rows and bytes of memory that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub rows: u64,
    pub bytes: u64,
}

/// The engine as a whole.
#[derive(Clone, Debug, Default)]
pub struct EngineStatus {
    /// When it was opened, in microseconds since 1970.
    pub opened_at: i64,
    /// The epoch that the statement reads.
    pub epoch: u64,
    /// The last epoch in a durable checkpoint.
    pub durable_epoch: u64,
    /// Epochs published since it was opened.
    pub steps: u64,
    /// By all tables and views, what several share counted once.
    pub kept: Kept,
    /// Bytes of memory that the process takes, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Bytes of memory that count against the budget, where the system tells, and the budget.
    pub memory_used: Option<u64>,
    pub memory_limit: u64,
    /// Bytes of messages that wait for a step, and how many there may be before sources pause.
    pub waiting_bytes: u64,
    pub waiting_limit: u64,
    /// Sources that pause because there are so many, or because memory is scarce.
    pub sources_paused: u64,
}
