//! Columns under construction: unlike Arrow's builders they can be cut back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, ListArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer as Bytes, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};

use super::object::Object;
use crate::data::{Parts, SqlType};
use crate::error::{Error, Result};

/// The values of one column, or of one level of a nested one. Where nobody wants them, they are checked all the same.
pub struct Buffer {
    pub ty: SqlType,
    /// Where a value is written; none stays that is not to be kept.
    pub values: Values,
    /// Whether values are kept.
    built: bool,
    /// Whether the last was NULL, kept or not.
    ends_with_null: bool,
    valid: Vec<bool>,
}

/// Values by how they are kept.
pub enum Values {
    Bool(Vec<bool>),
    Int16(Vec<i16>),
    /// integer, date
    Int32(Vec<i32>),
    /// bigint, time, timestamps
    Int64(Vec<i64>),
    Decimal(Vec<i128>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    /// Texts and bytea: all bytes, and where each value ends.
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<i32>,
    },
    Uuid(Vec<u8>),
    /// All items, and where each list ends.
    List {
        items: Box<Buffer>,
        ends: Vec<i32>,
    },
    Record(Box<Object>),
}

impl Buffer {
    /// A column of which some parts are wanted, or nothing.
    ///
    /// # Errors
    /// 0A000 for types that messages cannot carry.
    pub fn new(ty: &SqlType, wanted: Option<&Parts>) -> Result<Buffer> {
        let values = match ty {
            SqlType::Bool => Values::Bool(Vec::new()),
            SqlType::Int2 => Values::Int16(Vec::new()),
            SqlType::Int4 | SqlType::Date => Values::Int32(Vec::new()),
            SqlType::Int8 | SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz => Values::Int64(Vec::new()),
            SqlType::Numeric(_) => Values::Decimal(Vec::new()),
            SqlType::Float4 => Values::Float32(Vec::new()),
            SqlType::Float8 => Values::Float64(Vec::new()),
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Bpchar(_)
            | SqlType::Bytea
            | SqlType::Json
            | SqlType::Jsonb => Values::Bytes { bytes: Vec::new(), ends: Vec::new() },
            SqlType::Uuid => Values::Uuid(Vec::new()),
            SqlType::Array(item) => {
                // An array is wanted as a whole.
                let items = Buffer::new(item, wanted.map(|_| &Parts::All))?;
                Values::List { items: Box::new(items), ends: Vec::new() }
            }
            SqlType::Record(fields) => {
                let of = |at: usize| wanted.and_then(|parts| parts.of(at));
                let fields = fields.iter().enumerate().map(|(at, (name, ty))| (name.clone(), ty, true, of(at)));
                Values::Record(Box::new(Object::new(fields)?))
            }
            other => {
                return Err(Error::unsupported(format!("a column of type {other} in a source"))
                    .with_hint("Declare it as text and cast it in the view."));
            }
        };
        Ok(Buffer { ty: ty.clone(), values, built: wanted.is_some(), ends_with_null: false, valid: Vec::new() })
    }

    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// The value that was written to [`Buffer::values`] is there.
    pub fn set_valid(&mut self) {
        self.end_value(true);
    }

    /// Whether the last value is NULL.
    pub fn ends_with_null(&self) -> bool {
        self.ends_with_null
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        match self.built {
            true => {
                self.push_blank();
                self.end_value(false);
            }
            // Nothing was written that would have to be forgotten.
            false => self.ends_with_null = true,
        }
    }

    /// Appends a value that means nothing: what a deletion has where NULL is not allowed.
    pub fn push_default(&mut self) {
        self.push_blank();
        self.end_value(true);
    }

    /// Keeps the value that was written, or forgets it.
    fn end_value(&mut self, valid: bool) {
        self.ends_with_null = !valid;
        match self.built {
            true => self.valid.push(valid),
            false => self.values.truncate(0),
        }
    }

