//! A thread that follows a topic.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Context, connect};
use super::identity::{Gate, Verdict};
use super::queue::{Event, Queue};
use super::runs::{self, Run};
use super::tracker::Tracker;
use crate::data::ObjectId;
use crate::error::{Error, Result};
use crate::source::intake::Share;
use crate::source::{
    BadRecord, Decoded, Decoder, Delivery, Intake, LostRange, Message, Offsets, OnError, PartitionState, Pause, Place,
    SourceSpec, SourceStatus, Times, TopicId, Turn,
};

/// Longest wait for messages, and for room: how often reports are looked at.
pub(super) const TURN: Duration = Duration::from_millis(100);

/// Time between two deliveries at least. Brokers hand out each small batch as soon as a producer has sent it: a step for every
/// one of them would cost many times what one for all of a moment does, and keep queries from the cores.
const PACE: Duration = Duration::from_millis(2);

/// Follows one topic on a thread of its own until it is dropped. Brokers that go away are waited for.
pub struct Reader {
    shared: Arc<Shared>,
    intake: Arc<Intake>,
    /// Closes when nothing will be delivered any more.
    ended: Receiver<()>,
}

pub(super) struct Shared {
    stop: AtomicBool,
    pub(super) tracker: Mutex<Tracker>,
    /// Weak, so that it is the thread that closes the connections.
    queue: Mutex<Weak<Queue>>,
    decoder: Mutex<Arc<dyn Decoder>>,
}

/// Where deliveries go; false means that no more are wanted. It must not block: the [`Intake`] is what holds readers back.
type Deliver = Box<dyn Fn(Delivery) -> bool + Send>;

impl Reader {
    /// Starts reading `from` there on. A partition that `from` does not name begins where the source does, or at 0 if
    /// it came later.
    ///
    /// # Errors
    /// 22023 when librdkafka does not take the properties. Brokers that are away are no error.
    pub fn start(
        relation: ObjectId,
        spec: Arc<SourceSpec>,
        from: &Place,
        decoder: Arc<dyn Decoder>,
        intake: Arc<Intake>,
        deliver: Deliver,
    ) -> Result<Reader> {
        let context = Context::default();
        let queue = Arc::new(Queue::new(connect(&spec.kafka, context.clone())?, &spec.kafka.topic)?);
        let topic = from.topic.clone().or_else(|| spec.kafka.topic_id.clone());
        let mut start = spec.kafka.start_in(topic.as_ref());
        start.advance(&from.offsets);
        let (stop, tracker, decoder) = (AtomicBool::new(false), Mutex::default(), Mutex::new(decoder));
        let shared = Arc::new(Shared { stop, tracker, decoder, queue: Mutex::new(Arc::downgrade(&queue)) });
        let (alive, ended) = mpsc::channel();
        let mut follower = Follower {
            relation,
            spec,
            deliver,
            context,
            shared: shared.clone(),
            intake: intake.clone(),
            share: Share::default(),
            queue,
            suspended: Cell::new(false),
            taken: Instant::now(),
            gate: Gate::new(topic),
            _alive: alive,
        };
        for (partition, offset) in start.iter() {
            follower.add(partition, offset)?;
        }
        std::thread::Builder::new()
            .name(format!("kafka-{relation}"))
            .spawn(move || {
                follower.run();
                // The client may take its time to close: whoever drops the reader does not wait for that.
                let Follower { queue, _alive: alive, deliver, .. } = follower;
                drop(deliver);
                drop(alive);
                drop(queue);
            })
            .map_err(|error| Error::internal("a reader's thread cannot be started").with_source(error))?;
        Ok(Reader { shared, intake, ended })
    }

    /// Decodes with another decoder, of the same schema, from some message on: it must do for what the reader delivers to
    /// that the other does.
    pub fn decode_with(&self, decoder: Arc<dyn Decoder>) {
        *self.shared.decoder.lock() = decoder;
    }

