//! Levada: a streaming SQL database that speaks the Postgres wire protocol.
//!
//! `levada serve` opens the engine on its data directory and answers Postgres clients until it is told to stop by
//! SIGINT or SIGTERM; then it makes a last checkpoint and exits with 0. Once clients can connect it says so in one line on
//! its standard output; all else it has to say goes to standard error.

mod config;
mod pgwire;

use std::error::Error;
use std::io::{IsTerminal, Write};
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
}

fn main() -> ExitCode {
    let Cli { command: Command::Serve(flags) } = Cli::parse();
    match serve(flags) {
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
    let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("log filter \"{}\": {error}", config.log))?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    for name in config::unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("the environment variable {name} is not known");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("levada-server")
        .thread_stack_size(STACK)
        .build()?;
    let outcome = runtime.block_on(run(config));
    // Connections that did not end in time have nobody to wait for them.
    runtime.shutdown_background();
    outcome
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    // From here on a signal is an orderly end, also while the engine recovers.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let addresses = config.addresses().await?;
    let options = EngineOptions::new(&config.data_dir);
    let engine = tokio::select! {
        opened = tokio::task::spawn_blocking(|| Engine::open(options)) => opened??,
        () = &mut stop => return Ok(()),
    };
    // Opened last: whoever can connect finds everything that was acknowledged before.
    let socket = TcpListener::bind(&addresses[..])
        .await
        .map_err(|error| format!("cannot listen on \"{}\": {error}", config.listen))?;
    let listener = Listener::new(socket, engine.clone(), Limits { connections: config.max_connections });
    // Whoever started the server may have closed its output.
    let _ = writeln!(std::io::stdout(), "levada is ready on {}", listener.address()?);
    listener.serve(stop).await;
    tracing::info!("stopping");
    engine.shutdown().await?;
    Ok(())
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
