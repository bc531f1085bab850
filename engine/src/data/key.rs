//! Keys: some columns of a row as one value that hashes and compares fast.
//!
//! | columns | layout | order-preserving | NULL |
//! |---|---|---|---|
//! | none | u64, always 0 | - | - |
//! | one of at most 64 bits | u64 | yes | beside the values |
//! | one of 128 bits (numeric, uuid) | u128 | yes | beside the values |
//! | several, with a bit each for NULL at most 128 bits | u128 | yes, NULL first | a bit |
//! | everything else | bytes of arrow-row | yes, NULL first | in the bytes |
//!
//! Columns are made [`canonical`] first, so values that PostgreSQL calls equal have one key, and
//! decoding a key gives the canonical values back. Keys of [`KeyEncoder::exact`] tell such values apart.

mod fixed;
#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, BinaryArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use crate::data::hash::{Equality, canonical};
use crate::error::{Error, Result};

/// Encodes columns as keys and keys as columns.
#[derive(Debug)]
pub struct KeyEncoder {
    layout: Layout,
    equality: Equality,
}

#[derive(Debug)]
enum Layout {
    Unit,
    One64(DataType),
    One128(DataType),
    Packed(Vec<Part>),
    Rows(Box<RowConverter>),
}

/// Where one column stands in a packed key: the low `bits` of `key >> shift`, and above them the bit that says "not NULL".
#[derive(Debug)]
struct Part {
    data_type: DataType,
    shift: u32,
    bits: u32,
}

/// One key a row.
#[derive(Clone, Debug)]
pub enum Keys {
    U64(Fixed<u64>),
    U128(Fixed<u128>),
    /// Never NULL: NULLs are in the bytes.
    Bytes(BinaryArray),
}

/// Keys of a fixed width. The value of a NULL key means nothing.
#[derive(Clone, Debug)]
pub struct Fixed<T> {
    pub values: Vec<T>,
    pub nulls: Option<NullBuffer>,
}

