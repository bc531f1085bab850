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

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use levada_benches::latency::quantile;
use levada_benches::server::{Server, rows};
use levada_benches::topic::Topic;
use levada_benches::{Outcome, items};
use tokio_postgres::Client;

use events::Times;

const PARTITIONS: i32 = 2;

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
    items::fill(&client, flags.rows).await?;
    let topic = Topic::new(&flags.brokers, format!("freshness-{}", std::process::id()), PARTITIONS);
    topic.create().await?;
    topic.declare(&client).await?;
    rows(&client, "SET wait_for_hydration = on").await?;
    rows(&client, "SELECT count(*) FROM item_view").await?;
    for (name, query) in VIEWS {
        rows(&client, &format!("CREATE MATERIALIZED VIEW {name} AS {query}")).await?;
        rows(&client, &format!("SELECT count(*) FROM {name}")).await?;
    }
    let measured = measure(&flags, &server, &topic).await;
    let told = rows(&client, TOLD).await;
    drop(client);
    topic.delete().await?;
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

/// Sends events, watches and looks up, all at once; the latencies of both in milliseconds, and the CPU seconds of a second.
async fn measure(flags: &Flags, server: &Server, topic: &Topic) -> Outcome<(Vec<f64>, Vec<f64>, f64)> {
    let (watching, looking) = (server.connect().await?, server.connect().await?);
    let total = Duration::from_secs(flags.warm_up + flags.seconds);
    let (began, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let times = Arc::new(Times::default());
    let sending = events::send(topic.clone(), flags.rate, total, times.clone());
    let from = began + Duration::from_secs(flags.warm_up);
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
    Ok((watch.await??, look.await??, cpu))
}

/// How old the last event is that is counted, whenever there is another one.
async fn watch(client: Client, times: Arc<Times>, from: Instant, over: Arc<AtomicBool>) -> Outcome<Vec<f64>> {
    let statement = client.prepare("SELECT c FROM counted").await?;
    let (mut latencies, mut last) = (Vec::new(), 0);
    while !over.load(Ordering::Acquire) {
        let row = client.query_one(&statement, &[]).await?;
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
) -> Outcome<Vec<f64>> {
    let statement = client.prepare(items::LOOK_UP).await?;
    let (mut latencies, mut key) = (Vec::new(), 1_i64);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    while !over.load(Ordering::Acquire) {
        ticks.tick().await;
        // Far apart, and each once before any comes again.
        key = (key + 618_033) % count;
        let began = Instant::now();
        let row = client.query_one(&statement, &[&(key + 1)]).await?;
        let ended = Instant::now();
        if row.get::<_, i64>(0) != key + 1 {
            return Err(format!("another row than {}", key + 1).into());
        }
        if began >= from {
            latencies.push((ended - began).as_secs_f64() * 1e3);
        }
    }
    Ok(latencies)
}

fn print(what: &str, mut latencies: Vec<f64>) {
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share| quantile(&latencies, share).unwrap_or(f64::NAN);
    println!("| {what} | {} | {:.2} | {:.2} | {:.2} |", latencies.len(), at(0.5), at(0.99), at(1.0));
}
