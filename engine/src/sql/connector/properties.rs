//! Which `properties.*` a user may hand to librdkafka.

use sqlparser::tokenizer::Location;

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::SourceText;

/// What correctness hangs on, and what to do instead.
const OURS: &[(&str, &str)] = &[
    ("group.id", "Offsets are kept in Levada's checkpoints; there is no consumer group."),
    ("group.instance.id", "Offsets are kept in Levada's checkpoints; there is no consumer group."),
    ("group.protocol", "Offsets are kept in Levada's checkpoints; there is no consumer group."),
    ("enable.auto.commit", "Offsets are kept in Levada's checkpoints."),
    ("auto.commit.enable", "Offsets are kept in Levada's checkpoints."),
    ("auto.commit.interval.ms", "Offsets are kept in Levada's checkpoints."),
    ("enable.auto.offset.store", "Offsets are kept in Levada's checkpoints."),
    ("offset.store.method", "Offsets are kept in Levada's checkpoints."),
    ("offset.store.sync.interval.ms", "Offsets are kept in Levada's checkpoints."),
    ("auto.offset.reset", "Use scan.startup.mode to say where reading begins."),
    ("enable.partition.eof", "Levada sets it."),
    ("fetch.queue.backoff.ms", "Levada sets it."),
    ("statistics.interval.ms", "Levada sets it."),
    ("log.queue", "Levada sets it."),
    ("allow.auto.create.topics", "Create the topic in Kafka."),
    ("consume.callback.max.messages", "Levada sets it."),
    ("enable.random.seed", "Levada sets it."),
    ("topic.blacklist", "It would hide the topic."),
    ("bootstrap.servers", "Use properties.bootstrap.server."),
    ("metadata.broker.list", "Use properties.bootstrap.server."),
    ("builtin.features", "Levada sets it."),
];

/// Parts of names of settings that read the server's files, load its libraries or run its programs.
const CLOSED: &[&str] =
    &["location", "path", "paths", "file", "keytab", "cmd", "plugin", "engine", "providers", "cb", "opaque", "mock"];

/// Whether librdkafka may be told this.
///
/// # Errors
/// 22023 for settings that are ours, 42501 for those that open the machine to a client.
pub fn check(name: &str, source: &SourceText, location: Location) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    let position = source.position_of(location);
    if let Some((_, hint)) = OURS.iter().find(|(ours, _)| *ours == lower) {
        let message = format!("option \"properties.{name}\" cannot be set");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(*hint).at(position));
    }
    if lower.split(['.', '_']).any(|part| CLOSED.contains(&part)) {
        let message = format!("option \"properties.{name}\" is not allowed");
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .with_detail("It would let a statement reach files or programs of the server.")
            .with_hint("Give certificates and keys as text: ssl.ca.pem, ssl.certificate.pem, ssl.key.pem.")
            .at(position));
    }
    Ok(())
}
