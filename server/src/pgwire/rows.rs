//! The rows of a result on their way to the client: batch by batch, at the pace of the socket.

use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use futures::{FutureExt, StreamExt};
use levada_engine::Rows as RowStream;
use levada_engine::error::Result;
use tokio::time::sleep;

use super::connection::Connection;
use super::encode::RowEncoder;
use super::failure::Failure;

/// How long rows may lie here while the next ones are not ready yet.
const LINGER: Duration = Duration::from_millis(10);

/// What is left of a result.
pub struct Rows {
    stream: RowStream,
    encoder: RowEncoder,
    command: &'static str,
    current: Option<Current>,
}

/// A batch, and how much of it was sent.
struct Current {
    columns: Vec<ArrayRef>,
    rows: usize,
    next: usize,
}

impl Rows {
    /// `command` is the one that the rows are of, as its tag says it.
    pub fn new(stream: RowStream, encoder: RowEncoder, command: &'static str) -> Rows {
        Rows { stream, encoder, command, current: None }
    }

    pub fn command(&self) -> &'static str {
        self.command
    }
}

/// The tag of a command that gave rows: with their number where PostgreSQL says it (`cmdtaglist.h`).
pub fn tag(command: &str, rows: u64) -> String {
    match command {
        "SHOW" | "EXPLAIN" => command.to_owned(),
        // The zero was an OID once.
        "INSERT" => format!("INSERT 0 {rows}"),
        _ => format!("{command} {rows}"),
    }
}

impl Connection<'_> {
    /// Sends the next rows, all of them or `limit`; returns how many there were. Fewer than `limit` means that there
    /// are no more.
    pub(super) async fn send_rows(&mut self, rows: &mut Rows, limit: Option<u64>) -> Result<u64, Failure> {
        let limit = limit.unwrap_or(u64::MAX);
        let mut sent = 0;
        while sent < limit {
            if rows.current.is_none() {
                let Some(batch) = self.next_batch(rows).await? else { break };
                let columns = rows.encoder.conform(&batch)?;
                rows.current = Some(Current { columns, rows: batch.num_rows(), next: 0 });
            }
            sent += self.send_batch(rows, limit - sent).await?;
        }
        Ok(sent)
    }

    /// Sends rows of the current batch, at most `limit`.
    async fn send_batch(&mut self, rows: &mut Rows, limit: u64) -> Result<u64, Failure> {
        let Some(current) = &mut rows.current else { return Ok(0) };
        let mut encoder = rows.encoder.open(&current.columns)?;
        let mut sent = 0;
        while current.next < current.rows && sent < limit {
            encoder.row(current.next, self.output.buffer())?;
            current.next += 1;
            sent += 1;
            if self.output.is_full() {
                self.output.flush().await?;
                self.registration.interrupt.check()?;
            }
        }
        if current.next == current.rows {
            rows.current = None;
        }
        Ok(sent)
    }

    /// Waits for the next batch, for a cancel request, or for the client to leave.
    async fn next_batch(&mut self, rows: &mut Rows) -> Result<Option<RecordBatch>, Failure> {
        self.registration.interrupt.check()?;
        // Nearly always it is there, and nobody has to be waited for.
        if let Some(batch) = rows.stream.next().now_or_never() {
            return Ok(batch.transpose()?);
        }
        let canceled = self.registration.interrupt.canceled();
        tokio::pin!(canceled);
        loop {
            tokio::select! {
                biased;
                error = &mut canceled => return Err(error.into()),
                batch = rows.stream.next() => return Ok(batch.transpose()?),
                () = self.input.hung_up() => return Err(Failure::hung_up()),
                () = sleep(LINGER), if !self.output.is_empty() => {}
            }
            // A result that comes in drops (changes of a view, say) is not held back until it is much.
            self.output.flush().await?;
        }
    }
}
