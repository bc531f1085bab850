//! How librdkafka is configured, and what it reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;

use crate::error::{Error, Result, SqlState};
use crate::source::Kafka;

/// A client of a cluster that reports to [`Reports`].
pub type Client = BaseConsumer<Context>;

/// Defaults that a user's properties replace.
const DEFAULTS: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    // A broker that is there and says nothing is given up then, not after a minute.
    ("socket.timeout.ms", "15000"),
    ("fetch.wait.max.ms", "100"),
    ("queued.max.messages.kbytes", "16384"),
    ("client.id", "levada"),
];

/// What correctness hangs on.
const OURS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // Its default of a second stalls reading after each pause.
    ("fetch.queue.backoff.ms", "1"),
    ("allow.auto.create.topics", "false"),
    ("statistics.interval.ms", "1000"),
    ("check.crcs", "true"),
];

/// Makes a client; it connects by itself, later.
///
/// # Errors
/// 22023 when librdkafka does not take the properties.
pub fn connect(kafka: &Kafka, context: Context) -> Result<Client> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Debug);
    for (name, value) in DEFAULTS {
        config.set(*name, *value);
    }
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    for (name, value) in OURS {
        config.set(*name, *value);
    }
    // Only there is it told, and in time, that a topic has another id: see [`Context::take_changed`].
    let debug = kafka.properties.get("debug").map_or("metadata".to_owned(), |own| format!("metadata,{own}"));
    config.set("debug", debug);
    config.set("bootstrap.servers", &kafka.brokers);
    config.create_with_context(context).map_err(|error| {
        let message = match &error {
            KafkaError::ClientConfig(_, reason, name, value) => {
                format!("Kafka property \"{name}\" cannot be \"{value}\": {reason}")
            }
            KafkaError::ClientCreation(reason) => format!("Kafka client cannot be made: {reason}"),
            other => format!("Kafka client cannot be made: {other}"),
        };
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// What the client has reported since the last look.
#[derive(Default)]
pub struct Reports {
    pub statistics: Option<Statistics>,
    /// The last error, which may be over by now.
    pub error: Option<String>,
}

/// What librdkafka 2.12 logs when the id of a topic changes.
const ID_CHANGED: &str = " changed id from ";

/// Where the client's reports go.
#[derive(Clone, Default)]
pub struct Context {
    reports: Arc<Mutex<Reports>>,
    changed: Arc<AtomicBool>,
}

impl Context {
    /// Whether librdkafka has seen another id of the topic since the last call, at the latest before the first message
    /// of that topic. It tells nobody else, and goes on with the other topic as if it were the same.
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// Whether an error was reported since the last call of [`take`](Context::take).
    pub fn has_error(&self) -> bool {
        self.reports.lock().error.is_some()
    }

    /// The reports since the last call.
    pub fn take(&self) -> Reports {
        std::mem::take(&mut self.reports.lock())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "METADATA" && message.contains(ID_CHANGED) {
            self.changed.store(true, Ordering::Release);
        }
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(facility, "{message}");
            }
            _ => tracing::warn!(facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.reports.lock().statistics = Some(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
        self.reports.lock().error = Some(reason.to_owned());
    }
}

impl ConsumerContext for Context {}
