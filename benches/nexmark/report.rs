//! The figures as a table, line by line as they come, and as JSON.

use std::path::Path;

use levada_benches::{Outcome, machine};
use serde_json::{Value, json};

use crate::query::Figures;

/// All that a run found, and what it ran on.
pub struct Report {
    machine: Value,
    events: u64,
    queries: Vec<Value>,
}

impl Report {
    pub fn new(levada: &Path, events: u64) -> Outcome<Report> {
        Ok(Report { machine: machine::describe(levada)?, events, queries: Vec::new() })
    }

    pub fn print_head(&self) {
        println!("{} events; {}", self.events, self.machine);
        println!(
            "{:<6}{:<6}{:>10}{:>12}{:>14}{:>12}{:>12}{:>12}",
            "query", "into", "seconds", "events/s", "core-µs/event", "peak MB", "state MB", "rows"
        );
    }

    pub fn add(&mut self, query: &str, into: &str, figures: Result<Figures, String>) {
        match figures {
            Ok(figures) => {
                println!(
                    "{query:<6}{into:<6}{:>10.2}{:>12.0}{:>14.2}{:>12.0}{:>12.1}{:>12}",
                    figures.seconds,
                    figures.events_per_second,
                    figures.cpu_seconds_per_million,
                    figures.peak_memory_bytes as f64 / 1e6,
                    figures.state_bytes as f64 / 1e6,
                    figures.rows
                );
                self.queries.push(json!({ "query": query, "into": into, "figures": figures }));
            }
            Err(error) => {
                println!("{query:<6}{into:<6}{error}");
                self.queries.push(json!({ "query": query, "into": into, "error": error }));
            }
        }
    }

    pub fn json(&self) -> Outcome<String> {
        let all = json!({ "machine": self.machine, "events": self.events, "queries": self.queries });
        Ok(serde_json::to_string_pretty(&all)?)
    }
}
