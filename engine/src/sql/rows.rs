//! Columns as Rust values, row by row: what kernels are written in.
//!
//! A kernel is a function of values; [`map1`] to [`map4`] run it over columns. They are strict: a NULL argument gives
//! NULL without a call. A constant argument is a column of one row, read again for each.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    PrimitiveArray, StringArray, StringBuilder, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};

use datafusion::common::ScalarValue;

use crate::data::SqlType;
use crate::error::{Error, Result};
use crate::sql::adt::interval::Interval;
use crate::sql::adt::time_zone::TimeZone;

/// One call of a kernel: its arguments, and what they are.
pub struct Call<'c> {
    /// Columns of `rows` rows, or of one where `constant` says so.
    pub args: &'c [ArrayRef],
    pub constant: &'c [bool],
    pub rows: usize,
    pub types: &'c [SqlType],
    pub result: &'c SqlType,
    pub zone: &'c TimeZone,
}

impl Call<'_> {
    /// The row to read of argument `at` for a row of the result.
    pub fn row(&self, at: usize, row: usize) -> usize {
        if self.constant[at] { 0 } else { row }
    }

    pub fn is_null(&self, at: usize, row: usize) -> bool {
        self.args[at].is_null(self.row(at, row))
    }

    /// A result of nothing but NULL.
    pub fn nulls(&self) -> ArrayRef {
        new_null_array(&self.result.arrow(), self.rows)
    }

    /// Where any of the first `arity` arguments is NULL; `Err` if that is everywhere.
    fn strict(&self, arity: usize) -> std::result::Result<Option<NullBuffer>, ()> {
        let mut nulls = None;
        for (array, constant) in self.args.iter().zip(self.constant).take(arity) {
            if *constant {
                if array.is_null(0) {
                    return Err(());
                }
            } else {
                nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
            }
        }
        Ok(nulls)
    }
}

/// A type that a column's values are read as.
pub trait Value<'a>: Sized {
    type Column;
    fn column(array: &'a ArrayRef) -> Option<Self::Column>;
    fn get(column: &Self::Column, row: usize) -> Self;
}

/// A type that a kernel returns.
pub trait Output: Sized {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef>;
}

/// Days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i32);
/// A timestamp, with or without zone: microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);
/// Microseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock(pub i64);
/// Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

/// A value that an Arrow primitive carries.
pub trait Primitive: Sized {
    type Arrow: ArrowPrimitiveType;
    fn of(native: <Self::Arrow as ArrowPrimitiveType>::Native) -> Self;
    fn native(self) -> Result<<Self::Arrow as ArrowPrimitiveType>::Native>;
}

impl<'a, T: Primitive> Value<'a> for T {
    type Column = &'a PrimitiveArray<T::Arrow>;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_primitive_opt()
    }
    fn get(column: &Self::Column, row: usize) -> T {
        T::of(column.value(row))
    }
}

impl<T: Primitive> Output for T {
    fn build(values: impl Iterator<Item = Result<Option<T>>>) -> Result<ArrayRef> {
        let native = |value: Result<Option<T>>| value?.map(T::native).transpose();
        let array = values.map(native).collect::<Result<PrimitiveArray<T::Arrow>>>()?;
        Ok(Arc::new(array))
    }
}

impl Primitive for i16 {
    type Arrow = Int16Type;
    fn of(native: i16) -> i16 {
        native
    }
    fn native(self) -> Result<i16> {
        Ok(self)
    }
}

impl Primitive for i32 {
    type Arrow = Int32Type;
    fn of(native: i32) -> i32 {
        native
    }
    fn native(self) -> Result<i32> {
        Ok(self)
    }
}

impl Primitive for i64 {
    type Arrow = Int64Type;
    fn of(native: i64) -> i64 {
        native
    }
    fn native(self) -> Result<i64> {
        Ok(self)
    }
}

impl Primitive for u32 {
    type Arrow = UInt32Type;
    fn of(native: u32) -> u32 {
        native
    }
    fn native(self) -> Result<u32> {
        Ok(self)
    }
}

impl Primitive for i128 {
    type Arrow = Decimal128Type;
    fn of(native: i128) -> i128 {
        native
    }
    fn native(self) -> Result<i128> {
        Ok(self)
    }
}

impl Primitive for f32 {
    type Arrow = Float32Type;
    fn of(native: f32) -> f32 {
        native
    }
    fn native(self) -> Result<f32> {
        Ok(self)
    }
}

impl Primitive for f64 {
    type Arrow = Float64Type;
    fn of(native: f64) -> f64 {
        native
    }
    fn native(self) -> Result<f64> {
        Ok(self)
    }
}

