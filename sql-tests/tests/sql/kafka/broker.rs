//! A real Apache Kafka broker of the test's own: on free ports, in a folder of its own, gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::BaseProducer;
use rdkafka::{Offset, TopicPartitionList};

const SCRIPT: &str = include_str!("broker.sh");
const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/kafka/pom.xml");
const VERSION: &str = "4.1.0";

/// How long anything may take: a Java virtual machine starts twice, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct Broker {
    shell: Option<Child>,
    folder: PathBuf,
    port: u16,
    controller: u16,
}

impl Broker {
    /// The one broker of the test run. Nobody stops it.
    pub fn shared() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Broker::start)
    }

    /// A broker for a test that stops it.
    pub fn start() -> Broker {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("levada-kafka-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let [port, controller] = free_ports();
        let mut broker = Broker { shell: None, folder: std::env::temp_dir().join(name), port, controller };
        broker.resume();
        broker
    }

    /// Kills the broker; its data stay.
    pub fn kill(&mut self) {
        std::fs::write(self.folder.join("keep"), "").expect("a file in the broker's folder");
        self.end();
    }

    /// Starts it where it was, on its data.
    pub fn resume(&mut self) {
        std::fs::remove_file(self.folder.join("keep")).ok();
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "broker.sh"])
            .arg(jars())
            .arg(&self.folder)
            .args([self.port.to_string(), self.controller.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        self.shell = Some(shell);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let client: BaseConsumer = self.config().create().expect("a client");
        let asked = Instant::now();
        while let Err(error) = client.fetch_metadata(None, Duration::from_secs(1)) {
            let exited = self.shell.as_mut().and_then(|shell| shell.try_wait().expect("a child's state"));
            assert!(exited.is_none(), "Kafka did not start: {exited:?}");
            assert!(asked.elapsed() < PATIENCE, "Kafka does not answer on port {}: {error}", self.port);
        }
    }

    fn end(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            // The end of its input is the sign to stop.
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// For `bootstrap.servers`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client's configuration.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("log_level", "3");
        config
    }

    /// A producer with these settings besides.
    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        config.set("linger.ms", "1");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().expect("a producer")
    }

    pub async fn create_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let created = self.admin().create_topics([&topic], &options()).await.expect("an answer of the broker");
        created.into_iter().for_each(|topic| drop(topic.expect("a new topic")));
    }

    /// Deletes a topic and makes one of the same name, as soon as the broker takes the name.
    pub async fn recreate_topic(&self, name: &str, partitions: i32) {
        let deleted = self.admin().delete_topics(&[name], &options()).await.expect("an answer of the broker");
        deleted.into_iter().for_each(|topic| drop(topic.expect("a topic that was there")));
        let asked = Instant::now();
        loop {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            let created = self.admin().create_topics([&topic], &options()).await.expect("an answer of the broker");
            if created.iter().all(Result::is_ok) {
                return;
            }
            assert!(asked.elapsed() < PATIENCE, "{created:?}");
        }
    }

    /// Makes so many partitions of a topic.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) {
        let more = NewPartitions::new(topic, partitions);
        let made = self.admin().create_partitions([&more], &options()).await.expect("an answer of the broker");
        made.into_iter().for_each(|topic| drop(topic.expect("more partitions")));
    }

    /// Deletes what is before an offset.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        self.admin().delete_records(&offsets, &options()).await.expect("an answer of the broker");
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("a client")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// Two ports that nobody listens on.
fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("a bound port").port())
}

/// The folder of Kafka's jars.
fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(fetch_jars)
}

/// Brings Kafka's jars with Maven, the first time.
fn fetch_jars() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kafka-{VERSION}"));
    if !folder.exists() {
        let unfinished = folder.with_extension(std::process::id().to_string());
        let fetched = Command::new("mvn")
            .args(["-q", "-B", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(format!("-Dkafka.version={VERSION}"))
            .arg(format!("-DoutputDirectory={}", unfinished.display()))
            .stdin(Stdio::null())
            .status()
            .expect("Maven is not installed: run scripts/bootstrap.sh");
        assert!(fetched.success(), "Maven could not fetch Kafka: {fetched}");
        // Whole or not at all; another run may have been faster.
        if std::fs::rename(&unfinished, &folder).is_err() {
            std::fs::remove_dir_all(&unfinished).ok();
        }
    }
    folder
}
