//! What the options of a connector mean.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result, SqlState};
use crate::sql::adt::calendar::MICROS_PER_DAY;
use crate::sql::adt::interval::{self, Interval};
use crate::sql::bind::SourceText;

use super::ast::{ConnectorOption, CreateConnector};
use super::properties;

/// The options that a topic has.
const HINT: &str = "Options of the connector: connector, topic, properties.*, scan.startup.mode, \
                    scan.startup.timestamp.millis, on_gap, retention, scan.watermark.idle_timeout. Option of ENCODE JSON: on_error.";

/// Where reading begins when a source is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartupMode {
    Earliest,
    Latest,
    /// The first message of this time or later, in milliseconds since 1970.
    Timestamp(i64),
}

/// `connector = 'kafka'` and all that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Comma-separated `host:port`.
    pub brokers: String,
    pub topic: String,
    /// For librdkafka, without the prefix `properties.`.
    pub properties: BTreeMap<String, String>,
    pub startup: StartupMode,
    /// FORMAT UPSERT rather than PLAIN.
    pub upsert: bool,
    /// `on_error = 'fail'`: a bad message stops its partition instead of going to the dead letters.
    pub fail_on_error: bool,
    /// `on_gap = 'continue'`: reading goes on after offsets that Kafka no longer has instead of stopping.
    pub continue_after_gap: bool,
    /// How long a row is kept after it has arrived, in microseconds; None for good.
    pub retention: Option<i64>,
    /// How long a partition without messages holds the watermark, in microseconds; None for good.
    pub idle_timeout: Option<i64>,
}

impl CreateConnector {
    /// Checks the statement's clauses and options, columns aside. `text` is the query string.
    ///
    /// # Errors
    /// 0A000 for what we do not do yet, 22023 for options that are unknown, missing, twice there or not what they can
    /// be, 42501 for settings that open the machine.
    pub fn kafka(&self, text: &str) -> Result<KafkaOptions> {
        let source = SourceText::new(text);
        self.check_clauses()?;
        let mut options = Options::new(&self.options, &source)?;
        let connector = options.take("connector").ok_or_else(|| missing("connector", "connector = 'kafka'"))?;
        if !connector.value.eq_ignore_ascii_case("kafka") {
            return Err(Error::unsupported(format!("connector \"{}\"", connector.value))
                .with_hint("The connector is 'kafka'.")
                .at(source.position_of(connector.location)));
        }
        let topic = options.take("topic").ok_or_else(|| missing("topic", "topic = 'name'"))?.value.clone();
        let brokers = ["properties.bootstrap.server", "properties.bootstrap.servers", "kafka.brokers"]
            .into_iter()
            .find_map(|name| options.take(name))
            .ok_or_else(|| missing("properties.bootstrap.server", "properties.bootstrap.server = 'host:9092'"))?;
        let startup = startup(&mut options)?;
        let continue_after_gap = options.choice("on_gap", &["stop", "continue"])? == Some(1);
        let retention = self.retention(&mut options)?;
        let idle_timeout = self.idle_timeout(&mut options)?;
        let properties = options.properties()?;
        options.refuse_rest(HINT)?;
        let mut encode = Options::new(&self.encode_options, &source)?;
        let fail_on_error = encode.choice("on_error", &["dead_letter", "fail"])? == Some(1);
        encode.refuse_rest(HINT)?;
        Ok(KafkaOptions {
            brokers: brokers.value.clone(),
            topic,
            properties,
            startup,
            upsert: self.format.as_deref() == Some("UPSERT"),
            fail_on_error,
            continue_after_gap,
            retention,
            idle_timeout,
        })
    }

    /// How long a silent partition is waited for, in microseconds.
    fn idle_timeout(&self, options: &mut Options<'_>) -> Result<Option<i64>> {
        const FORM: &str = "It is how long a partition without messages holds the watermark, such as '30 seconds'.";
        let Some(option) = options.take("scan.watermark.idle_timeout") else { return Ok(None) };
        if self.watermarks.is_empty() {
            return Err(options.invalid(option, "Declare a watermark: WATERMARK FOR column AS column - INTERVAL '…'."));
        }
        options.duration(option, FORM).map(Some)
    }

    /// How long rows are kept, in microseconds.
    fn retention(&self, options: &mut Options<'_>) -> Result<Option<i64>> {
        const FORM: &str = "It is how long a row is kept, such as '10 minutes' or '1 day 12:00:00'.";
        let Some(option) = options.take("retention") else { return Ok(None) };
        if !self.stored {
            return Err(Error::unsupported("CREATE SOURCE with retention")
                .with_hint("Use CREATE TABLE: a source keeps no rows.")
                .at(options.source.position_of(option.location)));
        }
        options.duration(option, FORM).map(Some)
    }

