//! Values only: what everything else speaks of, and nothing that acts.

pub mod codec;
mod epoch;
pub mod hash;
mod id;
mod identifier;
pub mod key;
mod parts;
mod room;
mod schema;
pub mod sealed;
mod stack;
mod types;
mod zset;

pub use epoch::Epoch;
pub use id::{ObjectId, OperatorId};
pub use identifier::quote_ident;
pub use parts::Parts;
pub use room::{lengthen, make_room};
pub use schema::{Column, RelationSchema};
pub use stack::STACK;
pub use types::{NUMERIC_PRECISION, NUMERIC_SCALE, SqlType, TYPE_KEY};
pub use zset::ZSet;
