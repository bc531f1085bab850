//! One query: created, run to the end of the topic, measured.

use std::path::Path;
use std::time::{Duration, Instant};

use levada_benches::Outcome;
use levada_benches::server::{Server, rows};
use levada_benches::topic::Topic;
use tokio_postgres::Client;

/// Every query that Levada's SQL covers, by name.
pub const QUERIES: &[(&str, &str)] = &[
    ("q0", include_str!("queries/q0.sql")),
    ("q1", include_str!("queries/q1.sql")),
    ("q2", include_str!("queries/q2.sql")),
    ("q3", include_str!("queries/q3.sql")),
    ("q4", include_str!("queries/q4.sql")),
    ("q5", include_str!("queries/q5.sql")),
    ("q7", include_str!("queries/q7.sql")),
    ("q8", include_str!("queries/q8.sql")),
    ("q14", include_str!("queries/q14.sql")),
    ("q15", include_str!("queries/q15.sql")),
    ("q16", include_str!("queries/q16.sql")),
    ("q17", include_str!("queries/q17.sql")),
    ("q20", include_str!("queries/q20.sql")),
    ("q21", include_str!("queries/q21.sql")),
    ("q22", include_str!("queries/q22.sql")),
];

/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What a query cost.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Figures {
    pub seconds: f64,
    pub events_per_second: f64,
    /// Seconds of all cores per million events: core-µs an event.
    pub cpu_seconds_per_million: f64,
    pub peak_memory_bytes: u64,
    pub state_bytes: u64,
    /// Rows that came out: inserted into the sink, or in the view at the end.
    pub rows: u64,
}

/// Runs a query in a new server until it has seen the whole topic, of so many events.
pub async fn run((name, sql): (&str, &str), into: &str, levada: &Path, topic: &Topic, events: u64) -> Outcome<Figures> {
    let server = Server::start(levada)?;
    let client = server.connect().await?;
    topic.declare(&client).await?;
    let sql = sql.trim_end();
    let (create, progress) = match into {
        "sink" => (
            format!("CREATE SINK {name} AS\n{sql}\nWITH (connector = 'blackhole')"),
            format!("SELECT hydration, inserted, state_bytes FROM levada_catalog.sinks WHERE name = '{name}'"),
        ),
        "view" => (
            format!("CREATE MATERIALIZED VIEW {name} AS\n{sql}"),
            format!("SELECT hydration, rows, state_bytes FROM levada_catalog.views WHERE name = '{name}'"),
        ),
        other => return Err(format!("\"{other}\" is neither sink nor view").into()),
    };
    let before = server.usage()?;
    let began = Instant::now();
    rows(&client, &create).await?;
    finished(&client, &progress, began).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = server.usage()?;
    // State is measured once a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let found = rows(&client, &progress).await?;
    let number = |column: usize| found.first().and_then(|row| row[column].parse().ok()).unwrap_or(0);
    let events = events as f64;
    Ok(Figures {
        seconds,
        events_per_second: events / seconds,
        cpu_seconds_per_million: (after.cpu_seconds - before.cpu_seconds) / (events / 1e6),
        peak_memory_bytes: after.peak_memory,
        state_bytes: number(2),
        rows: number(1),
    })
}

/// How often a query is asked how far it is: the answer is CPU of the server too.
const POLL: Duration = Duration::from_millis(100);

/// Waits until the topic's history is in.
async fn finished(client: &Client, progress: &str, began: Instant) -> Outcome<()> {
    loop {
        let found = rows(client, progress).await?;
        let found = found.first().ok_or("the query is not listed")?;
        match found[0].as_str() {
            "hydrated" => return Ok(()),
            "failed" => return Err("the query failed to start".into()),
            _ if began.elapsed() > PATIENCE => return Err("the query takes too long".into()),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}
