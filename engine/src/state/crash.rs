//! Places where a test may kill the process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names the crash point that aborts the process: `name`, or `name:n` for the n-th time it is passed.
const VARIABLE: &str = "LEVADA_CRASH_AT";

struct Armed {
    name: String,
    /// Passes left, the fatal one included.
    passes: AtomicU64,
}

/// Marks a stage of something that must be atomic.
///
/// Aborts the process, as a crash would, when the environment variable `LEVADA_CRASH_AT` names this point; otherwise it
/// costs one load of a word.
pub fn crash_point(name: &'static str) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().map(|value| Armed::parse(&value)));
    if armed.as_ref().is_some_and(|armed| armed.fires(name)) {
        eprintln!("{VARIABLE}: aborting at {name}");
        std::process::abort();
    }
}

impl Armed {
    fn parse(value: &str) -> Armed {
        let (name, passes) = match value.rsplit_once(':').map(|(name, n)| (name, n.parse())) {
            Some((name, Ok(passes))) => (name, passes),
            _ => (value, 1),
        };
        Armed { name: name.to_string(), passes: AtomicU64::new(passes) }
    }

    fn fires(&self, name: &str) -> bool {
        self.name == name && self.passes.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_once_at_the_named_pass() {
        let armed = Armed::parse("checkpoint.sst:3");
        assert!(!armed.fires("checkpoint.begin"));
        let fired: Vec<bool> = (0..5).map(|_| armed.fires("checkpoint.sst")).collect();
        assert_eq!(fired, [false, false, true, false, false]);
        assert!(Armed::parse("log.append").fires("log.append"));
    }
}