impl Primitive for Date {
    type Arrow = Date32Type;
    fn of(native: i32) -> Date {
        Date(native)
    }
    fn native(self) -> Result<i32> {
        Ok(self.0)
    }
}

impl Primitive for Micros {
    type Arrow = TimestampMicrosecondType;
    fn of(native: i64) -> Micros {
        Micros(native)
    }
    fn native(self) -> Result<i64> {
        Ok(self.0)
    }
}

impl Primitive for Clock {
    type Arrow = Time64MicrosecondType;
    fn of(native: i64) -> Clock {
        Clock(native)
    }
    fn native(self) -> Result<i64> {
        Ok(self.0)
    }
}

impl Primitive for Interval {
    type Arrow = IntervalMonthDayNanoType;
    fn of(native: arrow::datatypes::IntervalMonthDayNano) -> Interval {
        native.into()
    }
    fn native(self) -> Result<arrow::datatypes::IntervalMonthDayNano> {
        self.arrow()
    }
}

impl<'a> Value<'a> for bool {
    type Column = &'a BooleanArray;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_boolean_opt()
    }
    fn get(column: &Self::Column, row: usize) -> bool {
        column.value(row)
    }
}

impl Output for bool {
    fn build(values: impl Iterator<Item = Result<Option<bool>>>) -> Result<ArrayRef> {
        Ok(Arc::new(values.collect::<Result<BooleanArray>>()?))
    }
}

impl<'a> Value<'a> for &'a str {
    type Column = &'a StringArray;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_string_opt()
    }
    fn get(column: &Self::Column, row: usize) -> &'a str {
        column.value(row)
    }
}

impl Output for &str {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        let mut builder = StringBuilder::new();
        for value in values {
            builder.append_option(value?);
        }
        Ok(Arc::new(builder.finish()))
    }
}

impl Output for String {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        let mut builder = StringBuilder::new();
        for value in values {
            builder.append_option(value?);
        }
        Ok(Arc::new(builder.finish()))
    }
}

impl Output for Cow<'_, str> {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        let mut builder = StringBuilder::new();
        for value in values {
            builder.append_option(value?);
        }
        Ok(Arc::new(builder.finish()))
    }
}

impl<'a> Value<'a> for &'a [u8] {
    type Column = &'a BinaryArray;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_binary_opt()
    }
    fn get(column: &Self::Column, row: usize) -> &'a [u8] {
        column.value(row)
    }
}

impl Output for Vec<u8> {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>()))
    }
}

impl<'a> Value<'a> for Uuid {
    type Column = &'a FixedSizeBinaryArray;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_fixed_size_binary_opt().filter(|array| array.value_length() == 16)
    }
    fn get(column: &Self::Column, row: usize) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(column.value(row));
        Uuid(bytes)
    }
}

