//! A stretch of a topic, read once more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Context, connect};
use super::identity::{Gate, Verdict};
use super::queue::{Event, Queue};
use super::reader::{TURN, is_unreadable};
use super::runs::{self, Run};
use crate::error::{Error, Result, SqlState};
use crate::source::{BadRecord, Decoder, Intake, Message, Offsets, OnError, Place, SourceSpec, TopicId};

/// How long the brokers may be silent while messages are missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rows of a stretch and, among them, the messages that are none.
#[derive(Debug)]
pub struct Part {
    pub rows: RecordBatch,
    /// The partitions of the rows: so many rows of one, then so many of another. Only told where the source has a
    /// watermark.
    pub runs: Vec<(i32, usize)>,
    pub bad: Vec<BadRecord>,
}

/// The messages of a topic from offsets up to, not including, offsets, in parts of at most 16 Ki rows; those of a
/// partition in their order. Only a part and what librdkafka has fetched ahead is in memory.
///
/// A partition is done when the reader stands at its end, not when so many messages came: the ends of transactions have
/// offsets as well. The first error is the last item: 08006 when the brokers are silent, 55000 when messages of the
/// stretch are no longer there, 22P02 when one is no row and the source is to fail then.
pub struct History {
    spec: Arc<SourceSpec>,
    decoder: Arc<dyn Decoder>,
    intake: Arc<Intake>,
    context: Context,
    queue: Arc<Queue>,
    gate: Gate,
    /// Says that nobody wants the rest any more.
    stopped: Box<dyn Fn() -> bool + Send>,
    /// Partitions that are not done.
    left: BTreeMap<i32, Stretch>,
    ready: VecDeque<Part>,
    /// What a broker said instead of messages.
    trouble: Option<String>,
    gone: bool,
    ended: bool,
}

/// What is left of a partition.
struct Stretch {
    next: i64,
    end: i64,
    /// Where librdkafka fetches.
    fetching: i64,
}

impl History {
    /// Begins to read. Partitions that `from` does not name begin at 0; those that `to` does not name are left out.
    ///
    /// # Errors
    /// 22023 when librdkafka does not take the properties.
    pub fn open(
        spec: Arc<SourceSpec>,
        from: &Offsets,
        to: &Place,
        decoder: Arc<dyn Decoder>,
        intake: Arc<Intake>,
        stopped: Box<dyn Fn() -> bool + Send>,
    ) -> Result<History> {
        let context = Context::default();
        let queue = Arc::new(Queue::new(connect(&spec.kafka, context.clone())?, &spec.kafka.topic)?);
        let mut left = BTreeMap::new();
        for (partition, end) in to.offsets.iter() {
            let next = from.get(partition).unwrap_or(0);
            if next < end {
                queue.start(partition, next)?;
                left.insert(partition, Stretch { next, end, fetching: next });
            }
        }
        let (ready, trouble, gone, ended) = Default::default();
        let gate = Gate::new(to.topic.clone());
        Ok(History { spec, decoder, intake, context, queue, gate, stopped, left, ready, trouble, gone, ended })
    }

