//! What a system relation looks like.

use std::collections::HashMap;

use crate::data::{Column, ObjectId, RelationSchema, SqlType};
use crate::error::{Error, Result};

/// A relation of a system schema as it is written down.
#[derive(Clone, Copy)]
pub struct Shape {
    name: &'static str,
    oid: u32,
    is_view: bool,
    /// `name type, …`, a `?` after the type of a column that may be NULL; arrays are `_type`.
    columns: &'static str,
}

/// A system relation that PostgreSQL has as a table.
pub const fn table(name: &'static str, oid: u32, columns: &'static str) -> Shape {
    Shape { name, oid, is_view: false, columns }
}

/// A system relation that PostgreSQL has as a view: every column may be NULL.
pub const fn view(name: &'static str, oid: u32, columns: &'static str) -> Shape {
    Shape { name, oid, is_view: true, columns }
}

/// A relation of `pg_catalog`, `information_schema` or `levada_catalog`.
pub struct SystemRelation {
    /// Its OID, which is below those of user objects.
    pub id: ObjectId,
    pub schema_name: &'static str,
    pub name: &'static str,
    pub is_view: bool,
    pub schema: RelationSchema,
    /// Where a column stands.
    positions: HashMap<&'static str, usize>,
}

impl SystemRelation {
    /// Reads what [`Shape::columns`] says.
    ///
    /// # Errors
    /// XX000 for a type that is not known, which a test excludes.
    pub(super) fn new(schema_name: &'static str, shape: &Shape) -> Result<SystemRelation> {
        let mut columns = Vec::new();
        let mut positions = HashMap::new();
        for text in shape.columns.split(',') {
            let Some((name, ty)) = text.trim().split_once(' ') else {
                return Err(Error::internal(format!("{}: \"{text}\" is no column", shape.name)));
            };
            let nullable = shape.is_view || ty.ends_with('?');
            let ty = column_type(ty.trim_end_matches('?'))?;
            positions.insert(name, columns.len());
            columns.push(Column::new(name, ty, nullable));
        }
        let schema = RelationSchema { columns, primary_key: None };
        let Shape { name, oid, is_view, .. } = *shape;
        Ok(SystemRelation { id: ObjectId(oid), schema_name, name, is_view, schema, positions })
    }

    /// Where the column of this name stands.
    pub(super) fn position(&self, column: &str) -> Option<usize> {
        self.positions.get(column).copied()
    }
}

fn column_type(name: &str) -> Result<SqlType> {
    if let Some(element) = name.strip_prefix('_') {
        return Ok(column_type(element)?.array());
    }
    Ok(match name {
        "bool" => SqlType::Bool,
        "bytea" => SqlType::Bytea,
        "char" => SqlType::Char,
        "float4" => SqlType::Float4,
        "float8" => SqlType::Float8,
        "int2" => SqlType::Int2,
        "int2vector" => SqlType::Int2vector,
        "int4" => SqlType::Int4,
        "int8" => SqlType::Int8,
        "interval" => SqlType::Interval,
        "name" => SqlType::Name,
        "oid" => SqlType::Oid,
        "oidvector" => SqlType::Oidvector,
        "regproc" => SqlType::Regproc,
        "regtype" => SqlType::Regtype,
        "text" => SqlType::Text,
        "timestamptz" => SqlType::Timestamptz,
        "varchar" => SqlType::Varchar(None),
        other => return Err(Error::internal(format!("no system relation has a column of type {other}"))),
    })
}
