//! Deliveries that wait until hydrations have caught up; and what waits for a checkpoint, when changes come faster than they
//! are written.

use crate::data::ObjectId;
use crate::engine::commit::Request;
use crate::engine::stepper::Stepper;

/// Bytes of changes that wait for hydrations, which they alone hold: what has a row store is read from there.
const MOST_RECORDED: usize = 256 << 20;

/// Whose requests stay in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Transactions,
    Source(ObjectId),
}

impl Stepper {
    /// Puts a transaction or delivery aside as long as there is no room for what it changes, behind others of its line: with
    /// the bytes that deliveries keep of the intake their source pauses in the end. Returns any other request.
    pub(super) fn hold(&mut self, request: Request) -> Option<Request> {
        let Some(line) = line_of(&request) else { return Some(request) };
        if self.held.iter().any(|held| line_of(held) == Some(line)) || self.is_full_for(line) {
            self.held.push_back(request);
            return None;
        }
        Some(request)
    }

    /// The first of the requests put aside for which there is room now.
    pub(super) fn release(&mut self) -> Option<Request> {
        let has_room = |held: &Request| line_of(held).is_none_or(|line| !self.is_full_for(line));
        let first = self.held.iter().position(has_room)?;
        self.held.remove(first)
    }

    /// Whether there must not be more changes of this line now: those that the next checkpoint takes are too many while
    /// another is being written, or those that hydrations record of a source and have to catch up on.
    fn is_full_for(&self, line: Line) -> bool {
        let unsaved = self.checkpointer.in_flight() && self.unsaved.is_too_much();
        let unread = |source| self.dataflows.recorded() > MOST_RECORDED && self.dataflows.is_recorded(source);
        unsaved || matches!(line, Line::Source(source) if unread(source))
    }
}

fn line_of(request: &Request) -> Option<Line> {
    match request {
        Request::Commit(_) => Some(Line::Transactions),
        Request::Delivery(_, delivery) => Some(Line::Source(delivery.relation)),
        _ => None,
    }
}
