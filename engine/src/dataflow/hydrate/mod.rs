//! How new nodes get the contents that their inputs had before them, while the others go on stepping.
//!
//! ```text
//! claim ─> set_aside(at E) ─> Hydration: advance, advance, …      (its own thread) ─> splice(at S)
//!             │                 reading    the contents at E, slice by slice
//!             │                 catching up  what changed from E on
//!             └ the graph steps on, and tells what comes to the edges of the new nodes
//! ```
//!
//! The nodes that a new view brings are taken out of the graph into a [`Hydration`], a graph of its own beside it, until
//! they agree with the others; [`splice`](crate::dataflow::Graph::splice) puts them back between two steps.
//!
//! # Reading
//!
//! A new node is fed what its older inputs held at E, in slices, each an epoch of its own in which nothing else changes, so
//! that stores still tell the rows of a slice from those before it. Two things decide the order:
//!
//! - Nodes nearest the views come first. A join whose left side is old and whose right side is new must see the left rows
//!   (and, being an outer join, emit them without match) before rows begin to arrive on the right.
//! - An input that the operator reads from its store ([`Input::probed`](crate::dataflow::Input::probed)) is not fed: rows fed
//!   by the other input meet its contents there.
//!
//! The history of a source is read once, however many new nodes stand on it, and comes to all of them in one step, as what
//! the source delivers does. It comes when the first rule has the last of them read.
//!
//! Contents come from a node's store, else from its state ([`Stateful::contents`](crate::dataflow::Stateful::contents)), both
//! as they are when the nodes are taken out, else, as a node without state can be asked anything without harm, from a
//! copy of it and the contents of its inputs.
//!
//! # Catching up
//!
//! What happened since E is taken in by rounds, each from one epoch F of the graph to a later one G, together as one step:
//! the sum of the changes between them is a change like any other. A node with a store tells its change from the rows'
//! own epochs ([`RowStore::changes`](crate::view::RowStore::changes)), however long ago it was; only what nodes without
//! store emit is recorded.
//!
//! # Two times
//!
//! The nodes aside count epochs of their own, from 1: a slice is one, a round is one. Their stores are written under those,
//! and read by nobody but themselves. The stores they stand on go on under the graph's epochs. So an operator asks for
//! the epoch of each store (`StepContext::now` and `before`): for its own, the slice and the slice before; for
//! the others, while reading, E and E, for nothing changes there, and in a round, G and F. With that every step aside is
//! what a step of the whole graph from F to G would be, and dL ⋈ R(old) + L(new) ⋈ dR holds with each side's own old and new.
//! E and F stay readable because the graph does not let the horizon of compaction pass the epoch that a hydration has
//! reached.
//!
//! When the nodes are put back at S, the last round has gone up to S, so all rows they have are to be seen from S on.
//! Their epochs must not be later: the graph goes on after the later of S and the last epoch used aside. Earlier they may
//! be, since nobody who reads before S knows these stores.
//!
//! # Shared nodes
//!
//! A new node belongs to the relation that claimed it first. Another new relation over it waits until that one is spliced:
//! nothing is fed twice.

mod away;
mod contents;
mod hydration;
mod progress;
mod recorder;
mod splice;

use crate::data::ObjectId;

pub(super) use away::Away;
pub use contents::{History, Rows};
pub use hydration::{Hydration, Stage};
pub use progress::{HydrationState, HydrationStatus, Progress};
pub(super) use recorder::Recorder;

/// Whose a new node is: the relation whose hydration it is part of; None as long as nobody claimed it.
pub(super) type Claim = Option<ObjectId>;
