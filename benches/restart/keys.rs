//! Memory of a large aggregate, and what an epoch over it costs.

use std::time::{Duration, Instant};

use levada_benches::Outcome;
use levada_benches::server::{Server, rows};
use tokio_postgres::Client;

use crate::Flags;
use crate::files::files;
use crate::report::Report;

/// Rows of one INSERT while the groups are made.
const BATCH: u64 = 200_000;
/// Groups that one epoch changes, spread over all, and how many epochs are measured.
const CHANGES: u64 = 1000;
const EPOCHS: u64 = 200;

pub async fn run(flags: &Flags, report: &mut Report) -> Outcome<()> {
    for into in &flags.into {
        for groups in &flags.groups {
            let (folder, groups) = (tempfile::tempdir()?, groups * 1000);
            let server = Server::start_on(&flags.levada, folder.path())?;
            let client = server.connect().await?;
            create(&client, into).await?;
            for first in (1..=groups).step_by(BATCH as usize) {
                let last = (first + BATCH - 1).min(groups);
                let insert =
                    format!("INSERT INTO t SELECT n * 7919, n FROM generate_series({first}::bigint, {last}) AS g(n)");
                rows(&client, &insert).await?;
            }
            rows(&client, "FLUSH").await?;
            let (seconds, cpu) = epochs(&server, &client, groups).await?;
            // Not at once after filling, when what was freed is not yet the system's again.
            let usage = server.usage()?;
            let state = rows(&client, "SELECT state_bytes FROM levada_catalog.engine").await?.concat();
            let state: f64 = state.concat().parse()?;
            report.add(
                &format!("{} M groups into a {into}", groups as f64 / 1e6),
                &[
                    ("state MB", state / 1e6),
                    ("memory MB", usage.memory as f64 / 1e6),
                    ("peak MB", usage.peak_memory as f64 / 1e6),
                    ("bytes a group", usage.memory as f64 / groups as f64),
                    ("disk MB", files(folder.path())?.1 as f64 / 1e6),
                    ("ms an epoch", 1e3 * seconds / EPOCHS as f64),
                    ("CPU ms an epoch", 1e3 * cpu / EPOCHS as f64),
                ],
            );
        }
    }
    Ok(())
}

/// A table, whose rows are kept as well, and the groups over it.
async fn create(client: &Client, into: &str) -> Outcome<()> {
    rows(client, "CREATE TABLE t (k bigint, v bigint)").await?;
    let query = "SELECT k, count(*) AS c, sum(v) AS s FROM t GROUP BY k";
    let create = match into {
        "sink" => format!("CREATE SINK groups AS {query} WITH (connector = 'blackhole')"),
        "view" => format!("CREATE MATERIALIZED VIEW groups AS {query}"),
        other => return Err(format!("groups go into a sink or a view, not into a {other}").into()),
    };
    rows(client, &create).await?;
    Ok(())
}

/// Seconds and CPU seconds of epochs that change equally many groups, with the checkpoints that they cause.
async fn epochs(server: &Server, client: &Client, groups: u64) -> Outcome<(f64, f64)> {
    // What filling left to do, such as merging chunks, is not the epochs'.
    let mut before = server.usage()?.cpu_seconds;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.usage()?.cpu_seconds;
        if now - before < 0.05 {
            break;
        }
        before = now;
    }
    let (began, cpu) = (Instant::now(), server.usage()?.cpu_seconds);
    let stride = groups / CHANGES;
    for epoch in 0..EPOCHS {
        let insert = format!(
            "INSERT INTO t SELECT (n * {stride} + {epoch} % {stride} + 1) * 7919, 1 FROM generate_series(0::bigint, {}) AS g(n)",
            CHANGES - 1
        );
        rows(client, &insert).await?;
    }
    rows(client, "FLUSH").await?;
    Ok((began.elapsed().as_secs_f64(), server.usage()?.cpu_seconds - cpu))
}
