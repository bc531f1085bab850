//! The figures as a table, line by line as they come, and as JSON.

use std::path::Path;

use levada_benches::{Outcome, machine};
use serde_json::{Map, Value, json};

/// All that a run found, and what it ran on.
pub struct Report {
    machine: Value,
    lines: Vec<Value>,
}

impl Report {
    pub fn new(levada: &Path) -> Outcome<Report> {
        let machine = machine::describe(levada)?;
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
