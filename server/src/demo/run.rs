//! The demo from its first line to its last.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use levada_engine::error::Result as EngineResult;
use levada_engine::{Engine, EngineOptions};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::broker::{Broker, topic};
use super::config::Flags;
use super::database::Database;
use super::directory::DataDirectory;
use super::feed::Feed;
use super::schema;
use super::screen::{Log, Screen};
use super::status::{self, Observer};
use crate::config::{DEFAULT_MAX_CONNECTIONS, addresses};
use crate::pgwire::{Limits, Listener};

/// How often the feed hears what has been read. The built-in broker's topics hold some seconds.
const LOOK: Duration = Duration::from_millis(250);
/// How often the block on a terminal is drawn.
const DRAW: Duration = Duration::from_secs(1);
/// How often a line is printed where there is no terminal.
const PRINT: Duration = Duration::from_secs(5);

/// Runs the demo until it is stopped, or its time is up.
pub fn start(flags: Flags) -> Result<(), Box<dyn StdError>> {
    let screen = Arc::new(Screen::standard_output());
    let log = Log::beside(&screen);
    crate::start_log(&flags.log, move || log.clone())?;
    crate::block_on(run(flags, &screen))
}

async fn run(flags: Flags, screen: &Screen) -> Result<(), Box<dyn StdError>> {
    let stop = crate::stop_signal()?;
    let socket = crate::bind(&addresses(&flags.listen, flags.insecure).await?, &flags.listen).await?;
    // What is named first goes last: the engine before the broker, both before the directory.
    let directory = match &flags.data_dir {
        Some(path) => DataDirectory::named(path.clone(), flags.brokers.is_some())?,
        None => DataDirectory::temporary()?,
    };
    let broker = match &flags.brokers {
        Some(servers) => Broker::of(servers.clone()),
        None => Broker::built_in()?,
    };
    let topics = broker.topics().await?;
    let options = flags.memory_limit.apply(EngineOptions::new(directory.path()))?;
    let engine = tokio::task::spawn_blocking(|| Engine::open(options)).await??;
    let mut database = Database::connect(&engine)?;
    for statement in schema::statements(&broker) {
        database.run(&statement).await?;
    }
    // Rates count from here on.
    let mut observer = Observer::new();
    let progress = status::progress(&mut database).await?;
    observer.look(&mut database, &progress).await?;
    let feed = Feed::start(flags.seed, flags.rate, &broker, topics)?;
    let listener = Listener::new(socket, engine.clone(), Limits { connections: DEFAULT_MAX_CONNECTIONS });
    screen.print(&welcome(listener.address()?, &flags, &directory));
    let watch = Watch { database, feed: &feed, screen, observer, shown: Instant::now() };
    let over = async {
        tokio::select! {
            () = stop => {}
            () = time_is_up(flags.duration()) => {}
        }
    };
    tokio::select! {
        () = listener.serve(over) => {}
        () = watch.run() => {}
    }
    screen.release();
    // On a terminal there is a ^C in the line.
    screen.print(if screen.is_terminal() { "\nstopping\n" } else { "stopping\n" });
    drop(feed);
    engine.shutdown().await?;
    Ok(())
}

async fn time_is_up(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Tells the feed what has been read and the user how it goes.
struct Watch<'a> {
    database: Database,
    feed: &'a Feed,
    screen: &'a Screen,
    observer: Observer,
    shown: Instant,
}

impl Watch<'_> {
    /// Looks for as long as it is asked to.
    async fn run(mut self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the demo's status cannot be read");
            }
        }
    }

    async fn look(&mut self) -> EngineResult<()> {
        let progress = status::progress(&mut self.database).await?;
        for (name, kind, _) in schema::TABLES {
            let read = progress.iter().find(|source| source.table == *name).map(|source| source.offsets);
            // The user may have dropped the table: then nobody waits for its messages.
            self.feed.set_read(*kind, read.unwrap_or(u64::MAX));
        }
        let is_terminal = self.screen.is_terminal();
        if self.shown.elapsed() < if is_terminal { DRAW } else { PRINT } {
            return Ok(());
        }
        self.shown = Instant::now();
        let status = self.observer.look(&mut self.database, &progress).await?;
        match is_terminal {
            true => self.screen.show(status.block()),
            false => self.screen.print(&(status.summary() + "\n")),
        }
        Ok(())
    }
}

/// What is printed when all is ready. Whoever starts the demo by a program waits for its first line.
fn welcome(address: SocketAddr, flags: &Flags, directory: &DataDirectory) -> String {
    let events = super::figures::count(u64::from(flags.rate));
    let from = match &flags.brokers {
        Some(brokers) => format!("Kafka at {brokers}, topics {},", topic_names()),
        None => "a built-in Kafka".to_owned(),
    };
    let kept = if directory.is_temporary() { "removed at the end" } else { "kept" };
    let queries: String = schema::QUERIES.iter().map(|query| format!("  {query}\n")).collect();
    format!(
        "levada is ready on {address}\n\n{events} events per second of an auction house come from {from}\n\
         into the tables person, auction and bid; views over them follow at once.\n\
         State is in {} ({kept}).\n\nConnect:\n  psql -h {} -p {} levada\n\nTry:\n{queries}\
         \nCtrl-C ends it.\n\n",
        directory.path().display(),
        address.ip(),
        address.port()
    )
}

fn topic_names() -> String {
    schema::TABLES.iter().map(|(_, kind, _)| topic(*kind).0).collect::<Vec<_>>().join(", ")
}
