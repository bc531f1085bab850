//! Queries with subqueries of every shape, against what PostgreSQL 15 answered, run by DataFusion and kept up to date by
//! the dataflow.
//!
//! `queries.golden` has rows of three tables, `(a int, b int, c text)` each, in several versions, and the answer to each
//! query over each version; rows are sorted as text.

mod corpus;
mod incremental;
mod query;
