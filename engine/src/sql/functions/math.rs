//! Mathematical functions.

use super::arithmetic::{double, float_power, numeric_power};
use super::signature::T::{Float4, Float8, Int2, Int4, Int8, Numeric, Text};
use super::signature::{Function, T, f};
use crate::data::NUMERIC_SCALE;
use crate::error::{Error, Result, SqlState};
use crate::sql::adt::decimal::{self, ONE};
use crate::sql::adt::{division_by_zero, number_template, out_of_range};
use crate::sql::rows::{Call, Uuid, map_rows, map1, map2, map4};

pub const FUNCTIONS: &[Function] = &[
    f("to_char", &[Int4, Text], Text, |c| {
        map2(c, |v: i32, template: &str| to_char(i128::from(v) * ONE, false, template))
    }),
    f("to_char", &[Int8, Text], Text, |c| {
        map2(c, |v: i64, template: &str| to_char(i128::from(v) * ONE, false, template))
    }),
    f("to_char", &[Numeric, Text], Text, |c| map2(c, |v: i128, template: &str| to_char(v, false, template))),
    f("to_char", &[Float8, Text], Text, |c| {
        map2(c, |v: f64, template: &str| to_char(decimal::from_f64(v, 15)?, v.is_sign_negative(), template))
    }),
    f("to_number", &[Text, Text], Numeric, |c| map2(c, to_number)),
    f("abs", &[Int2], Int2, |c| map1(c, |v: i16| v.checked_abs().ok_or_else(|| out_of_range("smallint")))),
    f("abs", &[Int4], Int4, |c| map1(c, |v: i32| v.checked_abs().ok_or_else(|| out_of_range("integer")))),
    f("abs", &[Int8], Int8, |c| map1(c, |v: i64| v.checked_abs().ok_or_else(|| out_of_range("bigint")))),
    f("abs", &[Float4], Float4, |c| map1(c, |v: f32| Ok(v.abs()))),
    f("abs", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.abs()))),
    f("abs", &[Numeric], Numeric, |c| map1(c, |v: i128| Ok(v.abs()))),
    f("sign", &[Float8], Float8, |c| map1(c, |v: f64| Ok(f64::from(i8::from(v > 0.0) - i8::from(v < 0.0))))),
    f("sign", &[Numeric], Numeric, |c| map1(c, |v: i128| Ok(v.signum() * ONE))),
    f("ceil", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.ceil()))),
    f("ceil", &[Numeric], Numeric, |c| map1(c, decimal::ceil)),
    f("ceiling", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.ceil()))),
    f("ceiling", &[Numeric], Numeric, |c| map1(c, decimal::ceil)),
    f("floor", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.floor()))),
    f("floor", &[Numeric], Numeric, |c| map1(c, decimal::floor)),
    // Doubles round ties to even, numerics away from zero.
    f("round", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.round_ties_even()))),
    f("round", &[Numeric], Numeric, |c| map1(c, |v: i128| decimal::round(v, 0))),
    f("round", &[Numeric, Int4], Numeric, |c| map2(c, decimal::round)),
    f("trunc", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.trunc()))),
    f("trunc", &[Numeric], Numeric, |c| map1(c, |v: i128| Ok(decimal::trunc(v, 0)))),
    f("trunc", &[Numeric, Int4], Numeric, |c| map2(c, |v: i128, digits: i32| Ok(decimal::trunc(v, digits)))),
    f("mod", &[Int2, Int2], Int2, |c| {
        map2(c, |a: i16, b: i16| if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) })
    }),
    f("mod", &[Int4, Int4], Int4, |c| {
        map2(c, |a: i32, b: i32| if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) })
    }),
    f("mod", &[Int8, Int8], Int8, |c| {
        map2(c, |a: i64, b: i64| if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) })
    }),
    f("mod", &[Numeric, Numeric], Numeric, |c| map2(c, decimal::rem)),
    f("div", &[Numeric, Numeric], Numeric, |c| {
        map2(c, |a: i128, b: i128| match b {
            0 => Err(division_by_zero()),
            b => decimal::check((a / b).checked_mul(ONE).ok_or_else(decimal::overflow)?),
        })
    }),
    // Without a scale of its own a numeric has no zeros to lose.
    f("min_scale", &[Numeric], Int4, |c| map1(c, |v: i128| Ok(decimal::min_scale(v)))),
    f("trim_scale", &[Numeric], Numeric, |c| map1(c, |v: i128| Ok(v))),
    f("factorial", &[Int8], Numeric, |c| map1(c, factorial)),
    f("power", &[Float8, Float8], Float8, |c| map2(c, float_power)),
    f("power", &[Numeric, Numeric], Numeric, |c| map2(c, numeric_power)),
    f("pow", &[Float8, Float8], Float8, |c| map2(c, float_power)),
    f("pow", &[Numeric, Numeric], Numeric, |c| map2(c, numeric_power)),
    f("sqrt", &[Float8], Float8, |c| map1(c, sqrt)),
    f("sqrt", &[Numeric], Numeric, |c| map1(c, numeric_sqrt)),
    f("cbrt", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.cbrt()))),
    f("exp", &[Float8], Float8, |c| map1(c, |v: f64| double(v.exp(), v, 0.0, v.is_finite()))),
    f("exp", &[Numeric], Numeric, |c| map1(c, |v: i128| through_double(v, |v| Ok(v.exp())))),
    f("ln", &[Float8], Float8, |c| map1(c, |v: f64| logarithm(v).map(f64::ln))),
    f("ln", &[Numeric], Numeric, |c| map1(c, |v: i128| through_double(v, |v| logarithm(v).map(f64::ln)))),
    f("log", &[Float8], Float8, |c| map1(c, |v: f64| logarithm(v).map(f64::log10))),
    f("log", &[Numeric], Numeric, |c| map1(c, |v: i128| through_double(v, |v| logarithm(v).map(f64::log10)))),
    f("log10", &[Float8], Float8, |c| map1(c, |v: f64| logarithm(v).map(f64::log10))),
    f("log10", &[Numeric], Numeric, |c| map1(c, |v: i128| through_double(v, |v| logarithm(v).map(f64::log10)))),
    f("log", &[Numeric, Numeric], Numeric, |c| map2(c, numeric_log)),
    f("pi", &[], Float8, |c| map_rows(c, |_| Ok(Some(std::f64::consts::PI)))),
    f("degrees", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v / (std::f64::consts::PI / 180.0)))),
    f("radians", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v * (std::f64::consts::PI / 180.0)))),
    f("sin", &[Float8], Float8, |c| map1(c, |v: f64| finite(v).map(f64::sin))),
    f("cos", &[Float8], Float8, |c| map1(c, |v: f64| finite(v).map(f64::cos))),
    f("tan", &[Float8], Float8, |c| map1(c, |v: f64| finite(v).map(f64::tan))),
    f("cot", &[Float8], Float8, |c| map1(c, |v: f64| finite(v).map(|v| 1.0 / v.tan()))),
    f("asin", &[Float8], Float8, |c| map1(c, |v: f64| within_one(v).map(f64::asin))),
    f("acos", &[Float8], Float8, |c| map1(c, |v: f64| within_one(v).map(f64::acos))),
    f("atan", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.atan()))),
    f("atan2", &[Float8, Float8], Float8, |c| map2(c, |a: f64, b: f64| Ok(a.atan2(b)))),
    f("sinh", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.sinh()))),
    f("cosh", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.cosh()))),
    f("tanh", &[Float8], Float8, |c| map1(c, |v: f64| Ok(v.tanh()))),
    f("gcd", &[Int4, Int4], Int4, |c| map2(c, |a: i32, b: i32| narrow(gcd(a.into(), b.into())))),
    f("gcd", &[Int8, Int8], Int8, |c| map2(c, |a: i64, b: i64| whole(gcd(a.into(), b.into())))),
    f("lcm", &[Int4, Int4], Int4, |c| map2(c, |a: i32, b: i32| narrow(lcm(a.into(), b.into())))),
    f("lcm", &[Int8, Int8], Int8, |c| map2(c, |a: i64, b: i64| whole(lcm(a.into(), b.into())))),
    f("width_bucket", &[Float8, Float8, Float8, Int4], Int4, |c| map4(c, width_bucket)),
    f("width_bucket", &[Numeric, Numeric, Numeric, Int4], Int4, |c| {
        map4(c, |v: i128, low: i128, high: i128, count: i32| {
            let double = |v: i128| decimal::to_f64(v, 18);
            width_bucket(double(v), double(low), double(high), count)
        })
    }),
    f("random", &[], Float8, random).volatile(),
    f("gen_random_uuid", &[], T::Uuid, random_uuid).volatile(),
];