impl Output for Uuid {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        let mut builder = FixedSizeBinaryBuilder::new(16);
        for value in values {
            match value? {
                Some(value) => builder.append_value(value.0)?,
                None => builder.append_null(),
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// A list's elements.
pub struct List(pub ArrayRef);

impl<'a> Value<'a> for List {
    type Column = &'a arrow::array::ListArray;
    fn column(array: &'a ArrayRef) -> Option<Self::Column> {
        array.as_list_opt()
    }
    fn get(column: &Self::Column, row: usize) -> List {
        List(column.value(row))
    }
}

/// A kernel that may answer NULL.
impl<T: Output> Output for Option<T> {
    fn build(values: impl Iterator<Item = Result<Option<Self>>>) -> Result<ArrayRef> {
        T::build(values.map(|value| value.map(Option::flatten)))
    }
}

fn argument<'a, A: Value<'a>>(call: &'a Call, at: usize) -> Result<A::Column> {
    let array = call.args.get(at).ok_or_else(|| Error::internal(format!("no argument {at}")))?;
    A::column(array).ok_or_else(|| {
        Error::internal(format!("argument {at} is {}, and its kernel reads another type", array.data_type()))
    })
}

fn run<R: Output>(call: &Call, arity: usize, mut f: impl FnMut(usize) -> Result<R>) -> Result<ArrayRef> {
    match call.strict(arity) {
        // Of the type that the kernel gives: it may be a step on the way to the call's result.
        Err(()) => R::build((0..call.rows).map(|_| Ok(None))),
        Ok(None) => R::build((0..call.rows).map(|row| f(row).map(Some))),
        Ok(Some(nulls)) => {
            R::build((0..call.rows).map(|row| if nulls.is_null(row) { Ok(None) } else { f(row).map(Some) }))
        }
    }
}

/// A function of one value.
pub fn map1<'a, A: Value<'a>, R: Output>(call: &'a Call, mut f: impl FnMut(A) -> Result<R>) -> Result<ArrayRef> {
    let a = argument::<A>(call, 0)?;
    run(call, 1, |row| f(A::get(&a, call.row(0, row))))
}

/// A function of two values.
pub fn map2<'a, A: Value<'a>, B: Value<'a>, R: Output>(
    call: &'a Call,
    mut f: impl FnMut(A, B) -> Result<R>,
) -> Result<ArrayRef> {
    let (a, b) = (argument::<A>(call, 0)?, argument::<B>(call, 1)?);
    run(call, 2, |row| f(A::get(&a, call.row(0, row)), B::get(&b, call.row(1, row))))
}

/// A function of three values.
pub fn map3<'a, A: Value<'a>, B: Value<'a>, C: Value<'a>, R: Output>(
    call: &'a Call,
    mut f: impl FnMut(A, B, C) -> Result<R>,
) -> Result<ArrayRef> {
    let (a, b, c) = (argument::<A>(call, 0)?, argument::<B>(call, 1)?, argument::<C>(call, 2)?);
    run(call, 3, |row| f(A::get(&a, call.row(0, row)), B::get(&b, call.row(1, row)), C::get(&c, call.row(2, row))))
}

/// A function of four values.
pub fn map4<'a, A: Value<'a>, B: Value<'a>, C: Value<'a>, D: Value<'a>, R: Output>(
    call: &'a Call,
    mut f: impl FnMut(A, B, C, D) -> Result<R>,
) -> Result<ArrayRef> {
    let (a, b) = (argument::<A>(call, 0)?, argument::<B>(call, 1)?);
    let (c, d) = (argument::<C>(call, 2)?, argument::<D>(call, 3)?);
    run(call, 4, |row| {
        let (at0, at1, at2, at3) = (call.row(0, row), call.row(1, row), call.row(2, row), call.row(3, row));
        f(A::get(&a, at0), B::get(&b, at1), C::get(&c, at2), D::get(&d, at3))
    })
}

/// Reads an argument's value of a row that is not NULL.
pub fn read<'a, A: Value<'a>>(call: &'a Call, at: usize) -> Result<impl Fn(usize) -> A> {
    let column = argument::<A>(call, at)?;
    Ok(move |row| A::get(&column, call.row(at, row)))
}

/// A function of the whole row: it sees NULLs itself.
pub fn map_rows<R: Output>(call: &Call, f: impl FnMut(usize) -> Result<Option<R>>) -> Result<ArrayRef> {
    R::build((0..call.rows).map(f))
}

/// A text argument's value of a row; None for NULL.
pub fn text_at<'a>(call: &'a Call, at: usize, row: usize) -> Result<Option<&'a str>> {
    let column = argument::<&str>(call, at)?;
    let row = call.row(at, row);
    Ok((!column.is_null(row)).then(|| column.value(row)))
}

/// Gives an array the exact Arrow type of `ty`, where only precision, zone or metadata differ.
pub fn retype(array: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(array);
    }
    Ok(arrow::array::make_array(retyped(array.to_data(), data_type)?))
}

/// The same within lists and rows, whose children have types of their own.
fn retyped(data: ArrayData, data_type: &DataType) -> Result<ArrayData> {
    if data.data_type() == data_type {
        return Ok(data);
    }
    let children = data.child_data().iter().cloned();
    let children: Vec<ArrayData> = match data_type {
        DataType::List(item) => children.map(|child| retyped(child, item.data_type())).collect::<Result<_>>()?,
        DataType::Struct(fields) => {
            children.zip(fields).map(|(child, field)| retyped(child, field.data_type())).collect::<Result<_>>()?
        }
        _ => children.collect(),
    };
    Ok(data.into_builder().data_type(data_type.clone()).child_data(children).build()?)
}

/// A row as a constant, under the array's exact type: DataFusion's own conversion drops the metadata of elements.
pub fn scalar(array: &ArrayRef, row: usize) -> Result<ScalarValue> {
    let one = array.slice(row, 1);
    Ok(match array.data_type() {
        DataType::List(_) => ScalarValue::List(Arc::new(one.as_list().clone())),
        DataType::Struct(_) => ScalarValue::Struct(Arc::new(one.as_struct().clone())),
        _ => ScalarValue::try_from_array(array, row)?,
    })
}
