//! What time brings about: rows that are too old, watermarks that go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Dataflows;
use crate::data::{Epoch, ObjectId};
use crate::dataflow::ViewErrors;
use crate::engine::clock::Micros;
use crate::engine::event_time::SourceTime;
use crate::error::Result;
use crate::source::Delivery;

impl Dataflows {
    /// Takes in what the deliveries of the next step, which is at `now`, say of event time.
    pub fn observe(&mut self, deliveries: &[Delivery], now: Micros) -> Result<()> {
        self.event_times.observe(deliveries, now)
    }

    /// When something happens that only time brings about.
    pub fn due(&self) -> Option<Micros> {
        let awaited = self.graph.is_due().then_some(0);
        awaited.into_iter().chain(self.retention.due()).chain(self.event_times.due()).min()
    }

    /// Does what is due: rows that are too old go, `most` of them at most, and partitions that have been silent for too
    /// long, though all that they have has been `taken_in`, hold up no watermark any more. Whether anything is visible at
    /// `epoch`.
    pub fn tick(
        &mut self,
        epoch: Epoch,
        now: Micros,
        taken_in: &dyn Fn(ObjectId, i32) -> bool,
        most: usize,
    ) -> Result<bool> {
        let moved = self.event_times.tick(now, taken_in);
        self.graph.set_watermarks(self.event_times.watermarks());
        let expired = self.without_unreadable(self.retention.expired(now));
        let mut report = self.graph.expire(epoch, &expired, most)?;
        self.retention.refresh(expired.into_iter().map(|(table, _)| table), &self.stores);
        if report.visited == 0 && (moved || self.graph.is_due()) {
            report = self.graph.step(epoch, Vec::new())?;
        }
        Ok(moved || report.visited > 0)
    }

    /// The rows that views lack because they came too late.
    pub fn late_rows(&mut self) -> ViewErrors {
        self.graph.late_rows()
    }

    /// How far sources have come in event time.
    pub fn event_times(&self) -> Arc<BTreeMap<ObjectId, SourceTime>> {
        self.event_times.progress()
    }
}
