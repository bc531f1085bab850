//! Random queries, the same for a seed, asked of Levada and of a real PostgreSQL: values, names and types of columns and
//! SQLSTATEs agree; and the same queries as materialized views, which stay equal to the query while their tables change.
//!
//! `LEVADA_FUZZ=from..to` tries other seeds than the suite has time for; what differs is said with its seed.

mod compare;
mod data;
mod forms;
mod from;
mod query;
mod rows;
mod run;
mod shapes;
mod ty;
