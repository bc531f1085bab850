//! `information_schema`. Materialized views are views in it: many tools look nowhere else.

use super::names::{NAMESPACES, OWNER_NAME};
use super::objects::Object;
use super::rows::Rows;
use super::{Build, System};
use crate::catalog::{DATABASE, DEFAULT_SCHEMA};
use crate::data::{Column, SqlType};

/// What makes the rows of a view; None for those that are always empty.
pub fn builder(name: &str) -> Option<Build> {
    Some(match name {
        "schemata" => schemata,
        "tables" => tables,
        "columns" => columns,
        "views" => views,
        "table_constraints" => table_constraints,
        "key_column_usage" => key_column_usage,
        "constraint_column_usage" => constraint_column_usage,
        "character_sets" => character_sets,
        "information_schema_catalog_name" => catalog_name,
        "enabled_roles" => enabled_roles,
        "table_privileges" | "role_table_grants" => table_privileges,
        "view_table_usage" => view_table_usage,
        _ => return None,
    })
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn schemata(_: &System, rows: &mut Rows) {
    for (name, _) in NAMESPACES {
        rows.add([
            ("catalog_name", DATABASE.into()),
            ("schema_name", name.into()),
            ("schema_owner", OWNER_NAME.into()),
        ]);
    }
}

fn tables(system: &System, rows: &mut Rows) {
    for object in system.objects() {
        let kind = match object.kind {
            'r' => "BASE TABLE",
            'f' => "FOREIGN",
            _ => "VIEW",
        };
        let insertable = object.kind == 'r' && object.item.is_some();
        rows.add([
            ("table_catalog", DATABASE.into()),
            ("table_schema", object.schema_name.into()),
            ("table_name", object.name.into()),
            ("table_type", kind.into()),
            ("is_insertable_into", yes_or_no(insertable).into()),
            ("is_typed", "NO".into()),
        ]);
    }
}

fn columns(system: &System, rows: &mut Rows) {
    // Metabase adds the columns of materialized views from pg_attribute, and fails where it finds one twice.
    let hidden = system.setting("application_name").is_some_and(|name| name.starts_with("Metabase"));
    for object in system.objects().filter(|object| !(hidden && object.kind == 'm')) {
        for (at, column) in object.schema.columns.iter().enumerate() {
            add_column(rows, &object, at, column);
        }
    }
}

fn add_column(rows: &mut Rows, object: &Object, at: usize, column: &Column) {
    let ty = &column.ty;
    let data_type = if is_array(ty) { "ARRAY".to_owned() } else { ty.bare().to_string() };
    let length = match ty {
        SqlType::Varchar(length) | SqlType::Bpchar(length) => *length,
        _ => None,
    };
    let octets = match ty {
        SqlType::Text | SqlType::Varchar(None) | SqlType::Bpchar(None) => Some(1_073_741_824),
        _ => length.map(|length| length.saturating_mul(4)),
    };
    let (precision, radix, scale) = number(ty);
    let not_null = matches!(object.kind, 'r' | 'f') && !column.nullable;
    let updatable = object.kind == 'r' && object.item.is_some();
    rows.add([
        ("table_catalog", DATABASE.into()),
        ("table_schema", object.schema_name.into()),
        ("table_name", object.name.into()),
        ("column_name", column.name.as_str().into()),
        ("ordinal_position", (at as i64 + 1).into()),
        ("column_default", object.default(at).into()),
        ("is_nullable", yes_or_no(!not_null).into()),
        ("data_type", data_type.into()),
        ("character_maximum_length", length.into()),
        ("character_octet_length", octets.into()),
        ("numeric_precision", precision.into()),
        ("numeric_precision_radix", radix.into()),
        ("numeric_scale", scale.into()),
        ("datetime_precision", seconds_digits(ty).into()),
        ("udt_catalog", DATABASE.into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", ty.type_name().into()),
        ("dtd_identifier", (at + 1).to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", yes_or_no(updatable).into()),
    ]);
}

fn is_array(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Array(_) | SqlType::Int2vector | SqlType::Oidvector)
}

/// Precision, its radix, and scale.
fn number(ty: &SqlType) -> (Option<i64>, Option<i64>, Option<i64>) {
    match ty {
        SqlType::Int2 => (Some(16), Some(2), Some(0)),
        SqlType::Int4 => (Some(32), Some(2), Some(0)),
        SqlType::Int8 => (Some(64), Some(2), Some(0)),
        SqlType::Float4 => (Some(24), Some(2), None),
        SqlType::Float8 => (Some(53), Some(2), None),
        SqlType::Numeric(Some((precision, scale))) => (Some((*precision).into()), Some(10), Some((*scale).into())),
        SqlType::Numeric(None) => (None, Some(10), None),
        _ => (None, None, None),
    }
}

/// Digits after the seconds' point.
fn seconds_digits(ty: &SqlType) -> Option<i64> {
    match ty {
        SqlType::Date => Some(0),
        SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Interval => Some(6),
        _ => None,
    }
}

fn views(system: &System, rows: &mut Rows) {
    for object in system.objects().filter(|object| matches!(object.kind, 'v' | 'm')) {
        rows.add([
            ("table_catalog", DATABASE.into()),
            ("table_schema", object.schema_name.into()),
            ("table_name", object.name.into()),
            ("view_definition", object.definition().into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
            ("is_trigger_updatable", "NO".into()),
            ("is_trigger_deletable", "NO".into()),
            ("is_trigger_insertable_into", "NO".into()),
        ]);
    }
}

fn table_constraints(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        rows.add([
            ("constraint_catalog", DATABASE.into()),
            ("constraint_schema", DEFAULT_SCHEMA.into()),
            ("constraint_name", index.name.as_str().into()),
            ("table_catalog", DATABASE.into()),
            ("table_schema", DEFAULT_SCHEMA.into()),
            ("table_name", index.table.name.as_str().into()),
            ("constraint_type", "PRIMARY KEY".into()),
            ("is_deferrable", "NO".into()),
            ("initially_deferred", "NO".into()),
            ("enforced", "YES".into()),
        ]);
    }
}

fn key_column_usage(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        let columns = index.columns.iter().filter_map(|at| index.table.schema.columns.get(*at));
        for (at, column) in columns.enumerate() {
            rows.add([
                ("constraint_catalog", DATABASE.into()),
                ("constraint_schema", DEFAULT_SCHEMA.into()),
                ("constraint_name", index.name.as_str().into()),
                ("table_catalog", DATABASE.into()),
                ("table_schema", DEFAULT_SCHEMA.into()),
                ("table_name", index.table.name.as_str().into()),
                ("column_name", column.name.as_str().into()),
                ("ordinal_position", (at as i64 + 1).into()),
            ]);
        }
    }
}

fn constraint_column_usage(system: &System, rows: &mut Rows) {
    for index in system.indexes() {
        for column in index.columns.iter().filter_map(|at| index.table.schema.columns.get(*at)) {
            rows.add([
                ("table_catalog", DATABASE.into()),
                ("table_schema", DEFAULT_SCHEMA.into()),
                ("table_name", index.table.name.as_str().into()),
                ("column_name", column.name.as_str().into()),
                ("constraint_catalog", DATABASE.into()),
                ("constraint_schema", DEFAULT_SCHEMA.into()),
                ("constraint_name", index.name.as_str().into()),
            ]);
        }
    }
}

fn character_sets(_: &System, rows: &mut Rows) {
    rows.add([
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", DATABASE.into()),
    ]);
}

fn catalog_name(_: &System, rows: &mut Rows) {
    rows.add([("catalog_name", DATABASE.into())]);
}

fn enabled_roles(system: &System, rows: &mut Rows) {
    for (_, name) in system.roles() {
        rows.add([("role_name", name.into())]);
    }
}

/// Whoever is connected may do everything.
fn table_privileges(system: &System, rows: &mut Rows) {
    for object in system.user_objects() {
        let privileges: &[&str] = match object.kind {
            'r' => &["INSERT", "SELECT", "UPDATE", "DELETE"],
            _ => &["SELECT"],
        };
        for privilege in privileges {
            rows.add([
                ("grantor", OWNER_NAME.into()),
                ("grantee", system.user.as_str().into()),
                ("table_catalog", DATABASE.into()),
                ("table_schema", object.schema_name.into()),
                ("table_name", object.name.into()),
                ("privilege_type", (*privilege).into()),
                ("is_grantable", "NO".into()),
                ("with_hierarchy", yes_or_no(*privilege == "SELECT").into()),
            ]);
        }
    }
}

fn view_table_usage(system: &System, rows: &mut Rows) {
    for view in system.user_objects().filter(|object| matches!(object.kind, 'v' | 'm')) {
        let used = view.item.iter().flat_map(|item| &item.depends_on).filter_map(|id| system.object(id.0));
        for object in used {
            rows.add([
                ("view_catalog", DATABASE.into()),
                ("view_schema", view.schema_name.into()),
                ("view_name", view.name.into()),
                ("table_catalog", DATABASE.into()),
                ("table_schema", object.schema_name.into()),
                ("table_name", object.name.into()),
            ]);
        }
    }
}
