//! Things are put up for auction.

use super::config::{Config, any_person, favourite, newest_auction, newest_person};
use super::json::Object;

const FIRST_CATEGORY: u64 = 10;
/// Few, so that queries find auctions of one category in a small stream.
const CATEGORIES: u64 = 5;
/// One in so many auctions is not the favourite seller's.
const OTHER_SELLER: u64 = 4;
/// Bytes of the values of an auction.
const AVERAGE_SIZE: usize = 500;

/// Something to bid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auction {
    pub id: u64,
    pub item_name: String,
    pub description: String,
    /// In cents, as all prices.
    pub initial_bid: u64,
    pub reserve: u64,
    /// Milliseconds since 1970.
    pub date_time: i64,
    /// Milliseconds since 1970.
    pub expires: i64,
    /// The person that sells.
    pub seller: u64,
    pub category: u64,
    /// Brings the row to its size.
    pub extra: String,
}

impl Auction {
    pub(super) fn of(config: &Config, number: u64) -> Auction {
        let mut random = config.random(number);
        let seller = match random.once_in(OTHER_SELLER) {
            true => any_person(number, &mut random),
            false => favourite(newest_person(number)),
        };
        let category = FIRST_CATEGORY + random.below(CATEGORIES);
        let initial_bid = random.price();
        let date_time = config.time(number);
        let length = 1 + random.below((2 * config.auction_length()).max(1));
        let item_name = random.words(20);
        let description = random.words(100);
        let size = 6 * 8 + item_name.len() + description.len();
        Auction {
            id: newest_auction(number),
            item_name,
            description,
            initial_bid,
            reserve: initial_bid + random.price(),
            date_time,
            expires: date_time + length as i64,
            seller,
            category,
            extra: random.padding(size, AVERAGE_SIZE),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .number("id", self.id)
            .text("itemName", &self.item_name)
            .text("description", &self.description)
            .number("initialBid", self.initial_bid)
            .number("reserve", self.reserve)
            .time("dateTime", self.date_time)
            .time("expires", self.expires)
            .number("seller", self.seller)
            .number("category", self.category)
            .text("extra", &self.extra)
            .end();
    }
}
