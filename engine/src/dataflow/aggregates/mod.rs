//! Aggregate functions: what is kept for each group, how a change enters, and what comes out.

mod accumulator;
mod exact;
mod finish;
mod float;
mod function;
mod states;
#[cfg(test)]
mod tests;

pub use accumulator::{Accumulator, Weighted};
pub use finish::{Failures, Finish};
pub use function::{AggregateCall, AggregateFunction};
