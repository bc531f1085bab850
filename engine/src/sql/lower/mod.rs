//! From the optimized plan of a view to nodes of the dataflow graph.

mod aggregate;
mod event_time;
mod flow;
mod join;
mod plan;
mod rank;
mod relation;
mod top_k;

#[cfg(test)]
mod tests;

pub use event_time::follow_time;
pub use plan::{LoweredView, SinkOutput, lower_closing_view, lower_sink, lower_view};
pub use relation::{add_source, add_table};
