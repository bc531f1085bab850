//! The topic: filled once, then found again.

use std::time::Duration;

use levada_engine::nexmark::{Config, Event};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::Outcome;

const PATIENCE: Duration = Duration::from_secs(60);
/// When the first event happens: the queries of a run see the same times as those of another.
const START: i64 = 1_767_225_600_000;
const SEED: u64 = 42;

/// A topic with all its events.
pub struct Topic {
    pub name: String,
    pub events: u64,
}

impl Topic {
    /// Finds the topic of so many events, or makes and fills it.
    pub async fn filled(brokers: &str, events: u64, partitions: i32, rate: u32) -> Outcome<Topic> {
        let name = format!("nexmark-{SEED}-{events}-{partitions}-{rate}");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "3");
        let there = held(&config, &name, partitions)?;
        match there {
            Some(found) if found == events => {}
            Some(found) => return Err(format!("topic {name} holds {found} messages: delete it, then try again").into()),
            None => {
                println!("filling topic {name}");
                create(&config, &name, partitions).await?;
                fill(&config, &name, events, partitions, &Config { seed: SEED, start: START, rate })?;
            }
        }
        Ok(Topic { name, events })
    }
}

/// Messages that the topic has; None when there is none of the name.
fn held(config: &ClientConfig, topic: &str, partitions: i32) -> Outcome<Option<u64>> {
    let client: BaseConsumer = config.create()?;
    let metadata = client.fetch_metadata(None, PATIENCE)?;
    if !metadata.topics().iter().any(|found| found.name() == topic) {
        return Ok(None);
    }
    let mut sum = 0;
    for partition in 0..partitions {
        let (low, high) = client.fetch_watermarks(topic, partition, PATIENCE)?;
        sum += u64::try_from(high - low)?;
    }
    Ok(Some(sum))
}

async fn create(config: &ClientConfig, topic: &str, partitions: i32) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for made in admin.create_topics([&wanted], &options).await? {
        made.map_err(|(name, code)| format!("topic {name} cannot be created: {code}"))?;
    }
    Ok(())
}

/// Sends the events in their order, in turns to the partitions.
fn fill(config: &ClientConfig, topic: &str, events: u64, partitions: i32, stream: &Config) -> Outcome<()> {
    let mut config = config.clone();
    config.set("linger.ms", "20").set("batch.size", "1000000").set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create()?;
    let mut message = Vec::with_capacity(512);
    for number in 0..events {
        message.clear();
        Event::of(stream, number).write_message(&mut message);
        let partition = i32::try_from(number % u64::try_from(partitions)?)?;
        // No time of its own: Kafka deletes what it takes for old.
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&message);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(10));
            record = back;
        }
        if number % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}
