//! The servers measured: each on a free port, in a folder of its own, gone with this program.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use levada_benches::{Outcome, server};
use tokio_postgres::Client;

/// How long PostgreSQL may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

const POSTGRES: &str = include_str!("postgres.sh");

pub struct Server {
    pub name: &'static str,
    /// What brings a filled view into the shape in which it is looked up.
    pub after_filling: &'static [&'static str],
    database: &'static str,
    port: u16,
    /// Ends when it goes.
    _process: Box<dyn Any>,
}

impl Server {
    /// Starts Levada.
    pub fn levada(binary: Option<&Path>) -> Outcome<Server> {
        let binary = match binary {
            Some(binary) => binary.to_owned(),
            None => std::env::current_exe()?.with_file_name("levada"),
        };
        let process = server::Server::start(&binary)?;
        let (name, database, port) = ("Levada", server::DATABASE, process.port);
        Ok(Server { name, after_filling: &["FLUSH"], database, port, _process: Box::new(process) })
    }

    /// Starts PostgreSQL, if its server programs are there.
    pub async fn postgres() -> Outcome<Option<Server>> {
        let Some(binaries) = postgres_binaries() else { return Ok(None) };
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let shell = as_server_user()?
            .args(["sh", "-c", POSTGRES, "postgres.sh"])
            .arg(binaries)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .spawn()?;
        let (mut shell, asked) = (Shell(shell), Instant::now());
        let (name, database) = ("PostgreSQL", "postgres");
        while let Err(error) = server::connect(port, database).await {
            if shell.0.try_wait()?.is_some() || asked.elapsed() > PATIENCE {
                return Err(format!("PostgreSQL does not start: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let after_filling = &["CREATE UNIQUE INDEX ON item_view (id)", "VACUUM ANALYZE item_view", "CHECKPOINT"];
        Ok(Some(Server { name, after_filling, database, port, _process: Box::new(shell) }))
    }

    /// A new connection.
    pub async fn connect(&self) -> Outcome<Client> {
        server::connect(self.port, self.database).await
    }
}

/// Runs its server until its input ends, as it does when this program goes, however it goes.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
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
fn as_server_user() -> Outcome<Command> {
    let user = Command::new("id").arg("-u").output()?;
    if user.stdout.trim_ascii() != b"0" {
        return Ok(Command::new("env"));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", "env", "-u", "TMPDIR"]);
    Ok(command)
}
