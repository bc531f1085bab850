//! Freshness: how soon an event that comes to a real Kafka is seen in a view, and how soon a row is looked up meanwhile.
//!
//! ```sh
//! benches/kafka.sh &                                    # or any broker
//! cargo build --release --workspace && target/release/freshness --brokers 127.0.0.1:9192
//! ```
//!
//! The generator of `levada demo` sends events at a steady rate to a new topic, which several views read; checkpoints run as
//! they always do. The freshness that `levada_catalog.views` tells is from a message's time to the publication of its effect.
//! Measured end to end besides, by a client that asks for the count of events every millisecond: from the moment at which
//! the producer took the last event of those counted. Meanwhile one more connection looks rows up, by a prepared statement, in
//! a view of a million.

mod events;

#[path = "../nexmark/process.rs"]
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio_postgres::Client;

use events::Events;
use process::{Server, rows};

/// What can fail, with where it did.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Rows of one INSERT.
const BATCH: i64 = 100_000;

const SOURCE: &str = include_str!("../nexmark/queries/source.sql");

/// What is over the topic: a count that tells how far it is, and views such as a person would want.
const VIEWS: &[(&str, &str)] = &[
    ("counted", "SELECT count(*) AS c FROM nexmark"),
    ("bids_per_auction", "SELECT auction, count(*) AS bids, max(price) AS highest FROM bid GROUP BY auction"),
    (
        "price_per_category",
        "SELECT a.category, avg(b.price) AS price FROM bid b JOIN auction a ON b.auction = a.id GROUP BY a.category",
    ),
    ("highest_bids", "SELECT auction, bidder, price FROM bid ORDER BY price DESC LIMIT 10"),
];

#[derive(Debug, Parser)]
#[command(about = "How fresh views over a Kafka topic are, and look-ups meanwhile")]
struct Flags {
    /// A Kafka broker, host:port
    #[arg(long, default_value = "127.0.0.1:9192")]
    brokers: String,
    /// Events per second
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// How long is measured
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long events come before
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Rows of the view for look-ups
    #[arg(long, default_value_t = 1_000_000)]
    rows: i64,
    /// Look-ups per second
    #[arg(long, default_value_t = 500)]
    look_ups: u32,
    /// The server
    #[arg(long, default_value = "target/release/levada")]
    levada: PathBuf,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let flags = Flags::parse();
    let server = Server::start(&flags.levada)?;
    let client = server.connect().await?;
    fill(&client, flags.rows).await?;
    let mut events = Events::create(&flags.brokers, flags.rate).await?;
    for statement in SOURCE.replace("{topic}", events.topic()).replace("{brokers}", &flags.brokers).split(";\n") {
        if !statement.trim().is_empty() {
            rows(&client, statement).await?;
        }
    }
    rows(&client, "SET wait_for_hydration = on").await?;
    for (name, query) in VIEWS {
        rows(&client, &format!("CREATE MATERIALIZED VIEW {name} AS {query}")).await?;
        rows(&client, &format!("SELECT count(*) FROM {name}")).await?;
    }
    let measured = measure(&flags, &server, &mut events).await;
    let told = rows(&client, TOLD).await;
    drop(client);
    events.delete().await?;
    let (seen, looked_up, cpu) = measured?;
    println!("| view | messages | p50, ms | p99, ms |\n|---|---|---|---|");
    for row in told? {
        println!("| {} |", row.join(" | "));
    }
    println!("\n| | measured | p50, ms | p99, ms | max, ms |\n|---|---|---|---|---|");
    print("end to end", seen);
    print("look-up", looked_up);
    println!("\nCPU of the server: {cpu:.2} s a second; peak memory {} MB", server.usage()?.peak_memory >> 20);
    Ok(())
}

const TOLD: &str = "SELECT name, freshness_messages, freshness_p50_ms, freshness_p99_ms FROM levada_catalog.views \
     WHERE freshness_messages > 0 ORDER BY name";

