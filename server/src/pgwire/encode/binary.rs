//! Values in binary format, as PostgreSQL's `*_send` functions write them.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use bytes::{BufMut, BytesMut};
use levada_engine::data::NUMERIC_SCALE;
use levada_engine::data::SqlType;
use levada_engine::error::{Error, Result, SqlState};

use super::{NULL, numeric, sized};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// The version in front of a `jsonb`.
pub const JSONB_VERSION: u8 = 1;

/// A column whose values are written in binary.
pub enum Binary<'a> {
    Bool(&'a BooleanArray),
    Int2(&'a Int16Array),
    Int4(&'a Int32Array),
    Int8(&'a Int64Array),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    /// With its scale, and whether trailing zeros are dropped.
    Numeric(&'a Decimal128Array, i8, bool),
    Text(&'a StringArray),
    /// With the length to fill with blanks.
    Bpchar(&'a StringArray, usize),
    Jsonb(&'a StringArray),
    Bytea(&'a BinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Interval(&'a IntervalMonthDayNanoArray),
    Uuid(&'a FixedSizeBinaryArray),
    Oid(&'a UInt32Array),
    Array(ArrayColumn<'a>),
    Record(Vec<Field<'a>>),
    Void,
}

/// Lists, seen as PostgreSQL's arrays of any number of dimensions.
pub struct ArrayColumn<'a> {
    /// From the outermost dimension inwards.
    dimensions: Vec<&'a ListArray>,
    elements: Box<Field<'a>>,
    /// The index of the first element: 1, but 0 in `int2vector` and `oidvector`.
    lower_bound: i32,
}

/// Values inside of others.
pub struct Field<'a> {
    array: &'a ArrayRef,
    oid: u32,
    values: Binary<'a>,
}

impl<'a> Binary<'a> {
    /// `array` has the Arrow type of `ty`.
    ///
    /// # Errors
    /// XX000 when it has not.
    pub fn new(array: &'a ArrayRef, ty: &'a SqlType) -> Result<Binary<'a>> {
        let column = match ty {
            SqlType::Bool => array.as_boolean_opt().map(Binary::Bool),
            SqlType::Int2 => array.as_primitive_opt().map(Binary::Int2),
            SqlType::Int4 => array.as_primitive_opt().map(Binary::Int4),
            SqlType::Int8 => array.as_primitive_opt().map(Binary::Int8),
            SqlType::Float4 => array.as_primitive_opt().map(Binary::Float4),
            SqlType::Float8 => array.as_primitive_opt().map(Binary::Float8),
            SqlType::Numeric(modifier) => {
                let scale = modifier.map_or(NUMERIC_SCALE, |(_, scale)| scale);
                array.as_primitive_opt().map(|array| Binary::Numeric(array, scale, modifier.is_none()))
            }
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Bpchar(None)
            | SqlType::Name
            | SqlType::Char
            | SqlType::Json
            | SqlType::Unknown => array.as_string_opt().map(Binary::Text),
            SqlType::Bpchar(Some(length)) => array.as_string_opt().map(|array| Binary::Bpchar(array, *length as usize)),
            SqlType::Jsonb => array.as_string_opt().map(Binary::Jsonb),
            SqlType::Bytea => array.as_binary_opt().map(Binary::Bytea),
            SqlType::Date => array.as_primitive_opt().map(Binary::Date),
            SqlType::Time => array.as_primitive_opt().map(Binary::Time),
            SqlType::Timestamp | SqlType::Timestamptz => array.as_primitive_opt().map(Binary::Timestamp),
            SqlType::Interval => array.as_primitive_opt().map(Binary::Interval),
            SqlType::Uuid => array.as_fixed_size_binary_opt().map(Binary::Uuid),
            SqlType::Oid | SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace => {
                array.as_primitive_opt().map(Binary::Oid)
            }
            SqlType::Int2vector => Some(Binary::Array(ArrayColumn::new(array, &SqlType::Int2, 0)?)),
            SqlType::Oidvector => Some(Binary::Array(ArrayColumn::new(array, &SqlType::Oid, 0)?)),
            SqlType::Array(element) => Some(Binary::Array(ArrayColumn::new(array, element, 1)?)),
            SqlType::Record(fields) => Some(Binary::Record(record_fields(array, fields)?)),
            SqlType::Void => Some(Binary::Void),
        };
        column.ok_or_else(|| mismatch(array, ty))
    }

    /// Appends a value that is not NULL.
    ///
    /// # Errors
    /// 22008 for times outside PostgreSQL's range.
    pub fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        match self {
            Binary::Bool(array) => out.put_u8(array.value(row).into()),
            Binary::Int2(array) => out.put_i16(array.value(row)),
            Binary::Int4(array) => out.put_i32(array.value(row)),
            Binary::Int8(array) => out.put_i64(array.value(row)),
            Binary::Float4(array) => out.put_f32(array.value(row)),
            Binary::Float8(array) => out.put_f64(array.value(row)),
            Binary::Numeric(array, scale, trim) => numeric::write(array.value(row), *scale, *trim, out)?,
            Binary::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Binary::Bpchar(array, length) => {
                let value = array.value(row);
                out.extend_from_slice(value.as_bytes());
                out.put_bytes(b' ', length.saturating_sub(value.chars().count()));
            }
            Binary::Jsonb(array) => {
                out.put_u8(JSONB_VERSION);
                out.extend_from_slice(array.value(row).as_bytes());
            }
            Binary::Bytea(array) => out.extend_from_slice(array.value(row)),
            Binary::Date(array) => out.put_i32(date(array.value(row))?),
            Binary::Time(array) => out.put_i64(array.value(row)),
            Binary::Timestamp(array) => out.put_i64(timestamp(array.value(row))?),
            Binary::Interval(array) => {
                let interval = array.value(row);
                out.put_i64(interval.nanoseconds / 1000);
                out.put_i32(interval.days);
                out.put_i32(interval.months);
            }
            Binary::Uuid(array) => out.extend_from_slice(array.value(row)),
            Binary::Oid(array) => out.put_u32(array.value(row)),
            Binary::Array(array) => array.write(row, out)?,
            Binary::Record(fields) => {
                out.put_u32(fields.len() as u32);
                for field in fields {
                    out.put_u32(field.oid);
                    field.write(row, out)?;
                }
            }
            Binary::Void => {}
        }
        Ok(())
    }
}

/// Days since 2000-01-01; the least and the greatest are minus infinity and infinity everywhere.
fn date(days: i32) -> Result<i32> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        days => days.checked_sub(EPOCH_DAYS).ok_or_else(|| out_of_range("date")),
    }
}

/// Microseconds since 2000-01-01, likewise.
fn timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        micros => micros.checked_sub(EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp")),
    }
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_OVERFLOW, format!("{what} out of range"))
}

fn mismatch(array: &ArrayRef, ty: &SqlType) -> Error {
    Error::internal(format!("values of type {ty} came as {}", array.data_type()))
}

/// The fields of a record, each with its column.
fn record_fields<'a>(array: &'a ArrayRef, fields: &'a [(String, SqlType)]) -> Result<Vec<Field<'a>>> {
    let columns = match array.as_struct_opt() {
        Some(array) if array.num_columns() == fields.len() => array.columns(),
        _ => return Err(Error::internal("values of a record came in other columns")),
    };
    columns.iter().zip(fields).map(|(column, (_, ty))| Field::new(column, ty)).collect()
}

impl<'a> Field<'a> {
    fn new(array: &'a ArrayRef, ty: &'a SqlType) -> Result<Field<'a>> {
        Ok(Field { array, oid: ty.oid(), values: Binary::new(array, ty)? })
    }

    fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        if self.array.is_null(row) {
            out.put_i32(NULL);
            return Ok(());
        }
        sized(out, 0, |out| self.values.write(row, out))
    }
}

impl<'a> ArrayColumn<'a> {
    fn new(array: &'a ArrayRef, mut element: &'a SqlType, lower_bound: i32) -> Result<ArrayColumn<'a>> {
        let list = |array: &'a ArrayRef, element| array.as_list_opt::<i32>().ok_or_else(|| mismatch(array, element));
        let mut dimensions = vec![list(array, element)?];
        let mut values = dimensions[0].values();
        while let SqlType::Array(inner) = element {
            let inner_list = list(values, inner)?;
            dimensions.push(inner_list);
            values = inner_list.values();
            element = inner;
        }
        Ok(ArrayColumn { dimensions, elements: Box::new(Field::new(values, element)?), lower_bound })
    }

    /// `array_send`.
    fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        let (mut start, mut end) = (row, row + 1);
        let mut lengths = Vec::with_capacity(self.dimensions.len());
        for list in &self.dimensions {
            let offsets = list.value_offsets();
            let length = offsets[start + 1] - offsets[start];
            let same = |at: usize| list.is_valid(at) && offsets[at + 1] - offsets[at] == length;
            if !(start..end).all(same) {
                let message = "multidimensional arrays must have sub-arrays with matching dimensions";
                return Err(Error::new(SqlState::INVALID_BINARY, message));
            }
            (start, end) = (offsets[start] as usize, offsets[end] as usize);
            if start == end {
                // PostgreSQL's empty arrays have no dimensions at all.
                lengths.clear();
                break;
            }
            lengths.push(length);
        }
        let values = start..if lengths.is_empty() { start } else { end };
        let has_nulls = values.clone().any(|at| self.elements.array.is_null(at));
        out.put_i32(lengths.len() as i32);
        out.put_i32(has_nulls.into());
        out.put_u32(self.elements.oid);
        for length in lengths {
            out.put_i32(length);
            out.put_i32(self.lower_bound);
        }
        values.into_iter().try_for_each(|at| self.elements.write(at, out))
    }
}
