//! The view, and look-ups in it.

use std::time::{Duration, Instant};

use levada_benches::latency::quantile;
use levada_benches::{Outcome, items};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::servers::Server;

/// What came out. Times in microseconds.
#[derive(Serialize)]
pub struct Figures {
    pub look_ups: usize,
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Figures {
    /// Of the latencies of all look-ups, in nanoseconds, done within so many seconds.
    pub fn new(mut latencies: Vec<u32>, seconds: u64) -> Figures {
        latencies.sort_unstable();
        let at = |share| quantile(&latencies, share).map_or(0.0, |nanoseconds| f64::from(nanoseconds) / 1000.0);
        let per_second = latencies.len() as f64 / seconds as f64;
        Figures { look_ups: latencies.len(), per_second, p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

/// Makes the table and the view over it.
pub async fn fill(server: &Server, rows: i64) -> Outcome<()> {
    let client = server.connect().await?;
    items::fill(&client, rows).await?;
    for statement in server.after_filling {
        client.batch_execute(statement).await?;
    }
    let look_up = client.prepare(items::LOOK_UP).await?;
    let found = client.query_one(&look_up, &[&rows]).await?;
    let (id, note): (i64, String) = (found.get(0), found.get(2));
    if (id, note) != (rows, format!("note {rows}")) {
        return Err(format!("{} does not have the rows that it was given", server.name).into());
    }
    Ok(())
}

/// Looks random keys up for so long; the latency of each look-up in nanoseconds.
pub async fn measure(server: &Server, connections: usize, rows: i64, time: Duration, seed: u64) -> Outcome<Vec<u32>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(server.connect().await?);
    }
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        let random = Random(seed * 1000 + number as u64 + 1);
        tasks.spawn(look_up_until(client, rows, until, random));
    }
    let mut all = Vec::new();
    while let Some(latencies) = tasks.join_next().await {
        all.extend(latencies??);
    }
    Ok(all)
}

async fn look_up_until(client: Client, rows: i64, until: Instant, mut random: Random) -> Outcome<Vec<u32>> {
    let statement = client.prepare(items::LOOK_UP).await?;
    let mut latencies = Vec::new();
    loop {
        let id = (random.next() % rows.cast_unsigned()).cast_signed() + 1;
        let began = Instant::now();
        let row = client.query_one(&statement, &[&id]).await?;
        let ended = Instant::now();
        if row.get::<_, i64>(0) != id {
            return Err(format!("another row than {id}").into());
        }
        latencies.push(u32::try_from((ended - began).as_nanos()).unwrap_or(u32::MAX));
        if ended >= until {
            return Ok(latencies);
        }
    }
}

/// Marsaglia's xorshift64*: the same keys for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}
