//! Dice that fall the same way each time.

use crate::data::hash::mix_u64;

/// Of the characters of a text, one in so many is no letter.
const CHARACTERS_PER_SEPARATOR: u64 = 13;
const SHORTEST_TEXT: u64 = 3;
const LETTERS: u64 = 26;
/// So many letters fit into one draw of 64 bits.
const LETTERS_PER_DRAW: u64 = 13;

/// Numbers that look like chance and follow from a seed: SplitMix64, by Steele, Lea and Flood ("Fast Splittable
/// Pseudorandom Number Generators"), with the finaliser that our hashes have.
pub struct Random(u64);

impl Random {
    /// The numbers of one stream of a seed.
    pub fn new(seed: u64, stream: u64) -> Random {
        Random(mix_u64(mix_u64(seed).wrapping_add(stream)))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix_u64(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// True once in `times` times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several texts.
    pub fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.below(texts.len() as u64) as usize]
    }

    /// A price in cents, from 1 to 1,000,000 dollars, each power of ten as likely as another.
    pub fn price(&mut self) -> u64 {
        let unit = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        (10_f64.powf(6.0 * unit) * 100.0).round() as u64
    }

    /// Appends 3 to `end - 1` letters, with a separator among them now and then.
    pub fn push_words(&mut self, text: &mut String, end: u64, separator: char) {
        for _ in 0..SHORTEST_TEXT + self.below(end - SHORTEST_TEXT) {
            match self.once_in(CHARACTERS_PER_SEPARATOR) {
                true => text.push(separator),
                false => text.push(letter(self.below(LETTERS))),
            }
        }
    }

    /// Letters and blanks, at most `end - 1`, with none at either end.
    pub fn words(&mut self, end: u64) -> String {
        let mut text = String::new();
        self.push_words(&mut text, end, ' ');
        text.trim().to_owned()
    }

    /// Letters that bring a row of `size` bytes to `average`, give or take a fifth of what they are; none where the row
    /// is as large without.
    pub fn padding(&mut self, size: usize, average: usize) -> String {
        let missing = average.saturating_sub(size) as u64;
        let spread = (missing + 2) / 5;
        let mut left = missing - spread + if spread == 0 { 0 } else { self.below(2 * spread) };
        let mut text = String::with_capacity(left as usize);
        while left > 0 {
            let mut draw = self.draw();
            let letters = left.min(LETTERS_PER_DRAW);
            for _ in 0..letters {
                text.push(letter(draw % LETTERS));
                draw /= LETTERS;
            }
            left -= letters;
        }
        text
    }
}

fn letter(number: u64) -> char {
    char::from(b'a' + number as u8)
}
