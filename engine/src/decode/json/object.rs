//! An object's members as columns.

use arrow::array::ArrayRef;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::buffer::Buffer;
use super::member::{Match, Names};
use super::scalar;
use super::value::{Context, ValueSeed};
use crate::data::{Parts, SqlType};
use crate::error::Result;

/// The columns that a JSON object fills: those of the relation, or the fields of a record.
pub struct Object {
    columns: Vec<Column>,
    names: Names,
    length: usize,
}

struct Column {
    name: String,
    nullable: bool,
    buffer: Buffer,
    filled: Filled,
}

/// By which member the object at hand has filled a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    No,
    /// By the one of its exact name.
    Exactly,
    /// By one that differs in case, at this place.
    Folded(usize),
    /// By several that differ in case.
    Ambiguously,
}

impl Object {
    /// Columns by name, type, whether NULL is allowed, and what is wanted of them.
    pub fn new<'a>(columns: impl Iterator<Item = (String, &'a SqlType, bool, Option<&'a Parts>)>) -> Result<Object> {
        let column = |(name, ty, nullable, wanted)| {
            Ok(Column { name, nullable, buffer: Buffer::new(ty, wanted)?, filled: Filled::No })
        };
        let columns: Vec<Column> = columns.map(column).collect::<Result<_>>()?;
        let names = Names::new(columns.iter().map(|column| column.name.as_str()));
        Ok(Object { columns, names, length: 0 })
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The column, if there is only one.
    pub fn single(&mut self) -> Option<&mut Buffer> {
        match self.columns.as_mut_slice() {
            [column] => Some(&mut column.buffer),
            _ => None,
        }
    }

    /// A row without any value.
    pub fn push_nulls(&mut self) {
        self.columns.iter_mut().for_each(|column| column.buffer.push_null());
        self.length += 1;
    }

    /// A row that means nothing: NULL, or anything where NULL is not allowed.
    pub fn push_defaults(&mut self) {
        for column in &mut self.columns {
            match column.nullable {
                true => column.buffer.push_null(),
                false => column.buffer.push_default(),
            }
        }
        self.length += 1;
    }

    /// A row of two columns: a text and bytes that may be missing.
    pub fn push_header(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let [first, second] = self.columns.as_mut_slice() else {
            return Err("a header is a record of its key and its value".to_owned());
        };
        let text = std::str::from_utf8(key).map_err(|_| "a header's key is not UTF-8".to_owned())?;
        scalar::push_text(&mut first.buffer, text)?;
        match value {
            Some(value) => second.buffer.push_bytes(value)?,
            None => second.buffer.push_null(),
        }
        self.length += 1;
        Ok(())
    }

    /// Cuts back to so many rows, a half-written one included.
    pub fn truncate(&mut self, length: usize) {
        self.columns.iter_mut().for_each(|column| column.buffer.truncate(length));
        self.length = length;
    }

    /// The columns, of so many rows.
    pub fn finish(self, rows: usize) -> Result<Vec<ArrayRef>> {
        self.columns.into_iter().map(|column| column.buffer.finish(rows, column.nullable)).collect()
    }

    /// Reads a row from an object's members.
    pub fn fill<'de, A: MapAccess<'de>>(&mut self, mut members: A, context: &mut Context) -> Result<(), A::Error> {
        self.columns.iter_mut().for_each(|column| column.filled = Filled::No);
        let mut place = 0;
        while let Some(found) = members.next_key_seed(NameSeed { names: &mut self.names, place })? {
            let before = found.map(|found| self.columns[found.column].filled);
            match found.filter(|found| self.accept(*found, place)) {
                Some(found) => {
                    let column = &mut self.columns[found.column];
                    if before != Some(Filled::No) {
                        column.buffer.truncate(self.length);
                    }
                    let seed = ValueSeed { buffer: &mut column.buffer, context };
                    if let Err(error) = members.next_value_seed(seed) {
                        context.within(&column.name);
                        return Err(error);
                    }
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
            place += 1;
        }
        self.names.forget_excess();
        self.end_row(context).map_err(A::Error::custom)
    }

    /// Whether the member's value counts; notes who fills the column.
    fn accept(&mut self, found: Match, place: usize) -> bool {
        let column = &mut self.columns[found.column];
        column.filled = match column.filled {
            _ if found.exact => Filled::Exactly,
            Filled::No => Filled::Folded(place),
            Filled::Folded(before) if self.names.name_at(before) == self.names.name_at(place) => Filled::Folded(place),
            Filled::Folded(_) => Filled::Ambiguously,
            as_before => as_before,
        };
        found.exact || matches!(column.filled, Filled::Folded(_))
    }

    /// Reads a row from the value of its only column.
    pub fn end_single(&mut self, context: &mut Context) -> Result<(), &'static str> {
        self.columns.iter_mut().for_each(|column| column.filled = Filled::Exactly);
        self.end_row(context)
    }

    fn end_row(&mut self, context: &mut Context) -> Result<(), &'static str> {
        for column in &mut self.columns {
            let fault = match column.filled {
                Filled::Ambiguously => Some("several members differ from its name only in case"),
                Filled::No if column.nullable => {
                    column.buffer.push_null();
                    None
                }
                Filled::No => Some("is missing, and NULL is not allowed"),
                _ if !column.nullable && column.buffer.ends_with_null() => Some("NULL is not allowed"),
                _ => None,
            };
            if let Some(fault) = fault {
                context.fault(fault.to_owned());
                context.within(&column.name);
                return Err(fault);
            }
        }
        self.length += 1;
        Ok(())
    }
}

/// Reads a member's name.
struct NameSeed<'a> {
    names: &'a mut Names,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<Match>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<Match>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.names.find(self.place, name))
    }
}

/// Reads a whole message.
pub struct ObjectSeed<'a> {
    pub object: &'a mut Object,
    pub context: &'a mut Context,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        self.object.fill(members, self.context)
    }
}
