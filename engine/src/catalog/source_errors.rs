//! `levada_catalog.source_errors`: the messages of topics that are no rows.

use std::sync::{Arc, LazyLock};

use crate::catalog::RelationSource;
use crate::data::{Column, ObjectId, RelationSchema, SqlType};

/// The relation's identifier: below those of users' objects, above PostgreSQL's own.
pub const SOURCE_ERRORS: ObjectId = ObjectId(16_300);

/// The relation. Its rows are stored like a table's.
pub fn source_errors() -> &'static Arc<RelationSource> {
    static RELATION: LazyLock<Arc<RelationSource>> = LazyLock::new(|| {
        let column = |name, ty, nullable| Column::new(name, ty, nullable);
        let columns = vec![
            column("number", SqlType::Int8, false),
            column("source_id", SqlType::Oid, false),
            column("source", SqlType::Text, false),
            column("partition", SqlType::Int4, false),
            column("offset", SqlType::Int8, false),
            column("timestamp", SqlType::Timestamptz, true),
            column("key", SqlType::Bytea, true),
            column("value", SqlType::Bytea, true),
            column("error", SqlType::Text, false),
        ];
        let schema = RelationSchema { columns, primary_key: Some(vec![0]) };
        RelationSource::new(SOURCE_ERRORS, "source_errors", schema)
    });
    &RELATION
}
