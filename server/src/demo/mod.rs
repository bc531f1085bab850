//! `levada demo`: a live stream to try Levada on, with nothing to install beside it.
//!
//! The [`broker`] is librdkafka's mock cluster, which speaks Kafka's protocol over TCP, or a real one that the user names.
//! The [`feed`] makes auction events at a steady [`pace`] and sends them there; the [`schema`] reads them back as tables
//! with views over them, as SQL that a user could have typed. What is served then is what `levada serve` serves. The
//! [`status`] on the terminal asks `levada_catalog`, and the [`screen`] draws it, until the user has seen enough.

mod broker;
mod config;
mod database;
mod directory;
mod feed;
mod figures;
mod pace;
mod run;
mod schema;
mod screen;
mod status;

pub use config::Flags;
pub use run::start;
