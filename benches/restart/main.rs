//! What a start costs: seconds from `kill -9` with much state to the first correct answer; and what the groups of a large
//! aggregate cost in memory, and its epochs in CPU.
//!
//! ```sh
//! cargo build --release --workspace --bin levada --bin restart
//! target/release/restart                  # the first answers after a kill -9 with about 1 GB of state
//! target/release/restart --cold           # the same with nothing of it in the kernel's page cache
//! target/release/restart --mode keys      # memory of 10 M groups, and epochs over 0.1 M, 1 M and 10 M groups
//! ```
//!
//! A new directory is filled with a wide table of accounts, a table of payments, an aggregate with a group for each account,
//! a join of both, and a small aggregate. Then, for each query: some transactions that no checkpoint has, SIGKILL, start,
//! and the seconds until the query is answered right, from the start of the process on. Beside them, how long this machine takes
//! to give as much memory to a process that does nothing with it: no start can be shorter.

mod files;
mod first_answer;
mod keys;
mod report;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use levada_benches::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Seconds until the first answers
    Start,
    /// Memory of a large aggregate, and the cost of its epochs
    Keys,
}

#[derive(Debug, Parser)]
#[command(about = "Seconds from a kill -9 to the first answer; memory and epochs of a large aggregate")]
struct Flags {
    #[arg(long, value_enum, default_value = "start")]
    mode: Mode,
    /// Accounts of the table, in thousands; there are twice as many payments
    #[arg(long, default_value_t = 3000)]
    accounts: u64,
    /// Groups of the aggregate in mode keys, in thousands
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 10_000])]
    groups: Vec<u64>,
    /// Where the groups go: sink, view, or both
    #[arg(long, value_delimiter = ',', default_values_t = ["sink".to_owned(), "view".to_owned()])]
    into: Vec<String>,
    /// Rounds over the queries
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Read the state from the disk, not from the page cache
    #[arg(long)]
    cold: bool,
    /// A directory to keep: filled if it is empty, else used as an earlier run left it
    #[arg(long)]
    data: Option<PathBuf>,
    /// The server
    #[arg(long, default_value = "target/release/levada")]
    levada: PathBuf,
    /// Also write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let flags = Flags::parse();
    let mut report = report::Report::new(&flags.levada)?;
    match flags.mode {
        Mode::Start => first_answer::run(&flags, &mut report).await?,
        Mode::Keys => keys::run(&flags, &mut report).await?,
    }
    match &flags.json {
        Some(path) => std::fs::write(path, report.json()?)?,
        None => println!("{}", report.json()?),
    }
    Ok(())
}
