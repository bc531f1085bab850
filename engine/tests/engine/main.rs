//! The engine through its façade: durability, consistency, concurrency.

mod bank;
mod crash;
mod database;
mod recovery;
mod savepoint;
