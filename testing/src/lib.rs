//! For the tests of all crates: chance that repeats itself, and bytes gone bad.

use std::ops::Range;

/// Random numbers that follow from a seed: SplitMix64, by Steele, Lea and Flood. Says its seed when a test fails.
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { seed, state: seed }
    }

    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, exclusive; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// True so many times out of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll() as u8).collect()
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.seed);
        }
    }
}

/// Seeds to try: `LEVADA_FUZZ` says from which on, or `from..to`. Without it there are as many as a suite has time for.
pub fn seeds(few: u64) -> Range<u64> {
    let Ok(asked) = std::env::var("LEVADA_FUZZ") else { return 0..few };
    let number = |text: &str| text.parse::<u64>().expect("LEVADA_FUZZ is a seed, or from..to");
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&asked)..number(&asked) + 1,
    }
}

/// Does to bytes what bad disks and bad programs do: flips, cuts, repeats, and puts numbers that say too much.
pub fn garble(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let length = dice.below(9).min(bytes.len() - at);
        match dice.below(9) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => drop(bytes.splice(at..at, std::iter::repeat_with(|| dice.roll() as u8).take(length)).count()),
            3 => bytes.extend_from_within(at..at + length),
            4 | 5 if length > 0 => bytes[at] ^= 1 << dice.below(8),
            6 if length > 0 => bytes[at] = dice.roll() as u8,
            _ => {
                let number: u64 = dice.pick(&[0, 1, u64::MAX, i64::MAX as u64, 1 << 31, 1 << 40, i32::MAX as u64]);
                let number = if dice.one_in(2) { number.to_le_bytes() } else { number.to_be_bytes() };
                bytes[at..at + length.min(8)].copy_from_slice(&number[..length.min(8)]);
            }
        }
    }
}
