//! Decimal numbers from their digits.

use crate::data::{NUMERIC_PRECISION, SqlType};

/// The digits after the point of a bare `numeric`.
const BARE_SCALE: i32 = 18;
/// The unscaled value of 1 as a bare `numeric`.
pub const BARE_ONE: i128 = 10_i128.pow(BARE_SCALE as u32);

/// The unscaled value of a number written as JSON or SQL writes them, for `numeric` with this precision and scale. With a
/// declared scale it is rounded, half away from zero, as PostgreSQL does; bare `numeric` keeps every digit or refuses.
pub fn parse(text: &str, modifier: Option<(u8, i8)>) -> Result<i128, String> {
    let ty = SqlType::Numeric(modifier);
    let invalid = || format!("invalid value for {ty}: \"{text}\"");
    let out_of_range = || format!("{text} is out of range for {ty}");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid())?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut characters = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !characters.all(|character| character.is_ascii_digit()) {
        return Err(invalid());
    }
    let (precision, scale) = modifier.map_or((NUMERIC_PRECISION, BARE_SCALE), |(p, s)| (p, i32::from(s)));
    // How many digits stand before the end of what is kept.
    let kept = i64::try_from(whole.len()).map_err(|_| out_of_range())? + i64::from(exponent) + i64::from(scale);
    let all = || whole.bytes().chain(fraction.bytes()).map(|character| i128::from(character - b'0'));
    let count = (whole.len() + fraction.len()) as i64;
    let mut value: i128 = 0;
    for digit in all().take(kept.clamp(0, count) as usize) {
        value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or_else(out_of_range)?;
    }
    for _ in count..kept {
        if value == 0 {
            break;
        }
        value = value.checked_mul(10).ok_or_else(out_of_range)?;
    }
    let dropped = || all().skip(kept.clamp(0, count) as usize);
    if modifier.is_none() && dropped().any(|digit| digit != 0) {
        return Err(format!("{text} has more than {BARE_SCALE} digits after the point"));
    }
    // With kept < 0 the first digit dropped is a zero that is not written.
    if kept >= 0 && dropped().next().is_some_and(|digit| digit >= 5) {
        value += 1;
    }
    if value >= 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX) {
        return Err(out_of_range());
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn digits_are_exact() {
        let bare = |text| parse(text, None);
        assert_eq!(bare("0"), Ok(0));
        assert_eq!(bare("-0.000000000000000001"), Ok(-1));
        assert_eq!(bare("12.5e1"), Ok(125 * 10_i128.pow(18)));
        assert_eq!(bare("1e-18"), Ok(1));
        assert_eq!(bare("0e999999"), Ok(0));
        assert_eq!(bare("99999999999999999999.999999999999999999"), Ok(10_i128.pow(38) - 1));
        for refused in ["1e-19", "0.0000000000000000001", "1e20", "100000000000000000000", "1e999999", "1e99999999999"]
        {
            assert!(bare(refused).is_err(), "{refused}");
        }
        for invalid in ["", "-", ".", "1e", "NaN", "0x1", "1_000", " 1", "--1"] {
            assert!(bare(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn declared_scale_rounds_half_away_from_zero() {
        let money = |text| parse(text, Some((5, 2)));
        assert_eq!(money("1.005"), Ok(101));
        assert_eq!(money("-1.005"), Ok(-101));
        assert_eq!(money("1.0049999999999999999999999999999999999999999"), Ok(100));
        assert_eq!(money("999.994"), Ok(99_999));
        assert!(money("999.995").is_err());
        assert_eq!(money("0.004"), Ok(0));
        assert_eq!(money("0.0009"), Ok(0));
        assert_eq!(money("9e-4"), Ok(0));
        assert_eq!(parse("1549", Some((5, -2))), Ok(15));
        assert_eq!(parse("50", Some((5, -2))), Ok(1));
        assert_eq!(parse("9", Some((5, -2))), Ok(0));
    }
}
