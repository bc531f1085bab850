//! The sqllogictest scripts of `sql-tests/scripts`.
//!
//! - `postgres/*.slt` is plain PostgreSQL: Levada and a real PostgreSQL must agree on values, on columns' names and types, on
//!   rows affected and on errors (SQLSTATE and message; with the line `# with positions` at the start also on where).
//! - `views/*.slt` keeps materialized views while their tables change. PostgreSQL runs them with plain views in their place,
//!   which are as current there.
//! - `levada/*.slt` is for Levada alone.
//!
//! Each script starts from an empty database. `UPDATE_SCRIPTS=1 cargo test -p levada-sql-tests postgres` writes what
//! PostgreSQL answers into the scripts: write the queries, let it write the answers, read them.

mod backends;
mod rewrite;
mod run;

pub use run::scripts;
