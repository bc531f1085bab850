//! What a new view or sink keeps without bound.

use crate::catalog::Item;
use crate::error::SqlState;
use crate::session::Session;
use crate::session::response::{Notice, Severity};
use crate::sql::growing_state;

const HINT: &str = "State is bounded where windows close (GROUP BY window_start, window_end of TUMBLE or HOP over a column \
                    with a WATERMARK, and EMIT ON WINDOW CLOSE), or where rows go: read a table that has retention or a \
                    primary key.";

impl Session {
    /// Tells the user what of the state of a new object grows for ever.
    pub(super) fn tell_growth(&mut self, item: &Item) {
        let catalog = self.transaction().catalog().clone();
        // What is wrong with the query is told where it is made.
        let Ok(growing) = growing_state(item, &catalog) else { return };
        if growing.is_empty() {
            return;
        }
        let message = format!("the state of {} \"{}\" may grow without bound", item.kind_name(), item.name);
        let mut notice = Notice::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
        notice.detail = Some(growing.join("\n"));
        notice.hint = Some(HINT.to_owned());
        self.notice(notice);
    }
}
