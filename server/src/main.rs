//! Levada: a streaming SQL database that speaks the Postgres wire protocol.
//!
//! `levada serve` opens the engine on its data directory and answers Postgres clients until it is told to stop by
//! SIGINT or SIGTERM; then it makes a last checkpoint and exits with 0. Once clients can connect it says so in one line on
//! its standard output; all else it has to say goes to standard error.
//!
//! `levada demo` does the same on a stream that it makes itself, and shows how it is doing.

mod allocator;
mod config;
mod demo;
mod memory_limit;
mod pgwire;
mod turns;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use levada_engine::{Engine, EngineOptions};
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Flags};
use crate::pgwire::{Limits, Listener};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Stack of the threads that bind and plan statements: deeply nested ones recurse.
const STACK: usize = 16 << 20;

/// A streaming SQL database that speaks the Postgres wire protocol.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve Postgres clients
    Serve(Flags),
    /// Show Levada at work on a live stream of events, with nothing else to install
    Demo(demo::Flags),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve(flags),
        Command::Demo(flags) => demo::start(flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever is in it.
            eprintln!("levada: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: Flags) -> Result<(), Box<dyn Error>> {
    let config = Config::load(flags)?;
    start_log(&config.log, std::io::stderr)?;
    for name in config::unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("the environment variable {name} is not known");
    }
    block_on(run(config))
}

/// From here on log lines that `filter` lets through are written.
fn start_log<W: Write>(filter: &str, writer: impl Fn() -> W + Send + Sync + 'static) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("log filter \"{filter}\": {error}"))?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer).init();
    Ok(())
}

/// Runs the server's threads until the future is ready.
fn block_on(future: impl Future<Output = Result<(), Box<dyn Error>>>) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("levada-server")
        .thread_stack_size(STACK)
        .on_thread_start(turns::take_short_turns)
        .build()?;
    let outcome = runtime.block_on(future);
    // Connections that did not end in time have nobody to wait for them.
    runtime.shutdown_background();
    outcome
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    // From here on a signal is an orderly end, also while the engine recovers.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let addresses = config::addresses(&config.listen, config.insecure).await?;
    let options = EngineOptions::new(&config.data_dir);
    let options = match config.memory_limit {
        Some(limit) => limit.apply(options)?,
        None => options,
    };
    allocator::fit(options.memory_limit);
    let engine = tokio::select! {
        opened = tokio::task::spawn_blocking(|| Engine::open(options)) => opened??,
        () = &mut stop => return Ok(()),
    };
    // Opened last: whoever can connect finds everything that was acknowledged before.
    let socket = bind(&addresses, &config.listen).await?;
    let listener = Listener::new(socket, engine.clone(), Limits { connections: config.max_connections });
    // Whoever started the server may have closed its output.
    let _ = writeln!(std::io::stdout(), "levada is ready on {}", listener.address()?);
    listener.serve(stop).await;
    tracing::info!("stopping");
    engine.shutdown().await?;
    Ok(())
}

/// Opens the port of these addresses, which were given as `listen`.
async fn bind(addresses: &[SocketAddr], listen: &str) -> Result<TcpListener, String> {
    TcpListener::bind(addresses).await.map_err(|error| format!("cannot listen on \"{listen}\": {error}"))
}

/// Ready once the process is asked to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
