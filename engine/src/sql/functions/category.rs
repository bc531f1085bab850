//! What PostgreSQL's catalogs say of types: categories, preferences (`pg_type`) and casts (`pg_cast`).

use crate::data::SqlType;

/// `pg_type.typcategory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Bool,
    Numeric,
    String,
    DateTime,
    Timespan,
    User,
    Array,
    Pseudo,
    Internal,
    Unknown,
}

/// Where a cast may happen by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coercion {
    /// Anywhere.
    Implicit,
    /// To the type of a column that is assigned to.
    Assignment,
    /// Where it is written.
    Explicit,
}

/// The category of a type.
pub fn category(ty: &SqlType) -> Category {
    match ty {
        SqlType::Bool => Category::Bool,
        SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Float4
        | SqlType::Float8
        | SqlType::Numeric(_)
        | SqlType::Oid
        | SqlType::Regclass
        | SqlType::Regtype
        | SqlType::Regproc
        | SqlType::Regnamespace => Category::Numeric,
        SqlType::Text | SqlType::Varchar(_) | SqlType::Bpchar(_) | SqlType::Name => Category::String,
        SqlType::Date | SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz => Category::DateTime,
        SqlType::Interval => Category::Timespan,
        SqlType::Bytea | SqlType::Uuid | SqlType::Json | SqlType::Jsonb => Category::User,
        SqlType::Char => Category::Internal,
        SqlType::Array(_) | SqlType::Int2vector | SqlType::Oidvector => Category::Array,
        SqlType::Record(_) | SqlType::Void => Category::Pseudo,
        SqlType::Unknown => Category::Unknown,
    }
}

/// `pg_type.typispreferred`.
pub fn is_preferred(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Bool | SqlType::Float8 | SqlType::Oid | SqlType::Text | SqlType::Timestamptz | SqlType::Interval
    )
}

/// Whether two types are one when modifiers do not count.
pub fn same(left: &SqlType, right: &SqlType) -> bool {
    left.bare() == right.bare()
}

/// The least explicit way in which `from` becomes `to`; None if there is no cast. Modifiers do not count.
pub fn cast_context(from: &SqlType, to: &SqlType) -> Option<Coercion> {
    if same(from, to) || *from == SqlType::Unknown {
        return Some(Coercion::Implicit);
    }
    if let Some(context) = listed(from, to) {
        return Some(context);
    }
    match (from, to) {
        (SqlType::Array(from), SqlType::Array(to)) => cast_context(from, to),
        (SqlType::Int2vector, SqlType::Array(to)) => cast_context(&SqlType::Int2, to),
        (SqlType::Oidvector, SqlType::Array(to)) => cast_context(&SqlType::Oid, to),
        (SqlType::Record(from), SqlType::Record(to)) if from.len() == to.len() => from
            .iter()
            .zip(to)
            .map(|((_, from), (_, to))| cast_context(from, to))
            .try_fold(Coercion::Implicit, |most, context| Some(most.max(context?))),
        (SqlType::Void, _) | (_, SqlType::Void | SqlType::Unknown) => None,
        // Through text.
        (_, to) if category(to) == Category::String => Some(Coercion::Assignment),
        (from, SqlType::Record(_)) if category(from) == Category::String => None,
        (from, _) if category(from) == Category::String => Some(Coercion::Explicit),
        _ => None,
    }
}

/// Casts of `pg_cast`.
fn listed(from: &SqlType, to: &SqlType) -> Option<Coercion> {
    use Coercion::{Assignment, Explicit, Implicit};
    use SqlType::*;
    Some(match (from, to) {
        (Int2, Int4 | Int8 | Float4 | Float8 | Numeric(_)) => Implicit,
        (Int4, Int8 | Float4 | Float8 | Numeric(_)) => Implicit,
        (Int8, Float4 | Float8 | Numeric(_)) => Implicit,
        (Numeric(_), Float4 | Float8) | (Float4, Float8) => Implicit,
        (Int4, Int2) | (Int8, Int2 | Int4) => Assignment,
        (Float4 | Float8 | Numeric(_), Int2 | Int4 | Int8) => Assignment,
        (Float4 | Float8, Numeric(_)) | (Float8, Float4) => Assignment,
        (Int4, Bool) | (Bool, Int4) | (Int4, Char) | (Char, Int4) => Explicit,
        (Int2 | Int4 | Int8, Oid | Regclass | Regtype | Regproc | Regnamespace) => Implicit,
        (Oid, Regclass | Regtype | Regproc | Regnamespace) => Implicit,
        (Regclass | Regtype | Regproc | Regnamespace, Oid) => Implicit,
        (Oid | Regclass | Regtype | Regproc | Regnamespace, Int4 | Int8) => Assignment,
        (Text | Varchar(_), Regclass) => Implicit,
        (Text, Bpchar(_) | Varchar(_) | Name) => Implicit,
        (Bpchar(_), Text | Varchar(_) | Name) => Implicit,
        (Varchar(_), Text | Bpchar(_) | Name) => Implicit,
        (Name | Char, Text) => Implicit,
        (Name | Char, Bpchar(_) | Varchar(_)) => Assignment,
        (Text | Bpchar(_) | Varchar(_), Char) => Assignment,
        (Date, Timestamp | Timestamptz) | (Timestamp, Timestamptz) | (Time, Interval) => Implicit,
        (Timestamp, Date | Time) | (Timestamptz, Date | Time | Timestamp) | (Interval, Time) => Assignment,
        (Json, Jsonb) | (Jsonb, Json) => Assignment,
        (Jsonb, Bool | Numeric(_) | Int2 | Int4 | Int8 | Float4 | Float8) => Explicit,
        _ => return None,
    })
}

/// Whether `from` becomes `to` in `context`.
pub fn can_coerce(from: &SqlType, to: &SqlType, context: Coercion) -> bool {
    cast_context(from, to).is_some_and(|least| least <= context)
}
