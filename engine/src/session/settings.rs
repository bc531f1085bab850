//! A session's run-time settings: PostgreSQL's where clients set or read them, and our own.
//!
//! Names, defaults and units: <https://www.postgresql.org/docs/15/runtime-config-client.html>.

mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::error::{Error, Result, SqlState};
use crate::sql::format::TimeZone;

/// The PostgreSQL version we present ourselves as.
pub const SERVER_VERSION: &str = "15.13";

/// What values a setting takes.
enum Domain {
    /// Reports a fact; SET is refused.
    Constant,
    Text,
    Bool,
    /// Whole numbers from the first to the second.
    Integer(i64, i64),
    Float,
    /// Milliseconds, or a number with a unit; 0 is off.
    Duration,
    /// Bytes with a unit, or a number of so many kB.
    Memory {
        unit: i64,
    },
    OneOf(&'static [&'static str]),
    TimeZone,
    DateStyle,
    Encoding,
}

struct Setting {
    name: &'static str,
    default: &'static str,
    domain: Domain,
    /// Whether clients are told of changes (`ParameterStatus`).
    reported: bool,
    description: &'static str,
}

/// Every setting there is, by name.
static ALL: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
    let mut all: Vec<&Setting> = table::SETTINGS.iter().chain(table::ACCEPTED).collect();
    all.sort_by_key(|setting| setting.name.to_ascii_lowercase());
    all
});

/// Every setting by its name as it is spelled, which is how we ask for them ourselves.
static SPELLED: LazyLock<HashMap<&'static str, &'static Setting>> =
    LazyLock::new(|| ALL.iter().map(|setting| (setting.name, *setting)).collect());

/// Settings of the current transaction, and those from which each takes them.
const OF_TRANSACTION: [(&str, &str); 2] = [
    ("transaction_isolation", "default_transaction_isolation"),
    ("transaction_read_only", "default_transaction_read_only"),
];

/// The values of a session's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    /// Settings that the client made, by their names with a dot.
    own: BTreeMap<String, String>,
    /// The time zone, read; None is the default.
    zone: Option<TimeZone>,
    version: Version,
}

/// Stands for the values at one time: two are the same only if nothing was changed between them.
#[derive(Clone, Debug, Default)]
pub struct Version(Arc<()>);

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Settings {
    /// The defaults, for a user.
    pub fn new(user: &str) -> Settings {
        Settings { values: [("session_authorization", user.to_owned())].into(), ..Settings::default() }
    }

    /// A setting's value; names are found in any case.
    ///
    /// # Errors
    /// 42704 when there is no such setting.
    pub fn get(&self, name: &str) -> Result<&str> {
        if is_own(name)
            && let Some(value) = self.own.get(&name.to_ascii_lowercase())
        {
            return Ok(value);
        }
        Ok(self.value(find(name)?))
    }

    fn value(&self, setting: &Setting) -> &str {
        match self.values.get(setting.name) {
            Some(value) => value,
            None => match OF_TRANSACTION.iter().find(|(name, _)| *name == setting.name) {
                // Both are there.
                Some((_, default)) => self.known(default),
                None => setting.default,
            },
        }
    }

    /// Forgets what was said of the transaction that ends.
    pub fn end_transaction(&mut self) {
        for (name, _) in OF_TRANSACTION {
            if self.values.remove(name).is_some() {
                self.version = Version::default();
            }
        }
    }

    /// The value of a setting that is known to exist.
    fn known(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Changes a setting, None to its default.
    ///
    /// # Errors
    /// 42704 unknown setting, 55P02 not to be changed, 22023 not a value of it.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        if is_own(name) {
            // One that was there is empty from then on.
            let value = value.unwrap_or_default().to_owned();
            self.own.insert(name.to_ascii_lowercase(), value);
            return Ok(());
        }
        let setting = find(name)?;
        if let Domain::Constant = setting.domain {
            let message = format!("parameter \"{}\" cannot be changed", setting.name);
            return Err(Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message));
        }
        self.version = Version::default();
        match value {
            Some(value) => self.values.insert(setting.name, setting.canonical(value)?),
            None => self.values.remove(setting.name),
        };
        if setting.name == "TimeZone" {
            self.zone = value.map(|_| TimeZone::parse(self.time_zone())).transpose()?;
        }
        Ok(())
    }

    /// Every setting to its default.
    pub fn reset(&mut self) {
        self.version = Version::default();
        self.values.retain(|name, _| *name == "session_authorization");
        self.own.values_mut().for_each(String::clear);
        self.zone = None;
    }

    /// Name, value and description of every setting, in the order of the names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        ALL.iter().map(|setting| (setting.name, self.value(setting), setting.description))
    }

    /// Another one after every change.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Names and values that a client is told at login, and again when they change.
    pub fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let reported = table::SETTINGS.iter().filter(|setting| setting.reported);
        reported.map(|setting| (setting.name, self.values.get(setting.name).map_or(setting.default, String::as_str)))
    }

    /// The name of the session's time zone.
    pub fn time_zone(&self) -> &str {
        self.known("TimeZone")
    }

    /// The session's time zone.
    pub fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }

    /// What `extra_float_digits` says of how numbers with a floating point print.
    pub fn float_digits(&self) -> i32 {
        self.values.get("extra_float_digits").and_then(|digits| digits.parse().ok()).unwrap_or(1)
    }

    /// How long a statement may run; None is for ever.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.duration("statement_timeout")
    }

    /// How long a statement may wait for a lock; None is for ever.
    pub fn lock_timeout(&self) -> Option<Duration> {
        self.duration("lock_timeout")
    }

    /// How long a client may keep a transaction open without a word; None is for ever.
    pub fn idle_in_transaction_timeout(&self) -> Option<Duration> {
        self.duration("idle_in_transaction_session_timeout")
    }

    fn duration(&self, name: &'static str) -> Option<Duration> {
        let milliseconds = milliseconds(self.known(name)).unwrap_or(0);
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }
}

