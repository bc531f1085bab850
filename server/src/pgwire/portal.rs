//! Prepared statements with values for their parameters, and how far they have been executed.

use levada_engine::{Prepared, ScalarValue};

use super::frontend::Format;
use super::rows::Rows;

/// A statement that is ready to run, is running, or has run.
pub struct Portal {
    pub statement: Prepared,
    /// One for each column of the result.
    pub formats: Vec<Format>,
    pub progress: Progress,
}

impl Portal {
    /// Bytes that it takes, about: its statement may have no other holder, and its rows have buffers.
    pub fn bytes(&self) -> usize {
        const EACH: usize = 8 << 10;
        let values = match &self.progress {
            Progress::Bound(values) => values.iter().map(ScalarValue::size).sum(),
            Progress::Suspended(_) | Progress::Fetched(_) | Progress::Done => 0,
        };
        EACH + self.statement.bytes() + values
    }
}

/// How far a portal has been executed.
pub enum Progress {
    /// Not yet; the values of its parameters.
    Bound(Vec<ScalarValue>),
    /// Rows were fetched, and there may be more.
    Suspended(Rows),
    /// All rows were fetched; its command.
    Fetched(&'static str),
    /// It had no rows to give.
    Done,
}

impl Progress {
    /// Takes what there is to go on with, and leaves the portal done.
    pub fn take(&mut self) -> Progress {
        std::mem::replace(self, Progress::Done)
    }
}
