//! The operators, a file each; each file's doc begins with its equation.

mod aggregate;
mod constant;
mod distinct;
#[cfg(test)]
pub(crate) mod harness;
mod input;
mod isolate;
mod join;
mod leaves;
mod map;
mod output;
mod program;
mod stored;
mod top_k;
mod union;
mod unnest;
mod window_close;

pub use aggregate::{Aggregate, AggregateSpec};
pub use constant::Constant;
pub use distinct::distinct;
pub use input::SourceInput;
pub use join::{Join, JoinCondition, JoinKind, JoinSide};
pub use map::Map;
pub use output::{Output, Taker};
pub use stored::Stored;
pub use top_k::{SortKey, TopK, TopKSpec};
pub use union::Union;
pub use unnest::Unnest;
pub use window_close::WindowClose;
