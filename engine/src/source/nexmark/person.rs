//! People join.

use super::config::{Config, newest_person};
use super::json::Object;
use super::random::Random;

/// Few, so that queries find people of one state in a small stream.
const STATES: &[&str] = &["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: &[&str] =
    &["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const FIRST_NAMES: &[&str] =
    &["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: &[&str] = &["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
/// Bytes of the values of a person.
const AVERAGE_SIZE: usize = 200;

/// Somebody who sells and bids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: u64,
    pub name: String,
    pub email_address: String,
    pub credit_card: String,
    pub city: &'static str,
    pub state: &'static str,
    /// Milliseconds since 1970.
    pub date_time: i64,
    /// Brings the row to its size.
    pub extra: String,
}

impl Person {
    pub(super) fn of(config: &Config, number: u64) -> Person {
        let mut random = config.random(number);
        let name = format!("{} {}", random.one_of(FIRST_NAMES), random.one_of(LAST_NAMES));
        let email_address = format!("{}@{}.com", random.words(7), random.words(5));
        let credit_card = credit_card(&mut random);
        let city = random.one_of(CITIES);
        let state = random.one_of(STATES);
        let size = 8 + name.len() + email_address.len() + credit_card.len() + city.len() + state.len();
        Person {
            id: newest_person(number),
            name,
            email_address,
            credit_card,
            city,
            state,
            date_time: config.time(number),
            extra: random.padding(size, AVERAGE_SIZE),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        Object::begin(out)
            .number("id", self.id)
            .text("name", &self.name)
            .text("emailAddress", &self.email_address)
            .text("creditCard", &self.credit_card)
            .text("city", self.city)
            .text("state", self.state)
            .time("dateTime", self.date_time)
            .text("extra", &self.extra)
            .end();
    }
}

fn credit_card(random: &mut Random) -> String {
    let [first, second, third, fourth] = [(); 4].map(|()| random.below(10_000));
    format!("{first:04} {second:04} {third:04} {fourth:04}")
}
