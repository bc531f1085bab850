//! The server as a process on a directory that outlives it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::Outcome;

/// A running server; killed (SIGKILL) when it goes.
pub struct Server {
    child: Child,
    address: String,
    /// When the process was started, and how long it took to say that it listens.
    pub started: Instant,
    pub listening: Duration,
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
    pub fn start(levada: &Path, data: &Path) -> Outcome<Server> {
        let started = Instant::now();
        let mut child = Command::new(levada)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", levada.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        if !address.contains(':') {
            return Err(format!("the server did not start: {line}").into());
        }
        Ok(Server { child, address, started, listening: started.elapsed() })
    }

    pub async fn connect(&self) -> Outcome<Client> {
        let (host, port) = self.address.rsplit_once(':').ok_or("no port")?;
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port.parse()?).user("bench").dbname("levada");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
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

/// The files below a directory, and their bytes.
pub fn files(directory: &Path) -> Outcome<(Vec<PathBuf>, u64)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (files, size) = files(&entry.path())?;
            found.extend(files);
            bytes += size;
        } else {
            bytes += entry.metadata()?.len();
            found.push(entry.path());
        }
    }
    Ok((found, bytes))
}

/// Makes the kernel forget what it holds of these files, so that they are read from the disk.
pub fn forget(files: &[PathBuf]) -> Outcome<()> {
    for file in files {
        let mut of = std::ffi::OsString::from("if=");
        of.push(file);
        let done = Command::new("dd").arg(of).args(["iflag=nocache", "count=0"]).stderr(Stdio::null()).status()?;
        if !done.success() {
            return Err(format!("dd cannot drop the cache of {}", file.display()).into());
        }
    }
    Ok(())
}
