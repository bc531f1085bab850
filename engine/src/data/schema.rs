//! The shape of a relation.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::data::SqlType;

/// A column of a stored relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub ty: SqlType,
    /// Whether NULL is allowed. Declared false only where we enforce it: the optimizer trusts it.
    pub nullable: bool,
}

impl Column {
    pub fn new(name: impl Into<String>, ty: SqlType, nullable: bool) -> Column {
        Column { name: name.into(), ty, nullable }
    }

    /// The Arrow field that carries the column.
    pub fn field(&self) -> Field {
        self.ty.field(&self.name, self.nullable)
    }
}

/// Columns and key of a stored relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationSchema {
    pub columns: Vec<Column>,
    /// Positions of the columns of the primary key, in the order of the key; None where rows may repeat.
    pub primary_key: Option<Vec<usize>>,
}

impl RelationSchema {
    /// The Arrow schema of the relation's batches.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(ArrowSchema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }
}