    fn push_blank(&mut self) {
        if !self.built {
            return;
        }
        match &mut self.values {
            Values::Bool(values) => values.push(false),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::Decimal(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Bytes { ends, .. } | Values::List { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
            Values::Uuid(values) => values.extend([0; 16]),
            Values::Record(object) => object.push_nulls(),
        }
    }

    /// Appends bytes to the value under construction of a text or bytea, and ends it.
    pub fn push_bytes(&mut self, value: &[u8]) -> Result<(), String> {
        if let (Values::Bytes { bytes, ends }, true) = (&mut self.values, self.built) {
            bytes.extend_from_slice(value);
            ends.push(end(bytes.len())?);
        }
        self.set_valid();
        Ok(())
    }

    /// Ends the list whose items have been appended.
    pub fn end_list(&mut self) -> Result<(), String> {
        if let (Values::List { items, ends }, true) = (&mut self.values, self.built) {
            ends.push(end(items.len())?);
        }
        self.set_valid();
        Ok(())
    }

    /// Cuts back to so many values, half-written ones included.
    pub fn truncate(&mut self, length: usize) {
        self.valid.truncate(length);
        self.values.truncate(if self.built { length } else { 0 });
    }

    /// The column, of so many rows. Where nobody wants it, it is NULL, or where that is not allowed, means nothing.
    pub fn finish(mut self, rows: usize, nullable: bool) -> Result<ArrayRef> {
        if !self.built && nullable {
            return Ok(new_null_array(&self.ty.arrow(), rows));
        }
        if !self.built {
            self.built = true;
            (0..rows).for_each(|_| self.push_default());
        }
        let nulls = self.valid.contains(&false).then(|| NullBuffer::from(self.valid.as_slice()));
        Ok(match self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Int16(values) => Arc::new(Int16Array::new(values.into(), nulls)),
            Values::Int32(values) if self.ty == SqlType::Date => Arc::new(Date32Array::new(values.into(), nulls)),
            Values::Int32(values) => Arc::new(Int32Array::new(values.into(), nulls)),
            Values::Int64(values) => int64(&self.ty, values.into(), nulls),
            Values::Decimal(values) => {
                let array = Decimal128Array::new(values.into(), nulls);
                match self.ty.arrow() {
                    DataType::Decimal128(precision, scale) => {
                        Arc::new(array.with_precision_and_scale(precision, scale)?)
                    }
                    other => return Err(Error::internal(format!("a numeric is no {other}"))),
                }
            }
            Values::Float32(values) => Arc::new(Float32Array::new(values.into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Bytes { bytes, ends } => {
                let (offsets, bytes) = (offsets(ends), Bytes::from_vec(bytes));
                match self.ty {
                    SqlType::Bytea => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
                    _ => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
                }
            }
            Values::Uuid(values) => Arc::new(FixedSizeBinaryArray::try_new(16, values.into(), nulls)?),
            Values::List { items, ends } => {
                let field: Field = items.ty.field("item", true);
                let count = items.len();
                Arc::new(ListArray::try_new(Arc::new(field), offsets(ends), items.finish(count, true)?, nulls)?)
            }
            Values::Record(object) => match self.ty.arrow() {
                DataType::Struct(fields) => Arc::new(StructArray::try_new(fields, object.finish(rows)?, nulls)?),
                other => return Err(Error::internal(format!("a record is no {other}"))),
            },
        })
    }
}

impl Values {
    fn truncate(&mut self, length: usize) {
        match self {
            Values::Bool(values) => values.truncate(length),
            Values::Int16(values) => values.truncate(length),
            Values::Int32(values) => values.truncate(length),
            Values::Int64(values) => values.truncate(length),
            Values::Decimal(values) => values.truncate(length),
            Values::Float32(values) => values.truncate(length),
            Values::Float64(values) => values.truncate(length),
            Values::Bytes { bytes, ends } => {
                ends.truncate(length);
                bytes.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Uuid(values) => values.truncate(length * 16),
            Values::List { items, ends } => {
                ends.truncate(length);
                items.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Record(object) => object.truncate(length),
        }
    }
}

fn int64(ty: &SqlType, values: ScalarBuffer<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    match ty {
        SqlType::Time => Arc::new(Time64MicrosecondArray::new(values, nulls)),
        SqlType::Timestamp => Arc::new(TimestampMicrosecondArray::new(values, nulls)),
        SqlType::Timestamptz => Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC")),
        _ => Arc::new(Int64Array::new(values, nulls)),
    }
}

fn offsets(mut ends: Vec<i32>) -> OffsetBuffer<i32> {
    ends.insert(0, 0);
    OffsetBuffer::new(ends.into())
}

fn end(length: usize) -> Result<i32, String> {
    i32::try_from(length).map_err(|_| "the value is too large".to_owned())
}
