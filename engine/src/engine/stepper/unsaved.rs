//! Changes that no checkpoint has: they take memory once more while they are written, so there must not be too many.

use std::time::{Duration, Instant};

/// How often it is looked how many there are, which takes some work.
const EVERY: Duration = Duration::from_millis(100);

/// How much the next checkpoint has to write.
pub struct Unsaved {
    /// Bytes from which on a checkpoint is due.
    most: u64,
    bytes: u64,
    measured: Option<Instant>,
}

impl Unsaved {
    /// Nothing so far, and `most` bytes at most.
    pub fn new(most: u64) -> Unsaved {
        Unsaved { most, bytes: 0, measured: None }
    }

    /// Takes note of the bytes there are, unless that was done a moment ago.
    pub fn measure(&mut self, bytes: impl FnOnce() -> u64) {
        if self.measured.is_none_or(|measured| measured.elapsed() >= EVERY) {
            (self.bytes, self.measured) = (bytes(), Some(Instant::now()));
        }
    }

    /// All of them go into a checkpoint, or are lost.
    pub fn forget(&mut self) {
        self.bytes = 0;
    }

    /// Whether a checkpoint should be begun.
    pub fn is_much(&self) -> bool {
        self.bytes >= self.most
    }

    /// Whether nothing more should come while a checkpoint is being written.
    pub fn is_too_much(&self) -> bool {
        self.bytes >= self.most.saturating_mul(2)
    }
}