    fn check_clauses(&self) -> Result<()> {
        let what = if self.stored { "CREATE TABLE" } else { "CREATE SOURCE" };
        if self.or_replace {
            return Err(Error::unsupported(format!("{what} with OR REPLACE")));
        }
        if self.columns.is_empty() {
            return Err(Error::unsupported(format!("{what} without columns"))
                .with_hint("Declare the columns: there is no schema registry to take them from."));
        }
        if self.stored && self.options.is_empty() && !self.watermarks.is_empty() {
            return Err(Error::unsupported("a watermark of a table without a connector")
                .with_hint("Rows that INSERT writes are not late: watermarks are of what is read from Kafka."));
        }
        match (self.format.as_deref(), self.encode.as_deref()) {
            (None, _) | (_, None) => {
                let message = format!("{what} with a connector needs FORMAT and ENCODE");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_hint("Add FORMAT PLAIN ENCODE JSON."));
            }
            (Some("PLAIN" | "UPSERT"), Some("JSON")) => {}
            (Some("PLAIN" | "UPSERT"), Some(encode)) => {
                return Err(Error::unsupported(format!("ENCODE {encode}")).with_hint("Use ENCODE JSON."));
            }
            (Some(format), _) => {
                return Err(
                    Error::unsupported(format!("FORMAT {format}")).with_hint("Use FORMAT PLAIN or FORMAT UPSERT.")
                );
            }
        }
        if !self.stored && self.format.as_deref() == Some("UPSERT") {
            return Err(Error::unsupported("CREATE SOURCE with FORMAT UPSERT")
                .with_hint("Use CREATE TABLE: updates need the rows they replace."));
        }
        Ok(())
    }
}

fn startup(options: &mut Options<'_>) -> Result<StartupMode> {
    let millis = options.take("scan.startup.timestamp.millis");
    let mode = options.choice("scan.startup.mode", &["earliest", "latest", "timestamp"])?;
    match (mode, millis) {
        (None | Some(2), Some(option)) => match option.value.parse() {
            Ok(millis) if millis >= 0 => Ok(StartupMode::Timestamp(millis)),
            _ => Err(options.invalid(option, "It is the number of milliseconds since 1970-01-01 00:00:00 UTC.")),
        },
        (Some(2), None) => Err(missing(
            "scan.startup.timestamp.millis",
            "scan.startup.timestamp.millis = '1700000000000' with scan.startup.mode = 'timestamp'",
        )),
        (_, Some(option)) => Err(options.invalid(option, "Leave out scan.startup.mode, or make it 'timestamp'.")),
        (Some(1), None) => Ok(StartupMode::Latest),
        _ => Ok(StartupMode::Earliest),
    }
}

pub(super) fn missing(name: &str, example: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("option \"{name}\" is missing"))
        .with_hint(format!("Add {example}."))
}

/// Options by their name in lower case; what is asked for is taken out.
pub(super) struct Options<'a> {
    left: HashMap<String, &'a ConnectorOption>,
    source: &'a SourceText,
}

impl<'a> Options<'a> {
    pub(super) fn new(options: &'a [ConnectorOption], source: &'a SourceText) -> Result<Options<'a>> {
        let mut left = HashMap::new();
        for option in options {
            if left.insert(option.name.to_ascii_lowercase(), option).is_some() {
                let message = format!("option \"{}\" specified more than once", option.name);
                return Err(
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(source.position_of(option.location))
                );
            }
        }
        Ok(Options { left, source })
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'a ConnectorOption> {
        self.left.remove(name)
    }

    /// Which of the values an option has.
    fn choice(&mut self, name: &str, values: &[&str]) -> Result<Option<usize>> {
        let Some(option) = self.take(name) else { return Ok(None) };
        match values.iter().position(|value| option.value.eq_ignore_ascii_case(value)) {
            Some(index) => Ok(Some(index)),
            None => Err(self.invalid(option, &format!("It is one of {}.", values.join(", ")))),
        }
    }

    /// A length of time above zero, in microseconds; `form` says what it should look like.
    fn duration(&self, option: &ConnectorOption, form: &str) -> Result<i64> {
        let Ok(Interval { months, days, micros }) = interval::parse(&option.value, None) else {
            return Err(self.invalid(option, form));
        };
        if months != 0 {
            return Err(self.invalid(option, "Months and years differ in length: give days, hours or minutes."));
        }
        match i64::from(days).checked_mul(MICROS_PER_DAY).and_then(|days| days.checked_add(micros)) {
            Some(0) | None => Err(self.invalid(option, form)),
            Some(total) if total < 0 => Err(self.invalid(option, "It cannot be negative.")),
            Some(total) => Ok(total),
        }
    }

    fn invalid(&self, option: &ConnectorOption, hint: &str) -> Error {
        let message = format!("invalid value for option \"{}\": \"{}\"", option.name, option.value);
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint(hint)
            .at(self.source.position_of(option.location))
    }

    /// All of `properties.*`.
    fn properties(&mut self) -> Result<BTreeMap<String, String>> {
        let mut properties = BTreeMap::new();
        let mut given: Vec<_> = self.left.extract_if(|name, _| name.starts_with("properties.")).collect();
        given.sort_by_key(|(_, option)| (option.location.line, option.location.column));
        for (_, option) in given {
            let name = option.name["properties.".len()..].to_owned();
            properties::check(&name, self.source, option.location)?;
            properties.insert(name, option.value.clone());
        }
        Ok(properties)
    }

    /// Refuses what was not asked for.
    pub(super) fn refuse_rest(&self, hint: &str) -> Result<()> {
        let first = self.left.values().min_by_key(|option| (option.location.line, option.location.column));
        let Some(option) = first else { return Ok(()) };
        Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized option \"{}\"", option.name))
            .with_hint(hint)
            .at(self.source.position_of(option.location)))
    }
}
