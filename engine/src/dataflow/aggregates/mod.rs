//! Aggregate functions: what is kept for each group, how a change enters, and what comes out.

mod accumulator;
mod exact;
mod finish;
mod float;
mod function;
mod moments;
mod states;
#[cfg(test)]
mod tests;
mod wide;

pub use accumulator::{Accumulator, Weighted};
pub use exact::Decimal;
pub use finish::{Failures, Finish};
pub use function::{AggregateCall, AggregateFunction};
pub use moments::{ExactMoments, Spread};
pub use states::{read_state, write_state};