/// A setting's own spelling of its name; names that are not known stay as they are.
pub fn spelled(name: &str) -> &str {
    find(name).map_or(name, |setting| setting.name)
}

/// Whether a name is one that clients may make up: words with a dot between them.
fn is_own(name: &str) -> bool {
    let starts = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let word = |word: &str| starts(word) && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    name.contains('.') && name.split('.').all(word)
}

fn without_case(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

fn find(name: &str) -> Result<&'static Setting> {
    if let Some(setting) = SPELLED.get(name) {
        return Ok(setting);
    }
    let found = ALL.binary_search_by(|setting| without_case(setting.name).cmp(without_case(name)));
    found.map(|at| ALL[at]).map_err(|_| {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
    })
}

impl Setting {
    /// A value as SHOW prints it.
    fn canonical(&self, value: &str) -> Result<String> {
        let refused = || self.refused(value);
        match self.domain {
            Domain::Constant => Err(refused()),
            Domain::Text => Ok(value.to_owned()),
            Domain::Bool => Ok(if parse_bool(value).ok_or_else(refused)? { "on" } else { "off" }.to_owned()),
            Domain::Integer(least, most) => {
                let number: i64 = value.trim().parse().map_err(|_| refused())?;
                if number < least || number > most {
                    let name = self.name;
                    let message =
                        format!("{number} is outside the valid range for parameter \"{name}\" ({least} .. {most})");
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                Ok(number.to_string())
            }
            Domain::Float => {
                let number: f64 = value.trim().parse().map_err(|_| refused())?;
                if number.is_finite() { Ok(number.to_string()) } else { Err(refused()) }
            }
            Domain::Memory { unit } => Ok(print_kilobytes(kilobytes(value, unit).ok_or_else(refused)?)),
            Domain::Duration => Ok(print_milliseconds(milliseconds(value).ok_or_else(refused)?)),
            Domain::OneOf(values) => {
                let found = values.iter().find(|known| known.eq_ignore_ascii_case(value));
                found
                    .map(|known| (*known).to_owned())
                    .ok_or_else(|| refused().with_hint(format!("Available values: {}.", values.join(", "))))
            }
            Domain::TimeZone => {
                let zone = TimeZone::parse(value).map_err(|_| refused())?;
                Ok(zone.name().to_owned())
            }
            Domain::DateStyle => {
                let iso = value.split(',').any(|part| part.trim().eq_ignore_ascii_case("iso"));
                let hint = "Only the ISO date style is supported.";
                if iso { Ok(self.default.to_owned()) } else { Err(refused().with_hint(hint)) }
            }
            Domain::Encoding => {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let utf8 = plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode");
                let hint = "Only the encoding UTF8 is supported.";
                if utf8 { Ok(self.default.to_owned()) } else { Err(refused().with_hint(hint)) }
            }
        }
    }

    fn refused(&self, value: &str) -> Error {
        let message = match self.domain {
            Domain::Bool => format!("parameter \"{}\" requires a Boolean value", self.name),
            _ => format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
        };
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }
}

/// PostgreSQL's spellings of a truth value, unique prefixes included.
fn parse_bool(value: &str) -> Option<bool> {
    let value = value.trim().to_ascii_lowercase();
    let starts = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    match () {
        () if value == "1" || starts("on", 2) || starts("true", 1) || starts("yes", 1) => Some(true),
        () if value == "0" || starts("off", 2) || starts("false", 1) || starts("no", 1) => Some(false),
        () => None,
    }
}

/// A number of milliseconds, or a number with unit ms, s, min, h or d.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let unit = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|milliseconds| *milliseconds <= i32::MAX as u64)
}

