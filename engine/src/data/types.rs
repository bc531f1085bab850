//! PostgreSQL's types and the Arrow types that carry them.
//!
//! | PostgreSQL | Arrow |
//! |---|---|
//! | boolean, smallint, integer, bigint, real, double precision | Boolean, Int16, Int32, Int64, Float32, Float64 |
//! | numeric | Decimal128(38, 18) |
//! | numeric(p, s) | Decimal128(p, s) |
//! | text, varchar, char(n), name, "char", json, jsonb, unknown | Utf8 |
//! | bytea | Binary |
//! | date, time | Date32, Time64(µs) |
//! | timestamp, timestamptz | Timestamp(µs), Timestamp(µs, "UTC") |
//! | interval | Interval(MonthDayNano) |
//! | uuid | FixedSizeBinary(16) |
//! | oid, regclass, regtype, regproc, regnamespace | UInt32 |
//! | t[], int2vector, oidvector | List |
//! | record | Struct |
//! | void | Null |
//!
//! Where an Arrow type carries several of PostgreSQL's, the field's metadata says which one ([`TYPE_KEY`]).

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use serde::{Deserialize, Serialize};

/// Key of a field's metadata under which its [`SqlType`] stands, as JSON.
pub const TYPE_KEY: &str = "levada.type";

/// Digits after the point of a bare `numeric`.
pub const NUMERIC_SCALE: i8 = 18;
/// Digits of a bare `numeric`, before and after the point.
pub const NUMERIC_PRECISION: u8 = 38;

/// A PostgreSQL type with its modifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale; without them [`NUMERIC_PRECISION`] and [`NUMERIC_SCALE`], printed without trailing zeros.
    Numeric(Option<(u8, i8)>),
    Text,
    Varchar(Option<u32>),
    /// `char(n)`: padded with blanks when printed.
    Bpchar(Option<u32>),
    Name,
    /// `"char"`, one byte.
    Char,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Oid,
    Regclass,
    Regtype,
    Regproc,
    Regnamespace,
    Int2vector,
    Oidvector,
    Array(Box<SqlType>),
    /// A row type: names and types of its fields.
    Record(Vec<(String, SqlType)>),
    /// A string literal or parameter whose type is not settled yet.
    Unknown,
    Void,
}

impl SqlType {
    /// Bare `numeric`.
    pub const NUMERIC: SqlType = SqlType::Numeric(None);

    /// The array of this type.
    pub fn array(self) -> SqlType {
        SqlType::Array(Box::new(self))
    }

    /// The Arrow type that carries the values.
    pub fn arrow(&self) -> DataType {
        match self {
            SqlType::Bool => DataType::Boolean,
            SqlType::Int2 => DataType::Int16,
            SqlType::Int4 => DataType::Int32,
            SqlType::Int8 => DataType::Int64,
            SqlType::Float4 => DataType::Float32,
            SqlType::Float8 => DataType::Float64,
            SqlType::Numeric(None) => DataType::Decimal128(NUMERIC_PRECISION, NUMERIC_SCALE),
            SqlType::Numeric(Some((precision, scale))) => DataType::Decimal128(*precision, *scale),
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Bpchar(_)
            | SqlType::Name
            | SqlType::Char
            | SqlType::Json
            | SqlType::Jsonb
            | SqlType::Unknown => DataType::Utf8,
            SqlType::Bytea => DataType::Binary,
            SqlType::Date => DataType::Date32,
            SqlType::Time => DataType::Time64(TimeUnit::Microsecond),
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            SqlType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            SqlType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            SqlType::Uuid => DataType::FixedSizeBinary(16),
            SqlType::Oid | SqlType::Regclass | SqlType::Regtype | SqlType::Regproc | SqlType::Regnamespace => {
                DataType::UInt32
            }
            SqlType::Int2vector => list_of(&SqlType::Int2),
            SqlType::Oidvector => list_of(&SqlType::Oid),
            SqlType::Array(element) => list_of(element),
            SqlType::Record(fields) => {
                DataType::Struct(fields.iter().map(|(name, ty)| ty.field(name, true)).collect::<Fields>())
            }
            SqlType::Void => DataType::Null,
        }
    }

    /// An Arrow field of this type; its metadata name the type where Arrow's alone does not.
    pub fn field(&self, name: impl Into<String>, nullable: bool) -> Field {
        let field = Field::new(name, self.arrow(), nullable);
        if SqlType::plain(field.data_type()).as_ref() == Some(self) {
            return field;
        }
        let tag = serde_json::to_string(self).unwrap_or_default();
        field.with_metadata([(TYPE_KEY.to_owned(), tag)].into())
    }

    /// The type of an Arrow field: what its metadata say, else the plain one of its Arrow type.
    /// None for Arrow types that no PostgreSQL type of ours maps to.
    pub fn of_field(field: &Field) -> Option<SqlType> {
        match field.metadata().get(TYPE_KEY) {
            Some(tag) => serde_json::from_str(tag).ok(),
            None => SqlType::plain(field.data_type()),
        }
    }

