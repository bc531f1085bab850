//! What becomes of the engine when a step fails: back to what is durable, and in the end no writes.

use std::collections::BTreeMap;

use crate::engine::checkpointer::Checkpointer;
use crate::engine::hydrations::Hydrations;
use crate::engine::recovery::{self, Recovered};
use crate::engine::stepper::Stepper;
use crate::engine::storage::Storage;
use crate::error::{Error, Result};
use crate::state::LogPosition;

/// Steps that may fail one after the other.
const MOST_FAILURES: u32 = 3;

impl Stepper {
    /// Drops all memory and comes back from the last checkpoint and the log's tail. Of the entries after `acknowledged`,
    /// those that cannot be applied become void; they are returned.
    pub(super) fn recover(
        &mut self,
        cause: &Error,
        acknowledged: Option<LogPosition>,
    ) -> Result<BTreeMap<LogPosition, Error>> {
        tracing::error!(error = %cause, "a step failed; going back to the last checkpoint");
        self.failures += 1;
        if self.failures > MOST_FAILURES {
            return Err(self.fail(cause));
        }
        // What a commit in flight makes durable is part of what recovery must read.
        self.checkpointer.stop();
        match self.reopen(acknowledged.unwrap_or(self.position)) {
            Ok(recovered) => {
                // Epochs never go back: readers hold snapshots of those that were published.
                self.epoch = self.epoch.max(recovered.epoch).next();
                self.dataflows = recovered.dataflows;
                self.position = recovered.position;
                (self.durable, self.saved) = (recovered.durable, recovered.durable);
                self.metrics.set_durable(self.durable);
                self.sources.restart(self.dataflows.catalog(), recovered.histories);
                if !recovered.voided.is_empty() {
                    // What made the step fail has gone.
                    self.failures = 0;
                }
                Ok(recovered.voided)
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// As [`recover`](Stepper::recover), where no transaction waits for what it brings.
    pub(super) fn recover_and_publish(&mut self, cause: &Error) {
        if self.recover(cause, None).is_ok() {
            self.publish();
        }
    }

    /// Gives up writing: what memory holds must reach no disk. Reading goes on.
    pub(super) fn fail(&mut self, cause: &Error) -> Error {
        tracing::error!(error = %cause, "nothing gets better by trying again; the server accepts no more writes");
        self.sources.stop();
        for (_, reply) in self.flushes.drain(..) {
            reply.send(Err(cause.duplicate())).ok();
        }
        self.failed = Some(cause.duplicate());
        cause.duplicate()
    }

    fn reopen(&mut self, acknowledged: LogPosition) -> Result<Recovered> {
        // Readers hold stores of which some may not have been read yet.
        self.dataflows.finish_loading();
        Storage::reopen(&mut self.storage, &self.data_dir, self.checkpoint_sizes)?;
        let storage = Storage::of(&self.storage)?;
        self.checkpointer = Checkpointer::start(storage.clone(), self.reports.clone(), self.metrics.clone())?;
        let hydrations = || Hydrations::new(self.reports.clone(), self.hydrations.clone(), self.memory.clone());
        recovery::recover(storage, self.threads, &hydrations, self.sources.intake(), Some(acknowledged))
    }
}
