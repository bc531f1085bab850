//! How a reader is doing.

use std::collections::BTreeMap;

use super::intake::Pause;
use super::offsets::Offsets;

/// A reader's state as of now; watermarks and connections are at most a second old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    pub partitions: BTreeMap<i32, PartitionStatus>,
    /// Whether any broker is connected.
    pub connected: bool,
    /// Why the reader waits before it takes more, if it does.
    pub paused: Option<Pause>,
    /// The last error of the connection, until it is up again.
    pub error: Option<String>,
}

impl SourceStatus {
    /// Offsets that can be reached of these: partitions that have stopped get no further.
    pub fn within_reach(&self, places: &Offsets) -> Offsets {
        let reachable = |(partition, place): (i32, i64)| match self.partitions.get(&partition) {
            Some(PartitionStatus { state, next, .. }) if state.is_stopped() => (partition, place.min(*next)),
            _ => (partition, place),
        };
        places.iter().map(reachable).collect()
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub state: PartitionState,
    /// The next offset to deliver.
    pub next: i64,
    /// The end of the partition for us, where known: with `read_committed`, that of the finished transactions.
    pub end: Option<i64>,
    /// Why it does not run.
    pub error: Option<String>,
    /// Messages and their bytes since the reader started, bad ones included.
    pub messages: u64,
    pub bytes: u64,
}

impl PartitionStatus {
    pub(super) fn new(next: i64) -> PartitionStatus {
        PartitionStatus { state: PartitionState::Connecting, next, end: None, error: None, messages: 0, bytes: 0 }
    }

    /// Offsets between here and the end.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.next).max(0))
    }
}

/// Whether a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// Its leader has not been reached yet.
    Connecting,
    Running,
    /// Its leader is away; reading goes on by itself.
    Reconnecting,
    /// Kafka no longer has the next offset. Stopped.
    Gap,
    /// The topic was deleted and made anew: it is another one. Stopped.
    Recreated,
    /// A message that is no row, and the source says to stop there. Stopped.
    Refused,
    /// It cannot be read. Stopped.
    Failed,
    /// What comes from it cannot be taken in: state that it would change cannot be read. Stopped.
    Halted,
}

impl PartitionState {
    /// Whether reading has stopped for good.
    pub fn is_stopped(self) -> bool {
        matches!(
            self,
            PartitionState::Gap
                | PartitionState::Recreated
                | PartitionState::Refused
                | PartitionState::Failed
                | PartitionState::Halted
        )
    }

    /// As system tables name it.
    pub fn name(self) -> &'static str {
        match self {
            PartitionState::Connecting => "connecting",
            PartitionState::Running => "running",
            PartitionState::Reconnecting => "reconnecting",
            PartitionState::Gap => "gap",
            PartitionState::Recreated => "recreated",
            PartitionState::Refused | PartitionState::Failed => "failed",
            PartitionState::Halted => "paused: error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_stopped_gets_no_further() {
        let at = |next, state| PartitionStatus { state, ..PartitionStatus::new(next) };
        let partitions = [
            (0, at(5, PartitionState::Running)),
            (1, at(5, PartitionState::Gap)),
            (2, at(5, PartitionState::Refused)),
            (3, at(5, PartitionState::Reconnecting)),
        ];
        let status = SourceStatus { partitions: partitions.into(), ..SourceStatus::default() };
        let places: Offsets = [(0, 9), (1, 9), (2, 3), (3, 9), (4, 9)].into_iter().collect();
        let reachable = [(0, 9), (1, 5), (2, 3), (3, 9), (4, 9)].into_iter().collect();
        assert_eq!(status.within_reach(&places), reachable);
    }
}
