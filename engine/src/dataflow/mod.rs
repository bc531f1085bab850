//! The data plane: a graph of operators that a step pushes changes through. Synchronous; no clock, no randomness, no I/O.

mod agg_state;
pub mod aggregates;
mod coding;
mod compact;
mod deferred;
mod errors;
mod event_time;
mod expire;
mod explain;
mod fingerprint;
mod graph;
mod group_values;
mod hydrate;
mod operator;
pub mod operators;
mod persist;
mod properties;
mod reads;
mod shards;
mod sizes;
mod slot_set;
mod slots;
mod sorted_state;
mod step;
mod unread;

pub use errors::{ErrorRow, ViewErrors};
pub use event_time::Watermarks;
pub use explain::PlanLine;
pub use fingerprint::Fingerprint;
pub use graph::{Graph, Input, NodeId, NodeSpec, OperatorIds};
pub use hydrate::{History, Hydration, HydrationState, HydrationStatus, Progress, Rows, Stage};
pub use operator::{Operator, Outside, Rejected, SLICE, StateSize, Stateful, StepContext};
pub use properties::{EventTime, Properties};
pub use sizes::Sizes;
pub use step::StepReport;
pub use unread::Unreadable;
