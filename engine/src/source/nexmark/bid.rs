//! People bid.

use super::config::{Config, any_auction, any_person, favourite, newest_auction, newest_person};
use super::json::Object;
use super::random::Random;

/// One in so many bids is not for the favourite auction.
const OTHER_AUCTION: u64 = 2;
/// One in so many bids is not the favourite bidder's.
const OTHER_BIDDER: u64 = 4;
/// One in so many bids comes through a channel that few use.
const OTHER_CHANNEL: u64 = 2;
const FAVOURITE_CHANNELS: &[&str] = &["Google", "Facebook", "Baidu", "Apple"];
const OTHER_CHANNELS: u64 = 10_000;
/// One in so many of the other channels has no number in its address.
const WITHOUT_CHANNEL_ID: u64 = 10;
/// Bytes of the values of a bid, channel and address aside.
const AVERAGE_SIZE: usize = 100;

/// A person's offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    pub auction: u64,
    /// The person that bids.
    pub bidder: u64,
    /// In cents.
    pub price: u64,
    pub channel: String,
    /// Three folders, and for most of the other channels their number: `…/item.htm?query=1&channel_id=7`.
    pub url: String,
    /// Milliseconds since 1970.
    pub date_time: i64,
    /// Brings the row to its size.
    pub extra: String,
}

impl Bid {
    pub(super) fn of(config: &Config, number: u64) -> Bid {
        let mut random = config.random(number);
        let auction = match random.once_in(OTHER_AUCTION) {
            true => any_auction(number, &mut random),
            false => favourite(newest_auction(number)),
        };
        let bidder = match random.once_in(OTHER_BIDDER) {
            true => any_person(number, &mut random),
            // Not the favourite seller.
            false => favourite(newest_person(number)) + 1,
        };
        let price = random.price();
        let (channel, url) = match random.once_in(OTHER_CHANNEL) {
            true => other_channel(config, random.below(OTHER_CHANNELS)),
            false => favourite_channel(config, random.below(FAVOURITE_CHANNELS.len() as u64)),
        };
        Bid {
            auction,
            bidder,
            price,
            channel,
            url,
            date_time: config.time(number),
            extra: random.padding(4 * 8, AVERAGE_SIZE),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .number("auction", self.auction)
            .number("bidder", self.bidder)
            .number("price", self.price)
            .text("channel", &self.channel)
            .text("url", &self.url)
            .time("dateTime", self.date_time)
            .text("extra", &self.extra)
            .end();
    }
}

/// Name and address of a channel: always the same for a seed.
fn favourite_channel(config: &Config, channel: u64) -> (String, String) {
    let mut random = Random::new(!config.seed, OTHER_CHANNELS + channel);
    (FAVOURITE_CHANNELS[channel as usize].to_owned(), address(&mut random))
}

fn other_channel(config: &Config, channel: u64) -> (String, String) {
    let mut random = Random::new(!config.seed, channel);
    let mut url = address(&mut random);
    if !random.once_in(WITHOUT_CHANNEL_ID) {
        // Numbers of all sizes, none twice.
        url.push_str(&format!("&channel_id={}", (channel as u32).reverse_bits() >> 1));
    }
    (format!("channel-{channel}"), url)
}

fn address(random: &mut Random) -> String {
    let mut url = String::with_capacity(96);
    url.push_str("https://www.nexmark.com/");
    for _ in 0..3 {
        random.push_words(&mut url, 5, '_');
        url.push('/');
    }
    url.push_str("item.htm?query=1");
    url
}
