//! How far a hydration has come, for everyone to look at.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What a hydration is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HydrationState {
    /// For another to be done, or for a thread.
    #[default]
    Waiting,
    /// What the inputs held when it began.
    Reading,
    /// What changed since.
    CatchingUp,
    /// It will be tried again.
    Failed,
}

impl HydrationState {
    fn name(self) -> &'static str {
        match self {
            HydrationState::Waiting => "waiting",
            HydrationState::Reading => "reading",
            HydrationState::CatchingUp => "catching up",
            HydrationState::Failed => "failed",
        }
    }
}

/// A hydration at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HydrationStatus {
    pub state: HydrationState,
    /// Rows read, counted for each input that they are read for; those of a source's history once for all.
    pub rows: u64,
    /// Rows to be read: of what is kept here, and offsets of topics, of which some may be no rows. None before it has begun.
    pub expected: Option<u64>,
    /// Whether some of them come from outside, when they come.
    pub outside: bool,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Whether it waits for memory.
    pub paused: bool,
}

impl HydrationStatus {
    /// What it does, as users see it.
    pub fn name(&self) -> &'static str {
        if self.paused { "paused: memory" } else { self.state.name() }
    }
}

/// The status of a hydration, across tries.
#[derive(Debug, Default)]
pub struct Progress {
    status: Mutex<HydrationStatus>,
    /// Rows that may be fed at once, where a try has shown that more are too many.
    most_fed: Mutex<Option<usize>>,
    /// Whether even one row is too much.
    hopeless: AtomicBool,
}

impl Progress {
    /// How it is now.
    pub fn status(&self) -> HydrationStatus {
        self.status.lock().clone()
    }

    /// A try begins; none of its inputs has been looked at. Returns how many rows may be fed at once.
    pub(super) fn begin(&self) -> usize {
        let mut status = self.status.lock();
        (status.state, status.rows) = (HydrationState::Reading, 0);
        (status.expected, status.outside) = (Some(0), false);
        self.most_fed.lock().unwrap_or(usize::MAX)
    }

    /// The next try is to feed no more rows than these at once.
    pub(super) fn feed_at_most(&self, rows: usize) {
        *self.most_fed.lock() = Some(rows);
    }

    /// There is a row of which nodes make too much.
    pub(super) fn give_up(&self) {
        self.hopeless.store(true, Ordering::Relaxed);
    }

    /// Whether it is of no use to try again.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    /// There are so many more rows to read.
    pub(super) fn expect(&self, rows: u64) {
        let mut status = self.status.lock();
        status.expected = status.expected.map(|before| before + rows);
    }

    /// There are about so many more rows to read, from outside.
    pub(super) fn expect_from_outside(&self, rows: u64) {
        self.expect(rows);
        self.status.lock().outside = true;
    }

    pub(super) fn read(&self, rows: u64) {
        self.status.lock().rows += rows;
    }

    pub(super) fn catching_up(&self) {
        self.status.lock().state = HydrationState::CatchingUp;
    }

    /// It waits for memory, or no longer does.
    pub fn paused(&self, paused: bool) {
        self.status.lock().paused = paused;
    }

    /// A try has failed.
    pub fn failed(&self, error: &str) {
        let mut status = self.status.lock();
        (status.state, status.error) = (HydrationState::Failed, Some(error.to_owned()));
    }
}
