//! What decides the events, and which number is what.

use super::random::Random;

/// Events after which the proportions are reached exactly.
pub const EVENTS_PER_ROUND: u64 = 50;
const PEOPLE_PER_ROUND: u64 = 1;
const AUCTIONS_PER_ROUND: u64 = 3;
const BIDS_PER_ROUND: u64 = 46;

/// Identifiers of people and of auctions begin here.
const FIRST_ID: u64 = 1000;
/// Of the auctions, so many are open at a time.
pub const OPEN_AUCTIONS: u64 = 100;
/// Of the people, so many take part at a time.
const ACTIVE_PEOPLE: u64 = 1000;
/// People and auctions that are named before their own event: events do arrive in another order than they happen.
const LEAD: u64 = 10;
/// The favourites change after so many people or auctions.
const FAVOURITE_FOR: u64 = 100;

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Person,
    Auction,
    Bid,
}

/// A stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Another seed gives other events.
    pub seed: u64,
    /// When event 0 happens, in milliseconds since 1970.
    pub start: i64,
    /// Events per second, at least 1.
    pub rate: u32,
}

/// How many events of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    pub people: u64,
    pub auctions: u64,
    pub bids: u64,
}

impl Config {
    /// What event `number` tells of.
    pub fn kind(&self, number: u64) -> Kind {
        match number % EVENTS_PER_ROUND {
            0 => Kind::Person,
            offset if offset <= AUCTIONS_PER_ROUND => Kind::Auction,
            _ => Kind::Bid,
        }
    }

    /// When event `number` happens, in milliseconds since 1970.
    pub fn time(&self, number: u64) -> i64 {
        self.start + (u128::from(number) * 1000 / u128::from(self.rate.max(1))) as i64
    }

    /// Milliseconds in which as many auctions begin as are open at a time: the average length of an auction.
    pub fn auction_length(&self) -> u64 {
        let events = OPEN_AUCTIONS * EVENTS_PER_ROUND / AUCTIONS_PER_ROUND;
        events * 1000 / u64::from(self.rate.max(1))
    }

    /// What decides event `number` besides the number itself.
    pub fn random(&self, number: u64) -> Random {
        Random::new(self.seed, number)
    }
}

impl Produced {
    /// Up to event `number`, this one included.
    fn with(number: u64) -> Produced {
        let (rounds, offset) = (number / EVENTS_PER_ROUND, number % EVENTS_PER_ROUND);
        let auctions = offset.min(AUCTIONS_PER_ROUND);
        Produced {
            people: rounds * PEOPLE_PER_ROUND + PEOPLE_PER_ROUND,
            auctions: rounds * AUCTIONS_PER_ROUND + auctions,
            bids: rounds * BIDS_PER_ROUND + offset - auctions,
        }
    }

    /// The first event with which a stream can go on that has come this far: no person and no auction comes twice.
    pub fn next_number(&self) -> u64 {
        let rounds = self.people.div_ceil(PEOPLE_PER_ROUND).max(self.auctions.div_ceil(AUCTIONS_PER_ROUND));
        rounds.max(self.bids.div_ceil(BIDS_PER_ROUND)) * EVENTS_PER_ROUND
    }
}

/// Identifier of the person that is new with event `number`, or that was before it.
pub fn newest_person(number: u64) -> u64 {
    FIRST_ID + Produced::with(number).people - 1
}

/// Identifier of the auction that is new with event `number`, or that was before it. There is none before event 1.
pub fn newest_auction(number: u64) -> u64 {
    FIRST_ID + Produced::with(number).auctions - 1
}

/// The favourites of the time: the first of each hundred is everybody's seller and auction, the second the bidder.
pub fn favourite(newest: u64) -> u64 {
    newest - (newest - FIRST_ID) % FAVOURITE_FOR
}

/// Somebody who takes part at the time of event `number`.
pub fn any_person(number: u64, random: &mut Random) -> u64 {
    let newest = newest_person(number);
    let active = ACTIVE_PEOPLE.min(newest - FIRST_ID + 1);
    newest + 1 - active + random.below(active + LEAD)
}

/// An auction that is open at the time of event `number`.
pub fn any_auction(number: u64, random: &mut Random) -> u64 {
    let newest = newest_auction(number);
    let open = OPEN_AUCTIONS.min(newest - FIRST_ID);
    newest - open + random.below(open + 1 + LEAD)
}
