//! A topic of Nexmark events, as the generator of `levada demo` makes them.

use std::time::Duration;

use levada_engine::nexmark::{Config, Event};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_postgres::Client;

use crate::Outcome;
use crate::server::rows;

/// The topic's source and the relations that queries read.
const SOURCE: &str = include_str!("../nexmark/queries/source.sql");
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the generator: the same events for the same number.
pub const SEED: u64 = 42;

#[derive(Clone)]
pub struct Topic {
    pub name: String,
    brokers: String,
    partitions: i32,
}

impl Topic {
    pub fn new(brokers: &str, name: String, partitions: i32) -> Topic {
        Topic { name, brokers: brokers.to_owned(), partitions }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("log_level", "3");
        config
    }

    /// Messages that it has; None when there is no topic of the name.
    pub fn held(&self) -> Outcome<Option<u64>> {
        let client: BaseConsumer = self.config().create()?;
        let metadata = client.fetch_metadata(None, PATIENCE)?;
        if !metadata.topics().iter().any(|found| found.name() == self.name) {
            return Ok(None);
        }
        let mut sum = 0;
        for partition in 0..self.partitions {
            let (low, high) = client.fetch_watermarks(&self.name, partition, PATIENCE)?;
            sum += u64::try_from(high - low)?;
        }
        Ok(Some(sum))
    }

    pub async fn create(&self) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.config().create()?;
        let wanted = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(1));
        for made in admin.create_topics([&wanted], &options()).await? {
            made.map_err(|(name, code)| format!("topic {name} cannot be created: {code}"))?;
        }
        Ok(())
    }

    pub async fn delete(&self) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.config().create()?;
        for gone in admin.delete_topics(&[&self.name], &options()).await? {
            gone.map_err(|(name, code)| format!("topic {name} cannot be deleted: {code}"))?;
        }
        Ok(())
    }

    /// Sends events of this stream, with these settings of the producer.
    pub fn writer(&self, stream: Config, settings: &[(&str, &str)]) -> Outcome<Writer> {
        let mut config = self.config();
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(Writer { topic: self.clone(), stream, producer: config.create()?, message: Vec::with_capacity(512) })
    }

    /// Creates the source and the relations over it.
    pub async fn declare(&self, client: &Client) -> Outcome<()> {
        let statements = SOURCE.replace("{topic}", &self.name).replace("{brokers}", &self.brokers);
        for statement in statements.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            rows(client, statement).await?;
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}

/// Gives a stream's events to a producer.
pub struct Writer {
    topic: Topic,
    stream: Config,
    producer: BaseProducer,
    message: Vec<u8>,
}

impl Writer {
    /// Sends the event of this number, in turns to the partitions; waits while the producer has too many.
    pub fn send(&mut self, number: u64) -> Outcome<()> {
        self.message.clear();
        Event::of(&self.stream, number).write_message(&mut self.message);
        let partition = i32::try_from(number % u64::try_from(self.topic.partitions)?)?;
        // No time of its own: Kafka deletes what it takes for old.
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic.name).partition(partition).payload(&self.message);
        while let Err((error, back)) = self.producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
        Ok(())
    }

    /// Takes note of what has been delivered, as must be done now and then.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until all is delivered.
    pub fn finish(self) -> Outcome<()> {
        Ok(self.producer.flush(PATIENCE)?)
    }
}
