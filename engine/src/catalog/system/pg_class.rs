//! `pg_class` and what describes its relations: columns, defaults, indexes, constraints, and the views over them.

use super::composite::{self, type_oid};
use super::names::OWNER_NAME;
use super::objects::Object;
use super::pg_type::storage;
use super::rows::{Datum, Rows};
use super::{BTREE, HEAP, OWNER, PUBLIC, System};
use crate::data::{Column, SqlType};

/// `pg_class`.
pub fn classes(system: &System, rows: &mut Rows) {
    for object in system.objects() {
        let stored = matches!(object.kind, 'r' | 'm');
        // -1: not counted.
        let count = system.statistics.rows(object.id()).map_or(-1.0, |rows| rows as f64);
        let pages = system.statistics.bytes(object.id()).map_or(0, |bytes| (bytes / 8192) as i64);
        rows.add([
            ("oid", object.oid.into()),
            ("relname", object.name.into()),
            ("relnamespace", object.namespace().into()),
            ("relowner", OWNER.into()),
            ("relam", if stored { HEAP.into() } else { 0.into() }),
            ("relfilenode", if stored { object.oid.into() } else { 0.into() }),
            ("relpages", pages.into()),
            ("reltuples", Datum::Float(count)),
            ("relhasindex", object.index().is_some().into()),
            ("relpersistence", "p".into()),
            ("relkind", object.kind.to_string().into()),
            ("relnatts", (object.schema.columns.len() as i64).into()),
            ("relhasrules", matches!(object.kind, 'v' | 'm').into()),
            ("relispopulated", system.statistics.hydration(object.id()).is_none().into()),
            ("relreplident", if stored { "d" } else { "n" }.into()),
        ]);
    }
    for index in system.indexes() {
        rows.add([
            ("oid", index.oid.into()),
            ("relname", index.name.as_str().into()),
            ("relnamespace", PUBLIC.into()),
            ("relowner", OWNER.into()),
            ("relam", BTREE.into()),
            ("relfilenode", index.oid.into()),
            ("relpersistence", "p".into()),
            ("relkind", "i".into()),
            ("relnatts", (index.columns.len() as i64).into()),
            ("relispopulated", true.into()),
            ("relreplident", "n".into()),
        ]);
    }
    composite::classes(system, rows);
}

/// `pg_attribute`.
pub fn attributes(system: &System, rows: &mut Rows) {
    for object in system.objects() {
        for (at, column) in object.schema.columns.iter().enumerate() {
            // A materialized view's columns are nullable to PostgreSQL, whatever we know of its query.
            let not_null = matches!(object.kind, 'r' | 'f') && !column.nullable;
            attribute(rows, object.oid, at, column, not_null, object.default(at).is_some());
        }
    }
    for index in system.indexes() {
        let columns = index.columns.iter().filter_map(|at| index.table.schema.columns.get(*at));
        for (at, column) in columns.enumerate() {
            attribute(rows, index.oid, at, column, false, false);
        }
    }
    composite::attributes(system, rows);
}

/// A column's row of `pg_attribute`; `at` is its position, from 0.
pub fn attribute(rows: &mut Rows, relation: u32, at: usize, column: &Column, not_null: bool, has_default: bool) {
    let (by_value, align, storage, collation) = storage(column.ty.oid());
    let dimensions = i64::from(matches!(column.ty, SqlType::Array(_)));
    rows.add([
        ("attrelid", relation.into()),
        ("attname", column.name.as_str().into()),
        ("atttypid", type_oid(&column.ty).into()),
        ("attstattarget", (-1).into()),
        ("attlen", column.ty.type_len().into()),
        ("attnum", (at as i64 + 1).into()),
        ("attndims", dimensions.into()),
        ("attcacheoff", (-1).into()),
        ("atttypmod", column.ty.typmod().into()),
        ("attbyval", by_value.into()),
        ("attalign", align.into()),
        ("attstorage", storage.into()),
        ("attnotnull", not_null.into()),
        ("atthasdef", has_default.into()),
        ("attislocal", true.into()),
        ("attcollation", collation.into()),
    ]);
}

