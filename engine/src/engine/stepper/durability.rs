//! When checkpoints are begun and what happens when they are durable: flushes, and the last one of all.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::checkpointer::{Done, Haste};
use crate::engine::commit::Request;
use crate::engine::guard::guarded;
use crate::engine::stepper::Stepper;
use crate::error::{Error, Result, SqlState};
use crate::state::Checkpoint;

impl Stepper {
    /// How long until a checkpoint is due; None while there is nothing to save.
    pub(super) fn checkpoint_in(&self) -> Option<Duration> {
        let unsaved = self.saved < self.epoch && self.failed.is_none();
        let haste = match (self.unsaved.is_much(), self.memory.is_scarce()) {
            (true, _) => Haste::Now,
            (false, true) => Haste::Early,
            (false, false) => Haste::None,
        };
        if unsaved { self.checkpointer.due_in(haste) } else { None }
    }

    pub(super) fn begin_checkpoint(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let (mut checkpoint, sizes) = (Checkpoint::default(), self.dataflows.sizes());
        self.unsaved.forget();
        let saved = guarded(|| self.dataflows.save(self.durable, &mut checkpoint));
        let meta = || {
            let sources = self.sources.saved()?;
            self.dataflows.meta(self.epoch, self.position, self.clock.now(), sources)
        };
        match saved.and_then(|()| meta()) {
            Ok(meta) => {
                checkpoint.set_meta(meta);
                self.saved = self.epoch;
                self.suspicion.saving(|source, place| self.sources.has_reached(source, place));
                self.metrics.measured(self.dataflows.catalog(), sizes);
                self.checkpointer.submit(checkpoint, self.epoch, self.position);
            }
            // What was taken for the checkpoint is lost to the next: only a fresh start has it all.
            Err(error) => self.recover_and_publish(&error),
        }
    }

    pub(super) fn checkpoint_done(&mut self, done: Done) {
        if !self.checkpointer.done(done.epoch) {
            return;
        }
        match done.outcome {
            Ok(()) => {
                self.durable = done.epoch;
                self.metrics.set_durable(self.durable);
                self.suspicion.try_more();
            }
            Err(error) => self.recover_and_publish(&error),
        }
        let durable = self.durable;
        for (_, reply) in self.flushes.extract_if(.., |(epoch, _)| *epoch <= durable) {
            reply.send(Ok(())).ok();
        }
        if !self.flushes.is_empty() {
            self.begin_checkpoint();
        }
    }

    pub(super) fn flush(&mut self, reply: oneshot::Sender<Result<()>>) {
        if let Some(error) = &self.failed {
            reply.send(Err(error.duplicate())).ok();
            return;
        }
        if self.durable >= self.epoch {
            reply.send(Ok(())).ok();
            return;
        }
        self.flushes.push((self.epoch, reply));
        if !self.checkpointer.in_flight() {
            self.begin_checkpoint();
        }
    }

    /// Brings everything into a last checkpoint.
    pub(super) fn shut_down(&mut self, requests: &Receiver<Request>) -> Result<()> {
        let stopping = || Error::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down");
        for held in self.held.drain(..) {
            if let Request::Commit(commit) = held {
                commit.finish(Err(stopping()));
            }
        }
        while self.failed.is_none() && self.durable < self.epoch {
            if !self.checkpointer.in_flight() {
                self.begin_checkpoint();
            }
            match requests.recv() {
                Ok(Request::Durable(Done { outcome: Err(error), .. })) => return Err(error),
                Ok(Request::Durable(done)) => self.checkpoint_done(done),
                Ok(Request::Commit(commit)) => commit.finish(Err(stopping())),
                // Not taken in: the next start reads it again.
                Ok(Request::Delivery(..) | Request::Time | Request::Loaded | Request::Hydration(..)) => {}
                Ok(Request::Flush(reply) | Request::Shutdown(reply)) => drop(reply.send(Err(stopping()))),
                Ok(Request::Explain(_, reply)) => drop(reply.send(Err(stopping()))),
                // Who asked gets no answer, which says the same.
                Ok(Request::Settle(..)) => {}
                Ok(Request::Abandon) | Err(_) => break,
            }
        }
        Ok(())
    }
}
