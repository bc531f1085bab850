//! What all readers share: memory for deliveries and threads for decoding.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// The memory that deliveries may take until the steps have taken them in, and the threads that decode.
///
/// The limit is soft by one batch of each reader: a batch is taken while there is room, however large it then is, so
/// that a message larger than the limit passes too. A reader of which nothing waits may always take one: deliveries of
/// others that wait for long do not hold it up.
pub struct Intake {
    limit: usize,
    state: Mutex<State>,
    released: Condvar,
    pool: ThreadPool,
}

#[derive(Default)]
struct State {
    used: usize,
    /// Whether nothing is to be read, however much room there is.
    held: bool,
}

/// Why a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// For the steps to take in what was delivered.
    Steps,
    /// For memory of the process to become free.
    Memory,
}

impl Intake {
    /// `limit` in bytes, and as many decoding threads.
    ///
    /// # Errors
    /// XX000 when the threads cannot be started.
    pub fn new(limit: usize, threads: usize) -> Result<Arc<Intake>> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("decode-{index}"))
            .build()
            .map_err(|error| Error::internal("decoding threads cannot be started").with_source(error))?;
        Ok(Arc::new(Intake { limit, state: Mutex::default(), released: Condvar::new(), pool }))
    }

    /// Bytes that deliveries may hold before readers pause.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that deliveries hold now.
    pub fn used(&self) -> usize {
        self.state.lock().used
    }

    /// Lets all readers pause, or go on: what they have fetched ahead is freed meanwhile.
    pub fn hold(&self, held: bool) {
        self.state.lock().held = held;
        self.released.notify_all();
    }

    /// Waits, not longer than this, until there is room for a reader; why there is none, if so.
    pub(super) fn wait_for_room(&self, share: &Share, timeout: Duration) -> Option<Pause> {
        let mut state = self.state.lock();
        if self.pause(&state, share).is_some() {
            self.released.wait_for(&mut state, timeout);
        }
        self.pause(&state, share)
    }

    fn pause(&self, state: &State, share: &Share) -> Option<Pause> {
        match state {
            State { held: true, .. } => Some(Pause::Memory),
            State { used, .. } if *used >= self.limit && share.0.load(Ordering::Relaxed) > 0 => Some(Pause::Steps),
            State { .. } => None,
        }
    }

    /// Wakes those that wait for room, so that they look whether they should stop.
    pub(super) fn wake(&self) {
        self.released.notify_all();
    }

    pub(super) fn take(self: &Arc<Intake>, share: &Share, bytes: usize) -> Permit {
        self.state.lock().used += bytes;
        share.0.fetch_add(1, Ordering::Relaxed);
        Permit { intake: self.clone(), share: share.clone(), bytes }
    }

    pub(super) fn pool(&self) -> &ThreadPool {
        &self.pool
    }
}

/// How many deliveries of one reader wait.
#[derive(Clone, Default)]
pub(super) struct Share(Arc<AtomicUsize>);

/// A part of the memory of an [`Intake`], given back when dropped.
pub struct Permit {
    intake: Arc<Intake>,
    share: Share,
    bytes: usize,
}

impl Permit {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A permit for nothing more: for a part of what this one is for.
    pub fn part(&self) -> Permit {
        self.share.0.fetch_add(1, Ordering::Relaxed);
        Permit { intake: self.intake.clone(), share: self.share.clone(), bytes: 0 }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.share.0.fetch_sub(1, Ordering::Relaxed);
        self.intake.state.lock().used -= self.bytes;
        self.intake.released.notify_all();
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Permit({})", self.bytes)
    }
}
