//! What a run ran on, whether it had it for itself, and how fast its memory comes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;

/// The processor, the memory, the version of the server and the command that was given.
pub fn describe(levada: &Path) -> Outcome<Value> {
    let version = Command::new(levada).arg("--version").output()?;
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    Ok(json!({
        "cpu": cpu.trim_start_matches([' ', '\t', ':']),
        "cores": std::thread::available_parallelism()?.get(),
        "memory": memory.trim(),
        "levada": String::from_utf8_lossy(&version.stdout).trim(),
        "command": std::env::args().collect::<Vec<_>>().join(" "),
    }))
}

/// How long what a server still does with rows that it was given is waited for, and what share of the machine that may be.
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: f64 = 0.1;

/// Waits until the machine has nothing to do for a second: compactions, checkpoints, vacuum are done. Says so when it does not.
pub async fn idle() -> Outcome<()> {
    let began = Instant::now();
    let mut last = times()?;
    while began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = times()?;
        let (busy, all) = (now.0 - last.0, now.1 - last.1);
        if busy as f64 <= IDLE * all as f64 {
            return Ok(());
        }
        last = now;
    }
    eprintln!("the machine has other things to do: the figures will tell less");
    Ok(())
}

/// How long it takes to write to so many bytes of memory that the system has to find first.
///
/// In a virtual machine whose host gives and takes memory by the page this can be most of what a process takes that needs as much.
pub fn take_memory(bytes: usize) -> Duration {
    let began = Instant::now();
    drop(std::hint::black_box(vec![1_u8; bytes]));
    began.elapsed()
}

/// Ticks in which the processors had something to do, and all ticks.
fn times() -> Outcome<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks = ticks.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let all: u64 = ticks.iter().sum();
    // The fourth and the fifth: nothing to do, and waiting for a disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}