    /// The type that an Arrow type carries when nothing else is said.
    pub fn plain(data_type: &DataType) -> Option<SqlType> {
        Some(match data_type {
            DataType::Boolean => SqlType::Bool,
            DataType::Int16 => SqlType::Int2,
            DataType::Int32 => SqlType::Int4,
            DataType::Int64 => SqlType::Int8,
            DataType::Float32 => SqlType::Float4,
            DataType::Float64 => SqlType::Float8,
            DataType::Decimal128(NUMERIC_PRECISION, NUMERIC_SCALE) => SqlType::NUMERIC,
            DataType::Decimal128(precision, scale) => SqlType::Numeric(Some((*precision, *scale))),
            DataType::Utf8 => SqlType::Text,
            DataType::Binary => SqlType::Bytea,
            DataType::Date32 => SqlType::Date,
            DataType::Time64(TimeUnit::Microsecond) => SqlType::Time,
            DataType::Timestamp(TimeUnit::Microsecond, None) => SqlType::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => SqlType::Timestamptz,
            DataType::Interval(IntervalUnit::MonthDayNano) => SqlType::Interval,
            DataType::FixedSizeBinary(16) => SqlType::Uuid,
            DataType::UInt32 => SqlType::Oid,
            DataType::List(element) => SqlType::of_field(element)?.array(),
            DataType::Struct(fields) => SqlType::Record(
                fields
                    .iter()
                    .map(|field| Some((field.name().clone(), SqlType::of_field(field)?)))
                    .collect::<Option<_>>()?,
            ),
            DataType::Null => SqlType::Void,
            _ => return None,
        })
    }

    /// The OID in `pg_type`, from PostgreSQL's `pg_type.dat`.
    pub fn oid(&self) -> u32 {
        match self {
            SqlType::Bool => 16,
            SqlType::Bytea => 17,
            SqlType::Char => 18,
            SqlType::Name => 19,
            SqlType::Int8 => 20,
            SqlType::Int2 => 21,
            SqlType::Int2vector => 22,
            SqlType::Int4 => 23,
            SqlType::Regproc => 24,
            SqlType::Text => 25,
            SqlType::Oid => 26,
            SqlType::Oidvector => 30,
            SqlType::Json => 114,
            SqlType::Float4 => 700,
            SqlType::Float8 => 701,
            SqlType::Unknown => 705,
            SqlType::Bpchar(_) => 1042,
            SqlType::Varchar(_) => 1043,
            SqlType::Date => 1082,
            SqlType::Time => 1083,
            SqlType::Timestamp => 1114,
            SqlType::Timestamptz => 1184,
            SqlType::Interval => 1186,
            SqlType::Numeric(_) => 1700,
            SqlType::Regclass => 2205,
            SqlType::Regtype => 2206,
            SqlType::Record(_) => 2249,
            SqlType::Void => 2278,
            SqlType::Uuid => 2950,
            SqlType::Jsonb => 3802,
            SqlType::Regnamespace => 4089,
            SqlType::Array(element) => element.array_oid(),
        }
    }

    fn array_oid(&self) -> u32 {
        match self {
            SqlType::Bool => 1000,
            SqlType::Bytea => 1001,
            SqlType::Char => 1002,
            SqlType::Name => 1003,
            SqlType::Int2 => 1005,
            SqlType::Int2vector => 1006,
            SqlType::Int4 => 1007,
            SqlType::Regproc => 1008,
            SqlType::Text | SqlType::Unknown => 1009,
            SqlType::Oidvector => 1013,
            SqlType::Bpchar(_) => 1014,
            SqlType::Varchar(_) => 1015,
            SqlType::Int8 => 1016,
            SqlType::Float4 => 1021,
            SqlType::Float8 => 1022,
            SqlType::Oid => 1028,
            SqlType::Timestamp => 1115,
            SqlType::Date => 1182,
            SqlType::Time => 1183,
            SqlType::Timestamptz => 1185,
            SqlType::Interval => 1187,
            SqlType::Numeric(_) => 1231,
            SqlType::Json => 199,
            SqlType::Regclass => 2210,
            SqlType::Regtype => 2211,
            SqlType::Record(_) => 2287,
            SqlType::Uuid => 2951,
            SqlType::Jsonb => 3807,
            SqlType::Regnamespace => 4090,
            // PostgreSQL has no arrays of arrays: int[][] is int[].
            SqlType::Array(element) => element.array_oid(),
            SqlType::Void => 0,
        }
    }