fn factorial(number: i64) -> Result<i128> {
    if number < 0 {
        let message = "factorial of a negative number is undefined";
        return Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message));
    }
    (1..=i128::from(number))
        .try_fold(ONE, |product, factor| decimal::check(product.checked_mul(factor).ok_or_else(decimal::overflow)?))
}

fn invalid_log(message: &str) -> Error {
    Error::new(SqlState::INVALID_LOG_ARGUMENT, message)
}

/// A number by a template. Floats keep the sign of what is rounded to 0: then it is `negative`.
fn to_char(value: i128, negative: bool, template: &str) -> Result<String> {
    if template.is_empty() {
        return Ok(String::new());
    }
    let digits = number_template::fraction_digits(template)?;
    let rounded = decimal::round(value, digits as i32)?;
    let mut text = String::new();
    decimal::format(rounded.abs(), NUMERIC_SCALE, true, &mut text);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    number_template::format(negative || rounded < 0, whole, fraction, template)
}

/// Digits, point and sign of a text; what else its template has is skipped.
fn to_number(text: &str, _template: &str) -> Result<i128> {
    let mut digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    if text.contains('-') || (text.contains('<') && text.contains('>')) {
        digits.insert(0, '-');
    }
    decimal::parse(&digits, None)
}

/// The argument of a logarithm.
fn logarithm(value: f64) -> Result<f64> {
    if value == 0.0 {
        Err(invalid_log("cannot take logarithm of zero"))
    } else if value < 0.0 {
        Err(invalid_log("cannot take logarithm of a negative number"))
    } else {
        Ok(value)
    }
}

