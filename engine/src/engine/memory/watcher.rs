//! The thread that looks how much memory is used.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Memory;
use crate::error::{Error, Result};

/// How often it looks. What comes in meanwhile is bounded by what steps can take in.
const EVERY: Duration = Duration::from_millis(50);

/// Bytes that no allocator has in store: it looks further, and gives back what has been free for some time.
const ASKED: usize = 4 << 20;

/// Looks for as long as it is there.
pub struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts the thread. It tells when memory becomes scarce, and when it no longer is; at once, if it is so now.
    ///
    /// # Errors
    /// XX000 when the thread cannot be started.
    pub fn start(memory: Arc<Memory>, changed: impl Fn(bool) + Send + 'static) -> Result<Watcher> {
        let (stop, stopped) = channel::<()>();
        let watch = move || {
            if memory.is_scarce() {
                tell(&memory, true, &changed);
            }
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if memory.is_scarce() {
                    // mimalloc gives memory back only when somebody takes a page or frees one, which nobody may do while
                    // all sources pause.
                    drop(std::hint::black_box(Vec::<u8>::with_capacity(ASKED)));
                }
                if let Some(scarce) = memory.look() {
                    tell(&memory, scarce, &changed);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("levada-memory".into())
            .spawn(watch)
            .map_err(|error| Error::internal("cannot start the thread that watches memory").with_source(error))?;
        Ok(Watcher { stop: Some(stop), thread: Some(thread) })
    }
}

fn tell(memory: &Memory, scarce: bool, changed: &impl Fn(bool)) {
    let (used, limit) = (memory.used().unwrap_or_default() >> 20, memory.limit() >> 20);
    match scarce {
        true => tracing::warn!("{used} MB of the {limit} MB of memory_limit are used: sources pause"),
        false => tracing::info!("{used} MB of the {limit} MB of memory_limit are used: sources go on"),
    }
    changed(scarce);
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
