//! Values of at most 64 bits as order-preserving unsigned integers, and wide ones as u128.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type,
};

use crate::error::{Error, Result};

const SIGN: u64 = 1 << 63;

/// The width of a type whose values fit 64 bits.
pub fn bits(data_type: &DataType) -> Option<u32> {
    Some(match data_type {
        DataType::Boolean => 1,
        DataType::Int16 => 16,
        DataType::Int32 | DataType::UInt32 | DataType::Float32 | DataType::Date32 => 32,
        DataType::Int64
        | DataType::UInt64
        | DataType::Float64
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(TimeUnit::Microsecond, _) => 64,
        _ => return None,
    })
}

/// Whether the type's values take 128 bits.
pub fn is_wide(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..) | DataType::FixedSizeBinary(16))
}

fn unknown(data_type: &DataType) -> Error {
    Error::internal(format!("{data_type} is not of a fixed width"))
}

fn flip64(value: i64) -> u64 {
    value as u64 ^ SIGN
}

fn order_f64(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn f64_of(order: u64) -> f64 {
    f64::from_bits(if order & SIGN != 0 { order ^ SIGN } else { !order })
}

fn order_f32(value: f32) -> u64 {
    let bits = value.to_bits();
    u64::from(if bits >> 31 == 0 { bits | (1 << 31) } else { !bits })
}

fn f32_of(order: u64) -> f32 {
    let order = order as u32;
    f32::from_bits(if order >> 31 == 1 { order ^ (1 << 31) } else { !order })
}

fn each<T: ArrowPrimitiveType>(column: &ArrayRef, f: impl Fn(T::Native) -> u64) -> Vec<u64> {
    column.as_primitive::<T>().values().iter().map(|value| f(*value)).collect()
}

/// The values as unsigned integers of the type's width that order as the values do. Floats must have the form of an equality.
pub fn to_u64(column: &ArrayRef) -> Result<Vec<u64>> {
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().values().iter().map(u64::from).collect(),
        DataType::Int16 => each::<Int16Type>(column, |value| u64::from(value as u16 ^ (1 << 15))),
        DataType::Int32 => each::<Int32Type>(column, |value| u64::from(value as u32 ^ (1 << 31))),
        DataType::Date32 => each::<Date32Type>(column, |value| u64::from(value as u32 ^ (1 << 31))),
        DataType::UInt32 => each::<UInt32Type>(column, u64::from),
        DataType::Int64 => each::<Int64Type>(column, flip64),
        DataType::UInt64 => each::<UInt64Type>(column, |value| value),
        DataType::Time64(TimeUnit::Microsecond) => each::<Time64MicrosecondType>(column, flip64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each::<TimestampMicrosecondType>(column, flip64),
        DataType::Float32 => each::<Float32Type>(column, order_f32),
        DataType::Float64 => each::<Float64Type>(column, order_f64),
        other => return Err(unknown(other)),
    })
}

fn build<T: ArrowPrimitiveType>(
    data_type: &DataType,
    values: &[u64],
    nulls: Option<NullBuffer>,
    f: impl Fn(u64) -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = values.iter().map(|value| f(*value)).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

/// The inverse of [`to_u64`].
pub fn from_u64(data_type: &DataType, values: &[u64], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let signed = |value: u64| (value ^ SIGN) as i64;
    Ok(match data_type {
        DataType::Boolean => {
            let values = values.iter().map(|value| *value == 1).collect();
            Arc::new(BooleanArray::new(values, nulls))
        }
        DataType::Int16 => build::<Int16Type>(data_type, values, nulls, |value| (value as u16 ^ (1 << 15)) as i16),
        DataType::Int32 => build::<Int32Type>(data_type, values, nulls, |value| (value as u32 ^ (1 << 31)) as i32),
        DataType::Date32 => build::<Date32Type>(data_type, values, nulls, |value| (value as u32 ^ (1 << 31)) as i32),
        DataType::UInt32 => build::<UInt32Type>(data_type, values, nulls, |value| value as u32),
        DataType::Int64 => build::<Int64Type>(data_type, values, nulls, signed),
        DataType::UInt64 => build::<UInt64Type>(data_type, values, nulls, |value| value),
        DataType::Time64(TimeUnit::Microsecond) => build::<Time64MicrosecondType>(data_type, values, nulls, signed),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            build::<TimestampMicrosecondType>(data_type, values, nulls, signed)
        }
        DataType::Float32 => build::<Float32Type>(data_type, values, nulls, f32_of),
        DataType::Float64 => build::<Float64Type>(data_type, values, nulls, f64_of),
        other => return Err(unknown(other)),
    })
}

/// Values of 128 bits as unsigned integers that order as the values do.
pub fn to_u128(column: &ArrayRef) -> Result<Vec<u128>> {
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            values.iter().map(|value| *value as u128 ^ (1 << 127)).collect()
        }
        DataType::FixedSizeBinary(16) => {
            let array = column.as_fixed_size_binary();
            (0..array.len()).map(|row| u128::from_be_bytes(sixteen(array.value(row)))).collect()
        }
        other => return Err(unknown(other)),
    })
}

fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut value = [0; 16];
    value.copy_from_slice(bytes);
    value
}

/// The inverse of [`to_u128`].
pub fn from_u128(data_type: &DataType, values: &[u128], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Decimal128(..) => {
            let values: Vec<i128> = values.iter().map(|value| (value ^ (1 << 127)) as i128).collect();
            let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
            Arc::new(array.with_data_type(data_type.clone()))
        }
        DataType::FixedSizeBinary(16) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from(bytes), nulls)?)
        }
        other => return Err(unknown(other)),
    })
}
