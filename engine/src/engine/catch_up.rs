//! A start after a crash: sources come to where they were before anybody looks.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::data::ObjectId;
use crate::engine::sources::Sources;
use crate::source::Place;

/// How long a start waits for sources: Kafka may be away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the step thread tells a start that waits.
pub struct CatchUp {
    places: BTreeMap<ObjectId, Place>,
    begun: Instant,
    done: Sender<()>,
}

/// Waits for sources to come as far as they were when transactions were acknowledged.
pub struct Waiting(Receiver<()>);

impl CatchUp {
    /// To wait until sources have been taken in as far as these places; None where they have been.
    pub fn new(places: BTreeMap<ObjectId, Place>, sources: &Sources) -> Option<(CatchUp, Waiting)> {
        let ((done, waiting), reached) = (channel(), sources.have_reached(&places));
        (!reached).then_some((CatchUp { places, begun: Instant::now(), done }, Waiting(waiting)))
    }

    /// Tells whoever waits if it is so far. Whether it is, or nobody waits any more: some places are never reached, where
    /// messages are gone.
    pub fn look(&self, sources: &Sources) -> bool {
        let reached = sources.have_reached(&self.places);
        if reached {
            self.done.send(()).ok();
        }
        reached || self.begun.elapsed() > PATIENCE
    }
}

impl Waiting {
    /// Blocks until it is so far and published, or for five seconds.
    pub fn wait(self) {
        if self.0.recv_timeout(PATIENCE).is_err() {
            tracing::warn!(
                "sources are not yet where they were; until they are, views may be behind tables written from them"
            );
        }
    }
}
