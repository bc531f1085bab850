//! The step's clock: what steps know of time.
//!
//! It is read once per step, by the step thread, and saved with every checkpoint. What a step does about time follows from
//! that one reading, which is part of its input.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Microseconds since 1970-01-01 00:00:00 UTC.
pub type Micros = i64;

/// Where an engine takes the time from.
#[derive(Clone, Debug, Default)]
pub enum TimeSource {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that somebody sets.
    Manual(ManualClock),
}

/// A clock that stands still until it is set: time as a test wants it.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<ManualTime>);

#[derive(Default)]
struct ManualTime {
    now: AtomicI64,
    watchers: Mutex<Vec<Watcher>>,
}

/// Called after the time was set, until it says false.
type Watcher = Box<dyn Fn() -> bool + Send>;

impl ManualClock {
    /// A clock that stands at so many microseconds since 1970.
    pub fn new(now: Micros) -> ManualClock {
        let clock = ManualClock::default();
        clock.0.now.store(now, Ordering::Release);
        clock
    }

    /// Lets time pass. What becomes due by it happens soon after.
    pub fn advance(&self, by: Duration) {
        let by = Micros::try_from(by.as_micros()).unwrap_or(Micros::MAX);
        self.0.now.fetch_add(by, Ordering::AcqRel);
        self.0.watchers.lock().retain(|watcher| watcher());
    }

    fn now(&self) -> Micros {
        self.0.now.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ManualClock({})", self.now())
    }
}

/// The clock of one engine. It never goes back, not over restarts either, and never stands still: where the machine's
/// clock is set back, it goes on from where it was.
pub struct Clock {
    source: TimeSource,
    now: Micros,
    read_at: Instant,
}

impl Clock {
    /// A clock that starts at `saved` or later.
    pub fn new(source: TimeSource, saved: Micros) -> Clock {
        let mut clock = Clock { source, now: saved, read_at: Instant::now() };
        clock.read();
        clock
    }

    /// Has `wake` called when time passes other than by itself, until it says false.
    pub fn watch(&self, wake: impl Fn() -> bool + Send + 'static) {
        if let TimeSource::Manual(clock) = &self.source {
            clock.0.watchers.lock().push(Box::new(wake));
        }
    }

    /// Reads the time anew.
    pub fn read(&mut self) -> Micros {
        self.now = self.current();
        self.read_at = Instant::now();
        self.now
    }

    /// The time of the last reading: that of the step.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// How long to wait for a time; None if it does not come by waiting.
    pub fn until(&self, due: Micros) -> Option<Duration> {
        let left = u64::try_from(due.saturating_sub(self.current())).unwrap_or(0);
        match self.source {
            TimeSource::Manual(_) if left > 0 => None,
            _ => Some(Duration::from_micros(left)),
        }
    }

    fn current(&self) -> Micros {
        match &self.source {
            TimeSource::Manual(clock) => self.now.max(clock.now()),
            TimeSource::System => {
                let passed = self.read_at.elapsed().as_micros();
                let at_least = self.now.saturating_add(Micros::try_from(passed).unwrap_or(Micros::MAX));
                let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                at_least.max(Micros::try_from(since_1970.as_micros()).unwrap_or(Micros::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let hour = 3_600_000_000;
        let ahead = Clock::new(TimeSource::System, 0).now() + hour;
        let mut clock = Clock::new(TimeSource::System, ahead);
        assert!((ahead..ahead + hour).contains(&clock.now()));
        // Ahead of the machine's clock it goes on all the same.
        let first = clock.read();
        while clock.read() == first {}
        assert!(clock.now() > first);
        let wait = clock.until(clock.now() + 2 * hour).unwrap();
        assert!(wait > Duration::from_secs(3600) && wait <= Duration::from_secs(7200), "{wait:?}");
        assert_eq!(clock.until(clock.now()), Some(Duration::ZERO));
    }

    #[test]
    fn a_clock_that_is_set_wakes_those_who_wait() {
        let manual = ManualClock::new(100);
        let mut clock = Clock::new(TimeSource::Manual(manual.clone()), 40);
        assert_eq!((clock.now(), clock.until(101), clock.until(100)), (100, None, Some(Duration::ZERO)));
        let (sender, woken) = std::sync::mpsc::channel();
        clock.watch(move || sender.send(()).is_ok());
        manual.advance(Duration::from_micros(5));
        woken.recv().unwrap();
        assert_eq!((clock.now(), clock.until(105), clock.read()), (100, Some(Duration::ZERO), 105));
        // Saved by an engine whose clock was ahead.
        assert_eq!(Clock::new(TimeSource::Manual(manual.clone()), 200).now(), 200);
        drop(woken);
        manual.advance(Duration::from_micros(1));
        assert!(manual.0.watchers.lock().is_empty());
    }
}
