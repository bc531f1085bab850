use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{Config, EVENTS_PER_ROUND, Event, Kind, Produced};

/// 2026-01-31 12:30:00 UTC.
const START: i64 = 1_769_862_600_000;
const CONFIG: Config = Config { seed: 7, start: START, rate: 10_000 };

fn message(config: &Config, number: u64) -> Value {
    let mut bytes = Vec::new();
    Event::of(config, number).write_message(&mut bytes);
    serde_json::from_slice(&bytes).unwrap()
}

fn events(count: u64) -> impl Iterator<Item = Event> {
    (0..count).map(|number| Event::of(&CONFIG, number))
}

#[test]
fn every_fifty_events_are_a_person_three_auctions_and_bids() {
    for round in [0, 1, 77] {
        let kinds = (0..EVENTS_PER_ROUND).map(|offset| CONFIG.kind(round * EVENTS_PER_ROUND + offset));
        let kinds: Vec<Kind> = kinds.collect();
        assert_eq!(kinds[0], Kind::Person);
        assert_eq!(kinds[1..4], [Kind::Auction; 3]);
        assert_eq!(kinds[4..], [Kind::Bid; 46]);
    }
}

#[test]
fn an_event_is_a_function_of_its_number() {
    let forward: Vec<Event> = (0..500).map(|number| Event::of(&CONFIG, number)).collect();
    let mut backward: Vec<Event> = (0..500).rev().map(|number| Event::of(&CONFIG, number)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let other = Config { seed: 8, ..CONFIG };
    let same = (0..500).filter(|number| Event::of(&other, *number) == forward[*number as usize]).count();
    assert_eq!(same, 0, "another seed gives other events");
}

#[test]
fn messages_are_the_benchmarks() {
    let person = json!({"event_type": 0, "auction": null, "bid": null, "person": {
        "id": 1000, "name": "", "emailAddress": "", "creditCard": "", "city": "", "state": "",
        "dateTime": "2026-01-31 12:30:00.000", "extra": ""}});
    let auction = json!({"event_type": 1, "person": null, "bid": null, "auction": {
        "id": 1000, "itemName": "", "description": "", "initialBid": 0, "reserve": 0,
        "dateTime": "2026-01-31 12:30:00.000", "expires": "", "seller": 1000, "category": 0, "extra": ""}});
    let bid = json!({"event_type": 2, "person": null, "auction": null, "bid": {
        "auction": 0, "bidder": 0, "price": 0, "channel": "", "url": "",
        "dateTime": "2026-01-31 12:30:00.004", "extra": ""}});
    for (number, expected) in [(0, person), (1, auction), (49, bid)] {
        assert_alike(&message(&CONFIG, number), &expected, "");
    }
}

/// The same members, and the same values where `expected` is not empty or 0.
fn assert_alike(found: &Value, expected: &Value, name: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{found:?}");
            found.iter().for_each(|(name, value)| assert_alike(value, &expected[name], name));
        }
        (Value::String(found), Value::String(expected)) => {
            assert!(found == expected || expected.is_empty(), "{name}: {found}");
        }
        (Value::Number(found), Value::Number(expected)) => {
            assert!(found == expected || expected.as_u64() == Some(0) && found.is_u64(), "{name}: {found}");
        }
        _ => assert_eq!(found, expected, "{name}"),
    }
}

#[test]
fn messages_are_as_large_as_the_benchmarks() {
    let count = 20_000;
    let mut bytes = Vec::new();
    events(count).for_each(|event| event.write_message(&mut bytes));
    let average = bytes.len() as u64 / count;
    assert!((300..360).contains(&average), "{average} bytes");
}

#[test]
fn the_clock_follows_the_rate() {
    assert_eq!(CONFIG.time(0), START);
    assert_eq!(CONFIG.time(12_345), START + 1234);
    let slow = Config { rate: 1, ..CONFIG };
    assert_eq!(slow.time(60), START + 60_000);
    let events = events(1000).collect::<Vec<_>>();
    assert!(events.is_sorted_by_key(Event::date_time));
}

