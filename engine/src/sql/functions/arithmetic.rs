//! `+ - * / % ^` and the bit operators on numbers: overflow is 22003, division by zero 22012.

use arrow::array::ArrayRef;

use super::signature::T::{self, Float4, Float8, Int2, Int4, Int8, Numeric};
use super::signature::{Function, f};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::{decimal, division_by_zero, out_of_range};
use crate::sql::rows::{Call, map1, map2};

const INT2: &[T] = &[Int2, Int2];
const INT4: &[T] = &[Int4, Int4];
const INT8: &[T] = &[Int8, Int8];
const FLOAT4: &[T] = &[Float4, Float4];
const FLOAT8: &[T] = &[Float8, Float8];
const NUMERIC: &[T] = &[Numeric, Numeric];

fn smallint() -> Error {
    out_of_range("smallint")
}

fn integer() -> Error {
    out_of_range("integer")
}

fn bigint() -> Error {
    out_of_range("bigint")
}

pub const INTEGER_OPERATORS: &[Function] = &[
    f("+", INT2, Int2, |c| map2(c, |a: i16, b: i16| a.checked_add(b).ok_or_else(smallint))),
    f("+", INT4, Int4, |c| map2(c, |a: i32, b: i32| a.checked_add(b).ok_or_else(integer))),
    f("+", INT8, Int8, |c| map2(c, |a: i64, b: i64| a.checked_add(b).ok_or_else(bigint))),
    f("-", INT2, Int2, |c| map2(c, |a: i16, b: i16| a.checked_sub(b).ok_or_else(smallint))),
    f("-", INT4, Int4, |c| map2(c, |a: i32, b: i32| a.checked_sub(b).ok_or_else(integer))),
    f("-", INT8, Int8, |c| map2(c, |a: i64, b: i64| a.checked_sub(b).ok_or_else(bigint))),
    f("*", INT2, Int2, |c| map2(c, |a: i16, b: i16| a.checked_mul(b).ok_or_else(smallint))),
    f("*", INT4, Int4, |c| map2(c, |a: i32, b: i32| a.checked_mul(b).ok_or_else(integer))),
    f("*", INT8, Int8, |c| map2(c, |a: i64, b: i64| a.checked_mul(b).ok_or_else(bigint))),
    f("/", INT2, Int2, |c| map2(c, |a: i16, b: i16| by(b == 0, a.checked_div(b), smallint))),
    f("/", INT4, Int4, |c| map2(c, |a: i32, b: i32| by(b == 0, a.checked_div(b), integer))),
    f("/", INT8, Int8, |c| map2(c, |a: i64, b: i64| by(b == 0, a.checked_div(b), bigint))),
    // The least integer modulo -1 overflows in hardware only: it is 0.
    f("%", INT2, Int2, |c| map2(c, |a: i16, b: i16| by(b == 0, Some(a.checked_rem(b).unwrap_or(0)), smallint))),
    f("%", INT4, Int4, |c| map2(c, |a: i32, b: i32| by(b == 0, Some(a.checked_rem(b).unwrap_or(0)), integer))),
    f("%", INT8, Int8, |c| map2(c, |a: i64, b: i64| by(b == 0, Some(a.checked_rem(b).unwrap_or(0)), bigint))),
    f("-", &[Int2], Int2, |c| map1(c, |a: i16| a.checked_neg().ok_or_else(smallint))),
    f("-", &[Int4], Int4, |c| map1(c, |a: i32| a.checked_neg().ok_or_else(integer))),
    f("-", &[Int8], Int8, |c| map1(c, |a: i64| a.checked_neg().ok_or_else(bigint))),
    f("+", &[Int2], Int2, |c| map1(c, |a: i16| Ok(a))),
    f("+", &[Int4], Int4, |c| map1(c, |a: i32| Ok(a))),
    f("+", &[Int8], Int8, |c| map1(c, |a: i64| Ok(a))),
    f("&", INT2, Int2, |c| map2(c, |a: i16, b: i16| Ok(a & b))),
    f("&", INT4, Int4, |c| map2(c, |a: i32, b: i32| Ok(a & b))),
    f("&", INT8, Int8, |c| map2(c, |a: i64, b: i64| Ok(a & b))),
    f("|", INT2, Int2, |c| map2(c, |a: i16, b: i16| Ok(a | b))),
    f("|", INT4, Int4, |c| map2(c, |a: i32, b: i32| Ok(a | b))),
    f("|", INT8, Int8, |c| map2(c, |a: i64, b: i64| Ok(a | b))),
    f("#", INT2, Int2, |c| map2(c, |a: i16, b: i16| Ok(a ^ b))),
    f("#", INT4, Int4, |c| map2(c, |a: i32, b: i32| Ok(a ^ b))),
    f("#", INT8, Int8, |c| map2(c, |a: i64, b: i64| Ok(a ^ b))),
    f("~", &[Int2], Int2, |c| map1(c, |a: i16| Ok(!a))),
    f("~", &[Int4], Int4, |c| map1(c, |a: i32| Ok(!a))),
    f("~", &[Int8], Int8, |c| map1(c, |a: i64| Ok(!a))),
    // Shift counts count modulo the width, as on the processors PostgreSQL runs on.
    f("<<", &[Int4, Int4], Int4, |c| map2(c, |a: i32, b: i32| Ok(a.wrapping_shl(b as u32)))),
    f("<<", &[Int8, Int4], Int8, |c| map2(c, |a: i64, b: i32| Ok(a.wrapping_shl(b as u32)))),
    f(">>", &[Int4, Int4], Int4, |c| map2(c, |a: i32, b: i32| Ok(a.wrapping_shr(b as u32)))),
    f(">>", &[Int8, Int4], Int8, |c| map2(c, |a: i64, b: i32| Ok(a.wrapping_shr(b as u32)))),
];