    /// Delivers nothing more; the status says why. For good: reading goes on with another reader.
    pub fn halt(&self, why: &str) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.tracker.lock().stop_all(PartitionState::Halted, why);
        self.intake.wake();
    }

    /// How it is doing.
    pub fn status(&self) -> SourceStatus {
        self.watch().status()
    }

    /// What tells how it is doing to those who do not have it.
    pub fn watch(&self) -> Watch {
        Watch(self.shared.clone())
    }
}

/// A reader's status, for others than its owner.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// How the reader is doing.
    pub fn status(&self) -> SourceStatus {
        self.0.tracker.lock().status()
    }
}

impl Drop for Reader {
    /// When this returns, nothing is delivered any more. The connections are closed later, by the thread.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.intake.wake();
        let queue = self.shared.queue.lock().upgrade();
        if let Some(queue) = queue {
            queue.wake();
        }
        // An error is what is waited for: the thread holds the other end.
        let _ = self.ended.recv();
    }
}

pub(super) struct Follower {
    pub(super) relation: ObjectId,
    pub(super) spec: Arc<SourceSpec>,
    pub(super) deliver: Deliver,
    pub(super) context: Context,
    pub(super) shared: Arc<Shared>,
    intake: Arc<Intake>,
    share: Share,
    pub(super) queue: Arc<Queue>,
    pub(super) gate: Gate,
    /// Whether fetching has stopped for want of memory.
    suspended: Cell<bool>,
    /// When messages were last taken.
    taken: Instant,
    _alive: Sender<()>,
}

