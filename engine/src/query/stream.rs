//! The rows of a running query.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::query::stopping::Wanted;

/// Batches computed ahead of a slow reader; a query waits when they are full.
const AHEAD: usize = 2;

/// Rows of a query that runs on the query threads. Dropping the stream ends the query.
pub struct RowStream {
    batches: mpsc::Receiver<Result<RecordBatch>>,
    /// None once its end was seen.
    task: Option<JoinHandle<()>>,
    wanted: Wanted,
}

impl RowStream {
    /// Runs a stream to its end, or until nobody reads, which `wanted` then tells its operators.
    pub fn spawn(runtime: &Handle, mut rows: SendableRecordBatchStream, wanted: Wanted) -> RowStream {
        let (sender, batches) = mpsc::channel(AHEAD);
        let pump = async move {
            while let Some(batch) = rows.next().await {
                let failed = batch.is_err();
                if sender.send(batch.map_err(Error::from)).await.is_err() || failed {
                    return;
                }
            }
        };
        RowStream { batches, task: Some(runtime.spawn(pump)), wanted }
    }
}

impl Stream for RowStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(batch) = ready!(self.batches.poll_recv(context)) {
            return Poll::Ready(Some(batch));
        }
        // The sender is gone: the query is done, or an expression panicked, which must not look like the end of the rows.
        let Some(task) = &mut self.task else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(task).poll(context));
        self.task = None;
        Poll::Ready(ended.err().map(|error| Err(Error::internal(format!("a query failed: {error}")))))
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.wanted.no_more();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