pub const NUMERIC_OPERATORS: &[Function] = &[
    f("+", NUMERIC, Numeric, |c| map2(c, decimal::add)),
    f("-", NUMERIC, Numeric, |c| map2(c, decimal::sub)),
    f("*", NUMERIC, Numeric, |c| map2(c, decimal::mul)),
    f("/", NUMERIC, Numeric, |c| map2(c, decimal::div)),
    f("%", NUMERIC, Numeric, |c| map2(c, decimal::rem)),
    f("^", NUMERIC, Numeric, |c| map2(c, numeric_power)),
    f("-", &[Numeric], Numeric, |c| map1(c, |a: i128| Ok(-a))),
    f("+", &[Numeric], Numeric, |c| map1(c, |a: i128| Ok(a))),
    f("@", &[Numeric], Numeric, |c| map1(c, |a: i128| Ok(a.abs()))),
];

pub const FLOAT_OPERATORS: &[Function] = &[
    f("+", FLOAT4, Float4, |c| map2(c, |a: f32, b: f32| real(a + b, a, b, false))),
    f("-", FLOAT4, Float4, |c| map2(c, |a: f32, b: f32| real(a - b, a, b, false))),
    f("*", FLOAT4, Float4, |c| map2(c, |a: f32, b: f32| real(a * b, a, b, a != 0.0 && b != 0.0))),
    f("/", FLOAT4, Float4, |c| {
        map2(c, |a: f32, b: f32| {
            real(divide(a.into(), b.into(), f64::from(a / b))? as f32, a, b, a != 0.0 && b.is_finite())
        })
    }),
    f("+", FLOAT8, Float8, |c| map2(c, |a: f64, b: f64| double(a + b, a, b, false))),
    f("-", FLOAT8, Float8, |c| map2(c, |a: f64, b: f64| double(a - b, a, b, false))),
    f("*", FLOAT8, Float8, |c| map2(c, |a: f64, b: f64| double(a * b, a, b, a != 0.0 && b != 0.0))),
    f("/", FLOAT8, Float8, |c| map2(c, |a: f64, b: f64| double(divide(a, b, a / b)?, a, b, a != 0.0 && b.is_finite()))),
    f("+", &[Float4, Float8], Float8, |c| mixed(c, |a, b| double(a + b, a, b, false))),
    f("-", &[Float4, Float8], Float8, |c| mixed(c, |a, b| double(a - b, a, b, false))),
    f("*", &[Float4, Float8], Float8, |c| mixed(c, |a, b| double(a * b, a, b, a != 0.0 && b != 0.0))),
    f("/", &[Float4, Float8], Float8, |c| mixed(c, quotient)),
    f("+", &[Float8, Float4], Float8, |c| mixed(c, |a, b| double(a + b, a, b, false))),
    f("-", &[Float8, Float4], Float8, |c| mixed(c, |a, b| double(a - b, a, b, false))),
    f("*", &[Float8, Float4], Float8, |c| mixed(c, |a, b| double(a * b, a, b, a != 0.0 && b != 0.0))),
    f("/", &[Float8, Float4], Float8, |c| mixed(c, quotient)),
    f("^", FLOAT8, Float8, |c| map2(c, float_power)),
    f("-", &[Float4], Float4, |c| map1(c, |a: f32| Ok(-a))),
    f("-", &[Float8], Float8, |c| map1(c, |a: f64| Ok(-a))),
    f("+", &[Float4], Float4, |c| map1(c, |a: f32| Ok(a))),
    f("+", &[Float8], Float8, |c| map1(c, |a: f64| Ok(a))),
    f("@", &[Float8], Float8, |c| map1(c, |a: f64| Ok(a.abs()))),
    f("@", &[Int4], Int4, |c| map1(c, |a: i32| a.checked_abs().ok_or_else(integer))),
    f("@", &[Int8], Int8, |c| map1(c, |a: i64| a.checked_abs().ok_or_else(bigint))),
    f("|/", &[Float8], Float8, |c| map1(c, super::math::sqrt)),
    f("||/", &[Float8], Float8, |c| map1(c, |a: f64| Ok(a.cbrt()))),
];

