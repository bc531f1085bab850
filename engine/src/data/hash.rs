//! One stable hash of rows, and the forms in which values are compared, as keys or as they are.
//!
//! The hash decides shard and bucket of durable state, so it must not change with a library's version: it is XXH3 over
//! bytes that this module defines, or for keys of fixed width MurmurHash3's finaliser.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float32Array, Float64Array, IntervalMonthDayNanoArray, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimestampMicrosecondType,
    ToByteSlice, UInt32Type, UInt64Type,
};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;

const NULL_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a byte string.
pub fn mix_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The hash of 64 bits: the finaliser of MurmurHash3, a bijection.
pub fn mix_u64(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

/// The hash of 128 bits.
pub fn mix_u128(value: u128) -> u64 {
    mix_u64((value >> 64) as u64 ^ mix_u64(value as u64))
}

/// The hash of one row's column, folded into the hash of the columns before it.
fn fold(before: u64, value: u64) -> u64 {
    let mixed = (before ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}

/// What makes two values the same. Arrow compares bits, which says so once both are in the [form](Equality::form) of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Equality {
    /// That PostgreSQL calls them equal: for keys, groups and joins. '1 mon' is '30 days' and -0.0 is 0.0.
    Key,
    /// That nothing can tell them apart: for rows. Whoever takes a row away means that very row, because what is made of it
    /// (its text, a time that an interval is added to) may differ from what is made of one that is merely equal.
    Exact,
}

impl Equality {
    /// The values in a form in which those that are the same have the same bits. NULL stays NULL.
    pub fn form(self, column: &ArrayRef) -> ArrayRef {
        match self {
            Equality::Key => canonical(column),
            Equality::Exact => exact(column),
        }
    }

    /// Whether the form of a value of the type may be another value, which can be told apart from it.
    pub fn changes(self, data_type: &DataType) -> bool {
        use DataType::{Float32, Float64, Interval};
        self == Equality::Key && matches!(data_type, Float32 | Float64 | Interval(IntervalUnit::MonthDayNano))
    }
}

/// Every NaN the same NaN: which of them a computation gives is left open, and nobody sees it.
fn exact(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let array = column.as_primitive::<Float64Type>();
            if !array.values().iter().any(|value| value.is_nan()) {
                return column.clone();
            }
            let array: Float64Array = array.unary(|value: f64| if value.is_nan() { f64::NAN } else { value });
            Arc::new(array)
        }
        DataType::Float32 => {
            let array = column.as_primitive::<Float32Type>();
            if !array.values().iter().any(|value| value.is_nan()) {
                return column.clone();
            }
            let array: Float32Array = array.unary(|value: f32| if value.is_nan() { f32::NAN } else { value });
            Arc::new(array)
        }
        _ => column.clone(),
    }
}

/// Keys compare as PostgreSQL does, where Arrow compares bits: -0.0 becomes 0.0, every NaN the same NaN, and an interval
/// the one with as many whole months of 30 days and days of 24 hours as it has.
pub fn canonical(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let plain = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
            let array: Float64Array = column.as_primitive::<Float64Type>().unary(plain);
            Arc::new(array)
        }
        DataType::Float32 => {
            let plain = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            let array: Float32Array = column.as_primitive::<Float32Type>().unary(plain);
            Arc::new(array)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let array: IntervalMonthDayNanoArray =
                column.as_primitive::<IntervalMonthDayNanoType>().unary(canonical_interval);
            Arc::new(array)
        }
        _ => column.clone(),
    }
}

/// All parts of the result have one sign, so intervals compare part by part.
fn canonical_interval(value: IntervalMonthDayNano) -> IntervalMonthDayNano {
    const DAY: i128 = 86_400_000_000_000;
    let days = i128::from(value.months) * 30 + i128::from(value.days);
    let total = days * DAY + i128::from(value.nanoseconds);
    let months = (total / (30 * DAY)).clamp(i32::MIN.into(), i32::MAX.into());
    let rest = total - months * 30 * DAY;
    // Beyond 178 million years the months are full and days hold the rest: at most 2^31 days + 2^63 ns, clamped.
    let days = (rest / DAY).clamp(i32::MIN.into(), i32::MAX.into());
    IntervalMonthDayNano::new(months as i32, days as i32, (rest - days * DAY) as i64)
}

/// A hash a row over several columns of equal length `rows`, which have the [form](Equality::form) of one equality: what is
/// the same has the same hash. NULL is a value like any other.
pub fn hash_columns(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    for column in columns {
        hash_column(column, &mut hashes)?;
    }
    Ok(hashes)
}

fn hash_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    match column.data_type() {
        DataType::Int16 => hash_primitive::<Int16Type>(column.as_primitive(), hashes),
        DataType::Int32 => hash_primitive::<Int32Type>(column.as_primitive(), hashes),
        DataType::Int64 => hash_primitive::<Int64Type>(column.as_primitive(), hashes),
        DataType::UInt32 => hash_primitive::<UInt32Type>(column.as_primitive(), hashes),
        DataType::UInt64 => hash_primitive::<UInt64Type>(column.as_primitive(), hashes),
        DataType::Float32 => hash_primitive::<Float32Type>(column.as_primitive(), hashes),
        DataType::Float64 => hash_primitive::<Float64Type>(column.as_primitive(), hashes),
        DataType::Date32 => hash_primitive::<Date32Type>(column.as_primitive(), hashes),
        DataType::Decimal128(..) => hash_primitive::<Decimal128Type>(column.as_primitive(), hashes),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            hash_primitive::<TimestampMicrosecondType>(column.as_primitive(), hashes)
        }
        DataType::Time64(arrow::datatypes::TimeUnit::Microsecond) => {
            hash_primitive::<Time64MicrosecondType>(column.as_primitive(), hashes)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            hash_primitive::<IntervalMonthDayNanoType>(column.as_primitive(), hashes)
        }
        DataType::Boolean => {
            let array = column.as_boolean();
            hash_each(column, hashes, |row| u64::from(array.value(row)) + 1);
        }
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            hash_each(column, hashes, |row| mix_bytes(array.value(row).as_bytes()));
        }
        DataType::Binary => {
            let array = column.as_binary::<i32>();
            hash_each(column, hashes, |row| mix_bytes(array.value(row)));
        }
        other => {
            // Rare (lists, structs): their order-preserving bytes are as good as any.
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            let rows = converter.convert_columns(std::slice::from_ref(column))?;
            for (hash, row) in hashes.iter_mut().zip(rows.iter()) {
                *hash = fold(*hash, mix_bytes(row.as_ref()));
            }
        }
    }
    Ok(())
}

fn hash_primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, hashes: &mut [u64]) {
    let values = array.values();
    hash_each(array, hashes, |row| mix_bytes(values[row].to_byte_slice()));
}

fn hash_each(array: &dyn Array, hashes: &mut [u64], value: impl Fn(usize) -> u64) {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => hashes.iter_mut().enumerate().for_each(|(row, hash)| *hash = fold(*hash, value(row))),
        Some(nulls) => hashes.iter_mut().enumerate().for_each(|(row, hash)| {
            *hash = fold(*hash, if nulls.is_null(row) { NULL_HASH } else { value(row) });
        }),
    }
}
