//! What the server is started with: flags, over `LEVADA_*` variables, over a file.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use serde::Deserialize;

use crate::memory_limit::MemoryLimit;

/// Where clients connect when nothing else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7432";
pub const DEFAULT_MAX_CONNECTIONS: u32 = 200;
const DEFAULT_LOG: &str = "info";
/// Variables that we read, but not as settings of the server.
const OTHER_VARIABLES: &[&str] = &["LEVADA_CRASH_AT"];

/// Flags and variables of `levada serve`; clap puts a flag over its variable.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Directory of everything durable; made if it is not there
    #[arg(long, env = "LEVADA_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port for Postgres clients [default: 127.0.0.1:7432]
    #[arg(long, env = "LEVADA_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// File with settings: data_dir, listen, insecure, max_connections, memory_limit, log
    #[arg(long, env = "LEVADA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Allow to listen where other machines can connect: there are no passwords and no encryption
    #[arg(long, env = "LEVADA_INSECURE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    insecure: Option<bool>,
    /// Sessions at the same time [default: 200]
    #[arg(long, env = "LEVADA_MAX_CONNECTIONS", value_name = "NUMBER")]
    max_connections: Option<u32>,
    /// Memory that the server may take before sources pause: bytes, or percent of what there is [default: 70%]
    #[arg(long, env = "LEVADA_MEMORY_LIMIT", value_name = "BYTES")]
    memory_limit: Option<MemoryLimit>,
    /// What to log: a level, or levels by module [default: info]
    #[arg(long, env = "LEVADA_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    insecure: Option<bool>,
    max_connections: Option<u32>,
    memory_limit: Option<MemoryLimit>,
    log: Option<String>,
}

/// Settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Host and port as given; resolved by [`addresses`].
    pub listen: String,
    pub insecure: bool,
    pub max_connections: u32,
    /// None for the engine's default.
    pub memory_limit: Option<MemoryLimit>,
    pub log: String,
}

/// Why the server cannot start with its settings; one line.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Flags and variables, with the file's settings where they are silent.
    pub fn load(flags: Flags) -> Result<Config, ConfigError> {
        let file = match &flags.config {
            Some(path) => read_file(path)?,
            None => File::default(),
        };
        let data_dir = flags.data_dir.or(file.data_dir).ok_or_else(|| {
            ConfigError(
                "no data directory is given: use --data-dir, LEVADA_DATA_DIR or data_dir in the file".to_owned(),
            )
        })?;
        let max_connections = flags.max_connections.or(file.max_connections).unwrap_or(DEFAULT_MAX_CONNECTIONS);
        if max_connections == 0 {
            return Err(ConfigError("max_connections must be at least 1".to_owned()));
        }
        Ok(Config {
            data_dir,
            listen: flags.listen.or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.to_owned()),
            insecure: flags.insecure.or(file.insecure).unwrap_or(false),
            max_connections,
            memory_limit: flags.memory_limit.or(file.memory_limit),
            log: flags.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned()),
        })
    }
}

/// The addresses behind host and port; only loopback ones, unless others are allowed.
pub async fn addresses(listen: &str, insecure: bool) -> Result<Vec<SocketAddr>, ConfigError> {
    let found = tokio::net::lookup_host(listen)
        .await
        .map_err(|error| ConfigError(format!("cannot listen on \"{listen}\": {error}")))?;
    let addresses: Vec<SocketAddr> = found.collect();
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(open) if !insecure => Err(ConfigError(format!(
            "other machines could connect to {open} without password and encryption: \
             listen on a loopback address, or allow it with --insecure"
        ))),
        _ => Ok(addresses),
    }
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read the configuration file \"{shown}\": {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        ConfigError(format!("{shown}:{line}: {}", error.message().replace('\n', ", ")))
    })
}

/// Of `names`, those that look like variables of ours and are not: misspelt, most likely.
///
/// They are no errors, because Kubernetes makes such names of its own for a service that is called levada.
pub fn unknown_variables(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let known: Vec<String> = crate::Cli::command()
        .get_subcommands()
        .flat_map(|command| command.get_arguments())
        .filter_map(|flag| Some(flag.get_env()?.to_string_lossy().into_owned()))
        .collect();
    let names = names.filter_map(|name| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("LEVADA_") && !OTHER_VARIABLES.contains(&name.as_str()));
    ours.filter(|name| !known.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, flags: Flags) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("levada.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Flags { config: Some(path), ..flags })
    }

    #[test]
    fn flags_go_over_the_file() {
        let file =
            "data_dir = '/a'\nlisten = '127.0.0.1:1'\ninsecure = true\nmax_connections = 7\nmemory_limit = '1GB'";
        let flags = Flags { listen: Some("127.0.0.1:2".to_owned()), insecure: Some(false), ..Flags::default() };
        let config = with_file(file, flags).unwrap();
        let expected = Config {
            data_dir: "/a".into(),
            listen: "127.0.0.1:2".to_owned(),
            insecure: false,
            max_connections: 7,
            memory_limit: Some(MemoryLimit::Bytes(1 << 30)),
            log: "info".to_owned(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let message = |text| with_file(text, Flags::default()).unwrap_err().to_string();
        let unknown = message("data_dir = '/a'\ndatadir = '/b'");
        assert!(unknown.contains("levada.toml:2: unknown field `datadir`"), "{unknown}");
        assert!(message("listen = 7").contains("levada.toml:1: invalid type"));
        assert!(message("listen = ").lines().count() == 1);
        assert!(message("").starts_with("no data directory is given"));
        let missing = Flags { config: Some("/no/such/file".into()), ..Flags::default() };
        assert!(Config::load(missing).unwrap_err().to_string().contains("/no/such/file"));
    }

    #[tokio::test]
    async fn only_loopback_is_safe() {
        let addresses =
            async |listen: &str, insecure| addresses(listen, insecure).await.map_err(|error| error.to_string());
        assert!(addresses("127.0.0.1:0", false).await.is_ok());
        assert!(addresses("[::1]:0", false).await.is_ok());
        assert!(addresses("0.0.0.0:0", false).await.unwrap_err().contains("--insecure"));
        assert!(addresses("0.0.0.0:0", true).await.is_ok());
        assert!(addresses("nonsense", false).await.unwrap_err().contains("cannot listen on \"nonsense\""));
    }

    #[test]
    fn misspelt_variables_are_found() {
        let names = ["PATH", "LEVADA_LISTEN", "LEVADA_DATADIR", "LEVADA_CRASH_AT"].map(OsString::from);
        assert_eq!(unknown_variables(names.into_iter()), ["LEVADA_DATADIR"]);
    }
}
