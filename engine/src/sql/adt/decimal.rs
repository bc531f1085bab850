//! `numeric` as an `i128` of a fixed scale.
//!
//! A bare numeric has [`NUMERIC_SCALE`] digits after the point and [`NUMERIC_PRECISION`] in all. Rounding is half away
//! from zero; what does not fit is 22003.

use std::cmp::Ordering;

use arrow::datatypes::i256;

use super::{division_by_zero, invalid_text};
use crate::data::{NUMERIC_PRECISION, NUMERIC_SCALE};
use crate::error::{Error, Result, SqlState};

/// One, as a bare numeric.
pub const ONE: i128 = 10i128.pow(NUMERIC_SCALE as u32);
/// The least absolute value that no bare numeric has.
const LIMIT: i128 = 10i128.pow(NUMERIC_PRECISION as u32);

/// `value overflows numeric format`: more digits than a bare numeric holds.
pub fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "value overflows numeric format").with_detail(
        "A numeric without declared precision has at most 20 digits before and 18 after the decimal point.",
    )
}

/// `numeric field overflow`, for a declared precision and scale.
pub fn field_overflow(precision: u8, scale: i8) -> Error {
    let whole = i32::from(precision) - i32::from(scale);
    let bound = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}

/// The value, if a bare numeric can hold it.
pub fn check(value: i128) -> Result<i128> {
    if value > -LIMIT && value < LIMIT { Ok(value) } else { Err(overflow()) }
}

/// Division that rounds half away from zero. The divisor is not zero.
pub fn round_div(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value / divisor, value % divisor);
    // |remainder| * 2 may overflow for divisors near the limit: compare the distance to the divisor instead.
    let (remainder, size) = (remainder.unsigned_abs(), divisor.unsigned_abs());
    if remainder >= size - remainder { quotient + if (value < 0) == (divisor < 0) { 1 } else { -1 } } else { quotient }
}

fn round_div_wide(value: i256, divisor: i256) -> Result<i128> {
    let quotient = value.checked_div(divisor).ok_or_else(overflow)?;
    let remainder = value.checked_rem(divisor).ok_or_else(overflow)?;
    let negative = value.is_negative() != divisor.is_negative();
    let (remainder, size) = (remainder.wrapping_abs(), divisor.wrapping_abs());
    let quotient = match remainder >= size.wrapping_sub(remainder) {
        true if negative => quotient.wrapping_sub(i256::ONE),
        true => quotient.wrapping_add(i256::ONE),
        false => quotient,
    };
    quotient.to_i128().ok_or_else(overflow)
}

/// Sum of two bare numerics.
pub fn add(left: i128, right: i128) -> Result<i128> {
    check(left.checked_add(right).ok_or_else(overflow)?)
}

/// Difference of two bare numerics.
pub fn sub(left: i128, right: i128) -> Result<i128> {
    check(left.checked_sub(right).ok_or_else(overflow)?)
}

/// Product of two bare numerics, rounded to their scale.
pub fn mul(left: i128, right: i128) -> Result<i128> {
    match left.checked_mul(right) {
        Some(product) => check(round_div(product, ONE)),
        None => {
            let product = i256::from_i128(left).wrapping_mul(i256::from_i128(right));
            check(round_div_wide(product, i256::from_i128(ONE))?)
        }
    }
}

/// Quotient of two bare numerics, rounded to their scale.
pub fn div(left: i128, right: i128) -> Result<i128> {
    if right == 0 {
        return Err(division_by_zero());
    }
    match left.checked_mul(ONE) {
        Some(scaled) => check(round_div(scaled, right)),
        None => {
            let scaled = i256::from_i128(left).wrapping_mul(i256::from_i128(ONE));
            check(round_div_wide(scaled, i256::from_i128(right))?)
        }
    }
}

/// Remainder with the sign of the dividend.
pub fn rem(left: i128, right: i128) -> Result<i128> {
    if right == 0 { Err(division_by_zero()) } else { Ok(left % right) }
}

/// The bare numeric nearest to `value`, rounded to `digits` after the point (before it, if negative).
pub fn round(value: i128, digits: i32) -> Result<i128> {
    match unit(digits) {
        None => Ok(if digits > 0 { value } else { 0 }),
        Some(unit) => check(round_div(value, unit).checked_mul(unit).ok_or_else(overflow)?),
    }
}

/// `value` cut after `digits` digits.
pub fn trunc(value: i128, digits: i32) -> i128 {
    match unit(digits) {
        None => {
            if digits > 0 {
                value
            } else {
                0
            }
        }
        Some(unit) => value - value % unit,
    }
}

/// How many digits after the point a bare numeric needs.
pub fn min_scale(value: i128) -> i32 {
    let needs = |digits: &i32| unit(*digits).is_none_or(|unit| value % unit == 0);
    (0..i32::from(NUMERIC_SCALE)).find(needs).unwrap_or(i32::from(NUMERIC_SCALE))
}

/// What one in the last kept digit weighs, as a bare numeric; None when all or no digits are kept.
fn unit(digits: i32) -> Option<i128> {
    let dropped = i32::from(NUMERIC_SCALE).saturating_sub(digits);
    if (1..=38).contains(&dropped) { 10i128.checked_pow(dropped as u32) } else { None }
}

/// The greatest whole number not above `value`.
pub fn floor(value: i128) -> Result<i128> {
    check(value.div_euclid(ONE) * ONE)
}

/// The least whole number not below `value`.
pub fn ceil(value: i128) -> Result<i128> {
    let floor = value.div_euclid(ONE) * ONE;
    check(if floor == value { floor } else { floor + ONE })
}

