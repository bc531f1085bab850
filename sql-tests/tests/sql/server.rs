//! A Levada server of the test's own, on a port that it chooses, gone with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Runs a program until a line comes that names a signal for it, or the input ends: it does not outlive a test that is
/// killed. Says first what the program's id is. The output is the program's alone then, so that it ends with it.
const UNTIL_TOLD: &str = r#""$0" "$@" & server=$!; echo "$server"; exec >&-
    read -r signal; kill -s "${signal:-TERM}" "$server"; wait "$server" 2>/dev/null"#;

/// What the server says once clients can connect.
const READY: &str = "levada is ready on 127.0.0.1:";

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    shell: Child,
    process: u32,
    port: u16,
}

impl Server {
    /// Starts on a data directory and waits until clients can connect.
    pub fn start(data: &Path) -> Server {
        Server::run(&["serve"], data)
    }

    /// The same for a command of `levada` that serves clients.
    pub fn run(command: &[&str], data: &Path) -> Server {
        Server::spawn("", command, data)
    }

    /// The same where no file can be larger than so many megabytes: a write beyond that fails.
    pub fn with_small_files(megabytes: usize, data: &Path) -> Server {
        // Blocks of 512 bytes. Without the signal the write itself fails, as on a full disk.
        Server::spawn(&format!("trap '' XFSZ; ulimit -f {}; ", megabytes * 2048), &["serve"], data)
    }

    fn spawn(before: &str, command: &[&str], data: &Path) -> Server {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("{before}{UNTIL_TOLD}")])
            .arg(binary())
            .args(command)
            .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut output = BufReader::new(shell.stdout.take().expect("a piped output"));
        let mut said = [const { String::new() }; 2];
        for line in &mut said {
            output.read_line(line).expect("a line of the server");
        }
        let number = |line: &str| line.trim().parse::<u32>().ok();
        // The server may be faster than the shell.
        said.sort_by_key(|line| number(line).is_none());
        let port = said[1].strip_prefix(READY).and_then(number);
        let (Some(process), Some(Ok(port))) = (number(&said[0]), port.map(u16::try_from)) else {
            panic!("the server is not ready, it says {said:?}")
        };
        // What else it says is nobody's; but it must be taken.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        Server { shell, process, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        let input = self.shell.stdin.as_mut().expect("a piped input");
        input.write_all(b"KILL\n").expect("a shell that reads");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let asked = Instant::now();
        while self.shell.try_wait().expect("a child's state").is_none() {
            if asked.elapsed() > PATIENCE {
                let _ = Command::new("kill").args(["-KILL", &self.process.to_string()]).status();
                let _ = self.shell.wait();
                assert!(std::thread::panicking(), "the server does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The server's binary, which cargo builds along with the workspace's tests; never one that is older than its sources.
fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sql-tests lies in the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    let binary = target.join("debug/levada");
    let build = "build it with: cargo build --workspace --all-targets";
    assert!(binary.exists(), "there is no {}; {build}", binary.display());
    let built = modified(&binary);
    let newer = ["engine/src", "server/src"].iter().find_map(|folder| newer_source(&root.join(folder), built));
    assert!(newer.is_none(), "{} is older than {:?}; {build}", binary.display(), newer.unwrap_or_default());
    binary
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).expect("the time of a change")
}

/// A source below `folder` that was changed since; tests are not part of the binary.
fn newer_source(folder: &Path, since: SystemTime) -> Option<PathBuf> {
    std::fs::read_dir(folder).expect("a folder of sources").find_map(|entry| {
        let path = entry.expect("an entry").path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        match path.is_dir() {
            _ if is_test => None,
            true => newer_source(&path, since),
            false => (modified(&path) > since).then_some(path),
        }
    })
}
