//! Nexmark: what each query costs, from a topic of a real Kafka into a blackhole sink and into a view.
//!
//! ```sh
//! benches/kafka.sh &                                    # or any broker
//! cargo build --release --bin levada
//! cargo run --release --bin nexmark -- --brokers 127.0.0.1:9192
//! ```
//!
//! The topic is filled once, by the generator that `levada demo` uses, and kept for the next run. Then each query runs in a
//! server of its own on a new directory, until it has taken in the whole topic. What is measured is the whole process of the
//! server, from the statement that creates the query on: seconds, CPU seconds per million events, the most memory, and the
//! bytes of state. Queries are in `benches/nexmark/queries`.

mod query;
mod report;
mod topic;

use std::path::PathBuf;

use clap::Parser;
use levada_benches::Outcome;

use report::Report;

#[derive(Debug, Parser)]
#[command(about = "Nexmark queries from a Kafka topic into a blackhole sink and into a view")]
struct Flags {
    /// A Kafka broker, host:port
    #[arg(long, default_value = "127.0.0.1:9192")]
    brokers: String,
    /// Events of the topic
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 2)]
    partitions: i32,
    /// Events per second of the events' own time
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// The server
    #[arg(long, default_value = "target/release/levada")]
    levada: PathBuf,
    /// Queries to run, such as q0,q4; all without
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// Where the query's rows go: sink, view, or both
    #[arg(long, value_delimiter = ',', default_values_t = ["sink".to_owned(), "view".to_owned()])]
    into: Vec<String>,
    /// Also write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let flags = Flags::parse();
    let topic = topic::filled(&flags.brokers, flags.events, flags.partitions, flags.rate).await?;
    let mut report = Report::new(&flags.levada, flags.events)?;
    report.print_head();
    for query in query::QUERIES {
        let (name, _) = *query;
        if !flags.queries.is_empty() && !flags.queries.iter().any(|asked| asked == name) {
            continue;
        }
        for into in &flags.into {
            let figures = query::run(*query, into, &flags.levada, &topic, flags.events).await;
            report.add(name, into, figures.map_err(|error| error.to_string()));
        }
    }
    if let Some(path) = &flags.json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}
