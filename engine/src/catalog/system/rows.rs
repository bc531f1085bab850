//! Rows of system relations: named values become columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, ListArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType, UInt32Type,
};

use super::shape::SystemRelation;
use crate::data::{Column, SqlType};
use crate::error::{Error, Result};

/// A value of a system relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    /// Any whole number, OIDs, and the microseconds of an interval.
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970.
    Time(i64),
    List(Vec<Datum>),
}

impl From<bool> for Datum {
    fn from(value: bool) -> Datum {
        Datum::Bool(value)
    }
}

impl From<i16> for Datum {
    fn from(value: i16) -> Datum {
        Datum::Int(value.into())
    }
}

impl From<i32> for Datum {
    fn from(value: i32) -> Datum {
        Datum::Int(value.into())
    }
}

impl From<u32> for Datum {
    fn from(value: u32) -> Datum {
        Datum::Int(value.into())
    }
}

impl From<i64> for Datum {
    fn from(value: i64) -> Datum {
        Datum::Int(value)
    }
}

impl From<&str> for Datum {
    fn from(value: &str) -> Datum {
        Datum::Text(value.to_owned())
    }
}

impl From<String> for Datum {
    fn from(value: String) -> Datum {
        Datum::Text(value)
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Datum {
        value.map_or(Datum::Null, Into::into)
    }
}

impl<T: Into<Datum>> From<Vec<T>> for Datum {
    fn from(values: Vec<T>) -> Datum {
        Datum::List(values.into_iter().map(Into::into).collect())
    }
}

/// The rows of one relation while they are put together.
pub struct Rows<'r> {
    relation: &'r SystemRelation,
    rows: Vec<Vec<Datum>>,
    /// A column that was named and does not exist.
    unknown: Option<String>,
}

impl<'r> Rows<'r> {
    pub fn new(relation: &'r SystemRelation) -> Rows<'r> {
        Rows { relation, rows: Vec::new(), unknown: None }
    }

    /// Adds a row. Columns that are not named are NULL, or zero, false or empty where NULL is not allowed.
    pub fn add<const N: usize>(&mut self, values: [(&str, Datum); N]) {
        let mut row: Vec<Datum> = self.relation.schema.columns.iter().map(absent).collect();
        for (name, value) in values {
            match self.relation.position(name) {
                Some(at) => row[at] = value,
                None => self.unknown = Some(name.to_owned()),
            }
        }
        self.rows.push(row);
    }

    /// The rows under the relation's schema.
    ///
    /// # Errors
    /// XX000 for a value that its column cannot hold, which a test excludes.
    pub fn finish(self) -> Result<RecordBatch> {
        if let Some(name) = self.unknown {
            return Err(Error::internal(format!("{} has no column {name}", self.relation.name)));
        }
        let columns = &self.relation.schema.columns;
        let arrays = columns.iter().enumerate().map(|(at, column)| {
            let values: Vec<&Datum> = self.rows.iter().map(|row| &row[at]).collect();
            array(&column.ty, &values)
        });
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        Ok(RecordBatch::try_new_with_options(self.relation.schema.arrow(), arrays, &options)?)
    }
}

/// What stands in a column about which nothing is said.
fn absent(column: &Column) -> Datum {
    match &column.ty {
        _ if column.nullable => Datum::Null,
        SqlType::Bool => Datum::Bool(false),
        SqlType::Float4 | SqlType::Float8 => Datum::Float(0.0),
        SqlType::Text | SqlType::Name | SqlType::Char | SqlType::Varchar(_) => Datum::Text(String::new()),
        SqlType::Array(_) | SqlType::Int2vector | SqlType::Oidvector => Datum::List(Vec::new()),
        _ => Datum::Int(0),
    }
}

fn array(ty: &SqlType, values: &[&Datum]) -> Result<ArrayRef> {
    let wrong = |value: &Datum| Error::internal(format!("{value:?} is no {ty}"));
    Ok(match ty.arrow() {
        DataType::Boolean => Arc::new(collect::<BooleanArray, bool>(values, |value| match value {
            Datum::Bool(value) => Ok(*value),
            other => Err(wrong(other)),
        })?),
        DataType::Utf8 => {
            let texts = collect::<Vec<Option<&str>>, &str>(values, |value| match value {
                Datum::Text(value) => Ok(value),
                other => Err(wrong(other)),
            })?;
            Arc::new(StringArray::from(texts))
        }
        DataType::Int16 => integers::<Int16Type>(values, wrong)?,
        DataType::Int32 => integers::<Int32Type>(values, wrong)?,
        DataType::Int64 => integers::<Int64Type>(values, wrong)?,
        DataType::UInt32 => integers::<UInt32Type>(values, wrong)?,
        // Microseconds.
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let interval = |micros: i64| micros.checked_mul(1000).map(|nanos| IntervalMonthDayNano::new(0, 0, nanos));
            let read = |value: &Datum| match value {
                Datum::Int(micros) => interval(*micros).ok_or_else(|| wrong(value)),
                other => Err(wrong(other)),
            };
            Arc::new(collect::<PrimitiveArray<IntervalMonthDayNanoType>, IntervalMonthDayNano>(values, read)?)
        }
        DataType::Float32 => Arc::new(collect::<PrimitiveArray<Float32Type>, f32>(values, |value| match value {
            Datum::Float(value) => Ok(*value as f32),
            other => Err(wrong(other)),
        })?),
        DataType::Float64 => Arc::new(collect::<PrimitiveArray<Float64Type>, f64>(values, |value| match value {
            Datum::Float(value) => Ok(*value),
            other => Err(wrong(other)),
        })?),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = collect::<PrimitiveArray<TimestampMicrosecondType>, i64>(values, |value| match value {
                Datum::Time(micros) => Ok(*micros),
                other => Err(wrong(other)),
            })?;
            Arc::new(times.with_timezone_opt(zone))
        }
        DataType::List(field) => {
            let element = SqlType::of_field(&field).ok_or_else(|| Error::internal("a list of no known type"))?;
            let lists = collect::<Vec<Option<&Vec<Datum>>>, &Vec<Datum>>(values, |value| match value {
                Datum::List(values) => Ok(values),
                other => Err(wrong(other)),
            })?;
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.map_or(0, Vec::len)));
            let nulls = NullBuffer::from_iter(lists.iter().map(Option::is_some));
            let elements: Vec<&Datum> = lists.into_iter().flatten().flatten().collect();
            Arc::new(ListArray::try_new(field, offsets, array(&element, &elements)?, Some(nulls))?)
        }
        other => match values.iter().find(|value| ***value != Datum::Null) {
            Some(value) => return Err(wrong(value)),
            None => new_null_array(&other, values.len()),
        },
    })
}

fn collect<'v, C, T>(values: &[&'v Datum], read: impl Fn(&'v Datum) -> Result<T>) -> Result<C>
where
    C: FromIterator<Option<T>>,
{
    values.iter().map(|value| if **value == Datum::Null { Ok(None) } else { read(value).map(Some) }).collect()
}

fn integers<T: ArrowPrimitiveType>(values: &[&Datum], wrong: impl Fn(&Datum) -> Error) -> Result<ArrayRef>
where
    T::Native: TryFrom<i64>,
{
    let array = collect::<PrimitiveArray<T>, T::Native>(values, |value| match value {
        Datum::Int(number) => T::Native::try_from(*number).map_err(|_| wrong(value)),
        other => Err(wrong(other)),
    })?;
    Ok(Arc::new(array))
}
