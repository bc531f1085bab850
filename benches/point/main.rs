//! Point look-ups over the wire: how long one takes, and how many there are in a second.
//!
//! ```text
//! cargo build --release --workspace && target/release/point --rows 1000000 --seconds 10 --connections 1,8
//! ```
//!
//! A materialized view of so many rows is filled on a Levada server and, where PostgreSQL's server programs are found, on
//! a PostgreSQL server too; both run on this machine, in folders of their own. Then the same client (tokio-postgres, one
//! task a connection, one statement prepared once) looks random keys up, on each server in turns, so that whatever else
//! the machine does meets both. Printed are a table and, with `--json`, the same figures as JSON.

mod measure;
mod servers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use levada_benches::{Outcome, machine};
use serde::Serialize;

use crate::measure::{Figures, fill, measure};
use crate::servers::Server;

/// Point look-ups over the wire, on Levada and on PostgreSQL.
#[derive(Parser)]
struct Flags {
    /// Rows of the view
    #[arg(long, default_value_t = 1_000_000)]
    rows: i64,
    /// Seconds that each round takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds on each server, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Numbers of connections to measure with
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    connections: Vec<usize>,
    /// The server's binary; by default the one beside this program
    #[arg(long)]
    levada: Option<PathBuf>,
    /// Leave PostgreSQL out
    #[arg(long)]
    alone: bool,
    /// Where to write the figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The figures of one server with so many connections, over all rounds.
#[derive(Serialize)]
struct Line {
    server: String,
    connections: usize,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Report {
    rows: i64,
    seconds: u64,
    rounds: usize,
    cores: usize,
    lines: Vec<Line>,
    /// Levada's look-ups a second over PostgreSQL's, by number of connections.
    ratios: BTreeMap<usize, f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("point: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Outcome<()> {
    let mut servers = vec![Server::levada(flags.levada.as_deref())?];
    if !flags.alone {
        match Server::postgres().await? {
            Some(server) => servers.push(server),
            None => eprintln!("PostgreSQL's server programs are not installed: it is left out"),
        }
    }
    for server in &servers {
        eprintln!("{}: filling {} rows", server.name, flags.rows);
        fill(server, flags.rows).await?;
    }
    machine::idle().await?;
    let mut lines = Vec::new();
    for connections in &flags.connections {
        let mut latencies: Vec<Vec<u32>> = vec![Vec::new(); servers.len()];
        for round in 0..flags.rounds {
            for (server, latencies) in servers.iter().zip(&mut latencies) {
                let time = Duration::from_secs(flags.seconds);
                latencies.extend(measure(server, *connections, flags.rows, time, round as u64).await?);
            }
        }
        let seconds = flags.seconds * flags.rounds as u64;
        for (server, latencies) in servers.iter().zip(latencies) {
            let figures = Figures::new(latencies, seconds);
            lines.push(Line { server: server.name.to_owned(), connections: *connections, figures });
        }
    }
    let report = Report {
        rows: flags.rows,
        seconds: flags.seconds,
        rounds: flags.rounds,
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        ratios: ratios(&lines),
        lines,
    };
    print(&report);
    if let Some(path) = flags.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

fn ratios(lines: &[Line]) -> BTreeMap<usize, f64> {
    let rate = |name: &str, connections: usize| {
        let mut of = lines.iter().filter(|line| line.server.starts_with(name) && line.connections == connections);
        of.next().map(|line| line.figures.per_second)
    };
    let ratio = |line: &Line| {
        let connections = line.connections;
        Some((connections, rate("Levada", connections)? / rate("PostgreSQL", connections)?))
    };
    lines.iter().filter_map(ratio).collect()
}

fn print(report: &Report) {
    println!(
        "{:<12} {:>11} {:>12} {:>9} {:>9} {:>9}",
        "server", "connections", "look-ups/s", "p50 µs", "p99 µs", "max µs"
    );
    for Line { server, connections, figures } in &report.lines {
        let Figures { per_second, p50, p99, max, .. } = figures;
        println!("{server:<12} {connections:>11} {per_second:>12.0} {p50:>9.0} {p99:>9.0} {max:>9.0}");
    }
    for (connections, ratio) in &report.ratios {
        println!("Levada / PostgreSQL, {connections} connections: {ratio:.2}");
    }
}
