//! What becomes of the engine when a step fails: back to what is durable, and in the end no writes.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::engine::checkpointer::Checkpointer;
use crate::engine::hydrations::Hydrations;
use crate::engine::recovery::{self, Recovered};
use crate::engine::stepper::Stepper;
use crate::engine::storage::Storage;
use crate::error::{Error, Result, SqlState};

/// Steps that may fail one after the other.
const MOST_FAILURES: u32 = 3;

/// How often it is looked whether a full disk has room again.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that must fit on the disk before it is tried again.
const PROBE: usize = 1 << 20;

impl Stepper {
    /// Drops all memory and comes back from the last checkpoint and the log's tail. Whose fault it was, if that of views and
    /// sinks, is left in [`Suspicion::culprit`](super::suspicion::Suspicion::culprit).
    pub(super) fn recover(&mut self, cause: &Error) -> Result<()> {
        tracing::error!(error = %cause, "a step failed; going back to the last checkpoint");
        self.suspicion.culprit = self.dataflows.culprit(cause);
        // Who is to blame is suspended in the end, so that is not tried for ever.
        if self.suspicion.culprit.is_none() && !is_full(cause) {
            self.failures += 1;
        }
        if self.failures > MOST_FAILURES {
            return Err(self.fail(cause));
        }
        // What a commit in flight makes durable is part of what recovery must read.
        self.checkpointer.stop();
        self.unsaved.forget();
        match self.reopen() {
            Ok(recovered) => {
                // Epochs never go back: readers hold snapshots of those that were published.
                self.epoch = self.epoch.max(recovered.epoch).next();
                self.dataflows = recovered.dataflows;
                self.position = recovered.position;
                (self.durable, self.saved) = (recovered.durable, recovered.durable);
                self.metrics.set_durable(self.durable);
                self.sources.restart(&self.dataflows, recovered.histories, self.epoch);
                Ok(())
            }
            Err(error) if is_full(&error) => Err(self.wait_for_disk(&error)),
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// As [`recover`](Stepper::recover), where no transaction waits for what it brings.
    pub(super) fn recover_and_publish(&mut self, cause: &Error) {
        if is_full(cause) {
            // Without room the next checkpoint would fail as well.
            self.wait_for_disk(cause);
        } else if self.recover(cause).is_ok() {
            self.publish();
            self.suspect_by_time();
        }
    }

    /// How long until it is looked again whether the disk has room; None while nobody waits for that.
    pub(super) fn disk_in(&self) -> Option<Duration> {
        self.disk_again.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Goes on where the last checkpoint and the log say, once the disk has room.
    pub(super) fn try_disk(&mut self) {
        let Some(cause) = self.failed.as_ref().map(Error::duplicate) else { return };
        self.disk_again = None;
        if let Err(error) = self.write_probe() {
            tracing::debug!(%error, "the disk has no room yet");
            self.disk_again = Some(Instant::now() + DISK_PAUSE);
            return;
        }
        self.failed = None;
        if self.recover(&cause).is_ok() {
            tracing::info!("the disk has room again; the server accepts writes");
            self.publish();
        }
    }

    /// Whether a file of some size can be written.
    fn write_probe(&self) -> std::io::Result<()> {
        let path = self.data_dir.join("room");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0; PROBE])?;
            file.sync_all()
        });
        std::fs::remove_file(&path).and(written)
    }

    /// Accepts no writes until the disk has room again; reading goes on.
    fn wait_for_disk(&mut self, cause: &Error) -> Error {
        tracing::error!(error = %cause, "the disk is full; until it has room the server accepts no writes");
        self.disk_again = Some(Instant::now() + DISK_PAUSE);
        self.stop_writing(cause)
    }

    /// Gives up writing: what memory holds must reach no disk. Reading goes on.
    pub(super) fn fail(&mut self, cause: &Error) -> Error {
        tracing::error!(error = %cause, "nothing gets better by trying again; the server accepts no more writes");
        self.stop_writing(cause)
    }

    fn stop_writing(&mut self, cause: &Error) -> Error {
        self.sources.stop();
        for (_, reply) in self.flushes.drain(..) {
            reply.send(Err(cause.duplicate())).ok();
        }
        self.failed = Some(cause.duplicate());
        cause.duplicate()
    }

    fn reopen(&mut self) -> Result<Recovered> {
        // Readers hold stores of which some may not have been read yet.
        self.dataflows.finish_loading();
        Storage::reopen(&mut self.storage, &self.data_dir, self.storage_sizes)?;
        let storage = Storage::of(&self.storage)?;
        let mut checkpointer = Checkpointer::start(storage.clone(), self.reports.clone(), self.metrics.clone())?;
        checkpointer.keep_pace(&self.checkpointer);
        self.checkpointer = checkpointer;
        let hydrations = || Hydrations::new(self.reports.clone(), self.hydrations.clone(), self.memory.clone());
        recovery::recover(storage, self.threads, &hydrations, self.sources.intake())
    }
}

fn is_full(error: &Error) -> bool {
    error.sqlstate() == SqlState::DISK_FULL
}
