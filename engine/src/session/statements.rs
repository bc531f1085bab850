//! The prepared statements of a session, and how much memory they may take.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

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
    /// The query string that the last one is from, if there is one: those of one string share it.
    source: Option<Weak<str>>,
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
        let source = prepared.statement().map(|statement| Arc::downgrade(&statement.source));
        let shared = source.as_ref().zip(self.source.as_ref()).is_some_and(|(source, last)| source.ptr_eq(last));
        let bytes = name.len() + prepared.bytes() + if shared { 0 } else { prepared.source_bytes() };
        if self.bytes > 0 && self.bytes + bytes > MOST_PREPARED {
            let message = "too many prepared statements in this session";
            let detail = format!("They may take about {} MB.", MOST_PREPARED >> 20);
            return Err(Error::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, message)
                .with_detail(detail)
                .with_hint("DEALLOCATE those that you no longer run."));
        }
        self.source = source;
        self.bytes += bytes;
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
        self.bytes -= self.by_name.remove(name).map_or(0, |kept| kept.bytes);
        self.let_go();
    }

    /// Forgets all but the unnamed one, which the messages behind it may still want.
    pub fn clear_named(&mut self) {
        self.by_name.retain(|name, _| name.is_empty());
        self.bytes = 0;
        self.let_go();
    }

    /// A string is not freed while it is known here, and without statements nobody shares it.
    fn let_go(&mut self) {
        if self.bytes == 0 {
            self.source = None;
        }
    }
}
