//! One event, and the messages that tell of it.

use super::auction::Auction;
use super::bid::Bid;
use super::config::{Config, Kind};
use super::json::Object;
use super::person::Person;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

impl Event {
    /// Event `number` of a stream.
    pub fn of(config: &Config, number: u64) -> Event {
        match config.kind(number) {
            Kind::Person => Event::Person(Person::of(config, number)),
            Kind::Auction => Event::Auction(Auction::of(config, number)),
            Kind::Bid => Event::Bid(Bid::of(config, number)),
        }
    }

    /// When it happened, in milliseconds since 1970.
    pub fn date_time(&self) -> i64 {
        match self {
            Event::Person(person) => person.date_time,
            Event::Auction(auction) => auction.date_time,
            Event::Bid(bid) => bid.date_time,
        }
    }

    /// Appends the message for a topic of all events, as the benchmark's Kafka writer has it:
    /// `{"event_type":2,"person":null,"auction":null,"bid":{…}}`; people are 0, auctions 1.
    pub fn write_message(&self, out: &mut Vec<u8>) {
        let write = |out: &mut Vec<u8>| self.write_object(out);
        match self {
            Event::Person(_) => {
                Object::begin(out).number("event_type", 0).nested("person", write).null("auction").null("bid").end()
            }
            Event::Auction(_) => {
                Object::begin(out).number("event_type", 1).null("person").nested("auction", write).null("bid").end()
            }
            Event::Bid(_) => {
                Object::begin(out).number("event_type", 2).null("person").null("auction").nested("bid", write).end()
            }
        }
    }

    /// Appends the message for a topic of one kind of events: the person, auction or bid alone.
    pub fn write_object(&self, out: &mut Vec<u8>) {
        match self {
            Event::Person(person) => person.write(out),
            Event::Auction(auction) => auction.write(out),
            Event::Bid(bid) => bid.write(out),
        }
    }
}