/// Transcendental functions of numerics have the 16 digits that doubles give.
fn through_double(value: i128, f: impl Fn(f64) -> Result<f64>) -> Result<i128> {
    let value = f(decimal::to_f64(value, 18))?;
    if value.is_finite() { decimal::from_f64(value, 16) } else { Err(decimal::overflow()) }
}

fn numeric_log(base: i128, value: i128) -> Result<i128> {
    let (base, value) = (logarithm(decimal::to_f64(base, 18))?, logarithm(decimal::to_f64(value, 18))?);
    if base == 1.0 {
        return Err(division_by_zero());
    }
    decimal::from_f64(value.ln() / base.ln(), 16)
}

/// The square root of a double.
pub fn sqrt(value: f64) -> Result<f64> {
    if value < 0.0 { Err(negative_root()) } else { Ok(value.sqrt()) }
}

fn negative_root() -> Error {
    Error::new(SqlState::INVALID_POWER_ARGUMENT, "cannot take square root of a negative number")
}

/// Newton's method in whole numbers: exact to the last digit, which is rounded.
fn numeric_sqrt(value: i128) -> Result<i128> {
    if value < 0 {
        return Err(negative_root());
    }
    let mut root = decimal::from_f64(decimal::to_f64(value, 18).sqrt(), 15)?;
    if root == 0 {
        return Ok(0);
    }
    for _ in 0..6 {
        let next = (root + decimal::div(value, root)?) / 2;
        if (next - root).abs() <= 1 {
            root = next;
            break;
        }
        root = next;
    }
    Ok(root)
}

fn finite(value: f64) -> Result<f64> {
    if value.is_infinite() {
        Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "input is out of range"))
    } else {
        Ok(value)
    }
}

fn within_one(value: f64) -> Result<f64> {
    if (-1.0..=1.0).contains(&value) || value.is_nan() {
        Ok(value)
    } else {
        Err(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, "input is out of range"))
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: i128, b: i128) -> i128 {
    if a == 0 || b == 0 { 0 } else { (a / gcd(a, b) * b).abs() }
}

fn narrow(value: i128) -> Result<i32> {
    i32::try_from(value).map_err(|_| out_of_range("integer"))
}

fn whole(value: i128) -> Result<i64> {
    i64::try_from(value).map_err(|_| out_of_range("bigint"))
}

fn width_bucket(value: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_WIDTH_BUCKET_ARGUMENT, message));
    if count <= 0 {
        return invalid("count must be greater than zero");
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return invalid("operand, lower bound, and upper bound cannot be NaN");
    }
    if low == high {
        return invalid("lower bound cannot equal upper bound");
    }
    let (below, above) = if low < high { (value < low, value >= high) } else { (value > low, value <= high) };
    if below {
        return Ok(0);
    }
    if above {
        return count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    }
    Ok((f64::from(count) * (value - low) / (high - low)) as i32 + 1)
}

/// A UUID of version 4: 122 bits at random.
fn random_uuid(call: &Call) -> Result<arrow::array::ArrayRef> {
    use std::hash::{BuildHasher, RandomState};
    map_rows(call, |row| {
        let half = |half: usize| RandomState::new().hash_one((row, half)).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half(0));
        bytes[8..].copy_from_slice(&half(1));
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Ok(Some(Uuid(bytes)))
    })
}

/// Uniform in [0, 1), from the randomness the standard library keys its hash maps with.
fn random(call: &Call) -> Result<arrow::array::ArrayRef> {
    use std::hash::{BuildHasher, RandomState};
    map_rows(call, |row| {
        let bits = RandomState::new().hash_one(row) >> 11;
        Ok(Some(bits as f64 / (1u64 << 53) as f64))
    })
}
