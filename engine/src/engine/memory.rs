//! One budget for the memory of the whole process, and what happens when it is used up.
//!
//! | use, of the budget | what happens |
//! |---|---|
//! | 90 % | sources and hydrations pause, checkpoints are made early; hydrations for which 5 % or more are kept begin anew later |
//! | below 85 % again | they go on by themselves |
//! | 100 % | transactions that add rows fail with 53200; those that free memory do not |
//!
//! What counts is what the process takes as the system sees it, not what its parts believe they take: allocators, RocksDB,
//! librdkafka and queries are all in it. A thread of its own looks, so that no step waits for the system.

mod machine;
mod process;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use machine::available_memory;
pub use process::resident;
pub use watcher::Watcher;

use crate::error::{Error, Result, SqlState};

/// Of the budget, in percent: where sources pause, and where they go on.
const HIGH: u64 = 90;
const LOW: u64 = 85;

/// Of the budget, in percent: what may be kept for a hydration that waits for memory.
const KEPT: u64 = 5;

/// Of the budget, in percent: the rows that an operator may make in one step. They are copied on their way into views, so a
/// step takes several times as much. Less than the least would hinder what a step makes of one delivery; more than the most
/// is more than an array can hold.
const MADE: u64 = 10;
const LEAST_MADE: u64 = 64 << 20;
const MOST_MADE: u64 = 1 << 30;

/// Unknown use.
const UNKNOWN: u64 = u64::MAX;

/// Where the engine learns how much memory is used.
#[derive(Clone, Debug, Default)]
pub enum MemoryGauge {
    /// From the system: what the process takes, without pages of files.
    #[default]
    Process,
    /// From a test.
    Manual(ManualMemory),
}

/// Bytes of memory that a test says are used.
#[derive(Clone, Debug, Default)]
pub struct ManualMemory(Arc<AtomicU64>);

impl ManualMemory {
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// The budget, and how much of it was used when that was last looked at.
pub struct Memory {
    limit: u64,
    gauge: MemoryGauge,
    used: AtomicU64,
    scarce: AtomicBool,
}

impl Memory {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64, gauge: MemoryGauge) -> Memory {
        let memory = Memory { limit, gauge, used: AtomicU64::new(UNKNOWN), scarce: AtomicBool::new(false) };
        memory.look();
        memory
    }

    /// Bytes that the process may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that it took a moment ago; None where the system does not tell.
    pub fn used(&self) -> Option<u64> {
        Some(self.used.load(Ordering::Relaxed)).filter(|used| *used != UNKNOWN)
    }

    /// Whether nothing more is to be taken in for now.
    pub fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// Bytes that may be kept for a hydration while memory is scarce: rows that were deleted or changed since it began.
    pub fn most_kept(&self) -> u64 {
        percent(self.limit, KEPT)
    }

    /// Bytes of rows that an operator may make of those it is given in one step.
    pub fn most_made(&self) -> usize {
        percent(self.limit, MADE).clamp(LEAST_MADE, MOST_MADE) as usize
    }

    /// Whether so many bytes more are in the budget.
    ///
    /// # Errors
    /// 53200 when they are not.
    pub fn admit(&self, bytes: u64) -> Result<()> {
        let Some(used) = self.used() else { return Ok(()) };
        if bytes == 0 || used.saturating_add(bytes) <= self.limit {
            return Ok(());
        }
        let detail = format!(
            "The server uses {} MB of the {} MB of memory_limit; the rows to be written take {} kB.",
            used >> 20,
            self.limit >> 20,
            bytes.div_ceil(1024)
        );
        Err(Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .with_detail(detail)
            .with_hint("DELETE rows or DROP views that are not needed, or give the server a larger memory_limit."))
    }

    /// Looks how much is used now; whether memory has become scarce, or is no longer, when that has changed.
    fn look(&self) -> Option<bool> {
        let used = match &self.gauge {
            MemoryGauge::Process => process::used().unwrap_or(UNKNOWN),
            MemoryGauge::Manual(manual) => manual.0.load(Ordering::Relaxed),
        };
        self.used.store(used, Ordering::Relaxed);
        let was_scarce = self.is_scarce();
        let mark = percent(self.limit, if was_scarce { LOW } else { HIGH });
        let scarce = used != UNKNOWN && used >= mark;
        self.scarce.store(scarce, Ordering::Relaxed);
        (scarce != was_scarce).then_some(scarce)
    }
}

/// So many percent of a number of bytes.
pub fn percent(bytes: u64, percent: u64) -> u64 {
    (u128::from(bytes) * u128::from(percent) / 100) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_scarce_between_two_marks() {
        let used = ManualMemory::default();
        let memory = Memory::new(1000, MemoryGauge::Manual(used.clone()));
        let look = |bytes| {
            used.set(bytes);
            memory.look()
        };
        assert_eq!((look(899), memory.is_scarce()), (None, false));
        assert_eq!((look(900), memory.is_scarce()), (Some(true), true));
        assert_eq!((look(850), memory.is_scarce()), (None, true));
        assert_eq!((look(849), memory.is_scarce()), (Some(false), false));
        assert_eq!(look(899), None);
    }

    #[test]
    fn what_goes_over_the_budget_is_refused() {
        let used = ManualMemory::default();
        let memory = Memory::new(1000, MemoryGauge::Manual(used.clone()));
        used.set(950);
        memory.look();
        assert!(memory.admit(50).is_ok());
        let error = memory.admit(51).unwrap_err();
        assert_eq!(error.sqlstate().code(), "53200");
        assert!(error.hint().is_some());
        used.set(5000);
        memory.look();
        assert!(memory.admit(0).is_ok());
    }
}
