//! Cancel requests: they come on a connection of their own and name the other by process id and secret key.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use levada_engine::CancelHandle;
use levada_engine::error::{Error, SqlState};
use tokio::sync::Notify;

/// Length of a secret key in protocol 3.0, where it is fixed.
pub const SHORT_KEY: usize = 4;
/// Length of our secret keys from protocol 3.2 on, where it is free.
pub const LONG_KEY: usize = 32;

/// The connections that can be cancelled.
#[derive(Default)]
pub struct Registry {
    last_process: AtomicI32,
    connections: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret: Bytes,
    interrupt: Arc<Interrupt>,
}

/// A connection's place in the [`Registry`], which it leaves when this is dropped.
pub struct Registration {
    registry: Arc<Registry>,
    pub process: i32,
    pub secret: Bytes,
    pub interrupt: Arc<Interrupt>,
}

impl Registry {
    /// Adds a connection, under a process id of its own and a new key of `key_length` bytes.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn register(self: &Arc<Registry>, engine: CancelHandle, key_length: usize) -> io::Result<Registration> {
        let mut secret = vec![0; key_length];
        getrandom::fill(&mut secret)?;
        let secret = Bytes::from(secret);
        let interrupt = Arc::new(Interrupt::new(engine));
        let entry = Entry { secret: secret.clone(), interrupt: interrupt.clone() };
        let mut connections = self.lock();
        let process = loop {
            let process = self.last_process.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
            if process != 0 && !connections.contains_key(&process) {
                break process;
            }
        };
        connections.insert(process, entry);
        Ok(Registration { registry: self.clone(), process, secret, interrupt })
    }

    /// Cancels what a connection runs. Like PostgreSQL, says nothing when there is no such process or the key is wrong.
    pub fn cancel(&self, process: i32, secret: &[u8]) {
        let interrupt = match self.lock().get(&process) {
            Some(entry) if same(&entry.secret, secret) => entry.interrupt.clone(),
            _ => return,
        };
        interrupt.cancel();
    }

    /// Ends what every connection runs, because the server stops.
    pub fn terminate_all(&self) {
        let all: Vec<_> = self.lock().values().map(|entry| entry.interrupt.clone()).collect();
        all.iter().for_each(|interrupt| interrupt.terminate());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        // Whoever panicked left the map whole: it is changed by single calls only.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.process);
    }
}

/// Compares in a time that does not tell how much was right.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let difference = expected.iter().zip(given).fold(0, |difference, (one, other)| difference | (one ^ other));
    expected.len() == given.len() && difference == 0
}

/// Stops the statement that a connection runs, and no other: a request that comes too late does nothing.
///
/// Every statement begins and ends here, so that costs two writes; only a cancellation wakes anybody.
pub struct Interrupt {
    engine: CancelHandle,
    progress: AtomicU8,
    wake: Notify,
}

/// What [`Interrupt::progress`] can be.
const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const CANCELED: u8 = 2;
/// The server stops.
const TERMINATED: u8 = 3;

impl Interrupt {
    fn new(engine: CancelHandle) -> Interrupt {
        Interrupt { engine, progress: AtomicU8::new(IDLE), wake: Notify::new() }
    }

    /// A statement begins.
    pub fn begin(&self) {
        self.progress.store(RUNNING, Ordering::Release);
    }

    /// It is over.
    pub fn end(&self) {
        self.progress.store(IDLE, Ordering::Release);
    }

    /// Stops it, if there is one.
    pub fn cancel(&self) {
        self.stop(CANCELED);
    }

    /// Stops it, if there is one, because the server stops.
    pub fn terminate(&self) {
        self.stop(TERMINATED);
    }

    fn stop(&self, reason: u8) {
        let reason = match self.progress.compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.wake.notify_waiters();
                reason
            }
            Err(IDLE) => return,
            // It is to stop already, but the engine may not have begun when it was told.
            Err(before) => before,
        };
        if reason == TERMINATED { self.engine.terminate() } else { self.engine.cancel() }
    }

    /// # Errors
    /// 57014 when the statement is to stop, 57P01 when the server stops.
    pub fn check(&self) -> Result<(), Error> {
        self.reason().map_or(Ok(()), Err)
    }

    /// Waits until the statement is to stop, and gives the error to stop with.
    pub async fn canceled(&self) -> Error {
        loop {
            // Made before the look: it is woken by what happens from here on.
            let woken = self.wake.notified();
            if let Some(error) = self.reason() {
                return error;
            }
            woken.await;
        }
    }

    fn reason(&self) -> Option<Error> {
        match self.progress.load(Ordering::Acquire) {
            CANCELED => Some(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")),
            TERMINATED => {
                let message = "terminating connection due to administrator command";
                Some(Error::new(SqlState::ADMIN_SHUTDOWN, message))
            }
            _ => None,
        }
    }
}
