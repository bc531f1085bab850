//! Which partitions are read, how far, and how that goes.

use std::collections::{BTreeMap, HashSet};

use rdkafka::statistics::Statistics;

use crate::source::{Message, Offsets, PartitionState, PartitionStatus, Pause, SourceStatus};

/// The reader's picture of its topic; copies of it answer for the reader's status.
#[derive(Default)]
pub struct Tracker {
    status: SourceStatus,
}

impl Tracker {
    pub fn add(&mut self, partition: i32, next: i64) {
        self.status.partitions.insert(partition, PartitionStatus::new(next));
    }

    pub fn status(&self) -> SourceStatus {
        self.status.clone()
    }

    /// The partitions that are read, and where they go on.
    pub fn read(&self) -> Vec<(i32, i64)> {
        let read = self.status.partitions.iter().filter(|(_, known)| !known.state.is_stopped());
        read.map(|(partition, known)| (*partition, known.next)).collect()
    }

    pub fn get(&self, partition: i32) -> Option<&PartitionStatus> {
        self.status.partitions.get(&partition)
    }

    /// The next offset of every partition.
    pub fn next(&self) -> Offsets {
        self.status.partitions.iter().map(|(partition, status)| (*partition, status.next)).collect()
    }

    /// Forgets all partitions: the topic is another one. What was counted of them goes with them.
    pub fn clear(&mut self) {
        self.status.partitions.clear();
    }

    /// Whether a message is the next of a partition that is read: not one from before a stop or a new start.
    pub fn wants(&self, partition: i32, offset: i64) -> bool {
        self.get(partition).is_some_and(|known| !known.state.is_stopped() && offset >= known.next)
    }

    /// Counts messages that are delivered.
    pub fn delivered(&mut self, messages: &[Message<'_>]) {
        for message in messages {
            let Some(partition) = self.status.partitions.get_mut(&message.partition) else { continue };
            partition.messages += 1;
            partition.bytes += message.bytes() as u64;
            partition.next = partition.next.max(message.offset + 1);
            run(partition);
        }
        (self.status.connected, self.status.error) = (true, None);
    }

    /// Everything before this offset has been seen. Whether that is news: control records have offsets too.
    pub fn reached(&mut self, partition: i32, offset: i64) -> bool {
        let Some(partition) = self.status.partitions.get_mut(&partition) else { return false };
        if partition.state.is_stopped() {
            return false;
        }
        run(partition);
        partition.end = Some(partition.end.map_or(offset, |end| end.max(offset)));
        let moved = offset > partition.next;
        partition.next = partition.next.max(offset);
        moved
    }

    pub fn stop(&mut self, partition: i32, state: PartitionState, error: String) {
        if let Some(partition) = self.status.partitions.get_mut(&partition) {
            partition.state = state;
            partition.error = Some(error);
        }
    }

    pub fn stop_all(&mut self, state: PartitionState, error: &str) {
        for partition in self.status.partitions.values_mut() {
            (partition.state, partition.error) = (state, Some(error.to_owned()));
        }
    }

    /// Something that is tried again.
    pub fn trouble(&mut self, partition: i32, error: String) {
        if let Some(partition) = self.status.partitions.get_mut(&partition)
            && !partition.state.is_stopped()
        {
            partition.state = PartitionState::Reconnecting;
            partition.error = Some(error);
        }
    }

    /// Goes on elsewhere: after offsets that are lost, or before some that were cut off.
    pub fn skip(&mut self, partition: i32, to: i64) {
        if let Some(partition) = self.status.partitions.get_mut(&partition) {
            (partition.next, partition.end) = (to, None);
        }
    }

    pub fn set_paused(&mut self, paused: Option<Pause>) {
        self.status.paused = paused;
    }

    pub fn set_error(&mut self, error: String) {
        self.status.error = Some(error);
    }

    /// Takes in librdkafka's statistics; gives partitions that are new.
    pub fn observe(&mut self, topic: &str, statistics: &Statistics) -> Vec<i32> {
        let brokers = statistics.brokers.values();
        let up: HashSet<i32> = brokers.filter(|broker| broker.state == "UP").map(|broker| broker.nodeid).collect();
        self.status.connected = !up.is_empty();
        if self.status.connected {
            self.status.error = None;
        }
        let Some(topic) = statistics.topics.get(topic) else { return Vec::new() };
        for (id, seen) in &topic.partitions {
            let Some(partition) = self.status.partitions.get_mut(id) else { continue };
            if seen.ls_offset >= 0 || seen.hi_offset >= 0 {
                let end = if seen.ls_offset >= 0 { seen.ls_offset } else { seen.hi_offset };
                partition.end = Some(end.max(partition.next));
            }
            if partition.state.is_stopped() {
                continue;
            }
            if up.contains(&seen.leader) {
                run(partition);
            } else if partition.state == PartitionState::Running {
                partition.state = PartitionState::Reconnecting;
            }
        }
        let known: &BTreeMap<i32, PartitionStatus> = &self.status.partitions;
        let is_new = |(id, seen): &(&i32, &rdkafka::statistics::Partition)| {
            **id >= 0 && !seen.unknown && !known.contains_key(id)
        };
        let mut new: Vec<i32> = topic.partitions.iter().filter(is_new).map(|(id, _)| *id).collect();
        new.sort_unstable();
        new
    }
}

fn run(partition: &mut PartitionStatus) {
    if !partition.state.is_stopped() {
        partition.state = PartitionState::Running;
        partition.error = None;
    }
}
