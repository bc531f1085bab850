//! The prepared statements of a session, and how much memory they may take.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::system::PreparedSummary;
use crate::error::{Error, Result, SqlState};
use crate::session::Prepared;
use crate::sql::Statement;

/// Bytes that the statements which one session has prepared may take, about: thousands of them, and any one.
pub const MOST_PREPARED: usize = 128 << 20;

/// Prepared statements by name; the unnamed one under the empty name.
#[derive(Clone, Default)]
pub(super) struct Statements {
    by_name: BTreeMap<String, Kept>,
    bytes: usize,
    /// How many of those that have names are from each query string, by its address: they share it, and it counts once.
    strings: BTreeMap<usize, usize>,
}

#[derive(Clone)]
struct Kept {
    prepared: Prepared,
    /// Microseconds since 1970.
    prepared_at: i64,
    bytes: usize,
}

impl Statements {
    /// Keeps a statement; the unnamed one in place of the one before.
    ///
    /// # Errors
    /// 42P05 where another one has the name, 53400 where there would be too many.
    pub fn insert(&mut self, name: String, prepared: Prepared) -> Result<()> {
        let prepared_at = chrono::Utc::now().timestamp_micros();
        if name.is_empty() {
            // There is one, of one message, and so it is counted nowhere.
            self.by_name.insert(name, Kept { prepared, prepared_at, bytes: 0 });
            return Ok(());
        }
        if self.by_name.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        let (string, bytes) = (string_of(&prepared), name.len() + prepared.bytes());
        let is_new = string.is_some_and(|string| !self.strings.contains_key(&string));
        let more = bytes + if is_new { prepared.source_bytes() } else { 0 };
        if self.bytes > 0 && self.bytes + more > MOST_PREPARED {
            let message = "too many prepared statements in this session";
            let detail = format!("They may take about {} MB.", MOST_PREPARED >> 20);
            return Err(Error::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, message)
                .with_detail(detail)
                .with_hint("DEALLOCATE those that you no longer run."));
        }
        if let Some(string) = string {
            *self.strings.entry(string).or_default() += 1;
        }
        self.bytes += more;
        self.by_name.insert(name, Kept { prepared, prepared_at, bytes });
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&Prepared> {
        self.by_name.get(name).map(|kept| &kept.prepared)
    }

    /// Those that have names, as the system's relations show them.
    pub fn summaries(&self) -> Vec<PreparedSummary> {
        let named = self.by_name.iter().filter(|(name, _)| !name.is_empty());
        let summary = |(name, kept): (&String, &Kept)| {
            let statement = kept.prepared.statement();
            PreparedSummary {
                name: name.clone(),
                statement: statement.map(|statement| statement.source.to_string()).unwrap_or_default(),
                prepared_at: kept.prepared_at,
                types: kept.prepared.types().to_vec(),
                by_sql: statement.is_some_and(Statement::is_prepared_by_sql),
            }
        };
        named.map(summary).collect()
    }

    pub fn remove(&mut self, name: &str) {
        let Some(Kept { prepared, bytes, .. }) = self.by_name.remove(name) else { return };
        self.bytes -= bytes;
        let Some(string) = string_of(&prepared).filter(|_| !name.is_empty()) else { return };
        let others = self.strings.get(&string).map_or(0, |all| all - 1);
        if others > 0 {
            self.strings.insert(string, others);
        } else {
            self.strings.remove(&string);
            self.bytes -= prepared.source_bytes();
        }
    }

    /// Forgets all but the unnamed one, which the messages behind it may still want.
    pub fn clear_named(&mut self) {
        self.by_name.retain(|name, _| name.is_empty());
        self.strings.clear();
        self.bytes = 0;
    }
}

/// The address of the query string that a statement is from: no other's, as long as the statement is there.
fn string_of(prepared: &Prepared) -> Option<usize> {
    prepared.statement().map(|statement| Arc::as_ptr(&statement.source).cast::<u8>().addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineOptions};
    use crate::session::SessionParams;

    /// As long as any statement of it is there, whichever goes first.
    #[tokio::test]
    async fn a_string_counts_once_for_all_its_statements() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineOptions::new(directory.path())).unwrap();
        let params = SessionParams { user: "ada".into(), database: "levada".into(), ..SessionParams::default() };
        let mut session = engine.session(params).unwrap();
        let text = format!("SELECT 1; SELECT 2; -- {}", "x".repeat(1000));
        let prepared: Vec<Prepared> = session
            .parse(&text)
            .await
            .unwrap()
            .into_iter()
            .map(|statement| session.describe(statement, &[]).unwrap())
            .collect();
        let own = |at: usize| 1 + prepared[at].bytes();
        for [first, last] in [[0, 1], [1, 0]] {
            let mut statements = Statements::default();
            for (name, prepared) in ["a", "b"].iter().zip(&prepared) {
                statements.insert((*name).to_owned(), prepared.clone()).unwrap();
                statements.insert(String::new(), prepared.clone()).unwrap();
            }
            assert_eq!(statements.bytes, own(0) + own(1) + text.len());
            statements.remove(["a", "b"][first]);
            assert_eq!(statements.bytes, own(last) + text.len());
            statements.insert("c".to_owned(), prepared[first].clone()).unwrap();
            statements.remove("");
            statements.remove("c");
            statements.remove(["a", "b"][last]);
            assert_eq!((statements.bytes, statements.strings.len()), (0, 0));
        }
    }
}
