//! How far a hydration has come, for everyone to look at.

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
    /// Rows to be read; None where that is not known.
    pub expected: Option<u64>,
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
pub struct Progress(Mutex<HydrationStatus>);

impl Progress {
    /// How it is now.
    pub fn status(&self) -> HydrationStatus {
        self.0.lock().clone()
    }

    /// A try begins; none of its inputs has been looked at.
    pub(super) fn begin(&self) {
        let mut status = self.0.lock();
        (status.state, status.rows, status.expected) = (HydrationState::Reading, 0, Some(0));
    }

    /// There are so many more rows to read; None when nobody can tell.
    pub(super) fn expect(&self, rows: Option<u64>) {
        let mut status = self.0.lock();
        status.expected = status.expected.zip(rows).map(|(before, more)| before + more);
    }

    pub(super) fn read(&self, rows: u64) {
        self.0.lock().rows += rows;
    }

    pub(super) fn catching_up(&self) {
        self.0.lock().state = HydrationState::CatchingUp;
    }

    /// It waits for memory, or no longer does.
    pub fn paused(&self, paused: bool) {
        self.0.lock().paused = paused;
    }

    /// A try has failed.
    pub fn failed(&self, error: &str) {
        let mut status = self.0.lock();
        (status.state, status.error) = (HydrationState::Failed, Some(error.to_owned()));
    }
}
