//! Sums of integers and decimals, exact however large they grow on the way.

use arrow::datatypes::i256;

use crate::dataflow::aggregates::states::State;
use crate::dataflow::aggregates::wide::Wide;
use crate::dataflow::coding::Reader;
use crate::error::{Error, Result, SqlState};

/// A sum in 192 bits of two's complement, and how many values it has. 2^63 values of 38 digits fit, so what is too large
/// for the result's type fails only while it is, not when it passes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactSum {
    low: u128,
    high: i64,
    pub count: i64,
}

impl ExactSum {
    /// Adds an integer `weight` times.
    #[inline]
    pub fn add_integer(&mut self, value: i64, weight: i64) {
        let value = i128::from(value) * i128::from(weight);
        self.add_wide(value as u128, (value >> 127) as i64);
        self.count += weight;
    }

    /// Adds a decimal's unscaled value `weight` times.
    #[inline]
    pub fn add_decimal(&mut self, value: i128, weight: i64) {
        match weight {
            1 => self.add_wide(value as u128, (value >> 127) as i64),
            _ => {
                let (low, high) = product(value, weight);
                self.add_wide(low, high);
            }
        }
        self.count += weight;
    }

    #[inline]
    fn add_wide(&mut self, low: u128, high: i64) {
        let (low, carry) = self.low.overflowing_add(low);
        self.low = low;
        self.high = self.high.wrapping_add(high).wrapping_add(i64::from(carry));
    }

    /// The sum where it fits 128 bits, as it nearly always does.
    fn narrow(&self) -> Option<i128> {
        let total = self.low as i128;
        (self.high == (total >> 127) as i64).then_some(total)
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        self.add_wide(other.low, other.high);
        self.count += other.count;
    }

    /// How far the sum is from 0.
    pub fn size(&self) -> Wide {
        let (low, high) = match self.high < 0 {
            false => (self.low, self.high),
            true => (self.low.wrapping_neg(), (!self.high).wrapping_add(i64::from(self.low == 0))),
        };
        Wide::from(low).plus(Wide::above(high as u64))
    }

    fn total(&self) -> i256 {
        i256::from_parts(self.low, i128::from(self.high))
    }

    /// The sum as bigint.
    ///
    /// # Errors
    /// 22003 when it does not fit.
    pub fn to_int8(self) -> Result<i64> {
        let total = self.narrow().and_then(|total| i64::try_from(total).ok());
        total.ok_or_else(|| Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "bigint out of range"))
    }

    /// The sum of values with `from` digits after the point as a decimal.
    ///
    /// # Errors
    /// 22003 when it does not fit, or when digits would be lost.
    pub fn to_decimal(self, from: i8, to: Decimal) -> Result<i128> {
        let lost = || overflow(to);
        if let (Some(total), shift @ 0..=38) = (self.narrow(), to.scale - from) {
            return to.check_narrow(total.checked_mul(TENS[shift as usize]).ok_or_else(lost)?);
        }
        match to.scale - from {
            shift @ 0.. => to.check(self.total().checked_mul(power(shift)).ok_or_else(lost)?),
            shift => {
                let divisor = power(-shift);
                match self.total().checked_rem(divisor) {
                    Some(i256::ZERO) => to.check(self.total().wrapping_div(divisor)),
                    _ => Err(lost()),
                }
            }
        }
    }

    /// The mean of values with `from` digits after the point, rounded half away from zero as PostgreSQL does.
    ///
    /// # Errors
    /// 22003 when it does not fit.
    pub fn mean(self, from: i8, to: Decimal) -> Result<i128> {
        if let (Some(total), shift @ 0..=38) = (self.narrow(), to.scale - from)
            && let Some(numerator) = total.checked_mul(TENS[shift as usize])
        {
            return to.check_narrow(divide_rounded(numerator, self.count.into()));
        }
        let mut numerator = self.total();
        let mut denominator = i256::from_i128(i128::from(self.count));
        match to.scale - from {
            shift @ 0.. => numerator = numerator.checked_mul(power(shift)).ok_or_else(|| overflow(to))?,
            shift => denominator = denominator.checked_mul(power(-shift)).ok_or_else(|| overflow(to))?,
        }
        let (quotient, rest) = (numerator.wrapping_div(denominator), numerator.wrapping_rem(denominator));
        let twice = rest.wrapping_abs().wrapping_add(rest.wrapping_abs());
        let up = if twice >= denominator.wrapping_abs() { numerator.signum() } else { i256::ZERO };
        to.check(quotient.wrapping_add(up))
    }

    /// The sum of values with `from` digits after the point as the nearest float.
    pub fn to_f64(self, from: i8) -> f64 {
        let (low, high) = self.total().to_parts();
        let total = high as f64 * 2f64.powi(128) + low as f64;
        let total = self.narrow().map_or(total, |total| total as f64);
        total / 10f64.powi(i32::from(from))
    }
}

/// Rounds half away from zero; the count is positive.
fn divide_rounded(numerator: i128, denominator: i128) -> i128 {
    let quotient = numerator / denominator;
    let rest = numerator - quotient * denominator;
    let up = rest.unsigned_abs() >= denominator.unsigned_abs() - rest.unsigned_abs();
    quotient + if up { numerator.signum() } else { 0 }
}

fn product(value: i128, weight: i64) -> (u128, i64) {
    let (size, times) = (value.unsigned_abs(), u128::from(weight.unsigned_abs()));
    let bottom = (size & u128::from(u64::MAX)) * times;
    let top = (size >> 64) * times;
    let (low, carry) = bottom.overflowing_add(top << 64);
    let high = (top >> 64) as i64 + i64::from(carry);
    if (value < 0) == (weight < 0) {
        return (low, high);
    }
    (low.wrapping_neg(), (!high).wrapping_add(i64::from(low == 0)))
}

/// The powers of 10 that fit 128 bits.
const TENS: [i128; 39] = {
    let mut tens = [1; 39];
    let mut exponent = 1;
    while exponent < 39 {
        tens[exponent] = tens[exponent - 1] * 10;
        exponent += 1;
    }
    tens
};

/// 10 to the power of at most 76.
fn power(exponent: i8) -> i256 {
    i256::from_i128(10).wrapping_pow(exponent.unsigned_abs().into())
}

/// The type of a decimal result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub precision: u8,
    pub scale: i8,
}

impl Decimal {
    fn check(self, value: i256) -> Result<i128> {
        self.check_narrow(value.to_i128().ok_or_else(|| overflow(self))?)
    }

    pub fn check_narrow(self, value: i128) -> Result<i128> {
        let limit = TENS[usize::from(self.precision.min(38))];
        if value.unsigned_abs() < limit.unsigned_abs() { Ok(value) } else { Err(overflow(self)) }
    }
}

pub fn overflow(to: Decimal) -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "numeric field overflow")
        .with_detail(format!("The result does not fit {} digits, {} of them after the point.", to.precision, to.scale))
}

impl State for ExactSum {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.low.to_le_bytes());
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<ExactSum> {
        Ok(ExactSum { low: u128::from_le_bytes(reader.array()?), high: reader.i64()?, count: reader.i64()? })
    }
}
