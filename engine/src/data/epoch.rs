//! Logical time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Logical time: the number of a step. Totally ordered; nothing becomes visible between two epochs.
///
/// [`Epoch::NEVER`] is later than every step and marks rows that nobody has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Before the first step.
    pub const ZERO: Epoch = Epoch(0);
    /// Later than every step.
    pub const NEVER: Epoch = Epoch(u64::MAX);

    /// The epoch of the step after this one.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }

    /// The epoch before this one; the first has itself.
    pub fn previous(self) -> Epoch {
        Epoch(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
