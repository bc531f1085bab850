//! Messages that Kafka no longer has: the partition stops, or reading goes on and what is lost is told.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::client::connect;
use super::queue::Queue;
use super::reader::Follower;
use super::start::extent;
use crate::error::Result;
use crate::source::{Loss, LostRange, OnGap, PartitionState, PartitionStatus, TopicId, Turn};

/// How long a question to the cluster may hold up a partition that goes on after a gap.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to do about a stop.
const WAY_OUT: &str = "drop the relation and create it again; with on_gap = 'continue' reading goes on by itself";

impl Follower {
    /// Kafka does not have the next offset: it was deleted, or the log was cut off before it. False when no more
    /// deliveries are wanted.
    pub(super) fn gap(&self, partition: i32, text: &str) -> bool {
        let Some(next) = self.shared.tracker.lock().get(partition).map(|known| known.next) else { return true };
        self.queue.stop(partition);
        let watermarks = self.queue.client().fetch_watermarks(&self.spec.kafka.topic, partition, PATIENCE);
        let (low, high) = match watermarks {
            Ok(found) => found,
            // Asked again when librdkafka reports the gap again.
            Err(error) => {
                self.shared.tracker.lock().trouble(partition, format!("{text}: {error}"));
                self.read_from(partition, next);
                return true;
            }
        };
        let (lost, turn) = if next < low {
            (LostRange { partition, from: next, to: low, loss: Loss::Deleted }, None)
        } else if next > high {
            (LostRange { partition, from: high, to: next, loss: Loss::Cut }, Some(Turn::Back))
        } else {
            // What librdkafka found is no longer so, or the leader's log is other than ours since an election.
            (LostRange { partition, from: next, to: next, loss: Loss::Cut }, Some(Turn::Back))
        };
        if self.spec.on_gap == OnGap::Stop {
            let error = match lost.loss {
                _ if lost.from == lost.to => format!("offset {next} cannot be read ({text}); {WAY_OUT}"),
                Loss::Cut => {
                    format!("the log ends at offset {high}, and was read up to {next}: it was cut off; {WAY_OUT}")
                }
                Loss::Deleted | Loss::Topic => {
                    format!("offset {next} is no longer in Kafka, which has {low} to {high}; {WAY_OUT}")
                }
            };
            self.stop(partition, PartitionState::Gap, error);
            return true;
        }
        let to = if lost.loss == Loss::Cut { lost.from } else { lost.to };
        tracing::warn!(relation = %self.relation, partition, "{lost}");
        self.shared.tracker.lock().skip(partition, to);
        self.read_from(partition, to);
        (self.deliver)(self.no_rows([(partition, to)].into_iter().collect(), turn, vec![lost]))
    }

    fn read_from(&self, partition: i32, offset: i64) {
        if let Err(error) = self.queue.start(partition, offset) {
            self.stop(partition, PartitionState::Failed, error.message().to_owned());
        }
    }

    /// The topic is another one of the same name. False when no more deliveries are wanted.
    pub(super) fn made_anew(&mut self, id: &TopicId) -> Result<bool> {
        let topic = &self.spec.kafka.topic;
        if self.spec.on_gap == OnGap::Stop {
            let error = format!("topic \"{topic}\" was deleted and made anew (its id is {id} now); {WAY_OUT}");
            tracing::error!(relation = %self.relation, "reading stopped: {error}");
            self.stop_all(PartitionState::Recreated, &error);
            return Ok(false);
        }
        let found = match extent(&self.spec.kafka) {
            Ok(found) => found,
            // Asked again by and by.
            Err(error) => {
                tracing::warn!(relation = %self.relation, %error, "topic \"{topic}\" was made anew and does not answer");
                self.gate.doubt();
                return Ok(!self.is_stopped());
            }
        };
        if found.topic.as_ref() != Some(id) {
            // Another broker knows less, or more, than the one that named the topic.
            self.gate.doubt();
            return Ok(!self.is_stopped());
        }
        let queue = Arc::new(Queue::new(connect(&self.spec.kafka, self.context.clone())?, topic)?);
        let before = self.shared.tracker.lock().status().partitions;
        let lost: Vec<LostRange> = before.iter().map(|(partition, status)| rest(*partition, status)).collect();
        lost.iter().for_each(|lost| tracing::warn!(relation = %self.relation, partition = lost.partition, "{lost}"));
        self.shared.tracker.lock().clear();
        self.read_with(queue, found.topic.clone());
        for (partition, first) in found.first.iter() {
            self.add(partition, first)?;
        }
        let turn = found.topic.map_or(Turn::Back, Turn::Topic);
        Ok((self.deliver)(self.no_rows(found.first, Some(turn), lost)))
    }
}

/// What was not read of a partition that is gone, as far as that is known.
fn rest(partition: i32, status: &PartitionStatus) -> LostRange {
    let to = status.end.map_or(status.next, |end| end.max(status.next));
    LostRange { partition, from: status.next, to, loss: Loss::Topic }
}
