//! Stopping a statement: by its client, or because its time is up.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, Result, SqlState};
use crate::session::response::{Response, Rows};
use crate::sql::Interrupt;

/// Stops the statement that a session is running; without one, nothing happens.
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<State>);

#[derive(Default)]
struct State {
    /// Set while a statement runs, so that a late request does not hit the next one.
    running: AtomicBool,
    /// Why it is to stop; 0 while it may go on.
    stop: AtomicU8,
    wake: Notify,
    /// Whether the client is to be sent away.
    unwanted: AtomicBool,
    leave: Notify,
}

/// Its client wants it no more.
const CANCELLED: u8 = 1;
/// The server stops.
const TERMINATED: u8 = 2;

impl State {
    fn reason(&self) -> Option<Error> {
        match self.stop.load(Ordering::Acquire) {
            CANCELLED => Some(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")),
            TERMINATED => {
                let message = "terminating connection due to administrator command";
                Some(Error::new(SqlState::ADMIN_SHUTDOWN, message))
            }
            _ => None,
        }
    }
}

impl CancelHandle {
    /// Makes the running statement fail with 57014.
    pub fn cancel(&self) {
        self.stop(CANCELLED);
    }

    /// Makes the running statement fail with 57P01, because the server stops.
    pub fn terminate(&self) {
        self.stop(TERMINATED);
    }

    /// Sends the client away: what runs fails with 57P01, and [`disconnected`](CancelHandle::disconnected) is over.
    pub(super) fn disconnect(&self) {
        self.0.unwanted.store(true, Ordering::Release);
        self.terminate();
        self.0.leave.notify_waiters();
    }

    /// Whether the client is to be sent away.
    pub fn is_disconnected(&self) -> bool {
        self.0.unwanted.load(Ordering::Acquire)
    }

    /// Waits until the client is to be sent away.
    pub async fn disconnected(&self) {
        loop {
            // Made before the look: it is woken by what happens from here on.
            let woken = self.0.leave.notified();
            if self.is_disconnected() {
                return;
            }
            woken.await;
        }
    }

    /// Whether a statement runs.
    pub(super) fn is_running(&self) -> bool {
        self.0.running.load(Ordering::Acquire)
    }

    fn stop(&self, reason: u8) {
        if self.0.running.load(Ordering::Acquire) {
            self.0.stop.store(reason, Ordering::Release);
            // All: a portal that is suspended has a waiter too, which nobody polls.
            self.0.wake.notify_waiters();
        }
    }

    /// A statement begins.
    pub(super) fn begin(&self, limit: Option<Duration>) -> Guard {
        self.0.stop.store(0, Ordering::Release);
        self.0.running.store(true, Ordering::Release);
        let deadline = limit.map(|limit| Instant::now() + limit);
        Guard { handle: self.clone(), deadline, alive: Arc::default() }
    }

    async fn stopped(&self) -> Error {
        loop {
            // Made before the look: it is woken by what happens from here on.
            let woken = self.0.wake.notified();
            match self.0.reason() {
                Some(error) => return error,
                None => woken.await,
            }
        }
    }
}

/// A statement being run. It ends when the guard goes.
pub(super) struct Guard {
    handle: CancelHandle,
    deadline: Option<Instant>,
    alive: Arc<()>,
}

impl Guard {
    /// What is gone once the statement has ended.
    pub fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    /// Resolves when the statement must stop.
    async fn stop(&self) -> Error {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            stopped = self.handle.stopped() => stopped,
            () = timeout => out_of_time(),
        }
    }

    /// The same for what does not wait.
    pub fn interrupt(&self) -> Interrupt {
        let (handle, deadline) = (self.handle.clone(), self.deadline);
        Interrupt::new(move || {
            let timeout = || deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| out_of_time());
            handle.0.reason().or_else(timeout)
        })
    }

    /// Whether the statement must stop, as far as that can be told without waiting for it.
    fn must_stop(&self) -> bool {
        self.handle.0.reason().is_some() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The future's outcome, unless the statement must stop before it.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            // First: what is done at once has nobody to wait for.
            biased;
            outcome = work => outcome,
            stopped = self.stop() => Err(stopped),
        }
    }

    /// The response, whose rows end with an error when the statement must stop.
    pub fn response(self, response: Response) -> Response {
        match response {
            Response::Rows { columns, rows, command } => Response::Rows { columns, rows: self.rows(rows), command },
            other => other,
        }
    }

    /// The same rows, ending with an error when the statement must stop.
    fn rows(self, rows: Rows) -> Rows {
        Box::pin(Guarded { rows: Some(rows), guard: Arc::new(self), stop: None })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.handle.0.running.store(false, Ordering::Release);
    }
}

fn out_of_time() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}

struct Guarded {
    /// None after the end.
    rows: Option<Rows>,
    guard: Arc<Guard>,
    /// There once a batch had to be waited for.
    stop: Option<Pin<Box<dyn Future<Output = Error> + Send>>>,
}

impl Guarded {
    fn poll_stop(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let guard = &self.guard;
        let stop = self.stop.get_or_insert_with(|| {
            let guard = guard.clone();
            Box::pin(async move { guard.stop().await })
        });
        stop.as_mut().poll(context)
    }
}

impl Stream for Guarded {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // First, because rows may be ready for ever; but nobody is waited for while they are.
        let must_stop = self.rows.is_some() && self.guard.must_stop();
        let Some(rows) = &mut self.rows else { return Poll::Ready(None) };
        let next = if must_stop { Poll::Pending } else { rows.poll_next_unpin(context) };
        match next {
            Poll::Ready(Some(batch)) => Poll::Ready(Some(batch)),
            Poll::Ready(None) => {
                self.rows = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let error = std::task::ready!(self.poll_stop(context));
                self.rows = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
