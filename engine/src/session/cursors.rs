//! Cursors: queries whose rows are fetched some at a time, until their transaction ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use crate::error::{Error, Result, SqlState};
use crate::session::response::{Response, Rows};
use crate::session::run::Arguments;
use crate::session::{Block, Session};
use crate::sql::{Declare, Fetch, OutputColumn, fold};

/// Cursors that one transaction may have open.
const MOST_CURSORS: usize = 1000;

/// The open cursors of a session.
#[derive(Default)]
pub(super) struct Cursors {
    by_name: BTreeMap<String, Cursor>,
    /// How many there have been: each has the number of those before it.
    declared: u64,
}

struct Cursor {
    number: u64,
    columns: Arc<[OutputColumn]>,
    ahead: Arc<Mutex<Ahead>>,
    /// What its query takes for the statement that it is of: that ends with the cursor, and not with DECLARE.
    _alive: Arc<()>,
}

/// The rows that were not fetched yet.
struct Ahead {
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    rows: Rows,
}

impl Ahead {
    /// The next rows, at most `limit`.
    async fn next(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.rows.try_next().await? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let taken = usize::try_from(limit).map_or(batch.num_rows(), |limit| limit.min(batch.num_rows()));
        if taken < batch.num_rows() {
            self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
        }
        Ok(Some(batch.slice(0, taken)))
    }
}

impl Cursor {
    /// The next rows: as many, or all.
    fn take(&self, rows: Option<u64>) -> Rows {
        let from_here = (self.ahead.clone(), rows.unwrap_or(u64::MAX));
        Box::pin(futures::stream::try_unfold(from_here, |(ahead, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let batch = ahead.lock().await.next(left).await?;
            Ok(batch.map(|batch| {
                let left = left - batch.num_rows() as u64;
                (batch, (ahead, left))
            }))
        }))
    }
}

impl Cursors {
    /// The number that the next cursor will have.
    pub fn next_number(&self) -> u64 {
        self.declared
    }

    /// Closes those from a number on.
    pub fn close_from(&mut self, number: u64) {
        self.by_name.retain(|_, cursor| cursor.number < number);
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }

    fn get(&self, name: &str) -> Result<&Cursor> {
        self.by_name.get(name).ok_or_else(|| undefined(name))
    }
}

fn undefined(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

impl Session {
    /// The columns of an open cursor's rows.
    pub fn cursor_columns(&self, name: &str) -> Option<&Arc<[OutputColumn]>> {
        self.cursors.by_name.get(name).map(|cursor| &cursor.columns)
    }

    /// DECLARE.
    pub(super) async fn declare(
        &mut self,
        declare: &Declare,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        if self.block != Block::Explicit {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_TRANSACTION, message));
        }
        declare.check()?;
        let name = fold(&declare.name);
        if self.cursors.by_name.contains_key(&name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        if self.cursors.by_name.len() >= MOST_CURSORS {
            return Err(Error::new(
                SqlState::CONFIGURATION_LIMIT_EXCEEDED,
                "too many open cursors in this transaction",
            )
            .with_detail(format!("There may be {MOST_CURSORS}."))
            .with_hint("CLOSE those that you no longer fetch from."));
        }
        let alive = Arc::new(());
        self.statement = Arc::downgrade(&alive);
        let Response::Rows { columns, rows, .. } = self.select(&declare.query, text, arguments).await? else {
            return Err(Error::internal("a query without rows"));
        };
        let ahead = Ahead { rest: None, rows: Box::pin(rows.fuse()) };
        let number = self.cursors.declared;
        let cursor = Cursor { number, columns, ahead: Arc::new(Mutex::new(ahead)), _alive: alive };
        self.cursors.by_name.insert(name, cursor);
        self.cursors.declared += 1;
        Ok(Response::complete("DECLARE CURSOR"))
    }

    /// FETCH and MOVE.
    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<Response> {
        let cursor = self.cursors.get(&fold(&fetch.name))?;
        fetch.check()?;
        let (columns, mut rows) = (cursor.columns.clone(), cursor.take(fetch.rows));
        if !fetch.skips {
            return Ok(Response::Rows { columns, rows, command: "FETCH" });
        }
        let mut skipped = 0;
        while let Some(batch) = rows.try_next().await? {
            skipped += batch.num_rows();
        }
        Ok(Response::complete(format!("MOVE {skipped}")))
    }

    /// CLOSE.
    pub(super) fn close(&mut self, cursor: &sqlparser::ast::CloseCursor) -> Result<Response> {
        match cursor {
            sqlparser::ast::CloseCursor::All => {
                self.cursors.clear();
                Ok(Response::complete("CLOSE CURSOR ALL"))
            }
            sqlparser::ast::CloseCursor::Specific { name } => {
                let name = fold(name);
                match self.cursors.by_name.remove(&name) {
                    Some(_) => Ok(Response::complete("CLOSE CURSOR")),
                    None => Err(undefined(&name)),
                }
            }
        }
    }
}
