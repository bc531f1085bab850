//! What a statement gives back.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::Stream;

use crate::error::{Result, SqlState};
use crate::sql::OutputColumn;

/// Batches of rows, of the Arrow types of the response's columns.
pub type Rows = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// The outcome of a statement.
pub enum Response {
    /// There was no statement.
    Empty,
    /// Done; the tag is PostgreSQL's, such as `INSERT 0 3`.
    Complete { tag: String },
    /// Rows to come; the tag is `command` and their number, unless the command is `SHOW` or `EXPLAIN`.
    Rows { columns: Arc<[OutputColumn]>, rows: Rows, command: &'static str },
}

impl Response {
    pub(super) fn complete(tag: impl Into<String>) -> Response {
        Response::Complete { tag: tag.into() }
    }

    /// Rows that are all there already.
    pub(super) fn ready(columns: Vec<OutputColumn>, batch: RecordBatch, command: &'static str) -> Response {
        let rows: Rows = Box::pin(futures::stream::iter([Ok(batch)]));
        Response::Rows { columns: columns.into(), rows, command }
    }
}

/// How serious a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
}

impl Severity {
    /// As it stands in the message.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
        }
    }
}

/// A message to the client that is no error.
#[derive(Clone, Debug)]
pub struct Notice {
    pub severity: Severity,
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Notice {
    pub(super) fn new(severity: Severity, sqlstate: SqlState, message: impl Into<String>) -> Notice {
        Notice { severity, sqlstate, message: message.into(), detail: None, hint: None }
    }
}
