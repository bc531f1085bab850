//! How many events are due.

use std::time::{Duration, Instant};

/// What could not be sent in time is caught up with, but not more than this: a stall makes no flood.
const MOST_DEBT: Duration = Duration::from_millis(250);
/// Events of so much time are sent in one go at most.
const MOST_AT_ONCE: Duration = Duration::from_millis(20);

/// A steady rate: events fall due as time goes.
#[derive(Debug)]
pub struct Pace {
    rate: f64,
    looked: Instant,
    /// Events that are due and have not been handed out.
    owed: f64,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub events: u64,
    /// Time for which there will be no events any more.
    pub forgotten: Duration,
}

impl Pace {
    /// So many events per second from `now` on.
    pub fn new(rate: u32, now: Instant) -> Pace {
        Pace { rate: f64::from(rate), looked: now, owed: 0.0 }
    }

    /// The events due `now`, which is not before the last time.
    pub fn due(&mut self, now: Instant) -> Due {
        self.owed += self.rate * now.saturating_duration_since(self.looked).as_secs_f64();
        self.looked = now;
        // And one, which at a slow rate is more than all the debt.
        let most_owed = self.rate * MOST_DEBT.as_secs_f64() + 1.0;
        let forgotten = Duration::from_secs_f64((self.owed - most_owed).max(0.0) / self.rate);
        self.owed = self.owed.min(most_owed);
        let events = self.owed.min((self.rate * MOST_AT_ONCE.as_secs_f64()).max(1.0)).floor();
        self.owed -= events;
        Due { events: events as u64, forgotten }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_at_any_tick() {
        let start = Instant::now();
        for (rate, tick) in [(10_000, 1_000), (10_000, 7_300), (3, 1_000), (123_456, 900)] {
            let mut pace = Pace::new(rate, start);
            let ticks = 10_000_000 / tick;
            let due = (1..=ticks).map(|tick_number| pace.due(start + Duration::from_micros(tick * tick_number)));
            let (events, most) = due.fold((0, 0), |(all, most), due| {
                assert_eq!(due.forgotten, Duration::ZERO);
                (all + due.events, most.max(due.events))
            });
            let expected = u64::from(rate) * ticks * tick / 1_000_000;
            assert!(events.abs_diff(expected) <= 1, "{events} of {expected}");
            assert!(most <= u64::from(rate) * tick / 1_000_000 + 1, "{most} at once");
        }
    }

    #[test]
    fn a_stall_is_caught_up_with_in_part() {
        let start = Instant::now();
        let mut pace = Pace::new(10_000, start);
        let first = pace.due(start + Duration::from_secs(10));
        assert_eq!(first, Due { events: 200, forgotten: Duration::from_micros(9_749_900) });
        // The debt of a quarter of a second, in small helpings, and no more.
        let rest = std::iter::repeat_with(|| pace.due(start + Duration::from_secs(10)).events);
        let rest: Vec<u64> = rest.take_while(|events| *events > 0).collect();
        assert_eq!(rest.iter().sum::<u64>(), 2301);
        assert!(rest.iter().all(|events| *events <= 200));
    }

    #[test]
    fn a_slow_stream_still_flows() {
        let start = Instant::now();
        let mut pace = Pace::new(1, start);
        assert_eq!(pace.due(start + Duration::from_millis(900)).events, 0);
        assert_eq!(pace.due(start + Duration::from_millis(1000)).events, 1);
        assert_eq!(pace.due(start + Duration::from_millis(1999)).events, 0);
    }
}
