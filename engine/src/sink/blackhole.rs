//! The sink that keeps nothing: for measuring what a query costs by itself.

use crate::data::{Epoch, ZSet};
use crate::error::Result;
use crate::sink::Sink;

/// Drops what it takes. What it took is counted by its [`Outlet`](crate::sink::Outlet), as for every sink.
pub struct Blackhole;

impl Sink for Blackhole {
    fn take(&mut self, _epoch: Epoch, _change: &ZSet) -> Result<()> {
        Ok(())
    }
}