/// `pg_attrdef`. Its `adbin` is the text that `pg_get_expr` prints.
pub fn defaults(system: &System, rows: &mut Rows) {
    for object in system.user_objects() {
        for at in 0..object.schema.columns.len() {
            let Some(default) = object.default(at) else { continue };
            rows.add([
                ("oid", object.default_oid(at).into()),
                ("adrelid", object.oid.into()),
                ("adnum", (at as i64 + 1).into()),
                ("adbin", default.into()),
            ]);
        }
    }
}

/// `pg_index`.
pub fn indexes(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        let columns = index.column_numbers();
        let types = index.columns.iter().filter_map(|at| index.table.schema.columns.get(*at));
        let collations: Vec<i64> = types.map(|column| storage(column.ty.oid()).3).collect();
        let count = columns.len() as i64;
        rows.add([
            ("indexrelid", index.oid.into()),
            ("indrelid", index.table.id.0.into()),
            ("indnatts", count.into()),
            ("indnkeyatts", count.into()),
            ("indisunique", true.into()),
            ("indisprimary", true.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indclass", vec![0i64; columns.len()].into()),
            ("indoption", vec![0i64; columns.len()].into()),
            ("indkey", columns.into()),
            ("indcollation", collations.into()),
        ]);
    }
}

/// `pg_constraint`.
pub fn constraints(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        rows.add([
            ("oid", index.constraint_oid().into()),
            ("conname", index.name.as_str().into()),
            ("connamespace", PUBLIC.into()),
            ("contype", "p".into()),
            ("convalidated", true.into()),
            ("conrelid", index.table.id.0.into()),
            ("conindid", index.oid.into()),
            ("confupdtype", " ".into()),
            ("confdeltype", " ".into()),
            ("confmatchtype", " ".into()),
            ("conislocal", true.into()),
            ("connoinherit", true.into()),
            ("conkey", index.column_numbers().into()),
        ]);
    }
}

fn of_kind(system: &System, kind: char) -> impl Iterator<Item = Object<'_>> {
    system.objects().filter(move |object| object.kind == kind)
}

/// `pg_tables`.
pub fn tables(system: &System, rows: &mut Rows) {
    for object in of_kind(system, 'r') {
        rows.add([
            ("schemaname", object.schema_name.into()),
            ("tablename", object.name.into()),
            ("tableowner", OWNER_NAME.into()),
            ("hasindexes", object.index().is_some().into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]);
    }
}

/// `pg_views`.
pub fn views(system: &System, rows: &mut Rows) {
    for object in of_kind(system, 'v') {
        rows.add([
            ("schemaname", object.schema_name.into()),
            ("viewname", object.name.into()),
            ("viewowner", OWNER_NAME.into()),
            ("definition", object.definition().into()),
        ]);
    }
}

/// `pg_matviews`.
pub fn matviews(system: &System, rows: &mut Rows) {
    for object in of_kind(system, 'm') {
        rows.add([
            ("schemaname", object.schema_name.into()),
            ("matviewname", object.name.into()),
            ("matviewowner", OWNER_NAME.into()),
            ("hasindexes", false.into()),
            ("ispopulated", system.statistics.hydration(object.id()).is_none().into()),
            ("definition", object.definition().into()),
        ]);
    }
}

/// `pg_indexes`.
pub fn index_definitions(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        rows.add([
            ("schemaname", "public".into()),
            ("tablename", index.table.name.as_str().into()),
            ("indexname", index.name.as_str().into()),
            ("indexdef", index.definition().into()),
        ]);
    }
}

/// `pg_stat_user_tables`: tables, and materialized views as PostgreSQL has them there.
pub fn table_statistics(system: &System, rows: &mut Rows) {
    for object in system.user_objects().filter(|object| matches!(object.kind, 'r' | 'm')) {
        let count = system.statistics.rows(object.id()).unwrap_or(0);
        rows.add([
            ("relid", object.oid.into()),
            ("schemaname", object.schema_name.into()),
            ("relname", object.name.into()),
            ("n_live_tup", (count as i64).into()),
            ("n_dead_tup", 0.into()),
        ]);
    }
}
