//! Levada's SQL, tried from outside, and the rules its sources keep.
//!
//! - `layout` reads the sources: who imports whom, which words and sizes are allowed.
//! - `scripts` runs the sqllogictest scripts of `sql-tests/scripts` on every backend they are for.
//! - `random` asks random queries of Levada and of PostgreSQL.
//! - `kafka` reads from a real Kafka broker; `reference` holds `docs/sql.md` against the server.
//! - `consistency` looks at a bank while money moves; `recovery` kills the server under load;
//!   `disk` lets its writes fail.

mod consistency;
mod disk;
mod fuzz;
mod in_process;
mod kafka;
mod layout;
mod postgres;
mod random;
mod recovery;
mod reference;
mod render;
mod scripts;
mod server;
mod wire;
