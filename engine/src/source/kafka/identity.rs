//! Whether a topic is still the one that was begun with.
//!
//! A topic that is deleted and made anew is another one of the same name. librdkafka reads on in it from the offset where
//! it was, so what the other one has before that would be missed without a word. Kafka gives each topic an id; it is asked
//! for before anything is delivered, whenever librdkafka notes a change, and now and then.
//!
//! Has `unsafe` code: events and what is read of them live until [`Event`] destroys them.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use rdkafka::bindings as rd;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;

use super::queue::{Queue, text};
use crate::source::TopicId;

/// How often it is asked when nothing gives cause.
const EVERY: Duration = Duration::from_secs(10);
/// How long the cluster has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to find a broker to ask, while reading goes on.
const BRIEFLY: Duration = Duration::from_millis(20);
/// How soon it is asked again when there was no answer to go by.
const AGAIN: Duration = Duration::from_millis(200);

/// Holds back what may come of another topic.
pub struct Gate {
    known: Option<TopicId>,
    /// The broker that answers.
    broker: Option<i32>,
    /// Questions without an answer yet. Answers come in the order of the questions.
    open: u32,
    /// Whether one of them was asked since the last doubt.
    asked: bool,
    certain: bool,
    next: Instant,
}

/// What is known of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that was begun with.
    Same,
    /// As above, and this is its id, which was not known before.
    Learned(TopicId),
    /// It is not.
    Another(TopicId),
    /// Not known yet, or no news.
    Waiting,
    /// The cluster says that there is none of this name, or nothing of use.
    Trouble(String),
}

impl Gate {
    /// A gate that is closed until the cluster has told that the topic is the one that is known, if one is.
    pub fn new(known: Option<TopicId>) -> Gate {
        Gate { known, broker: None, open: 0, asked: false, certain: false, next: Instant::now() }
    }

    /// Whether what has been taken so far is of the topic that is known.
    pub fn is_open(&self) -> bool {
        self.certain
    }

    /// Closes the gate until the cluster has answered once more.
    pub fn doubt(&mut self) {
        (self.certain, self.asked) = (false, false);
        self.next = Instant::now();
    }

    /// Asks if need be, and looks for an answer; waits for one, not longer than this, while the gate is closed.
    pub fn look(&mut self, queue: &Queue, wait: Duration) -> Verdict {
        let now = Instant::now();
        let due = if self.certain { self.open == 0 } else { !self.asked };
        if due && now >= self.next {
            self.broker = self.broker.or_else(|| queue.broker(if self.certain { BRIEFLY } else { wait }));
            let Some(broker) = self.broker else {
                self.next = now + if self.certain { EVERY } else { Duration::ZERO };
                return Verdict::Waiting;
            };
            queue.ask_for_id(broker);
            (self.open, self.asked) = (self.open + 1, true);
        }
        let wait = match (self.certain, self.asked) {
            (true, _) => Duration::ZERO,
            (false, true) => wait,
            (false, false) => wait.min(self.next.saturating_duration_since(now)),
        };
        let Some(answer) = queue.id(wait) else { return Verdict::Waiting };
        self.open = self.open.saturating_sub(1);
        if self.open > 0 || !self.asked {
            // Asked for before the doubt.
            return Verdict::Waiting;
        }
        self.asked = false;
        let (verdict, next) = match (answer, &self.known) {
            (Answer::Id(id), Some(known)) if id != *known => (Verdict::Another(id), EVERY),
            (Answer::Id(_), Some(_)) | (Answer::NoIds, _) => (Verdict::Same, EVERY),
            (Answer::Id(id), None) => (Verdict::Learned(id), EVERY),
            (Answer::Not(why), _) => {
                self.broker = None;
                (Verdict::Trouble(why), if self.certain { EVERY } else { AGAIN })
            }
        };
        if let Verdict::Learned(id) = &verdict {
            self.known = Some(id.clone());
        }
        self.certain |= matches!(verdict, Verdict::Same | Verdict::Learned(_));
        self.next = now + next;
        verdict
    }
}

