//! Values in a form of which no two are equal, and back: for what must tell apart values that PostgreSQL calls equal.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

use super::signature::{Kernel, Volatility};
use super::udf::PgScalar;
use crate::data::SqlType;
use crate::data::hash::Equality;
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::rows::{Uuid, map1};

/// Whether values of a type have a form other than themselves.
pub fn has_exact_form(ty: &DataType) -> bool {
    Equality::Key.changes(ty)
}

/// The bits of a value, as a value of a type whose equality is that of bits; the value itself where its type has none that
/// are equal and can be told apart. Every NaN has the same: which one a computation gives is left open.
pub fn exact_form(value: Expr, ty: &DataType) -> Expr {
    let (types, kernel): (_, Kernel) = match ty {
        DataType::Float32 => ((SqlType::Float4, SqlType::Int4), |call| {
            map1(call, |v: f32| Ok(if v.is_nan() { f32::NAN } else { v }.to_bits() as i32))
        }),
        DataType::Float64 => ((SqlType::Float8, SqlType::Int8), |call| {
            map1(call, |v: f64| Ok(if v.is_nan() { f64::NAN } else { v }.to_bits() as i64))
        }),
        DataType::Interval(_) => {
            ((SqlType::Interval, SqlType::Uuid), |call| map1(call, |v: Interval| Ok(Uuid(interval_bits(v)))))
        }
        _ => return value,
    };
    let (from, to) = types;
    PgScalar::new("exact_form", vec![from], to, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![value])
}

/// The value of type `ty` of which [`exact_form`] is the form.
pub fn of_exact_form(form: Expr, ty: &DataType) -> Expr {
    let (types, kernel): (_, Kernel) = match ty {
        DataType::Float32 => {
            ((SqlType::Int4, SqlType::Float4), |call| map1(call, |bits: i32| Ok(f32::from_bits(bits as u32))))
        }
        DataType::Float64 => {
            ((SqlType::Int8, SqlType::Float8), |call| map1(call, |bits: i64| Ok(f64::from_bits(bits as u64))))
        }
        DataType::Interval(_) => {
            ((SqlType::Uuid, SqlType::Interval), |call| map1(call, |bits: Uuid| Ok(interval_of(bits.0))))
        }
        _ => return form,
    };
    let (from, to) = types;
    PgScalar::new("of_exact_form", vec![from], to, TimeZone::UTC, Volatility::Immutable, kernel).call(vec![form])
}

fn interval_bits(value: Interval) -> [u8; 16] {
    let mut bits = [0; 16];
    bits[..4].copy_from_slice(&value.months.to_be_bytes());
    bits[4..8].copy_from_slice(&value.days.to_be_bytes());
    bits[8..].copy_from_slice(&value.micros.to_be_bytes());
    bits
}

fn interval_of(bits: [u8; 16]) -> Interval {
    let bits = u128::from_be_bytes(bits);
    Interval { months: (bits >> 96) as i32, days: (bits >> 64) as i32, micros: bits as i64 }
}
