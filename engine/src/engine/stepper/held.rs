//! Deliveries that wait until hydrations have caught up.

use crate::data::ObjectId;
use crate::engine::commit::Request;
use crate::engine::stepper::Stepper;

/// Bytes of changes that wait for hydrations, which they alone hold: what has a row store is read from there.
const MOST_RECORDED: usize = 256 << 20;

impl Stepper {
    /// Puts a delivery aside as long as there is no room for what it changes, behind others of its source: with the bytes that
    /// they keep of the intake the source pauses in the end, and no other. Returns any other request.
    pub(super) fn hold(&mut self, request: Request) -> Option<Request> {
        let Some(source) = source_of(&request) else { return Some(request) };
        if self.held.iter().any(|held| source_of(held) == Some(source)) || self.is_full_for(source) {
            self.held.push_back(request);
            return None;
        }
        Some(request)
    }

    /// The first of the deliveries put aside for which there is room now.
    pub(super) fn release(&mut self) -> Option<Request> {
        let has_room = |held: &Request| source_of(held).is_none_or(|source| !self.is_full_for(source));
        let first = self.held.iter().position(has_room)?;
        self.held.remove(first)
    }

    /// Whether hydrations that record what comes from a source have so many changes to catch up on that there must not be
    /// more of them now.
    fn is_full_for(&self, source: ObjectId) -> bool {
        self.dataflows.recorded() > MOST_RECORDED && self.dataflows.is_recorded(source)
    }
}

fn source_of(request: &Request) -> Option<ObjectId> {
    match request {
        Request::Delivery(_, delivery) => Some(delivery.relation),
        _ => None,
    }
}
