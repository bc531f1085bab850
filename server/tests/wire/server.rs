//! A server of a test's own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `levada serve` on a free port. Killed when it goes.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
    pub directory: TempDir,
}

/// `levada serve` in an environment without settings.
pub fn command() -> Command {
    command_of("serve")
}

/// A command of `levada` in an environment without settings.
pub fn command_of(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_levada"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("LEVADA_") {
            command.env_remove(variable);
        }
    }
    command.arg(name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    pub fn start_with(flags: &[&str]) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let mut command = command();
        command.arg("--data-dir").arg(directory.path().join("data")).args(["--listen", "127.0.0.1:0"]).args(flags);
        command.stderr(Stdio::inherit());
        let mut process = command.spawn().unwrap();
        let output = process.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(PATIENCE).expect("the server is not ready in time");
        let address = line.trim().strip_prefix("levada is ready on ").expect("the line that says it is ready");
        Server { address: address.parse().unwrap(), process, directory }
    }

    /// What drivers connect with.
    pub fn url(&self) -> String {
        format!("postgresql://ada@127.0.0.1:{}/levada?sslmode=disable", self.address.port())
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }

    /// CPU time that all threads of the process have taken, in ticks of 10 ms.
    pub fn cpu(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // After the name in parentheses: state is the first field, user and system time are the 12th and 13th.
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Waits until the server has taken more CPU time since then than parsing and planning a statement does.
    pub fn computes(&self, since: u64) {
        until("it computes", || self.cpu() > since + 30);
    }

    /// Waits until the server has nothing to do.
    pub fn rests(&self) {
        let (mut seen, mut still) = (self.cpu(), 0);
        until("it rests", || {
            let now = self.cpu();
            still = if now == seen { still + 1 } else { 0 };
            seen = now;
            still == 50
        });
    }

    /// Memory that the process uses, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for a process to end by itself.
pub fn wait(process: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Asks again and again, until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "too late: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a server that ends by itself; returns its exit code and what it says on standard error.
pub fn refused(mut command: Command) -> (Option<i32>, String) {
    let mut process = command.spawn().unwrap();
    let status = wait(&mut process);
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}