    /// Whether it ended because messages of the stretch are no longer there.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The next part; None after the last.
    fn read(&mut self) -> Result<Option<Part>> {
        let mut heard = Instant::now();
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if self.left.is_empty() {
                return Ok(None);
            }
            if (self.stopped)() {
                return Err(Error::new(SqlState::QUERY_CANCELED, "nobody reads the messages any more"));
            }
            let queue = self.queue.clone();
            let batch = queue.take(TURN);
            queue.report();
            if self.context.take_changed() {
                self.gate.doubt();
            }
            if !self.gate.is_open() {
                self.wait_for_topic(&queue, heard + PATIENCE)?;
            }
            if self.take_in(batch.events(self.spec.reads_headers()))? | self.read_reports() {
                heard = Instant::now();
            }
            if heard.elapsed() > PATIENCE {
                return Err(self.silence());
            }
        }
    }

    /// Waits until it is clear that the messages taken so far are of the topic that was begun with.
    fn wait_for_topic(&mut self, queue: &Queue, deadline: Instant) -> Result<()> {
        while !self.gate.is_open() {
            match self.gate.look(queue, TURN) {
                Verdict::Another(topic) => {
                    self.gone = true;
                    return Err(self.made_anew(&topic));
                }
                Verdict::Trouble(why) => self.trouble = Some(why),
                Verdict::Same | Verdict::Learned(_) | Verdict::Waiting => {}
            }
            if (self.stopped)() {
                return Err(Error::new(SqlState::QUERY_CANCELED, "nobody reads the messages any more"));
            }
            if Instant::now() > deadline {
                return Err(self.silence());
            }
        }
        Ok(())
    }

    /// Whether anything came.
    fn take_in<'a>(&mut self, events: impl Iterator<Item = Event<'a>>) -> Result<bool> {
        let mut messages = Vec::new();
        let mut heard = false;
        for event in events {
            match event {
                Event::Message(message) => {
                    heard = true;
                    let Some(stretch) = self.left.get_mut(&message.partition) else { continue };
                    let wanted = message.offset >= stretch.next && message.offset < stretch.end;
                    stretch.next = stretch.next.max(message.offset + 1);
                    if wanted {
                        messages.push(message);
                    }
                }
                Event::End { partition, offset } => {
                    if let Some(stretch) = self.left.get_mut(&partition) {
                        heard |= offset > stretch.next;
                        stretch.next = stretch.next.max(offset);
                    }
                }
                Event::Error { partition, code: RDKafkaErrorCode::AutoOffsetReset, .. } => {
                    if let Some(stretch) = self.left.get(&partition) {
                        let error = self.lost(partition, stretch.next);
                        self.gone = true;
                        return Err(error);
                    }
                }
                Event::Error { partition, code, text } if is_unreadable(code) => {
                    let message =
                        format!("partition {partition} of topic \"{}\" cannot be read", self.spec.kafka.topic);
                    return Err(Error::new(SqlState::DATA_CORRUPTED, message).with_detail(format!("{text}.")));
                }
                Event::Error { text, .. } => self.trouble = Some(text),
            }
        }
        self.decode(&messages)?;
        for (partition, _) in self.left.extract_if(.., |_, stretch| stretch.next >= stretch.end) {
            self.queue.stop(partition);
        }
        Ok(heard)
    }

    fn decode(&mut self, messages: &[Message<'_>]) -> Result<()> {
        for Run { messages: range, decoded } in runs::decode(messages, &*self.decoder, &self.intake)? {
            let messages = &messages[range];
            let runs = match self.spec.watermark {
                Some(_) => runs::partitions(messages, &decoded.refused),
                None => Vec::new(),
            };
            let record = |refusal: crate::source::Refusal| BadRecord::new(&messages[refusal.index], refusal.reason);
            let bad: Vec<BadRecord> = decoded.refused.into_iter().map(record).collect();
            if let (OnError::Fail, Some(bad)) = (self.spec.on_error, bad.first()) {
                let (topic, BadRecord { partition, offset, error, .. }) = (&self.spec.kafka.topic, bad);
                let message =
                    format!("the message at offset {offset} of partition {partition} of topic \"{topic}\" is no row");
                return Err(Error::new(SqlState::INVALID_TEXT, message)
                    .with_detail(format!("{error}."))
                    .with_hint("Without on_error = 'fail' such messages are kept in levada_catalog.source_errors."));
            }
            self.ready.push_back(Part { rows: decoded.rows, runs, bad });
        }
        Ok(())
    }

    /// Whether librdkafka gets ahead, if only through messages of transactions that were rolled back: nobody sees those.
    fn read_reports(&mut self) -> bool {
        self.queue.report();
        let reports = self.context.take();
        self.trouble = reports.error.or_else(|| self.trouble.take());
        let Some(statistics) = reports.statistics else { return false };
        let Some(topic) = statistics.topics.get(&self.spec.kafka.topic) else { return false };
        let mut ahead = false;
        for (partition, seen) in &topic.partitions {
            if let Some(stretch) = self.left.get_mut(partition).filter(|stretch| seen.next_offset > stretch.fetching) {
                stretch.fetching = seen.next_offset;
                ahead = true;
            }
        }
        ahead
    }

    fn silence(&self) -> Error {
        let (topic, brokers) = (&self.spec.kafka.topic, &self.spec.kafka.brokers);
        let seconds = PATIENCE.as_secs();
        let message =
            format!("the Kafka cluster at {brokers} sent no messages of topic \"{topic}\" for {seconds} seconds");
        let waiting: Vec<String> =
            self.left.iter().map(|(partition, left)| format!("{partition} at offset {}", left.next)).collect();
        let trouble = self.trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}"));
        Error::new(SqlState::CONNECTION_FAILURE, message)
            .with_detail(format!("Waiting in partition {}{trouble}.", waiting.join(", ")))
            .with_hint("Check that the brokers run, and try again.")
    }

    fn made_anew(&self, id: &TopicId) -> Error {
        let message = format!("topic \"{}\" was deleted and made anew", self.spec.kafka.topic);
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_detail(format!("Its id is {id} now: messages of the topic that was read before are gone."))
            .with_hint("Drop the source and create it again; with on_gap = 'continue' it goes on in such a topic.")
    }

    fn lost(&self, partition: i32, next: i64) -> Error {
        let topic = &self.spec.kafka.topic;
        let message = format!("offset {next} of partition {partition} of topic \"{topic}\" is no longer there");
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_detail("Kafka deleted messages while they were read.")
            .with_hint("Try again: reading then begins with the oldest message that is there.")
    }
}

impl Iterator for History {
    type Item = Result<Part>;

    fn next(&mut self) -> Option<Result<Part>> {
        if self.ended {
            return None;
        }
        let part = self.read();
        self.ended = !matches!(part, Ok(Some(_)));
        part.transpose()
    }
}