/// One operand is a real: it is widened.
fn mixed(call: &Call, f: impl Fn(f64, f64) -> Result<f64>) -> Result<ArrayRef> {
    match call.types[0] {
        SqlType::Float4 => map2(call, |a: f32, b: f64| f(f64::from(a), b)),
        _ => map2(call, |a: f64, b: f32| f(a, f64::from(b))),
    }
}

fn quotient(a: f64, b: f64) -> Result<f64> {
    double(divide(a, b, a / b)?, a, b, a != 0.0 && b.is_finite())
}

/// The quotient, unless the divisor is zero or the result overflows.
fn by<V>(zero: bool, value: Option<V>, overflow: fn() -> Error) -> Result<V> {
    if zero { Err(division_by_zero()) } else { value.ok_or_else(overflow) }
}

fn divide(dividend: f64, divisor: f64, quotient: f64) -> Result<f64> {
    if divisor == 0.0 && !dividend.is_nan() { Err(division_by_zero()) } else { Ok(quotient) }
}

/// A result that became infinite or zero though its operands were not is out of range.
pub fn double(value: f64, a: f64, b: f64, nonzero: bool) -> Result<f64> {
    if value.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "value out of range: overflow"));
    }
    if value == 0.0 && nonzero {
        return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "value out of range: underflow"));
    }
    Ok(value)
}

fn real(value: f32, a: f32, b: f32, nonzero: bool) -> Result<f32> {
    double(value.into(), a.into(), b.into(), nonzero).map(|_| value)
}

/// `a ^ b` of doubles.
pub fn float_power(base: f64, exponent: f64) -> Result<f64> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, message));
    if base == 0.0 && exponent < 0.0 {
        return invalid("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.fract() != 0.0 && exponent.is_finite() {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    let value = base.powf(exponent);
    double(value, base, exponent, base != 0.0 && base.is_finite() && exponent.is_finite())
}

/// `a ^ b` of numerics: exact for whole exponents (as far as the scale goes), through doubles else.
pub fn numeric_power(base: i128, exponent: i128) -> Result<i128> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, message));
    if base == 0 && exponent < 0 {
        return invalid("zero raised to a negative power is undefined");
    }
    let whole = exponent % decimal::ONE == 0;
    if base < 0 && !whole {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    if !whole {
        let power = decimal::to_f64(base, 18).powf(decimal::to_f64(exponent, 18));
        return if power.is_finite() { decimal::from_f64(power, 16) } else { Err(decimal::overflow()) };
    }
    let count = (exponent / decimal::ONE).unsigned_abs();
    let power = whole_power(base, count, exponent < 0)?;
    if exponent >= 0 { Ok(power) } else { decimal::div(decimal::ONE, power) }
}

fn whole_power(base: i128, count: u128, inverse: bool) -> Result<i128> {
    let (mut power, mut square, mut left) = (decimal::ONE, base, count);
    while left > 0 {
        if left & 1 == 1 {
            power = match decimal::mul(power, square) {
                Ok(power) => power,
                // The inverse of what is too large rounds to zero: its divisor only has to be large.
                Err(_) if inverse => return Ok(10i128.pow(38) - 1),
                Err(error) => return Err(error),
            };
        }
        left >>= 1;
        if left > 0 {
            square = match decimal::mul(square, square) {
                Ok(square) => square,
                Err(_) if inverse => return Ok(10i128.pow(38) - 1),
                Err(error) => return Err(error),
            };
        }
    }
    Ok(power)
}
