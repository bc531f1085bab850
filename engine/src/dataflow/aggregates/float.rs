//! Sums of floats that survive retraction.

use crate::dataflow::aggregates::states::State;
use crate::dataflow::coding::Reader;
use crate::error::{Error, Result, SqlState};

/// While a sum would overflow it is kept smaller by this power of two, which loses nothing.
const SHRINK: f64 = 1.0 / (1u128 << 64) as f64;
const GROW: f64 = (1u128 << 64) as f64;

/// A sum as two floats, `high + low`, the second far below the first: some 106 bits. What is not finite is counted instead,
/// so that it can be taken away again.
///
/// Source: Dekker, "A floating-point technique for extending the available precision", 1971; Knuth's TwoSum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloatSum {
    high: f64,
    low: f64,
    /// All values, the ones that are not finite too.
    pub count: i64,
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
    shrunk: bool,
}

impl FloatSum {
    /// Adds a value `weight` times.
    #[inline]
    pub fn add(&mut self, value: f64, weight: i64) {
        self.count += weight;
        if !value.is_finite() {
            return self.add_special(value, weight);
        }
        self.add_finite(value, weight);
    }

    /// Adds the square of a value `weight` times, exactly.
    #[inline]
    pub fn add_square(&mut self, value: f64, weight: i64) {
        self.count += weight;
        let square = value * value;
        if !square.is_finite() {
            return self.add_special(square, weight);
        }
        self.add_finite(square, weight);
        self.add_finite(value.mul_add(value, -square), weight);
    }

    #[inline]
    fn add_finite(&mut self, value: f64, weight: i64) {
        match weight {
            1 => self.plus(value, 0.0),
            -1 => self.plus(-value, 0.0),
            _ => self.add_product(value, weight as f64),
        }
    }

    fn add_special(&mut self, value: f64, weight: i64) {
        if value.is_nan() {
            self.nans += weight;
        } else if value > 0.0 {
            self.infinities += weight;
        } else {
            self.negative_infinities += weight;
        }
    }

    fn add_product(&mut self, value: f64, weight: f64) {
        let product = value * weight;
        if product.is_finite() {
            return self.plus(product, value.mul_add(weight, -product));
        }
        self.shrink();
        let value = value * SHRINK;
        let product = value * weight;
        self.accumulate(product, value.mul_add(weight, -product));
    }

    #[inline]
    fn plus(&mut self, value: f64, rest: f64) {
        if !self.shrunk {
            if (self.high + value).is_finite() {
                return self.accumulate(value, rest);
            }
            self.shrink();
        }
        self.accumulate(value * SHRINK, rest * SHRINK);
    }

    fn shrink(&mut self) {
        if !self.shrunk {
            self.high *= SHRINK;
            self.low *= SHRINK;
            self.shrunk = true;
        }
    }

    #[inline]
    fn accumulate(&mut self, value: f64, rest: f64) {
        let sum = self.high + value;
        let back = sum - self.high;
        let error = (self.high - (sum - back)) + (value - back);
        let low = self.low + error + rest;
        self.high = sum + low;
        self.low = low - (self.high - sum);
    }

    fn finite(&self) -> i64 {
        self.count - self.nans - self.infinities - self.negative_infinities
    }

    /// What the values that are not finite make of the result, if there are any.
    fn special(&self) -> Option<f64> {
        match (self.nans > 0, self.infinities > 0, self.negative_infinities > 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// 22003 when finite values sum to more than a float can be.
    pub fn total(&self) -> Result<f64> {
        if let Some(special) = self.special() {
            return Ok(special);
        }
        let sum = self.high + self.low;
        let sum = if self.shrunk { sum * GROW } else { sum };
        if sum.is_finite() { Ok(sum) } else { Err(overflow()) }
    }

    /// The mean; the count is positive.
    pub fn mean(&self) -> f64 {
        if let Some(special) = self.special() {
            return special;
        }
        let mean = (self.high + self.low) / self.count as f64;
        if self.shrunk { mean * GROW } else { mean }
    }
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "value out of range: overflow")
}

/// A sum as real.
///
/// # Errors
/// 22003 when it does not fit.
pub fn to_real(total: f64) -> Result<f32> {
    let real = total as f32;
    if real.is_infinite() && total.is_finite() { Err(overflow()) } else { Ok(real) }
}

impl State for FloatSum {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.low.to_le_bytes());
        for count in [self.count, self.nans, self.infinities, self.negative_infinities] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.push(u8::from(self.shrunk));
    }

    fn read(reader: &mut Reader<'_>) -> Result<FloatSum> {
        Ok(FloatSum {
            high: reader.f64()?,
            low: reader.f64()?,
            count: reader.i64()?,
            nans: reader.i64()?,
            infinities: reader.i64()?,
            negative_infinities: reader.i64()?,
            shrunk: reader.flag()?,
        })
    }

    /// Without values the sum is 0 exactly, whatever rounding left.
    fn settle(&mut self) {
        if self.finite() == 0 {
            (self.high, self.low, self.shrunk) = (0.0, 0.0, false);
        } else if self.shrunk && self.high.abs() < 2f64.powi(900) {
            (self.high, self.low, self.shrunk) = (self.high * GROW, self.low * GROW, false);
        }
    }
}

/// The sums that variance and standard deviation come from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    sum: FloatSum,
    squares: FloatSum,
}

impl Moments {
    #[inline]
    pub fn add(&mut self, value: f64, weight: i64) {
        self.sum.add(value, weight);
        self.squares.add_square(value, weight);
    }

    pub fn count(&self) -> i64 {
        self.sum.count
    }

    /// The sum of squared distances from the mean over `divisor`, never below 0.
    ///
    /// # Errors
    /// 22003 when finite values are too large to be squared.
    pub fn variance(&self, divisor: i64) -> Result<f64> {
        if self.sum.special().is_some() {
            return Ok(f64::NAN);
        }
        if self.squares.special().is_some() || self.squares.shrunk || self.sum.shrunk {
            return Err(overflow());
        }
        let count = self.sum.count as f64;
        // (sum / count) as high + low, then squares - sum * mean, in twice the precision throughout.
        let high = self.sum.high / count;
        let low = ((-high).mul_add(count, self.sum.high) + self.sum.low) / count;
        let product = self.sum.high * high;
        let rest = self.sum.high.mul_add(high, -product) + self.sum.high * low + self.sum.low * high;
        let mut distance = self.squares;
        distance.accumulate(-product, -rest);
        Ok((distance.high + distance.low).max(0.0) / divisor as f64)
    }
}

impl State for Moments {
    fn write(&self, out: &mut Vec<u8>) {
        self.sum.write(out);
        self.squares.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Moments> {
        Ok(Moments { sum: FloatSum::read(reader)?, squares: FloatSum::read(reader)? })
    }

    fn settle(&mut self) {
        self.sum.settle();
        self.squares.settle();
    }
}