impl Follower {
    fn run(&mut self) {
        let mut looked = Instant::now();
        while !self.is_stopped() {
            if looked.elapsed() >= TURN {
                looked = Instant::now();
                self.read_reports();
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(relation = %self.relation, %error, "reading stopped");
                    self.stop_all(PartitionState::Failed, error.message());
                    break;
                }
            }
        }
    }

    /// Delivers what has come, if there is room for it; false when no more is wanted.
    fn turn(&mut self) -> Result<bool> {
        if !self.gate.is_open() {
            return self.look(TURN);
        }
        let pause = self.intake.wait_for_room(&self.share, TURN);
        self.shared.tracker.lock().set_paused(pause);
        if self.is_stopped() {
            return Ok(true);
        }
        self.suspend(pause == Some(Pause::Memory));
        if pause.is_some() {
            return Ok(true);
        }
        let queue = self.queue.clone();
        // What comes meanwhile waits in the queue.
        std::thread::sleep(PACE.saturating_sub(self.taken.elapsed()));
        let batch = queue.take(TURN);
        if !batch.is_empty() {
            self.taken = Instant::now();
        }
        queue.report();
        if self.context.take_changed() {
            self.gate.doubt();
        }
        while !self.gate.is_open() && !self.is_stopped() {
            if !self.look(TURN)? {
                return Ok(false);
            }
            self.read_reports();
        }
        // Messages of a client that there is no more are not of the topic that is read now.
        if self.is_stopped() || !Arc::ptr_eq(&queue, &self.queue) {
            return Ok(true);
        }
        Ok(self.take_in(batch.events(self.spec.reads_headers()))? && self.look(Duration::ZERO)?)
    }

    /// Looks whether the topic is still the same; false when no more is wanted.
    fn look(&mut self, wait: Duration) -> Result<bool> {
        let queue = self.queue.clone();
        match self.gate.look(&queue, wait) {
            Verdict::Same | Verdict::Waiting => Ok(true),
            Verdict::Learned(topic) => {
                let offsets = self.shared.tracker.lock().next();
                Ok((self.deliver)(self.no_rows(offsets, Some(Turn::Learned(topic)), Vec::new())))
            }
            Verdict::Another(topic) => self.made_anew(&topic),
            Verdict::Trouble(why) => {
                let mut tracker = self.shared.tracker.lock();
                for partition in tracker.status().partitions.into_keys() {
                    tracker.trouble(partition, why.clone());
                }
                Ok(true)
            }
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// Reads on with another client.
    pub(super) fn read_with(&mut self, queue: Arc<Queue>, topic: Option<TopicId>) {
        *self.shared.queue.lock() = Arc::downgrade(&queue);
        self.queue = queue;
        self.context.take();
        self.gate = Gate::new(topic);
    }

    fn decoder(&self) -> Arc<dyn Decoder> {
        self.shared.decoder.lock().clone()
    }

    pub(super) fn add(&self, partition: i32, offset: i64) -> Result<()> {
        self.shared.tracker.lock().add(partition, offset);
        // If not now, it is started with the others.
        if self.suspended.get() { Ok(()) } else { self.queue.start(partition, offset) }
    }

    /// Stops fetching and frees what was fetched ahead, or goes on behind what was delivered last.
    fn suspend(&self, suspend: bool) {
        if suspend == self.suspended.replace(suspend) {
            return;
        }
        let partitions = self.shared.tracker.lock().read();
        if suspend {
            partitions.iter().for_each(|(partition, _)| self.queue.stop(*partition));
            self.queue.drain();
            return;
        }
        for (partition, next) in partitions {
            if let Err(error) = self.queue.start(partition, next) {
                self.stop(partition, PartitionState::Failed, error.message().to_owned());
            }
        }
    }

    /// Connections, ends of partitions, new partitions.
    fn read_reports(&self) {
        self.queue.report();
        let reports = self.context.take();
        let mut tracker = self.shared.tracker.lock();
        if let Some(error) = reports.error {
            tracker.set_error(error);
        }
        let Some(statistics) = reports.statistics else { return };
        let new = tracker.observe(&self.spec.kafka.topic, &statistics);
        drop(tracker);
        for partition in new {
            tracing::info!(relation = %self.relation, partition, "a partition was added to the topic");
            if let Err(error) = self.add(partition, 0) {
                self.stop(partition, PartitionState::Failed, error.message().to_owned());
            }
        }
    }

    /// Delivers what was taken from the queue; false when no more is wanted.
    fn take_in<'a>(&self, events: impl Iterator<Item = Event<'a>>) -> Result<bool> {
        let mut messages = Vec::new();
        let mut ends = BTreeMap::new();
        let mut gaps = Vec::new();
        let tracker = self.shared.tracker.lock();
        let mut failures = Vec::new();
        // librdkafka goes on behind what it cannot read; nothing behind it may count.
        let mut broken = BTreeSet::new();
        for event in events {
            match event {
                Event::Message(message)
                    if tracker.wants(message.partition, message.offset) && !broken.contains(&message.partition) =>
                {
                    messages.push(message);
                }
                Event::Message(_) => {}
                Event::End { partition, offset } if !broken.contains(&partition) => {
                    ends.insert(partition, offset);
                }
                Event::End { .. } => {}
                Event::Error { partition, code: RDKafkaErrorCode::AutoOffsetReset, text } => {
                    gaps.push((partition, text));
                }
                Event::Error { partition, code, text } => {
                    if is_unreadable(code) {
                        broken.insert(partition);
                    }
                    failures.push((partition, code, text));
                }
            }
        }
        drop(tracker);
        if !self.deliver_messages(&messages)? || !self.deliver_ends(&ends) {
            return Ok(false);
        }
        for (partition, code, text) in failures {
            self.failure(partition, code, text);
        }
        for (partition, text) in gaps {
            if !self.gap(partition, &text) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn deliver_messages(&self, messages: &[Message<'_>]) -> Result<bool> {
        let mut failed = false;
        for run in runs::decode(messages, &*self.decoder(), &self.intake)? {
            let Run { messages: range, decoded } = run;
            failed |= self.spec.on_error == OnError::Fail && !decoded.refused.is_empty();
            let goes_on = match failed {
                true => self.deliver_before_failures(&messages[range])?,
                false => self.deliver_run(&messages[range], decoded),
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The messages up to the first bad one of each partition, which stops there.
    fn deliver_before_failures(&self, messages: &[Message<'_>]) -> Result<bool> {
        let wanted = |message: &&Message<'_>| self.shared.tracker.lock().wants(message.partition, message.offset);
        let mut messages: Vec<Message<'_>> = messages.iter().filter(wanted).cloned().collect();
        loop {
            let decoded = self.decoder().decode(&messages)?;
            let Some(refusal) = decoded.refused.first() else {
                return Ok(messages.is_empty() || self.deliver_run(&messages, decoded));
            };
            let (partition, offset) = (messages[refusal.index].partition, messages[refusal.index].offset);
            let error = format!("message at offset {offset}: {}", refusal.reason);
            self.stop(partition, PartitionState::Refused, error);
            messages.retain(|message| message.partition != partition || message.offset < offset);
        }
    }

    fn deliver_run(&self, messages: &[Message<'_>], decoded: Decoded) -> bool {
        self.shared.tracker.lock().delivered(messages);
        let runs =
            if self.spec.watermark.is_some() { runs::partitions(messages, &decoded.refused) } else { Vec::new() };
        let bad: Vec<BadRecord> = decoded
            .refused
            .into_iter()
            .map(|refusal| BadRecord::new(&messages[refusal.index], refusal.reason))
            .collect();
        let bad_bytes: usize = bad.iter().map(BadRecord::bytes).sum();
        let bytes = decoded.rows.get_array_memory_size() + bad_bytes;
        (self.deliver)(Delivery {
            relation: self.relation,
            turn: None,
            offsets: messages.iter().map(|message| (message.partition, message.offset + 1)).collect(),
            times: messages.iter().filter_map(|message| message.timestamp_ms).collect(),
            permit: self.intake.take(&self.share, bytes),
            rows: decoded.rows,
            runs,
            deleted: decoded.deleted,
            bad,
            lost: Vec::new(),
        })
    }

    /// Tells how far reading has come where no message told it.
    fn deliver_ends(&self, ends: &BTreeMap<i32, i64>) -> bool {
        let mut tracker = self.shared.tracker.lock();
        let moved =
            |(partition, offset): (&i32, &i64)| tracker.reached(*partition, *offset).then_some((*partition, *offset));
        let offsets: Offsets = ends.iter().filter_map(moved).collect();
        drop(tracker);
        offsets.0.is_empty() || (self.deliver)(self.no_rows(offsets, None, Vec::new()))
    }

    pub(super) fn no_rows(&self, offsets: Offsets, turn: Option<Turn>, lost: Vec<LostRange>) -> Delivery {
        Delivery {
            relation: self.relation,
            rows: arrow::array::RecordBatch::new_empty(self.decoder().schema().clone()),
            runs: Vec::new(),
            deleted: None,
            offsets,
            turn,
            bad: Vec::new(),
            lost,
            times: Times::default(),
            permit: self.intake.take(&self.share, 0),
        }
    }

    /// What librdkafka says of a partition instead of a message.
    fn failure(&self, partition: i32, code: RDKafkaErrorCode, text: String) {
        match is_unreadable(code) {
            true => self.stop(partition, PartitionState::Failed, text),
            false => self.shared.tracker.lock().trouble(partition, text),
        }
    }

    pub(super) fn stop(&self, partition: i32, state: PartitionState, error: String) {
        tracing::error!(relation = %self.relation, partition, "partition stopped: {error}");
        self.queue.stop(partition);
        self.shared.tracker.lock().stop(partition, state, error);
    }

    pub(super) fn stop_all(&self, state: PartitionState, error: &str) {
        self.shared.tracker.lock().stop_all(state, error);
    }
}

/// Whether an error says that messages are there which nobody can read.
pub(super) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::UnsupportedCompressionType
    )
}
