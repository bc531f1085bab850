//! Variances of integers and decimals, exact until the result is rounded.

use crate::dataflow::aggregates::exact::{Decimal, ExactSum, overflow};
use crate::dataflow::aggregates::states::State;
use crate::dataflow::aggregates::wide::Wide;
use crate::dataflow::coding::Reader;
use crate::error::Result;

/// The sums that variance and standard deviation come from. 2^63 values of 38 digits have squares below 2^317.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactMoments {
    sum: ExactSum,
    squares: Wide,
}

/// Which of the four functions of a variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// Over one less than the number of values.
    pub sample: bool,
    /// The standard deviation.
    pub root: bool,
}

impl ExactMoments {
    /// Adds a decimal's unscaled value `weight` times.
    pub fn add(&mut self, value: i128, weight: i64) {
        self.sum.add_decimal(value, weight);
        let size = value.unsigned_abs();
        let square = Wide::from(size).times(size.into()).unwrap_or_default();
        let squares = square.times(u128::from(weight.unsigned_abs()).into()).unwrap_or_default();
        self.squares = if weight < 0 { self.squares.minus(squares) } else { self.squares.plus(squares) };
    }

    /// Adds what another was given.
    pub fn merge(&mut self, other: &ExactMoments) {
        self.sum.merge(&other.sum);
        self.squares = self.squares.plus(other.squares);
    }

    pub fn count(&self) -> i64 {
        self.sum.count
    }

    /// The variance, or its root, of values with `from` digits after the point, rounded half up; None of too few values.
    ///
    /// # Errors
    /// 22003 when it does not fit.
    pub fn spread(&self, from: i8, to: Decimal, Spread { sample, root }: Spread) -> Result<Option<i128>> {
        let (count, divisor) = (self.count(), self.count() - i64::from(sample));
        if divisor <= 0 {
            return Ok(None);
        }
        let (times, count) = (u128::from(count.unsigned_abs()), u128::from(divisor.unsigned_abs()));
        let found = self.scaled(times, times * count, from, to, root).ok_or_else(|| overflow(to))?;
        to.check_narrow(found).map(Some)
    }

    /// (count Σx² - (Σx)²) over the divisor, or the root of that.
    fn scaled(&self, count: u128, divisor: u128, from: i8, to: Decimal, root: bool) -> Option<i128> {
        let sum = self.sum.size();
        let numerator = self.squares.times(count.into())?.minus(sum.times(sum)?);
        if numerator.is_negative() {
            return Some(0);
        }
        let (from, to) = (i32::from(from), i32::from(to.scale));
        let digits = if root { 2 * to - 2 * from } else { to - 2 * from };
        let zeros = digits.unsigned_abs();
        let (numerator, divisor) = match digits >= 0 {
            true => (numerator.shifted(zeros)?, Wide::from(divisor)),
            false => (numerator, Wide::from(divisor).shifted(zeros)?),
        };
        let (quotient, rest) = numerator.divided(divisor);
        let (below, up) = match root {
            false => (quotient.narrow()?, rest >= divisor.minus(rest)),
            true => {
                let below = quotient.root()?;
                // (r + 1/2)² = r² + r + 1/4, of which the last is asked of what the division left.
                let beyond = quotient.minus(Wide::from(below).times(below.into())?);
                let quarter = || rest.times(Wide::from(4)).is_none_or(|rest| rest >= divisor);
                (below, beyond > below.into() || (beyond == below.into() && quarter()))
            }
        };
        i128::try_from(below.checked_add(u128::from(up))?).ok()
    }
}

impl State for ExactMoments {
    fn write(&self, out: &mut Vec<u8>) {
        self.sum.write(out);
        self.squares.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<ExactMoments> {
        Ok(ExactMoments { sum: ExactSum::read(reader)?, squares: Wide::read(reader)? })
    }
}