/// The view that rows are looked up in.
async fn fill(client: &Client, count: i64) -> Outcome<()> {
    rows(client, "CREATE TABLE item (id bigint PRIMARY KEY, amount int, note text)").await?;
    for first in (1..=count).step_by(BATCH as usize) {
        let last = count.min(first + BATCH - 1);
        let series = format!("generate_series({first}, {last}) AS g(n)");
        rows(client, &format!("INSERT INTO item SELECT n, (n % 1000)::int, 'note ' || n FROM {series}")).await?;
    }
    rows(client, "CREATE MATERIALIZED VIEW item_view AS SELECT id, amount, note FROM item").await?;
    rows(client, "SET wait_for_hydration = on").await?;
    rows(client, "SELECT count(*) FROM item_view").await?;
    Ok(())
}

/// Sends events, watches and looks up, all at once; the latencies of both in milliseconds, and the CPU seconds of a second.
async fn measure(flags: &Flags, server: &Server, events: &mut Events) -> Outcome<(Vec<f64>, Vec<f64>, f64)> {
    let (watching, looking) = (server.connect().await?, server.connect().await?);
    let total = Duration::from_secs(flags.warm_up + flags.seconds);
    let (began, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let sending = events.send(total);
    let from = began + Duration::from_secs(flags.warm_up);
    let times = events.times();
    let watch = watch(watching, times, from, over.clone());
    let look = look_up(looking, flags.rows, flags.look_ups, from, over.clone());
    let (watch, look) = (tokio::spawn(watch), tokio::spawn(look));
    tokio::time::sleep_until(from.into()).await;
    let before = server.usage()?.cpu_seconds;
    tokio::time::sleep_until((began + total).into()).await;
    let cpu = (server.usage()?.cpu_seconds - before) / flags.seconds as f64;
    over.store(true, Ordering::Release);
    let sent = tokio::task::spawn_blocking(move || sending.join()).await?;
    sent.map_err(|_| "the producer failed")??;
    let stringly = |error: String| -> Box<dyn std::error::Error> { error.into() };
    Ok((watch.await?.map_err(stringly)?, look.await?.map_err(stringly)?, cpu))
}

/// How old the last event is that is counted, whenever there is another one.
async fn watch(
    client: Client,
    times: Arc<events::Times>,
    from: Instant,
    over: Arc<AtomicBool>,
) -> Result<Vec<f64>, String> {
    let statement = client.prepare("SELECT c FROM counted").await.map_err(|error| error.to_string())?;
    let (mut latencies, mut last) = (Vec::new(), 0);
    while !over.load(Ordering::Acquire) {
        let row = client.query_one(&statement, &[]).await.map_err(|error| error.to_string())?;
        let (now, count) = (Instant::now(), row.get::<_, i64>(0));
        if count > last && now >= from {
            let sent = times.of(count).ok_or("an event is counted that was not sent")?;
            latencies.push(now.saturating_duration_since(sent).as_secs_f64() * 1e3);
        }
        last = count;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(latencies)
}

/// Looks rows up, so many a second, one after the other.
async fn look_up(
    client: Client,
    count: i64,
    per_second: u32,
    from: Instant,
    over: Arc<AtomicBool>,
) -> Result<Vec<f64>, String> {
    let lookup = "SELECT id, amount, note FROM item_view WHERE id = $1";
    let statement = client.prepare(lookup).await.map_err(|error| error.to_string())?;
    let (mut latencies, mut key) = (Vec::new(), 1_i64);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    while !over.load(Ordering::Acquire) {
        ticks.tick().await;
        // Far apart, and each once before any comes again.
        key = (key + 618_033) % count;
        let began = Instant::now();
        let row = client.query_one(&statement, &[&(key + 1)]).await.map_err(|error| error.to_string())?;
        let ended = Instant::now();
        if row.get::<_, i64>(0) != key + 1 {
            return Err(format!("another row than {}", key + 1));
        }
        if began >= from {
            latencies.push((ended - began).as_secs_f64() * 1e3);
        }
    }
    Ok(latencies)
}

fn print(what: &str, mut latencies: Vec<f64>) {
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let index = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(index).copied().unwrap_or(f64::NAN)
    };
    println!("| {what} | {} | {:.2} | {:.2} | {:.2} |", latencies.len(), at(0.5), at(0.99), at(1.0));
}