/// What the cluster says of a topic.
#[derive(Debug)]
pub enum Answer {
    Id(TopicId),
    /// There is the topic, and the brokers give none of them an id.
    NoIds,
    Not(String),
}

impl Queue {
    /// A broker that answers, if one does in this time.
    fn broker(&self, wait: Duration) -> Option<i32> {
        let name = self.topic().to_str().ok()?;
        self.client().fetch_metadata(Some(name), wait).ok().and_then(|metadata| answering(&metadata))
    }

    /// Asks a broker for the topic's id.
    fn ask_for_id(&self, broker: i32) {
        let handle = self.client().client().native_ptr();
        let mut names = [self.topic().as_ptr()];
        let patience = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client and the queue live; librdkafka copies names and options before it returns; both were made
        // here and are destroyed here.
        unsafe {
            let options =
                rd::rd_kafka_AdminOptions_new(handle, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, patience, std::ptr::null_mut(), 0);
            // Not the controller, which is asked otherwise: any broker can tell.
            rd::rd_kafka_AdminOptions_set_broker(options, broker, std::ptr::null_mut(), 0);
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            rd::rd_kafka_DescribeTopics(handle, topics, options, self.answers());
            rd::rd_kafka_TopicCollection_destroy(topics);
            rd::rd_kafka_AdminOptions_destroy(options);
        }
    }

    /// The next answer, if there is one in this time.
    fn id(&self, wait: Duration) -> Option<Answer> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives.
        let event = unsafe { rd::rd_kafka_queue_poll(self.answers(), millis) };
        (!event.is_null()).then(|| Event(event).answer())
    }

    /// Asks the broker that has answered for the topic's id and waits for it, not longer than this.
    pub fn ask(&self, metadata: &Metadata, wait: Duration) -> Option<Answer> {
        self.ask_for_id(answering(metadata)?);
        self.id(wait)
    }
}

/// The broker that sent this.
fn answering(metadata: &Metadata) -> Option<i32> {
    let sender = metadata.orig_broker_id();
    let mut brokers = metadata.brokers().iter().map(|broker| broker.id());
    brokers.clone().find(|id| *id == sender).or_else(|| brokers.next())
}

/// An event of librdkafka's, destroyed when dropped.
struct Event(*mut rd::rd_kafka_event_t);

impl Event {
    fn answer(&self) -> Answer {
        // SAFETY: the event lives until it is dropped; it is the answer to the only kind of question that is asked. Texts
        // and lists are its own and live as long, and are copied.
        unsafe {
            let code = RDKafkaErrorCode::from(rd::rd_kafka_event_error(self.0));
            if code != RDKafkaErrorCode::NoError {
                return Answer::Not(text(rd::rd_kafka_event_error_string(self.0)));
            }
            let mut count = 0;
            let result = rd::rd_kafka_event_DescribeTopics_result(self.0);
            if result.is_null() {
                return Answer::Not("the brokers cannot describe topics".to_owned());
            }
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if topics.is_null() || count == 0 {
                return Answer::Not("the brokers do not describe the topic".to_owned());
            }
            let topic = *topics;
            let error = rd::rd_kafka_TopicDescription_error(topic);
            if !error.is_null() && RDKafkaErrorCode::from(rd::rd_kafka_error_code(error)) != RDKafkaErrorCode::NoError {
                return Answer::Not(text(rd::rd_kafka_error_string(error)));
            }
            let id = rd::rd_kafka_TopicDescription_topic_id(topic);
            let is_zero = id.is_null()
                || rd::rd_kafka_Uuid_most_significant_bits(id) == 0
                    && rd::rd_kafka_Uuid_least_significant_bits(id) == 0;
            if is_zero { Answer::NoIds } else { Answer::Id(TopicId(text(rd::rd_kafka_Uuid_base64str(id)))) }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it came from librdkafka and is used no more.
        unsafe { rd::rd_kafka_event_destroy(self.0) };
    }
}
