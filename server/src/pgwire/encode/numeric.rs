//! `numeric` in binary: digits to base 10,000, as PostgreSQL's `numeric_send` writes them.

use bytes::{BufMut, BytesMut};
use levada_engine::error::{Error, Result, SqlState};

/// Decimal digits in a digit to base 10,000.
const DIGITS: u32 = 4;
const BASE: u128 = 10_000;
const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
/// The most that 38 digits can fill, wherever the point is.
const MOST: usize = 21;

/// Appends `unscaled / 10^scale`. It shows `scale` digits after the point; with `trim`, as many as it needs.
///
/// # Errors
/// 22003 for a negative scale whose zeros before the point do not fit.
pub fn write(unscaled: i128, scale: i8, trim: bool, out: &mut BytesMut) -> Result<()> {
    let zeros = u32::from(scale.min(0).unsigned_abs());
    let magnitude = 10u128.checked_pow(zeros).and_then(|power| unscaled.unsigned_abs().checked_mul(power));
    let magnitude = magnitude.ok_or_else(|| Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "numeric out of range"))?;
    let scale = u32::from(scale.max(0).unsigned_abs());
    let mut digits = [0u16; MOST];
    let (whole, fraction) = split(magnitude, scale, &mut digits);
    let used = whole + fraction;
    let shown = match trim {
        true => scale_of(&digits[whole..used]),
        false => scale as u16,
    };
    let leading = digits[..used].iter().take_while(|digit| **digit == 0).count();
    let trailing = digits[leading..used].iter().rev().take_while(|digit| **digit == 0).count();
    let kept = &digits[leading..used - trailing];
    // The power of 10,000 of the first digit; zero has no digits and the weight 0.
    let weight = if kept.is_empty() { 0 } else { whole as i16 - 1 - leading as i16 };
    out.put_u16(kept.len() as u16);
    out.put_i16(weight);
    out.put_u16(if unscaled < 0 { NEGATIVE } else { POSITIVE });
    out.put_u16(shown);
    kept.iter().for_each(|digit| out.put_u16(*digit));
    Ok(())
}

/// Writes the digits of `magnitude / 10^scale` into `digits`; returns how many stand before and after the point.
fn split(magnitude: u128, scale: u32, digits: &mut [u16; MOST]) -> (usize, usize) {
    let unit = 10u128.pow(scale);
    let (mut before, mut after) = (magnitude / unit, magnitude % unit);
    let mut whole = 0;
    while before > 0 {
        digits[whole] = (before % BASE) as u16;
        before /= BASE;
        whole += 1;
    }
    digits[..whole].reverse();
    let (mut fraction, mut left) = (0, scale);
    while left > 0 && after > 0 {
        let digit = if left >= DIGITS {
            left -= DIGITS;
            let unit = 10u128.pow(left);
            let digit = after / unit;
            after %= unit;
            digit
        } else {
            // The last decimal digits fill the front of theirs.
            let digit = after * 10u128.pow(DIGITS - left);
            (left, after) = (0, 0);
            digit
        };
        digits[whole + fraction] = digit as u16;
        fraction += 1;
    }
    (whole, fraction)
}

/// Decimal digits after the point, without trailing zeros.
fn scale_of(fraction: &[u16]) -> u16 {
    let Some(last) = fraction.iter().rposition(|digit| *digit != 0) else { return 0 };
    let zeros = [10, 100, 1000].into_iter().take_while(|power| fraction[last].is_multiple_of(*power)).count();
    ((last + 1) * DIGITS as usize - zeros) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words after those of the header.
    fn encoded(unscaled: i128, scale: i8, trim: bool) -> (i16, u16, u16, Vec<u16>) {
        let mut out = BytesMut::new();
        write(unscaled, scale, trim, &mut out).unwrap();
        let words: Vec<u16> = out.chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect();
        assert_eq!(usize::from(words[0]), words.len() - 4);
        (words[1] as i16, words[2], words[3], words[4..].to_vec())
    }

    /// Expected values are `numeric_send`'s, from PostgreSQL 15.
    #[test]
    fn digits_are_those_of_postgres() {
        let bare = |text_unscaled: i128| encoded(text_unscaled, 18, true);
        let one = 10i128.pow(18);
        assert_eq!(bare(0), (0, 0, 0, vec![]));
        assert_eq!(bare(one), (0, 0, 0, vec![1]));
        assert_eq!(bare(-one / 2), (-1, 0x4000, 1, vec![5000]));
        assert_eq!(bare(12_345 * one + one / 100 * 67), (1, 0, 2, vec![1, 2345, 6700]));
        assert_eq!(bare(10_000 * one), (1, 0, 0, vec![1]));
        assert_eq!(bare(1), (-5, 0, 18, vec![100]));
        assert_eq!(encoded(1100, 2, false), (0, 0, 2, vec![11]));
        assert_eq!(encoded(-123_456, 4, false), (0, 0x4000, 4, vec![12, 3456]));
        assert_eq!(encoded(5, 5, false), (-2, 0, 5, vec![5000]));
        assert_eq!(encoded(12, -3, false), (1, 0, 0, vec![1, 2000]));
    }

    #[test]
    fn the_largest_and_the_smallest_fit() {
        let most = 10i128.pow(38) - 1;
        assert_eq!(encoded(most, 0, false).3.len(), 10);
        assert_eq!(encoded(most, 38, false), (-1, 0, 38, [vec![9999; 9], vec![9900]].concat()));
        assert_eq!(encoded(most, 1, false).3.len(), 11);
        assert_eq!(encoded(1, 38, false), (-10, 0, 38, vec![100]));
    }
}