/// Changes the scale, rounding. None where `i128` overflows.
pub fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    match to.cmp(&from) {
        Ordering::Equal => Some(value),
        Ordering::Greater => value.checked_mul(10i128.checked_pow((to - from) as u32)?),
        Ordering::Less => match 10i128.checked_pow((from - to) as u32) {
            Some(divisor) => Some(round_div(value, divisor)),
            None => Some(0),
        },
    }
}

/// A value of scale `from` as `numeric(precision, scale)`.
pub fn fit(value: i128, from: i8, precision: u8, scale: i8) -> Result<i128> {
    rescale(value, from, scale)
        .filter(|value| value.unsigned_abs() < 10u128.pow(u32::from(precision)))
        .ok_or_else(|| field_overflow(precision, scale))
}

/// Appends the digits; `trim` leaves trailing zeros after the point away.
pub fn format(value: i128, scale: i8, trim: bool, out: &mut String) {
    let digits = value.unsigned_abs().to_string();
    if value < 0 {
        out.push('-');
    }
    if scale <= 0 {
        out.push_str(&digits);
        if value != 0 {
            out.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
        }
        return;
    }
    let scale = scale as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    out.push_str(whole);
    let fraction = if trim { fraction.trim_end_matches('0') } else { fraction };
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
}

/// Reads a number as `numeric(precision, scale)`, or as a bare numeric.
///
/// A declared scale rounds as PostgreSQL does. A bare numeric keeps 18 digits after the point; a text with more is
/// refused with 22003, because dropping them would be a silent loss.
pub fn parse(text: &str, modifier: Option<(u8, i8)>) -> Result<i128> {
    let bad = || invalid_text("numeric", text);
    let parts = Parts::split(text.trim_matches(|c: char| c.is_ascii_whitespace())).ok_or_else(|| {
        match text.trim().trim_start_matches(['-', '+']).to_ascii_lowercase().as_str() {
            "nan" | "inf" | "infinity" => Error::unsupported(format!("numeric value \"{}\"", text.trim())),
            _ => bad(),
        }
    })?;
    let (precision, scale) = modifier.unwrap_or((NUMERIC_PRECISION, NUMERIC_SCALE));
    let too_big = || if modifier.is_some() { field_overflow(precision, scale) } else { overflow() };
    let digits: Vec<u8> = parts.digits().collect();
    // The value is digits × 10^exponent; the result wants digits × 10^-scale.
    let shift = parts.exponent - parts.fraction.len() as i64 + i64::from(scale);
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[leading..];
    let kept = (digits.len() as i64 + shift).min(digits.len() as i64);
    if kept < 0 || digits.is_empty() {
        return if modifier.is_none() && !digits.is_empty() { Err(too_fine(text)) } else { Ok(0) };
    }
    if digits.len() as i64 + shift > 38 {
        return Err(too_big());
    }
    let (kept, dropped) = digits.split_at(kept as usize);
    if modifier.is_none() && dropped.iter().any(|digit| *digit != 0) {
        return Err(too_fine(text));
    }
    let mut value = kept.iter().fold(0i128, |value, digit| value * 10 + i128::from(*digit));
    value = value.checked_mul(10i128.pow(shift.max(0) as u32)).ok_or_else(too_big)?;
    if dropped.first().is_some_and(|digit| *digit >= 5) {
        value += 1;
    }
    if value.unsigned_abs() >= 10u128.pow(u32::from(precision)) {
        return Err(too_big());
    }
    Ok(if parts.negative { -value } else { value })
}

fn too_fine(text: &str) -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, format!("numeric value \"{text}\" has too many digits"))
        .with_detail("A numeric without declared scale keeps 18 digits after the decimal point.")
        .with_hint("Declare a scale, as in numeric(38,6), to have the value rounded.")
}

/// A number's text cut into its parts.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Option<Parts<'a>> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse().ok().filter(|e: &i64| e.abs() < 10_000)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let any = !whole.is_empty() || !fraction.is_empty();
        (any && all_digits(whole) && all_digits(fraction)).then_some(Parts { negative, whole, fraction, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.bytes().chain(self.fraction.bytes()).map(|byte| byte - b'0')
    }
}

/// The nearest double of a value with `scale` digits after the point.
pub fn to_f64(value: i128, scale: i8) -> f64 {
    let (mut value, mut scale) = (value, scale);
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    // Both operands exact: the quotient is correctly rounded.
    if value.unsigned_abs() < 1 << 53 && (0..=22).contains(&scale) {
        return value as f64 / 10f64.powi(i32::from(scale));
    }
    let mut text = String::new();
    format(value, scale, true, &mut text);
    text.parse().unwrap_or(f64::NAN)
}

/// A double as a bare numeric, by its 15 significant digits (`float8_numeric`); 6 for a real.
pub fn from_f64(value: f64, significant: usize) -> Result<i128> {
    if !value.is_finite() {
        return Err(Error::unsupported(format!("conversion of {value} to numeric")));
    }
    let text = format!("{:.*e}", significant - 1, value);
    parse(&text, Some((NUMERIC_PRECISION, NUMERIC_SCALE))).map_err(|_| overflow())
}

/// A whole number as a bare numeric.
pub fn from_int(value: i128) -> Result<i128> {
    check(value.checked_mul(ONE).ok_or_else(overflow)?)
}

/// A value of scale `scale`, rounded to a whole number.
pub fn to_int(value: i128, scale: i8) -> Option<i64> {
    rescale(value, scale, 0).and_then(|value| i64::try_from(value).ok())
}
