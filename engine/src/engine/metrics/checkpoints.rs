//! The last checkpoints: how large they were and how long they took.

use std::collections::VecDeque;
use std::time::Instant;

use super::now;
use crate::catalog::system::{CheckpointRecord, CheckpointState};
use crate::data::Epoch;
use crate::error::Error;
use crate::state::{Checkpoint, LogPosition};

/// Checkpoints that are remembered.
const KEPT: usize = 100;

/// The last checkpoints since the engine was opened, the one that is being made among them.
#[derive(Default)]
pub struct Checkpoints {
    records: VecDeque<CheckpointRecord>,
    began: Option<Instant>,
}

impl Checkpoints {
    /// A checkpoint begins; `position` is the last entry of the log that it covers.
    pub fn begin(&mut self, checkpoint: &Checkpoint, epoch: Epoch, position: LogPosition) {
        if self.records.len() >= KEPT {
            self.records.pop_front();
        }
        self.began = Some(Instant::now());
        self.records.push_back(CheckpointRecord {
            epoch: epoch.0,
            state: CheckpointState::Running,
            began_at: now(),
            finished_at: None,
            duration: None,
            bytes: checkpoint.bytes() as u64,
            entries: checkpoint.len() as u64,
            log_position: position.0,
            error: None,
        });
    }

    /// The checkpoint that began last has ended.
    pub fn end(&mut self, outcome: Result<(), &Error>) {
        let Some(record) = self.records.back_mut() else { return };
        record.finished_at = Some(now());
        record.duration = self.began.take().map(|began| began.elapsed());
        record.state = if outcome.is_ok() { CheckpointState::Durable } else { CheckpointState::Failed };
        record.error = outcome.err().map(Error::to_string);
    }

    /// What is known, the oldest first; one that is being made has the time that it has taken so far.
    pub fn records(&self) -> Vec<CheckpointRecord> {
        let mut records: Vec<CheckpointRecord> = self.records.iter().cloned().collect();
        if let (Some(began), Some(last)) = (self.began, records.last_mut()) {
            last.duration = Some(began.elapsed());
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn the_last_ones_are_remembered() {
        let mut checkpoints = Checkpoints::default();
        let error = Error::new(SqlState::IO_ERROR, "no space left");
        for epoch in 1..=150 {
            checkpoints.begin(&Checkpoint::default(), Epoch(epoch), LogPosition(epoch * 2));
            let running = checkpoints.records().pop().unwrap();
            assert_eq!((running.epoch, running.state, running.finished_at), (epoch, CheckpointState::Running, None));
            assert!(running.duration.is_some());
            checkpoints.end(if epoch == 150 { Err(&error) } else { Ok(()) });
        }
        let records = checkpoints.records();
        assert_eq!(records.len(), KEPT);
        assert_eq!((records[0].epoch, records[0].log_position, records[0].state), (51, 102, CheckpointState::Durable));
        assert!(records.iter().all(|record| record.finished_at.unwrap() >= record.began_at));
        assert_eq!(records[99].state, CheckpointState::Failed);
        assert_eq!(records[99].error.as_deref(), Some("no space left (58030)"));
    }
}
