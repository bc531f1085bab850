//! What a run ran on.

use std::path::Path;
use std::process::Command;

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
