//! The row store against a naive model of it, and against itself on several threads.

mod concurrent;
mod corrupted;
mod durable;
mod expire;
mod model;
mod properties;
mod semantics;
mod table;
