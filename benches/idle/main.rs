//! What views cost that nothing happens to: the CPU of a step of one row, without them and beside many of them.
//!
//! ```sh
//! cargo build --release --workspace && target/release/idle --views 1000 --steps 2000
//! ```
//!
//! Two tables: one that stands still, with the idle views over it, and one that gets rows, with a view of its own. One
//! connection inserts single rows, one after the other, so that each has a step, an fsync and an answer to itself. Measured
//! is the CPU of the whole server process, the wire and the binding of the statement included, so what views cost is the
//! difference between two lines. The least of some rounds counts: others may compute on the same machine.

use std::path::PathBuf;

use clap::Parser;
use levada_benches::Outcome;
use levada_benches::server::{Server, rows};
use tokio_postgres::Client;

#[derive(Debug, Parser)]
#[command(about = "The CPU of a step of one row beside many idle views")]
struct Flags {
    /// Idle views
    #[arg(long, default_value_t = 1000)]
    views: u32,
    /// Groups of each idle view
    #[arg(long, default_value_t = 100)]
    groups: u32,
    /// Steps of a round
    #[arg(long, default_value_t = 2000)]
    steps: i64,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The server
    #[arg(long, default_value = "target/release/levada")]
    levada: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let flags = Flags::parse();
    let server = Server::start(&flags.levada)?;
    let client = server.connect().await?;
    let tables = "CREATE TABLE busy (k bigint, v bigint); CREATE TABLE quiet (k bigint, v bigint);
        CREATE MATERIALIZED VIEW busy_view AS SELECT k, count(*) AS n FROM busy GROUP BY k";
    client.batch_execute(tables).await?;
    let fill = format!("INSERT INTO quiet SELECT i, i * 1000 FROM generate_series(1, {}) AS g(i)", flags.groups);
    client.batch_execute(&fill).await?;
    println!("| idle views | CPU of a step, µs | peak memory, MB |\n|---|---|---|");
    measure(&flags, &server, &client, 0).await?;
    for view in 0..flags.views {
        let query = format!("SELECT k, count(*) AS n, sum(v) AS s FROM quiet WHERE v <> {view} GROUP BY k");
        client.batch_execute(&format!("CREATE MATERIALIZED VIEW idle_{view} AS {query}")).await?;
    }
    client.batch_execute("FLUSH").await?;
    measure(&flags, &server, &client, flags.views).await?;
    let counted = rows(&client, "SELECT sum(n) FROM busy_view").await?;
    let inserted = (2 * i64::from(flags.rounds) * flags.steps).to_string();
    if counted != [[inserted.as_str()]] {
        return Err(format!("the view counts {counted:?} rows, not {inserted}").into());
    }
    Ok(())
}

/// The least CPU of a step over all rounds.
async fn measure(flags: &Flags, server: &Server, client: &Client, views: u32) -> Outcome<()> {
    let insert = client.prepare("INSERT INTO busy VALUES ($1, $1)").await?;
    let mut least = f64::INFINITY;
    for _ in 0..flags.rounds {
        let before = server.usage()?.cpu_seconds;
        for step in 0..flags.steps {
            client.execute(&insert, &[&(step % 1000)]).await?;
        }
        least = least.min((server.usage()?.cpu_seconds - before) * 1e6 / flags.steps as f64);
    }
    println!("| {views} | {least:.0} | {} |", server.usage()?.peak_memory >> 20);
    Ok(())
}
