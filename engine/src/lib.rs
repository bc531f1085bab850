//! Levada's engine: a streaming SQL database as a library.
//!
//! Time is a totally ordered [`Epoch`](data::Epoch). One *step* takes everything that came since the last epoch, pushes it
//! through the dataflow of all views as changes, and publishes all relations at once. A *checkpoint* makes an epoch
//! durable: state, offsets and the position in the log in one atomic commit.
//!
//! # The life of a row
//!
//! 1. [`source`]: a reader takes messages of a topic, from the offsets of the last checkpoint on.
//! 2. [`decode`]: they become columns; those that cannot are kept aside.
//!    (A row of an INSERT comes by its [`session`] instead, and by the log.)
//! 3. [`engine`]: the step thread takes what waits into one epoch.
//! 4. [`dataflow`]: the change goes through the operators that it reaches, in topological order. Each emits the net change.
//! 5. [`view`]: the row stores of tables and views take their part in, under the epoch.
//! 6. The epoch is published; only now does the writer hear that its transaction is committed.
//! 7. [`state`]: a checkpoint makes it durable, and the log before it is trimmed.
//!
//! # The life of a query
//!
//! 1. [`session`]: a statement finds its transaction, and with it one epoch of everything.
//! 2. [`sql`]: parsed, bound as PostgreSQL would, subqueries made into joins.
//! 3. [`query`]: optimized and run by DataFusion over the row stores at that epoch.
//! 4. The caller gets batches as they are made, and may stop at any of them.
//!
//! A materialized view begins like a query; then its plan is lowered to operators, which are filled from the rows there are.
//! What names mean is the [`catalog`]'s to say.

pub mod catalog;
pub mod data;
pub mod dataflow;
pub mod decode;
pub mod engine;
pub mod error;
pub mod query;
pub mod session;
pub mod sink;
pub mod source;
pub mod sql;
pub mod state;
pub mod view;

pub use datafusion::scalar::ScalarValue;
pub use engine::{
    Engine, EngineOptions, HydrationLimit, ManualClock, ManualMemory, MemoryGauge, SnapshotLimits, TimeSource,
    available_memory,
};
pub use session::{
    CancelHandle, MOST_PREPARED, Notice, Prepared, Response, Rows, Session, SessionParams, Severity, TransactionStatus,
};
pub use source::nexmark;
pub use sql::{OutputColumn, Statement, format, input, reference};
pub use state::CheckpointSizes;
