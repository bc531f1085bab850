//! The engine through its façade: durability, consistency, concurrency.

mod bank;
mod checkpoints;
mod crash;
mod database;
mod deep;
mod equal_values;
mod hydration;
mod loading;
mod missing_rows;
mod point;
mod recovery;
mod savepoint;
mod sinks;
mod sleep;
mod snapshots;
mod too_much;