#[test]
fn identifiers_are_consecutive_and_references_lead_somewhere() {
    let count = 30_000;
    let (mut people, mut auctions) = (Vec::new(), Vec::new());
    let mut referenced = (HashSet::new(), HashSet::new());
    for event in events(count) {
        match event {
            Event::Person(person) => people.push(person.id),
            Event::Auction(auction) => {
                auctions.push(auction.id);
                referenced.0.insert(auction.seller);
                assert!(auction.expires > auction.date_time && auction.reserve > auction.initial_bid);
            }
            Event::Bid(bid) => {
                referenced.0.insert(bid.bidder);
                referenced.1.insert(bid.auction);
                let newest = auctions.last().unwrap();
                // Some come before the auction they are for.
                assert!(bid.auction <= newest + 10, "{} of {newest}", bid.auction);
            }
        }
    }
    assert!(people.iter().copied().eq(1000..1000 + count / 50));
    assert!(auctions.iter().copied().eq(1000..1000 + count * 3 / 50));
    let (newest_person, newest_auction) = (people[people.len() - 1], auctions[auctions.len() - 1]);
    assert!(referenced.0.iter().all(|id| (1000..=newest_person + 10).contains(id)));
    assert!(referenced.1.iter().all(|id| (1000..=newest_auction + 10).contains(id)));
}

#[test]
fn some_are_favourites() {
    let mut bids = HashMap::<u64, u64>::new();
    let mut channels = HashMap::<String, u64>::new();
    let mut numbered = 0;
    for event in events(50_000) {
        let Event::Bid(bid) = event else { continue };
        *bids.entry(bid.auction).or_default() += 1;
        *channels.entry(bid.channel).or_default() += 1;
        numbered += u64::from(bid.url.contains("/item.htm?query=1&channel_id="));
    }
    let all: u64 = bids.values().sum();
    let favourites: u64 = bids.iter().filter(|(id, _)| *id % 100 == 0).map(|(_, bids)| bids).sum();
    assert!((48..56).contains(&(favourites * 100 / all)), "{favourites} of {all} bids");
    let known: u64 = ["Google", "Facebook", "Baidu", "Apple"].iter().map(|name| channels[*name]).sum();
    assert!((48..52).contains(&(known * 100 / all)), "{known} of {all} channels");
    assert!((43..47).contains(&(numbered * 100 / all)), "{numbered} of {all} addresses");
}

#[test]
fn a_channel_has_one_address() {
    let mut addresses = HashMap::new();
    for event in events(50_000) {
        let Event::Bid(bid) = event else { continue };
        assert_eq!(bid.url.split('/').count(), 7, "{}", bid.url);
        let known = addresses.entry(bid.channel).or_insert_with(|| bid.url.clone());
        assert_eq!(*known, bid.url);
    }
    let different: HashSet<&String> = addresses.values().collect();
    assert!(different.len() > 8000, "only {} addresses", different.len());
}

#[test]
fn prices_are_spread_over_powers_of_ten() {
    let mut powers = [0; 6];
    for event in events(20_000) {
        let Event::Bid(bid) = event else { continue };
        assert!((100..=100_000_000).contains(&bid.price));
        powers[((bid.price.ilog10() - 2) as usize).min(5)] += 1;
    }
    assert!(powers.iter().all(|count| (2700..3450).contains(count)), "{powers:?}");
}

#[test]
fn a_stream_goes_on_where_it_was() {
    assert_eq!(Produced::default().next_number(), 0);
    let count = 12_345;
    let mut produced = Produced::default();
    for number in 0..count {
        match CONFIG.kind(number) {
            Kind::Person => produced.people += 1,
            Kind::Auction => produced.auctions += 1,
            Kind::Bid => produced.bids += 1,
        }
        let next = produced.next_number();
        assert!(next > number && next <= number + EVENTS_PER_ROUND, "after {number}: {next}");
    }
}
