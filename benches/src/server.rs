//! Levada as a process: started, asked what it answers and how much it used, killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::Outcome;

/// The database that a client of Levada names.
pub const DATABASE: &str = "levada";

/// A running server on a free port; killed (SIGKILL) when this goes.
pub struct Server {
    child: Child,
    pub port: u16,
    /// When the process was started, and how long it took to say that it listens.
    pub started: Instant,
    pub listening: Duration,
    /// Goes after the server.
    _data: Option<TempDir>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds of all cores, in user and kernel mode.
    pub cpu_seconds: f64,
    /// Bytes of memory now and at the highest.
    pub memory: u64,
    pub peak_memory: u64,
}

impl Server {
    /// On a new directory of its own.
    pub fn start(levada: &Path) -> Outcome<Server> {
        let data = tempfile::tempdir()?;
        let mut server = Server::start_on(levada, data.path())?;
        server._data = Some(data);
        Ok(server)
    }

    /// On a directory that outlives it.
    pub fn start_on(levada: &Path, data: &Path) -> Outcome<Server> {
        let started = Instant::now();
        let child = Command::new(levada)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", levada.display()))?;
        let mut server = Server { child, port: 0, started, listening: Duration::ZERO, _data: None };
        let stdout = server.child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        server.port = port.ok_or_else(|| format!("the server did not start: {line}"))?;
        server.listening = started.elapsed();
        Ok(server)
    }

    pub async fn connect(&self) -> Outcome<Client> {
        connect(self.port, DATABASE).await
    }

    /// From `/proc`: the kernel counts for the process what all of its threads used.
    pub fn usage(&self) -> Outcome<Usage> {
        let id = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // After the name in parentheses: state is the first field, user and system time are the 12th and 13th.
        let after_name = stat.rsplit_once(')').ok_or("/proc/…/stat without a name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let bytes = |name: &str| -> Outcome<u64> {
            let value =
                status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a line of /proc is not there")?;
            Ok(value.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
        };
        // The unit of these fields is 1/100 s on every Linux that we run on (sysconf(_SC_CLK_TCK)).
        Ok(Usage { cpu_seconds: ticks / 100.0, memory: bytes("VmRSS:")?, peak_memory: bytes("VmHWM:")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A new connection to a server on this machine, as the user that PostgreSQL has from the start.
pub async fn connect(port: u16, database: &str) -> Outcome<Client> {
    let parameters = format!("host=127.0.0.1 port={port} user=postgres dbname={database}");
    let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
    // Ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

/// The rows of a query as text.
pub async fn rows(client: &Client, sql: &str) -> Outcome<Vec<Vec<String>>> {
    let answer = client.simple_query(sql).await.map_err(|error| match error.as_db_error() {
        Some(error) => format!("{}: {} ({sql})", error.code().code(), error.message()),
        None => error.to_string(),
    })?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    };
    Ok(answer.into_iter().filter_map(row).collect())
}
