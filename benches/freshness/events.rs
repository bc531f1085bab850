//! A topic that gets events at a steady rate, and goes in the end.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use levada_engine::nexmark::{Config, Event};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::Outcome;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;
const SEED: u64 = 42;
/// How often events are sent that are due.
const TICK: Duration = Duration::from_millis(1);

pub struct Events {
    config: ClientConfig,
    topic: String,
    rate: u32,
    times: Arc<Times>,
}

/// When events were given to the producer, in their order.
#[derive(Default)]
pub struct Times(Mutex<Vec<(i64, Instant)>>);

impl Times {
    fn add(&self, count: i64, at: Instant) -> Result<(), String> {
        self.0.lock().map_err(|error| error.to_string())?.push((count, at));
        Ok(())
    }

    /// When the last of the first so many events was sent; None when there were not so many.
    pub fn of(&self, count: i64) -> Option<Instant> {
        let times = self.0.lock().ok()?;
        let index = times.partition_point(|(sent, _)| *sent < count);
        times.get(index).map(|(_, at)| *at)
    }
}

impl Events {
    /// Makes the topic.
    pub async fn create(brokers: &str, rate: u32) -> Outcome<Events> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "3").set("linger.ms", "1");
        let topic = format!("freshness-{}", std::process::id());
        let wanted = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        for made in admin.create_topics([&wanted], &options()).await? {
            made.map_err(|(name, code)| format!("topic {name} cannot be created: {code}"))?;
        }
        Ok(Events { config, topic, rate, times: Arc::default() })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn times(&self) -> Arc<Times> {
        self.times.clone()
    }

    pub async fn delete(self) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.config.create()?;
        for gone in admin.delete_topics(&[&self.topic], &options()).await? {
            gone.map_err(|(name, code)| format!("topic {name} cannot be deleted: {code}"))?;
        }
        Ok(())
    }

    /// Sends events for so long, on a thread.
    pub fn send(&mut self, time: Duration) -> JoinHandle<Result<(), String>> {
        let (config, topic, rate, times) = (self.config.clone(), self.topic.clone(), self.rate, self.times.clone());
        std::thread::spawn(move || send(&config, &topic, rate, time, &times))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}

fn send(config: &ClientConfig, topic: &str, rate: u32, time: Duration, times: &Times) -> Result<(), String> {
    let text = |error: rdkafka::error::KafkaError| error.to_string();
    let producer: BaseProducer = config.create().map_err(text)?;
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let stream = Config { seed: SEED, start: i64::try_from(start.as_millis()).unwrap_or(i64::MAX), rate };
    let (began, mut sent, mut message) = (Instant::now(), 0_u64, Vec::with_capacity(512));
    while began.elapsed() < time {
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        // Known before they can be counted.
        times.add(due.cast_signed(), Instant::now())?;
        for number in sent..due {
            message.clear();
            Event::of(&stream, number).write_message(&mut message);
            let partition = i32::try_from(number % u64::from(PARTITIONS.unsigned_abs())).unwrap_or(0);
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&message);
            producer.send(record).map_err(|(error, _)| error.to_string())?;
        }
        sent = due;
        producer.poll(Duration::ZERO);
        std::thread::sleep(TICK);
    }
    producer.flush(PATIENCE).map_err(text)
}