    /// The type with an OID of `pg_type`, without modifier.
    pub fn from_oid(oid: u32) -> Option<SqlType> {
        use SqlType::*;
        let scalars = [
            Bool,
            Bytea,
            Char,
            Name,
            Int8,
            Int2,
            Int2vector,
            Int4,
            Regproc,
            Text,
            Oid,
            Oidvector,
            Json,
            Float4,
            Float8,
            Unknown,
            Bpchar(None),
            Varchar(None),
            Date,
            Time,
            Timestamp,
            Timestamptz,
            Interval,
            Numeric(None),
            Regclass,
            Regtype,
            Void,
            Uuid,
            Jsonb,
            Regnamespace,
        ];
        let of_array = |ty: &SqlType| *ty != Unknown && ty.array_oid() == oid;
        scalars
            .iter()
            .find(|ty| ty.oid() == oid)
            .cloned()
            .or_else(|| scalars.iter().find(|ty| of_array(ty)).map(|ty| ty.clone().array()))
    }

    /// `pg_type.typlen`: bytes of a value, -1 where it varies.
    pub fn type_len(&self) -> i16 {
        match self {
            SqlType::Bool | SqlType::Char => 1,
            SqlType::Int2 => 2,
            SqlType::Int4
            | SqlType::Float4
            | SqlType::Date
            | SqlType::Oid
            | SqlType::Regclass
            | SqlType::Regtype
            | SqlType::Regproc
            | SqlType::Regnamespace
            | SqlType::Void => 4,
            SqlType::Int8 | SqlType::Float8 | SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz => 8,
            SqlType::Interval | SqlType::Uuid => 16,
            SqlType::Name => 64,
            SqlType::Unknown => -2,
            _ => -1,
        }
    }

    /// `atttypmod`: the modifier as PostgreSQL codes it, -1 where there is none.
    pub fn typmod(&self) -> i32 {
        match self {
            SqlType::Numeric(Some((precision, scale))) => {
                ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
            }
            SqlType::Varchar(Some(length)) | SqlType::Bpchar(Some(length)) => *length as i32 + 4,
            SqlType::Array(element) => element.typmod(),
            _ => -1,
        }
    }

    /// The type without its modifier: what results of functions and operators have.
    pub fn bare(&self) -> SqlType {
        match self {
            SqlType::Numeric(_) => SqlType::NUMERIC,
            SqlType::Varchar(_) => SqlType::Varchar(None),
            SqlType::Bpchar(_) => SqlType::Bpchar(None),
            SqlType::Array(element) => element.bare().array(),
            other => other.clone(),
        }
    }

    /// The name in `pg_type.typname`: what an unnamed cast's column is called.
    pub fn type_name(&self) -> String {
        let name = match self {
            SqlType::Bool => "bool",
            SqlType::Int2 => "int2",
            SqlType::Int4 => "int4",
            SqlType::Int8 => "int8",
            SqlType::Float4 => "float4",
            SqlType::Float8 => "float8",
            SqlType::Numeric(_) => "numeric",
            SqlType::Text => "text",
            SqlType::Varchar(_) => "varchar",
            SqlType::Bpchar(_) => "bpchar",
            SqlType::Name => "name",
            SqlType::Char => "char",
            SqlType::Bytea => "bytea",
            SqlType::Date => "date",
            SqlType::Time => "time",
            SqlType::Timestamp => "timestamp",
            SqlType::Timestamptz => "timestamptz",
            SqlType::Interval => "interval",
            SqlType::Uuid => "uuid",
            SqlType::Json => "json",
            SqlType::Jsonb => "jsonb",
            SqlType::Oid => "oid",
            SqlType::Regclass => "regclass",
            SqlType::Regtype => "regtype",
            SqlType::Regproc => "regproc",
            SqlType::Regnamespace => "regnamespace",
            SqlType::Int2vector => "int2vector",
            SqlType::Oidvector => "oidvector",
            SqlType::Array(element) => return format!("_{}", element.type_name()),
            SqlType::Record(_) => "record",
            SqlType::Unknown => "unknown",
            SqlType::Void => "void",
        };
        name.to_owned()
    }
}

fn list_of(element: &SqlType) -> DataType {
    DataType::List(Arc::new(element.field("item", true)))
}

/// As PostgreSQL's `format_type` prints it, modifier included: what error messages and `\d` show.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Bool => f.write_str("boolean"),
            SqlType::Int2 => f.write_str("smallint"),
            SqlType::Int4 => f.write_str("integer"),
            SqlType::Int8 => f.write_str("bigint"),
            SqlType::Float4 => f.write_str("real"),
            SqlType::Float8 => f.write_str("double precision"),
            SqlType::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            SqlType::Varchar(None) => f.write_str("character varying"),
            SqlType::Varchar(Some(length)) => write!(f, "character varying({length})"),
            SqlType::Bpchar(None) => f.write_str("character"),
            SqlType::Bpchar(Some(length)) => write!(f, "character({length})"),
            SqlType::Char => f.write_str("\"char\""),
            SqlType::Time => f.write_str("time without time zone"),
            SqlType::Timestamp => f.write_str("timestamp without time zone"),
            SqlType::Timestamptz => f.write_str("timestamp with time zone"),
            SqlType::Array(element) => match **element {
                SqlType::Array(_) => element.fmt(f),
                _ => write!(f, "{element}[]"),
            },
            other => f.write_str(&other.type_name()),
        }
    }
}
