//! The figures as a table, line by line as they come, and as JSON.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::Outcome;

/// All that a run found, and what it ran on.
pub struct Report {
    machine: Value,
    lines: Vec<Value>,
}

impl Report {
    pub fn new(levada: &Path) -> Outcome<Report> {
        let version = Command::new(levada).arg("--version").output()?;
        let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let memory = std::fs::read_to_string("/proc/meminfo")?;
        let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
        let machine = json!({
            "cpu": cpu.trim_start_matches([' ', '\t', ':']),
            "cores": std::thread::available_parallelism()?.get(),
            "memory": memory.trim(),
            "levada": String::from_utf8_lossy(&version.stdout).trim(),
            "command": std::env::args().collect::<Vec<_>>().join(" "),
        });
        println!("{machine}");
        Ok(Report { machine, lines: Vec::new() })
    }

    /// Prints a line of named figures, and keeps them.
    pub fn add(&mut self, name: &str, figures: &[(&str, f64)]) {
        let shown: Vec<String> = figures.iter().map(|(figure, value)| format!("{figure} {value:>9.3}")).collect();
        println!("{name:<28}{}", shown.join("   "));
        let values: Map<String, Value> =
            figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.lines.push(json!({ "name": name, "figures": values }));
    }

    pub fn json(&self) -> Outcome<String> {
        Ok(serde_json::to_string_pretty(&json!({ "machine": self.machine, "figures": self.lines }))?)
    }
}
