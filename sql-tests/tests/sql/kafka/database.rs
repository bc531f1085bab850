//! An engine that reads from the broker, under a clock that a test sets.

use std::path::Path;
use std::time::Instant;

use levada_engine::{Engine, EngineOptions, ManualClock, TimeSource};

use super::broker::PATIENCE;
use crate::in_process::InProcess;

/// An engine in this process, and one session of it.
pub struct Database {
    pub engine: Engine,
    session: InProcess,
}

impl Database {
    pub fn open(directory: &Path, clock: &ManualClock) -> Database {
        Database::open_with(EngineOptions::new(directory), clock)
    }

    pub fn open_with(options: EngineOptions, clock: &ManualClock) -> Database {
        let time = TimeSource::Manual(clock.clone());
        let engine = Engine::open(EngineOptions { time, ..options }).expect("an engine");
        let session = InProcess::connect(&engine, false).expect("a session");
        Database { engine, session }
    }

    pub async fn rows(&mut self, sql: &str) -> Vec<String> {
        let rows = self.session.rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let value = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        rows.into_iter().map(|row| row.into_iter().map(value).collect::<Vec<_>>().join("|")).collect()
    }

    /// The error of a statement that is refused.
    pub async fn refusal(&mut self, sql: &str) -> String {
        format!("{:?}", self.session.rows(sql).await.expect_err(sql))
    }

    /// Waits until a query answers this.
    pub async fn until(&mut self, sql: &str, expected: &[&str]) {
        let asked = Instant::now();
        loop {
            let found = self.rows(sql).await;
            if found == expected {
                return;
            }
            assert!(asked.elapsed() < PATIENCE, "{sql}: {found:?} instead of {expected:?}");
            tokio::task::yield_now().await;
        }
    }
}
