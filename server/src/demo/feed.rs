//! Sends events, at a steady pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use levada_engine::nexmark::{Config, Event, Kind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::{Broker, Topics, topic};
use super::pace::Pace;

/// How often events are sent.
const TURN: Duration = Duration::from_millis(1);
/// Messages of a partition that may wait to be read: the built-in broker forgets the oldest when there are more than
/// 5 MiB, and of the largest these are not half of that.
const MOST_UNREAD: u64 = 4_000;
/// How long the last messages have to get through.
const FAREWELL: Duration = Duration::from_secs(2);

/// A thread that makes events and sends them, until this goes.
pub struct Feed {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Messages of each kind.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    read: [AtomicU64; 3],
}

impl Feed {
    /// Starts with the first event that is not in the topics yet. The time of the events is the time when they are sent.
    pub fn start(seed: u64, rate: u32, broker: &Broker, topics: Topics) -> Result<Feed, String> {
        let shared = Arc::new(Shared::default());
        let next = topics.produced.next_number();
        let mut config = Config { seed, rate, start: 0 };
        config.start = milliseconds_since_1970() - config.time(next);
        let sender = Sender {
            producer: broker.producer()?,
            config,
            next,
            partitions: topics,
            // A real Kafka keeps what is not read.
            most_unread: broker.is_built_in().then_some(MOST_UNREAD),
            sent: [0; 3],
            turn: 0,
            message: Vec::new(),
            shared: shared.clone(),
        };
        let thread = std::thread::Builder::new().name("levada-feed".to_owned()).spawn(move || sender.run(rate));
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Feed { shared, thread: Some(thread) })
    }

    /// Tells that so many messages of a kind have been read: more may be sent.
    pub fn set_read(&self, kind: Kind, messages: u64) {
        self.shared.read[kind as usize].store(messages, Ordering::Relaxed);
    }
}

impl Drop for Feed {
    /// Returns when what was made is sent, or cannot be.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the feed failed");
        }
    }
}

struct Sender {
    producer: BaseProducer,
    config: Config,
    /// The number of the next event.
    next: u64,
    partitions: Topics,
    most_unread: Option<u64>,
    sent: [u64; 3],
    /// Counts up. The messages of a turn go to one partition, so that they make one batch: the built-in broker looks
    /// for an offset batch by batch.
    turn: u64,
    message: Vec<u8>,
    shared: Arc<Shared>,
}

impl Sender {
    fn run(mut self, rate: u32) {
        let mut pace = Pace::new(rate, Instant::now());
        while !self.is_stopped() {
            let due = pace.due(Instant::now());
            // Time goes on even when nothing happens.
            self.config.start += due.forgotten.as_millis() as i64;
            for _ in 0..due.events {
                if !self.wait_for_room() || !self.send_next() {
                    break;
                }
            }
            self.turn += 1;
            self.rest();
        }
        if let Err(error) = self.producer.flush(FAREWELL) {
            tracing::debug!(%error, "the last events were not sent");
        }
    }

    /// Waits a turn, and lets the client say what has happened. (Its own wait is a busy one when it is this short.)
    fn rest(&self) {
        std::thread::sleep(TURN);
        self.producer.poll(Duration::ZERO);
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Waits until the next message cannot push out one that has not been read. False when it is time to stop.
    fn wait_for_room(&self) -> bool {
        let kind = self.config.kind(self.next);
        let Some(most) = self.most_unread else { return !self.is_stopped() };
        let most = most * self.partitions.partitions(kind).unsigned_abs() as u64;
        let read = &self.shared.read[kind as usize];
        while self.sent[kind as usize].saturating_sub(read.load(Ordering::Relaxed)) >= most {
            if self.is_stopped() {
                return false;
            }
            self.rest();
        }
        !self.is_stopped()
    }

    /// Makes the next event and sends it, when there is room in the queue. False when it is time to stop.
    fn send_next(&mut self) -> bool {
        let kind = self.config.kind(self.next);
        self.message.clear();
        Event::of(&self.config, self.next).write_object(&mut self.message);
        let partition = (self.turn % u64::from(self.partitions.partitions(kind).unsigned_abs())) as i32;
        let mut record = BaseRecord::<(), [u8]>::to(topic(kind).0).partition(partition).payload(&self.message);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => record = again,
                Err((error, _)) => {
                    // The next event may have more luck; the bid's auction or the auction's seller will be missing.
                    tracing::warn!(%error, "an event was not sent");
                    break;
                }
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                return false;
            }
            self.rest();
        }
        self.sent[kind as usize] += 1;
        self.next += 1;
        true
    }
}

fn milliseconds_since_1970() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
