//! Which offsets a topic has: asked at CREATE, and whenever a query must know the end.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Client, Context, connect};
use super::identity::Answer;
use super::queue::Queue;
use crate::error::{Error, Result, SqlState};
use crate::source::{Kafka, Offsets, OnGap, Place, SourceSpec, TopicId};

/// How long the cluster has to answer everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long brokers have to answer once connections to some have failed.
const GRACE: Duration = Duration::from_secs(3);
/// How long one question waits before the client is looked at.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Between two questions to brokers that are not as far yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first message of this time (milliseconds since 1970) or later.
    Timestamp(i64),
}

/// The answer of [`resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The offset in every partition there is now.
    pub start: Offsets,
    /// The topic's id.
    pub topic: Option<TopicId>,
    /// Offsets before the earliest that are there: what Kafka has deleted since the topic began. 0 for starts other than
    /// [`Start::Earliest`], which ask for no history.
    pub missing: u64,
}

/// Turns a start into offsets, once, at CREATE. Blocks for up to ten seconds.
///
/// # Errors
/// 08006 when no broker answers, 42704 when there is no such topic, 22023 when the properties are wrong.
pub fn resolve(kafka: &Kafka, start: Start) -> Result<Resolved> {
    let mut found = Topic::open(kafka)?;
    let topic = found.id.take();
    match start {
        Start::Earliest => {
            let start: Offsets = found.watermarks()?.map(|(partition, low, _)| (partition, low)).collect();
            let missing = start.iter().map(|(_, low)| low.unsigned_abs()).sum();
            Ok(Resolved { start, topic, missing })
        }
        Start::Latest => {
            let start = found.watermarks()?.map(|(partition, _, high)| (partition, high)).collect();
            Ok(Resolved { start, topic, missing: 0 })
        }
        Start::Timestamp(millis) => Ok(Resolved { start: found.at(millis)?, topic, missing: 0 }),
    }
}

/// The messages that a topic has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset of the oldest message of each partition.
    pub first: Offsets,
    /// The offset after the last message; with `read_committed`, of the finished transactions.
    pub end: Offsets,
    /// The topic's id.
    pub topic: Option<TopicId>,
}

impl Extent {
    /// Where reading begins that should begin at [`Kafka::start`]: later where messages are gone, at the first message in
    /// a topic that was made anew if the source goes on there.
    ///
    /// # Errors
    /// 55000 when it is another topic of the same name and the source does not go on there, or when it ends before that.
    pub fn begin(&self, spec: &SourceSpec) -> Result<Offsets> {
        let kafka = &spec.kafka;
        let topic = &kafka.topic;
        if self.is_other(kafka) && spec.on_gap == OnGap::Stop {
            let message = format!("topic \"{topic}\" was deleted and made anew since the source was created");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(
                "Drop the source and create it again; with on_gap = 'continue' it goes on in such a topic.",
            ));
        }
        let own = kafka.start_in(self.topic.as_ref());
        let begin = |(partition, end): (i32, i64)| {
            let start = own.get(partition).unwrap_or(0);
            if end < start {
                let message =
                    format!("partition {partition} of topic \"{topic}\" ends at offset {end}, before {start}");
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                    .with_detail(
                        "The source begins there: its log was cut off, or made anew, since the source was created.",
                    )
                    .with_hint("Drop the source and create it again."));
            }
            Ok((partition, start.max(self.first.get(partition).unwrap_or(0))))
        };
        self.end.iter().map(begin).collect()
    }

    /// Messages after [`Kafka::start`] that are no longer there; of a topic that was made anew, those of the new one.
    pub fn missing(&self, kafka: &Kafka) -> u64 {
        let start = kafka.start_in(self.topic.as_ref());
        let gone = |(partition, first): (i32, i64)| (first - start.get(partition).unwrap_or(0)).max(0);
        self.first.iter().map(|first| gone(first).unsigned_abs()).sum()
    }

    /// Whether it is another topic than the source was made for.
    pub fn is_other(&self, kafka: &Kafka) -> bool {
        kafka.is_other(self.topic.as_ref())
    }

    /// How far a source has been read whose messages up to the end have been read.
    pub fn read(&self) -> Place {
        Place { offsets: self.end.clone(), topic: self.topic.clone() }
    }
}

/// Asks for the messages that a topic has now. Blocks for up to ten seconds.
///
/// # Errors
/// As [`resolve`].
pub fn extent(kafka: &Kafka) -> Result<Extent> {
    let mut found = Topic::open(kafka)?;
    let mut extent = Extent { first: Offsets::default(), end: Offsets::default(), topic: found.id.take() };
    for (partition, first, end) in found.watermarks()? {
        extent.first.set(partition, first);
        extent.end.set(partition, end);
    }
    Ok(extent)
}

