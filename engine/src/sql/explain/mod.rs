//! EXPLAIN: what it is asked of and with which options, and how the dataflow of a view is written out.

mod expression;
mod nodes;
mod options;
mod statement;
#[cfg(test)]
mod tests;

pub use nodes::{Names, dataflow_text};
pub use options::{ExplainMode, ExplainOption};
pub use statement::{Explain, ExplainTarget, parse_explain};