impl<T> Fixed<T> {
    /// Whether the row's key is the NULL key.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

impl Keys {
    pub fn len(&self) -> usize {
        match self {
            Keys::U64(keys) => keys.values.len(),
            Keys::U128(keys) => keys.values.len(),
            Keys::Bytes(keys) => keys.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KeyEncoder {
    /// An encoder of keys over columns of these types. The layout follows from the types alone, not from what is known of
    /// NULLs, so that durable keys do not depend on how well a plan was understood.
    ///
    /// # Errors
    /// 0A000 for a type that has no order.
    pub fn new(types: &[DataType]) -> Result<KeyEncoder> {
        let layout = match types {
            [] => Layout::Unit,
            [one] if fixed::bits(one).is_some() => Layout::One64(one.clone()),
            [one] if fixed::is_wide(one) => Layout::One128(one.clone()),
            several => match packed(several) {
                Some(parts) => Layout::Packed(parts),
                None => Layout::Rows(Box::new(row_converter(several)?)),
            },
        };
        Ok(KeyEncoder { layout, equality: Equality::Key })
    }

    /// An encoder of one column's values that gives them back as they were: keys order as values do, and equal values that
    /// are not the same by their bits. Floats do so by themselves; others have the value behind its canonical form.
    ///
    /// # Errors
    /// 0A000 for a type that has no order.
    pub fn exact(data_type: &DataType) -> Result<KeyEncoder> {
        if !Equality::Key.changes(data_type) {
            return KeyEncoder::new(std::slice::from_ref(data_type));
        }
        let layout = match fixed::bits(data_type) {
            Some(_) => Layout::One64(data_type.clone()),
            None => Layout::Rows(Box::new(row_converter(&[data_type.clone(), data_type.clone()])?)),
        };
        Ok(KeyEncoder { layout, equality: Equality::Exact })
    }

    /// What makes two values have one key.
    pub fn equality(&self) -> Equality {
        self.equality
    }

    /// The keys of `rows` rows; `columns` are the columns that the encoder was made for, in that order.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<Keys> {
        match &self.layout {
            Layout::Unit => Ok(Keys::U64(Fixed { values: vec![0; rows], nulls: None })),
            Layout::One64(_) => {
                let column = self.equality.form(&columns[0]);
                Ok(Keys::U64(Fixed { values: fixed::to_u64(&column)?, nulls: nulls_of(&column) }))
            }
            Layout::One128(_) => {
                let column = &columns[0];
                Ok(Keys::U128(Fixed { values: fixed::to_u128(column)?, nulls: nulls_of(column) }))
            }
            Layout::Packed(parts) => {
                let mut values = vec![0; rows];
                for (part, column) in parts.iter().zip(columns) {
                    pack(part, &canonical(column), &mut values)?;
                }
                Ok(Keys::U128(Fixed { values, nulls: None }))
            }
            Layout::Rows(converter) => {
                let mut forms: Vec<ArrayRef> = columns.iter().map(canonical).collect();
                if self.equality == Equality::Exact {
                    forms.extend(columns.iter().map(|column| self.equality.form(column)));
                }
                Ok(Keys::Bytes(converter.convert_columns(&forms)?.try_into_binary()?))
            }
        }
    }

    /// The columns that the keys stand for.
    ///
    /// # Errors
    /// XX000 for keys of another encoder's layout.
    pub fn decode(&self, keys: Keys) -> Result<Vec<ArrayRef>> {
        match (&self.layout, keys) {
            (Layout::Unit, Keys::U64(_)) => Ok(vec![]),
            (Layout::One64(ty), Keys::U64(keys)) => Ok(vec![fixed::from_u64(ty, &keys.values, keys.nulls)?]),
            (Layout::One128(ty), Keys::U128(keys)) => Ok(vec![fixed::from_u128(ty, &keys.values, keys.nulls)?]),
            (Layout::Packed(parts), Keys::U128(keys)) => parts.iter().map(|part| unpack(part, &keys.values)).collect(),
            (Layout::Rows(converter), Keys::Bytes(keys)) => {
                let rows = converter.from_binary(keys);
                let mut forms = converter.convert_rows(rows.iter())?;
                Ok(if self.equality == Equality::Exact { forms.split_off(forms.len() / 2) } else { forms })
            }
            _ => Err(Error::internal("keys of another layout")),
        }
    }

    /// No keys, in the encoder's layout.
    pub fn empty(&self) -> Keys {
        match &self.layout {
            Layout::Unit | Layout::One64(_) => Keys::U64(Fixed { values: vec![], nulls: None }),
            Layout::One128(_) | Layout::Packed(_) => Keys::U128(Fixed { values: vec![], nulls: None }),
            Layout::Rows(_) => Keys::Bytes(BinaryArray::new_null(0)),
        }
    }
}

/// The row format behind keys of bytes, or 0A000.
fn row_converter(types: &[DataType]) -> Result<RowConverter> {
    let sort: Vec<SortField> = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
    if !RowConverter::supports_fields(&sort) {
        return Err(Error::unsupported("comparing values of such a type"));
    }
    Ok(RowConverter::new(sort)?)
}

fn nulls_of(column: &ArrayRef) -> Option<NullBuffer> {
    column.nulls().filter(|nulls| nulls.null_count() > 0).cloned()
}

fn packed(types: &[DataType]) -> Option<Vec<Part>> {
    let widths: Option<Vec<u32>> = types.iter().map(fixed::bits).collect();
    let mut shift = 0;
    let mut parts: Vec<Part> = Vec::with_capacity(types.len());
    for (data_type, bits) in types.iter().zip(widths?).rev() {
        parts.push(Part { data_type: data_type.clone(), shift, bits });
        shift += bits + 1;
    }
    parts.reverse();
    (shift <= 128).then_some(parts)
}

/// NULL is all zeros, so it comes first.
fn pack(part: &Part, column: &ArrayRef, keys: &mut [u128]) -> Result<()> {
    let values = fixed::to_u64(column)?;
    let present = 1u128 << part.bits;
    let nulls = nulls_of(column);
    for (row, (key, value)) in keys.iter_mut().zip(values).enumerate() {
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            *key |= (present | u128::from(value)) << part.shift;
        }
    }
    Ok(())
}

fn unpack(part: &Part, keys: &[u128]) -> Result<ArrayRef> {
    let mask = (1u128 << part.bits) - 1;
    let values: Vec<u64> = keys.iter().map(|key| ((key >> part.shift) & mask) as u64).collect();
    let valid = |key: &u128| (key >> (part.shift + part.bits)) & 1 == 1;
    let nulls = NullBuffer::from_iter(keys.iter().map(valid));
    fixed::from_u64(&part.data_type, &values, (nulls.null_count() > 0).then_some(nulls))
}
