//! Values in text format.

use arrow::array::{ArrayRef, AsArray, StringArray};
use bytes::BytesMut;
use levada_engine::data::SqlType;
use levada_engine::error::Result;
use levada_engine::format::{self, FormatSettings};

/// A column whose values are written as text.
pub enum Text<'a> {
    /// Values that are their own text.
    Plain(&'a StringArray),
    /// Values that the engine prints as it does in casts to text.
    Printed(&'a ArrayRef, &'a SqlType),
}

impl<'a> Text<'a> {
    /// `array` has the Arrow type of `ty`.
    pub fn new(array: &'a ArrayRef, ty: &'a SqlType) -> Result<Text<'a>> {
        let plain = match ty {
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Name
            | SqlType::Char
            | SqlType::Json
            | SqlType::Jsonb
            | SqlType::Unknown => array.as_string_opt::<i32>(),
            _ => None,
        };
        Ok(plain.map_or(Text::Printed(array, ty), Text::Plain))
    }

    /// Appends a value that is not NULL. `scratch` is for the writer's own use.
    pub fn write(&self, row: usize, settings: &FormatSettings, scratch: &mut String, out: &mut BytesMut) -> Result<()> {
        match self {
            Text::Plain(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Text::Printed(array, ty) => {
                scratch.clear();
                format::text(array, ty, row, settings, scratch)?;
                out.extend_from_slice(scratch.as_bytes());
            }
        }
        Ok(())
    }
}