/// A topic that answers questions until the deadline.
struct Topic<'a> {
    queue: Queue,
    context: Context,
    kafka: &'a Kafka,
    /// None from brokers that give topics no ids.
    id: Option<TopicId>,
    partitions: Vec<i32>,
    deadline: Instant,
}

impl Topic<'_> {
    fn open(kafka: &Kafka) -> Result<Topic<'_>> {
        let context = Context::default();
        let queue = Queue::new(connect(kafka, context.clone())?, &kafka.topic)?;
        let deadline = Instant::now() + PATIENCE;
        let mut topic = Topic { queue, context, kafka, id: None, partitions: Vec::new(), deadline };
        let metadata = topic.metadata()?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == kafka.topic) else {
            return Err(topic.unknown());
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Err(topic.unknown());
            }
            Some(code) => return Err(topic.unreachable(&KafkaError::MetadataFetch(code))),
        }
        topic.partitions = found.partitions().iter().map(|partition| partition.id()).collect();
        topic.partitions.sort_unstable();
        if topic.partitions.is_empty() {
            return Err(topic.unknown());
        }
        match topic.queue.ask(&metadata, topic.left()) {
            Some(Answer::Id(id)) => topic.id = Some(id),
            Some(Answer::NoIds) => {}
            Some(Answer::Not(why)) => return Err(topic.silent(&why)),
            None => return Err(topic.silent("it does not say which topic it is")),
        }
        Ok(topic)
    }

    fn client(&self) -> &Client {
        self.queue.client()
    }

    /// Asks for the topic, until there is an answer or no hope for one.
    fn metadata(&self) -> Result<Metadata> {
        let hopeless = Instant::now() + GRACE;
        loop {
            let error = match self.client().fetch_metadata(Some(&self.kafka.topic), self.left().min(ATTEMPT)) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            self.queue.report();
            let code = error.rdkafka_error_code();
            let silent = [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::OperationTimedOut];
            let (now, waits) = (Instant::now(), code.is_some_and(|code| silent.contains(&code)));
            if !waits || now >= self.deadline || now >= hopeless && self.context.has_error() {
                return Err(self.unreachable(&error));
            }
        }
    }

    /// Per partition its first offset and the one after its last.
    fn watermarks(&self) -> Result<impl Iterator<Item = (i32, i64, i64)>> {
        let mut watermarks = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            let ask = || self.client().fetch_watermarks(&self.kafka.topic, *partition, self.left());
            let (low, high) = self.of_leaders(ask)?;
            watermarks.push((*partition, low, high));
        }
        Ok(watermarks.into_iter())
    }

    /// The first offset of a time or later; the end where there is none.
    fn at(&self, millis: i64) -> Result<Offsets> {
        let mut times = TopicPartitionList::new();
        for partition in &self.partitions {
            times
                .add_partition_offset(&self.kafka.topic, *partition, Offset::Offset(millis))
                .map_err(|error| self.unreachable(&error))?;
        }
        let found = self.of_leaders(|| {
            let found = self.client().offsets_for_times(times.clone(), self.left())?;
            found.elements().iter().try_for_each(|element| element.error())?;
            Ok(found)
        })?;
        let mut offsets: Offsets = self.watermarks()?.map(|(partition, _, high)| (partition, high)).collect();
        for element in found.elements() {
            if let Offset::Offset(offset) = element.offset() {
                offsets.set(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// Asks the leaders of partitions. Those of a topic that was just made may not know yet that they lead.
    fn of_leaders<T>(&self, ask: impl Fn() -> KafkaResult<T>) -> Result<T> {
        use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};
        let hopeless = Instant::now() + GRACE;
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            let waits = [LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition].map(Some).contains(&code);
            if !waits || Instant::now() >= hopeless {
                return Err(self.unreachable(&error));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    fn unknown(&self) -> Error {
        let Kafka { topic, brokers, .. } = self.kafka;
        let message = format!("topic \"{topic}\" does not exist in the Kafka cluster at {brokers}");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
            .with_hint("Create the topic, or check its name and that of the cluster.")
    }

    fn unreachable(&self, error: &KafkaError) -> Error {
        self.silent(&reason(error))
    }

    fn silent(&self, why: &str) -> Error {
        let Kafka { topic, brokers, .. } = self.kafka;
        // The client's own report says more than the timeout: which broker refused, and how.
        self.queue.report();
        let reason = self.context.take().error.unwrap_or_else(|| why.to_owned());
        let message = format!("the Kafka cluster at {brokers} does not answer for topic \"{topic}\"");
        Error::new(SqlState::CONNECTION_FAILURE, message)
            .with_detail(format!("{}.", reason.trim_end_matches('.')))
            .with_hint("Check properties.bootstrap.server, that the brokers run, and their security settings.")
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}
