//! Events of an auction house, as the public Nexmark benchmark makes them: people join, put things up for auction, and
//! bid.
//!
//! An event is a function of [`Config`] and its number alone: there is no state to keep and no clock to ask, so any part
//! of the stream can be made again, by several threads too. Of 50 events the first is a person, the next three are
//! auctions, the others bids. Names, proportions and distributions are those of <https://github.com/nexmark/nexmark>,
//! so that its queries find what they look for; the bytes are our own.

mod auction;
mod bid;
mod config;
mod event;
mod json;
mod person;
mod random;
#[cfg(test)]
mod tests;

pub use auction::Auction;
pub use bid::Bid;
pub use config::{Config, EVENTS_PER_ROUND, Kind, Produced};
pub use event::Event;
pub use person::Person;
