//! Where the events go: a Kafka of the user's, or one that is built in.

use std::time::{Duration, Instant};

use levada_engine::nexmark::{Kind, Produced};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};

/// How long a cluster has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon it is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long topics keep what the demo has sent, in milliseconds: longer than its tables do.
const TOPIC_RETENTION: &str = "3600000";

/// The topic of a kind of events, and the partitions it has if the demo makes it.
///
/// The built-in broker keeps 5 MiB of a partition, no more: the partitions are as many as make that a few seconds.
pub fn topic(kind: Kind) -> (&'static str, i32) {
    match kind {
        Kind::Person => ("levada-demo-person", 1),
        Kind::Auction => ("levada-demo-auction", 1),
        Kind::Bid => ("levada-demo-bid", 4),
    }
}

const KINDS: [Kind; 3] = [Kind::Person, Kind::Auction, Kind::Bid];

/// A Kafka cluster.
pub struct Broker {
    servers: String,
    /// The cluster itself, when it is built in. It goes with this.
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

/// Topics as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Topics {
    partitions: [i32; 3],
    /// What is in them, or was.
    pub produced: Produced,
}

impl Topics {
    /// Partitions of the topic of a kind.
    pub fn partitions(&self, kind: Kind) -> i32 {
        self.partitions[kind as usize]
    }
}

impl Broker {
    /// A cluster of one broker in this process, on a free port.
    pub fn built_in() -> Result<Broker, String> {
        let mock = MockCluster::new(1).map_err(|error| format!("the built-in broker cannot be started: {error}"))?;
        Ok(Broker { servers: mock.bootstrap_servers(), mock: Some(mock) })
    }

    /// Brokers that are there, as `host:port,…`.
    pub fn of(servers: String) -> Broker {
        Broker { servers, mock: None }
    }

    /// Where the brokers are.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// Whether the cluster keeps no more than a few MiB, and nothing when the process ends.
    pub fn is_built_in(&self) -> bool {
        self.mock.is_some()
    }

    /// What tables say of the cluster besides its address.
    pub fn table_options(&self) -> &'static [(&'static str, &'static str)] {
        match self.is_built_in() {
            // It never wakes a fetch that waits for messages.
            true => &[("properties.fetch.wait.max.ms", "1")],
            false => &[],
        }
    }

    /// What sends events.
    pub fn producer(&self) -> Result<BaseProducer, String> {
        let mut config = self.client();
        config.set("delivery.report.only.error", "true");
        config.set("queue.buffering.max.messages", "100000");
        config.set("queue.buffering.max.kbytes", "65536");
        // A cluster that is away is waited for: the queue's bound holds the feed back.
        config.set("message.timeout.ms", "0");
        match self.is_built_in() {
            true => config.set("linger.ms", "1"),
            false => config.set("enable.idempotence", "true"),
        };
        config.create().map_err(|error| format!("cannot make a producer: {error}"))
    }

    /// Makes the topics that are missing, and says what there is. Waits some seconds for a cluster that does not answer.
    pub async fn topics(&self) -> Result<Topics, String> {
        match &self.mock {
            Some(mock) => {
                for (name, partitions) in KINDS.map(topic) {
                    mock.create_topic(name, partitions, 1).map_err(|error| self.failure(&error))?;
                }
            }
            None => self.create_topics().await?,
        }
        let client: BaseProducer = self.client().create().map_err(|error| self.failure(&error))?;
        let mut topics = Topics::default();
        for kind in KINDS {
            let (partitions, messages) = self.look_at(&client, topic(kind).0)?;
            topics.partitions[kind as usize] = partitions;
            match kind {
                Kind::Person => topics.produced.people = messages,
                Kind::Auction => topics.produced.auctions = messages,
                Kind::Bid => topics.produced.bids = messages,
            }
        }
        Ok(topics)
    }

    async fn create_topics(&self) -> Result<(), String> {
        let admin: AdminClient<DefaultClientContext> = self.client().create().map_err(|error| self.failure(&error))?;
        let new = KINDS.map(topic).map(|(name, partitions)| {
            // As many replicas as the cluster gives topics by default.
            NewTopic::new(name, partitions, TopicReplication::Fixed(-1)).set("retention.ms", TOPIC_RETENTION)
        });
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let outcome = admin.create_topics(&new, &options).await.map_err(|error| self.failure(&error))?;
        for result in outcome {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(format!("topic \"{name}\" cannot be created: {code}")),
            }
        }
        Ok(())
    }

    /// Partitions of a topic, and how many messages it has had. One that was just made may have no leader yet, or not be
    /// known to every broker: it is asked for again.
    fn look_at(&self, client: &BaseProducer, topic: &str) -> Result<(i32, u64), String> {
        let asked = Instant::now();
        loop {
            match held(client, topic) {
                Ok((partitions, messages)) if partitions > 0 => return Ok((partitions, messages)),
                _ if asked.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
                Ok(_) => return Err(format!("topic \"{topic}\" is not there, and was not created")),
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Error);
        config.set("bootstrap.servers", &self.servers).set("client.id", "levada-demo");
        config
    }

    fn failure(&self, error: &KafkaError) -> String {
        format!("Kafka at \"{}\" cannot be used: {error}", self.servers)
    }
}

/// Partitions of a topic, none when it is not there, and how many messages it has had.
fn held(client: &BaseProducer, topic: &str) -> Result<(i32, u64), KafkaError> {
    let client = client.client();
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(0, |found| found.partitions().len()) as i32;
    let mut messages = 0;
    for partition in 0..partitions {
        let (_, end) = client.fetch_watermarks(topic, partition, PATIENCE)?;
        messages += end.unsigned_abs();
    }
    Ok((partitions, messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_built_in_broker_has_the_topics() {
        let broker = Broker::built_in().unwrap();
        let topics = broker.topics().await.unwrap();
        assert_eq!(KINDS.map(|kind| topics.partitions(kind)), [1, 1, 4]);
        assert_eq!(topics.produced, Produced::default());
    }

    #[tokio::test]
    async fn a_broker_that_is_not_there_is_told() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        drop(taken);
        let error = Broker::of(address.clone()).topics().await.unwrap_err();
        assert!(error.starts_with(&format!("Kafka at \"{address}\" cannot be used")), "{error}");
    }
}
