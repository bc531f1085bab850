//! Where the changes of a query go that nobody stores: the outputs of the dataflow.

mod blackhole;
mod outlet;

pub use blackhole::Blackhole;
pub use outlet::{Outlet, Taken, open};

use crate::data::{Epoch, ZSet};
use crate::error::Result;

/// An output of the dataflow.
///
/// A new sink is given the contents of its query first, in any number of changes, and then what each step changes. The
/// sum of all changes is what the query's answer is.
pub trait Sink: Send {
    /// Takes what one epoch changes: each row once, unless rows only ever come. Called within the step (while
    /// the sink is new, within steps of its own beside it), so it does not wait for anything. The step may still fail; then the engine goes back to its last checkpoint, where another sink
    /// is opened.
    ///
    /// # Errors
    /// Only for broken invariants: the whole step fails.
    fn take(&mut self, epoch: Epoch, change: &ZSet) -> Result<()>;
}
