//! The row types of columns: nested JSON objects, `struct<name type, …>`.
//!
//! PostgreSQL knows a row type by an entry of `pg_type` and a relation of kind `c` that holds its fields. Ours have no
//! names of their own, so equal ones are one type, which is called as it is declared; its OIDs are made of that.

use std::collections::BTreeMap;

use super::pg_type::ARRAY_FUNCTIONS;
use super::rows::{Datum, Rows};
use super::{OWNER, PUBLIC, System, pg_class};
use crate::catalog::Catalog;
use crate::data::hash::mix_bytes;
use crate::data::{Column, SqlType, quote_ident};

/// Where the OIDs of row types begin, and the bits that tell that they are some.
const BASE: u32 = 0x4000_0000;
const BASE_BITS: u32 = 0xc000_0000;
/// Added to a row type's OID: its array's, and its relation's.
const ARRAY: u32 = 1;
const CLASS: u32 = 2;

/// OIDs of `record_in`, `record_out`, `record_recv` and `record_send`.
const RECORD_FUNCTIONS: [i64; 4] = [2290, 2291, 2402, 2403];
/// A row type that a column has, or a field of one.
pub struct Composite {
    /// As it is declared.
    pub name: String,
    fields: Vec<(String, SqlType)>,
}

/// The row types of all columns, by their OIDs.
pub fn composites(catalog: &Catalog) -> BTreeMap<u32, Composite> {
    let mut found = BTreeMap::new();
    for item in catalog.items() {
        for column in &item.schema.columns {
            collect(&column.ty, &mut found);
        }
    }
    found
}

fn collect(ty: &SqlType, found: &mut BTreeMap<u32, Composite>) {
    match ty {
        SqlType::Array(element) => collect(element, found),
        SqlType::Record(fields) => {
            let name = declared(ty);
            found.entry(oid_of(&name)).or_insert_with(|| Composite { name, fields: fields.clone() });
            fields.iter().for_each(|(_, ty)| collect(ty, found));
        }
        _ => {}
    }
}

fn oid_of(name: &str) -> u32 {
    BASE | ((mix_bytes(name.as_bytes()) as u32) << 2) & !BASE_BITS
}

/// A type as it is declared, the fields of row types included.
fn declared(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(element) if matches!(**element, SqlType::Array(_)) => declared(element),
        SqlType::Array(element) => format!("{}[]", declared(element)),
        SqlType::Record(fields) => {
            let fields = fields.iter().map(|(name, ty)| format!("{} {}", quote_ident(name), declared(ty)));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The OID of a column's type in `pg_attribute`: row types have one of their own there.
pub fn type_oid(ty: &SqlType) -> u32 {
    match ty {
        SqlType::Record(_) => oid_of(&declared(ty)),
        SqlType::Array(element) => match &**element {
            SqlType::Record(_) => type_oid(element) + ARRAY,
            SqlType::Array(_) => type_oid(element),
            _ => ty.oid(),
        },
        other => other.oid(),
    }
}

/// What a row type, or an array of one, is called.
pub fn type_name(catalog: &Catalog, oid: u32) -> Option<String> {
    if oid & BASE_BITS != BASE {
        return None;
    }
    let composites = composites(catalog);
    let found = |oid: u32| composites.get(&oid).map(|composite| composite.name.clone());
    match oid & 3 {
        ARRAY => found(oid - ARRAY).map(|name| format!("{name}[]")),
        0 => found(oid),
        _ => None,
    }
}

/// Their rows of `pg_class`.
pub fn classes(system: &System, rows: &mut Rows) {
    for (oid, composite) in composites(&system.catalog) {
        rows.add([
            ("oid", (oid + CLASS).into()),
            ("relname", composite.name.into()),
            ("relnamespace", PUBLIC.into()),
            ("reltype", oid.into()),
            ("relowner", OWNER.into()),
            ("relpersistence", "p".into()),
            ("relkind", "c".into()),
            ("relnatts", (composite.fields.len() as i64).into()),
            ("relispopulated", true.into()),
            ("relreplident", "n".into()),
        ]);
    }
}

/// Their rows of `pg_attribute`.
pub fn attributes(system: &System, rows: &mut Rows) {
    for (oid, composite) in composites(&system.catalog) {
        for (at, (name, ty)) in composite.fields.into_iter().enumerate() {
            pg_class::attribute(rows, oid + CLASS, at, &Column::new(name, ty, true), false, false);
        }
    }
}

/// Their rows of `pg_type`.
pub fn types(system: &System, rows: &mut Rows) {
    for (oid, composite) in composites(&system.catalog) {
        add_type(rows, &composite, oid);
        add_array(rows, &composite, oid);
    }
}

fn add_type(rows: &mut Rows, composite: &Composite, oid: u32) {
    let [input, output, receive, send] = RECORD_FUNCTIONS;
    rows.add([
        ("oid", oid.into()),
        ("typname", composite.name.as_str().into()),
        ("typnamespace", PUBLIC.into()),
        ("typowner", OWNER.into()),
        ("typlen", (-1).into()),
        ("typtype", "c".into()),
        ("typcategory", "C".into()),
        ("typisdefined", true.into()),
        ("typdelim", ",".into()),
        ("typrelid", (oid + CLASS).into()),
        ("typarray", (oid + ARRAY).into()),
        ("typinput", input.into()),
        ("typoutput", output.into()),
        ("typreceive", receive.into()),
        ("typsend", send.into()),
        ("typalign", "d".into()),
        ("typstorage", "x".into()),
        ("typtypmod", (-1).into()),
    ]);
}

fn add_array(rows: &mut Rows, composite: &Composite, oid: u32) {
    let [input, output, receive, send, analyze, subscript] = ARRAY_FUNCTIONS.map(|(_, oid)| Datum::from(oid));
    rows.add([
        ("oid", (oid + ARRAY).into()),
        ("typname", format!("_{}", composite.name).into()),
        ("typnamespace", PUBLIC.into()),
        ("typowner", OWNER.into()),
        ("typlen", (-1).into()),
        ("typtype", "b".into()),
        ("typcategory", "A".into()),
        ("typisdefined", true.into()),
        ("typdelim", ",".into()),
        ("typsubscript", subscript),
        ("typelem", oid.into()),
        ("typinput", input),
        ("typoutput", output),
        ("typreceive", receive),
        ("typsend", send),
        ("typanalyze", analyze),
        ("typalign", "d".into()),
        ("typstorage", "x".into()),
        ("typtypmod", (-1).into()),
    ]);
}
