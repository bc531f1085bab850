//! How much an operator may make in one step.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result, SqlState};

/// What makes many rows of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Join,
    Unnest,
}

/// Bytes of rows that an operator may make in a step, shared by the threads that make them.
pub struct Room {
    maker: Maker,
    most: usize,
    left: AtomicUsize,
}

impl Room {
    pub fn new(maker: Maker, most: usize) -> Room {
        Room { maker, most, left: AtomicUsize::new(most) }
    }

    /// Takes room for rows; whether there is any depends on all rows of the step, not on which come first.
    ///
    /// # Errors
    /// 54000 when there is none.
    pub fn take(&self, bytes: usize) -> Result<()> {
        let take = |left: usize| left.checked_sub(bytes);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return Ok(());
        }
        // For all others too: what does not fit as a whole must not fit in parts.
        self.left.store(0, Ordering::Relaxed);
        let (maker, hint) = match self.maker {
            Maker::Join => ("a join", "Use a more selective join condition, or aggregate before the join."),
            Maker::Unnest => ("unnest()", "Leave out columns that are not needed beside the elements, or long arrays."),
        };
        let message = format!("{maker} makes more than {} of rows at once", shown(self.most));
        Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_hint(hint))
    }
}

fn shown(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} kB", bytes >> 10),
        megabytes => format!("{megabytes} MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let room = Room::new(Maker::Join, 10 << 20);
        assert!(room.take(10 << 20).is_ok());
        let error = room.take(1).unwrap_err();
        assert_eq!(
            (error.sqlstate().code(), error.message()),
            ("54000", "a join makes more than 10 MB of rows at once")
        );
        assert!(error.hint().is_some());
    }
}
