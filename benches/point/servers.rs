//! The servers measured: each on a free port, in a folder of its own, gone with this program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::Result;

/// How long PostgreSQL may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a server until its own input ends, as it does when this program goes, however it goes.
const UNTIL_INPUT_ENDS: &str = r#""$0" "$@" & server=$!; cat >/dev/null; kill -TERM "$server"; wait "$server""#;

const POSTGRES: &str = include_str!("postgres.sh");

pub struct Server {
    pub name: &'static str,
    /// What brings a filled view into the shape in which it is looked up.
    pub after_filling: &'static [&'static str],
    database: &'static str,
    port: u16,
    shell: Child,
    /// Goes after the server.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts Levada.
    pub async fn levada(binary: Option<&Path>) -> Result<Server> {
        let binary = match binary {
            Some(binary) => binary.to_owned(),
            None => std::env::current_exe()?.with_file_name("levada"),
        };
        if !binary.exists() {
            return Err(format!("there is no {}: build the workspace", binary.display()).into());
        }
        let folder = tempfile::tempdir()?;
        let mut shell = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS])
            .arg(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(shell.stdout.take().ok_or("no output of the server")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| format!("the server is not ready, it says {line:?}"))?;
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        let (name, database) = ("Levada", "levada");
        Ok(Server { name, after_filling: &["FLUSH"], database, port, shell, _folder: Some(folder) })
    }

    /// Starts PostgreSQL, if its server programs are there.
    pub async fn postgres() -> Result<Option<Server>> {
        let Some(binaries) = postgres_binaries() else { return Ok(None) };
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let shell = as_server_user()?
            .args(["sh", "-c", POSTGRES, "postgres.sh"])
            .arg(binaries)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .spawn()?;
        let after_filling = &["CREATE UNIQUE INDEX ON item_view (id)", "VACUUM ANALYZE item_view", "CHECKPOINT"];
        let (name, database) = ("PostgreSQL", "postgres");
        let mut server = Server { name, after_filling, database, port, shell, _folder: None };
        let asked = Instant::now();
        while let Err(error) = server.connect().await {
            if server.shell.try_wait()?.is_some() || asked.elapsed() > PATIENCE {
                return Err(format!("PostgreSQL does not start: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Some(server))
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<Client> {
        let parameters = format!("host=127.0.0.1 port={} user=postgres dbname={}", self.port, self.database);
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
        // Ends with the client.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The folder of PostgreSQL's server programs, of the newest version there is.
fn postgres_binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    places.sort();
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    places.extend(asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())));
    places.into_iter().rfind(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).exists()))
}

/// PostgreSQL's server refuses root: then it runs as the user that its package made.
fn as_server_user() -> Result<Command> {
    let user = Command::new("id").arg("-u").output()?;
    if user.stdout.trim_ascii() != b"0" {
        return Ok(Command::new("env"));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", "env", "-u", "TMPDIR"]);
    Ok(command)
}
