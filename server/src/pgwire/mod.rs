//! The Postgres wire protocol, version 3.
//!
//! The way of a connection: [`listener`] accepts it, [`startup`] lets the client in, [`connection`] is the state machine
//! that answers one message after another until the client leaves: [`simple`] queries, and the [`extended`] protocol
//! with its prepared statements and [`portal`]s. [`input`] frames and [`frontend`] decodes what comes in; [`output`]
//! collects what goes out and writes it in one piece; [`rows`] streams results, which [`encode`] turns into bytes;
//! [`parameter`] reads the values that clients bind; [`cancel`] stops statements from another connection.
//!
//! Messages: <https://www.postgresql.org/docs/15/protocol-message-formats.html>. What we send is encoded by the pgwire
//! crate; its handlers and its decoders of client messages are not used (see [`connection`] and [`frontend`]).

mod cancel;
mod connection;
mod encode;
mod extended;
mod failure;
mod frontend;
mod input;
mod listener;
mod output;
mod parameter;
mod portal;
mod rows;
mod simple;
mod startup;

pub use listener::{Limits, Listener};
