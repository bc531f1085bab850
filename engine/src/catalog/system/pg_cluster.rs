//! What does not depend on relations: schemas, roles, the database, settings, access methods.

use super::names::NAMESPACES;
use super::rows::Rows;
use super::{BTREE, DATABASE_OID, HEAP, OWNER, PG_CATALOG, System};
use crate::catalog::DATABASE;

/// Number of the encoding UTF8.
const UTF8: u32 = 6;
/// OID of the tablespace `pg_default`.
const PG_DEFAULT: u32 = 1663;

/// `pg_namespace`.
pub fn namespaces(_: &System, rows: &mut Rows) {
    for (name, oid) in NAMESPACES {
        rows.add([("oid", oid.into()), ("nspname", name.into()), ("nspowner", OWNER.into())]);
    }
}

/// `pg_database`.
pub fn databases(_: &System, rows: &mut Rows) {
    rows.add([
        ("oid", DATABASE_OID.into()),
        ("datname", DATABASE.into()),
        ("datdba", OWNER.into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("dattablespace", PG_DEFAULT.into()),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ]);
}

/// `pg_authid`.
pub fn roles(system: &System, rows: &mut Rows) {
    for (oid, name) in system.roles() {
        rows.add([
            ("oid", oid.into()),
            ("rolname", name.into()),
            ("rolsuper", (oid == OWNER).into()),
            ("rolinherit", true.into()),
            ("rolcanlogin", true.into()),
            ("rolconnlimit", (-1).into()),
        ]);
    }
}

/// `pg_roles`.
pub fn roles_view(system: &System, rows: &mut Rows) {
    for (oid, name) in system.roles() {
        rows.add([
            ("oid", oid.into()),
            ("rolname", name.into()),
            ("rolsuper", (oid == OWNER).into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", false.into()),
            ("rolcreatedb", false.into()),
            ("rolcanlogin", true.into()),
            ("rolreplication", false.into()),
            ("rolconnlimit", (-1).into()),
            ("rolpassword", "********".into()),
            ("rolbypassrls", false.into()),
        ]);
    }
}

/// `pg_user`.
pub fn users(system: &System, rows: &mut Rows) {
    for (oid, name) in system.roles() {
        rows.add([
            ("usename", name.into()),
            ("usesysid", oid.into()),
            ("usecreatedb", false.into()),
            ("usesuper", (oid == OWNER).into()),
            ("userepl", false.into()),
            ("usebypassrls", false.into()),
            ("passwd", "********".into()),
        ]);
    }
}

/// `pg_settings`.
pub fn settings(system: &System, rows: &mut Rows) {
    for setting in system.settings.all() {
        rows.add([
            ("name", setting.name.into()),
            ("setting", setting.value.into()),
            ("category", "Client Connection Defaults".into()),
            ("short_desc", setting.description.into()),
            ("context", "user".into()),
            ("vartype", "string".into()),
            ("source", "default".into()),
            ("pending_restart", false.into()),
        ]);
    }
}

/// `pg_am`. Nothing but their names is ours.
pub fn access_methods(_: &System, rows: &mut Rows) {
    for (oid, name, kind) in [(HEAP, "heap", "t"), (BTREE, "btree", "i"), (405, "hash", "i")] {
        rows.add([("oid", oid.into()), ("amname", name.into()), ("amtype", kind.into())]);
    }
}

/// `pg_collation`: text compares by its bytes.
pub fn collations(_: &System, rows: &mut Rows) {
    for (oid, name, locale) in [(100u32, "default", None), (950, "C", Some("C")), (951, "POSIX", Some("POSIX"))] {
        rows.add([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collnamespace", PG_CATALOG.into()),
            ("collowner", OWNER.into()),
            ("collprovider", if locale.is_none() { "d" } else { "c" }.into()),
            ("collisdeterministic", true.into()),
            ("collencoding", (-1).into()),
            ("collcollate", locale.into()),
            ("collctype", locale.into()),
        ]);
    }
}

/// `pg_language`.
pub fn languages(_: &System, rows: &mut Rows) {
    rows.add([("oid", 12.into()), ("lanname", "internal".into()), ("lanowner", OWNER.into())]);
}

/// `pg_tablespace`.
pub fn tablespaces(_: &System, rows: &mut Rows) {
    for (oid, name) in [(PG_DEFAULT, "pg_default"), (1664, "pg_global")] {
        rows.add([("oid", oid.into()), ("spcname", name.into()), ("spcowner", OWNER.into())]);
    }
}
