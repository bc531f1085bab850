//! The `levada` binary, as clients see it: over the wire, by drivers, psql and raw bytes; and as its operator does.

mod brokers;
mod cancel;
mod demo;
mod drivers;
mod extended;
mod fuzz;
mod limits;
mod process;
mod psql;
mod raw;
mod server;
mod sessions;
mod simple;
mod startup;
