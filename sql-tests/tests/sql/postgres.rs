//! A PostgreSQL server of the test's own: on a free port, in a folder of its own, gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wire::{Options, Wire};

const SCRIPT: &str = include_str!("postgres.sh");

/// How long starting may take: `initdb` alone is two seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Postgres {
    shell: Child,
    port: u16,
    databases: u32,
}

impl Postgres {
    pub async fn start() -> Postgres {
        let port = free_port();
        let mut shell = command_as_server_user()
            .args(["sh", "-c", SCRIPT, "postgres.sh"])
            .arg(binaries())
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let asked = std::time::Instant::now();
        while let Err(error) = Wire::connect(port, "postgres", Options::default()).await {
            let exited = shell.try_wait().expect("a child's state");
            assert!(exited.is_none(), "PostgreSQL did not start: {exited:?}");
            assert!(asked.elapsed() < PATIENCE, "PostgreSQL does not answer on port {port}: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Postgres { shell, port, databases: 0 }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database and gives its name.
    pub async fn create_database(&mut self) -> String {
        use sqllogictest::AsyncDB;
        self.databases += 1;
        let name = format!("levada{}", self.databases);
        let mut admin =
            Wire::connect(self.port, "postgres", Options::default()).await.expect("a connection to PostgreSQL");
        admin.run(&format!("CREATE DATABASE {name}")).await.expect("a new database");
        name
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its input is the sign to stop.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

/// PostgreSQL's server refuses root: then it runs as the user that its package made.
fn command_as_server_user() -> Command {
    let user = Command::new("id").arg("-u").output().expect("the command id");
    if user.stdout.trim_ascii() == b"0" {
        let mut command = Command::new("runuser");
        // A root's TMPDIR may be closed to others.
        command.args(["-u", "postgres", "--", "env", "-u", "TMPDIR"]);
        command
    } else {
        Command::new("env")
    }
}

/// The folder of `initdb` and `postgres`: of version 15, whose answers the scripts hold, else of the newest there is.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    packaged.reverse();
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let preferred = PathBuf::from("/usr/lib/postgresql/15/bin");
    let mut places = std::iter::once(preferred).chain(packaged).chain(asked);
    let has_server = |place: &PathBuf| ["initdb", "postgres"].iter().all(|name| Path::new(place).join(name).exists());
    places.find(has_server).expect("PostgreSQL's server is not installed: run scripts/bootstrap.sh")
}