/// A number of so many kB, or a number with unit B, kB, MB, GB or TB, in kB.
fn kilobytes(value: &str, unit: i64) -> Option<i64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(value.len());
    let number: i64 = value[..digits].parse().ok()?;
    let in_bytes = match value[digits..].trim() {
        "" => unit << 10,
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(in_bytes).map(|bytes| bytes >> 10).filter(|kilobytes| *kilobytes >= 0)
}

fn print_kilobytes(value: i64) -> String {
    let units = [("TB", 1i64 << 30), ("GB", 1 << 20), ("MB", 1 << 10)];
    match units.iter().find(|(_, size)| value > 0 && value % size == 0) {
        Some((unit, size)) => format!("{}{unit}", value / size),
        None if value == 0 => "0".to_owned(),
        None => format!("{value}kB"),
    }
}

/// The largest unit that leaves a whole number, as PostgreSQL shows it.
fn print_milliseconds(value: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, size)| value > 0 && value.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", value / size),
        None if value == 0 => "0".to_owned(),
        None => format!("{value}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_printed_as_postgres_does() {
        let mut settings = Settings::new("ada");
        for (name, value, shown) in [
            ("timezone", "europe/lisbon", "Europe/Lisbon"),
            ("statement_timeout", "90000", "90s"),
            ("STATEMENT_TIMEOUT", "2min", "2min"),
            ("client_encoding", "utf-8", "UTF8"),
            ("datestyle", "iso", "ISO, MDY"),
            ("default_transaction_read_only", "tru", "on"),
            ("extra_float_digits", "3", "3"),
            ("work_mem", "65536", "64MB"),
            ("work_mem", "100kB", "100kB"),
            ("effective_cache_size", "128", "1MB"),
            ("random_page_cost", "1.1", "1.1"),
            ("jit", "0", "off"),
            ("App.User", "7", "7"),
        ] {
            settings.set(name, Some(value)).unwrap();
            assert_eq!(settings.get(name).unwrap(), shown, "{name}");
        }
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(120)));
        settings.reset();
        assert_eq!(settings.get("TimeZone").unwrap(), "UTC");
        assert_eq!(settings.get("session_authorization").unwrap(), "ada");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let mut settings = Settings::new("ada");
        for (name, value, code) in [
            ("no_such", "1", "42704"),
            ("server_version", "16", "55P02"),
            ("TimeZone", "Mars/Olympus", "22023"),
            ("client_encoding", "LATIN1", "22023"),
            ("DateStyle", "German", "22023"),
            ("statement_timeout", "soon", "22023"),
            ("extra_float_digits", "4", "22023"),
            ("work_mem", "much", "22023"),
            ("jit", "perhaps", "22023"),
            ("app.", "1", "42704"),
        ] {
            let error = settings.set(name, Some(value)).unwrap_err();
            assert_eq!(error.sqlstate().code(), code, "{name}");
        }
    }
}
