//! Functions about types and the server.

use arrow::array::ArrayRef;

use super::signature::T::{Any, Bool, Int4, Int8, Numeric, Oid, Regtype, Text, Void};
use super::signature::{Function, catalog, f};
use crate::catalog::system::{System, composite_name};
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::rows::{Call, map_rows, map1};

/// What `version()` answers.
pub const VERSION: &str =
    concat!("PostgreSQL 15.13 (Levada ", env!("CARGO_PKG_VERSION"), ") on ", "x86_64-pc-linux-gnu", ", 64-bit");

pub const FUNCTIONS: &[Function] = &[
    f("version", &[], Text, |c| map_rows(c, |_| Ok(Some(VERSION)))).stable(),
    f("pg_typeof", &[Any], Regtype, |c| map_rows(c, |_| Ok(Some(c.types[0].oid())))),
    catalog("format_type", &[Oid, Int4], Text, format_type),
    f("num_nulls", &[Any], Int4, |c| map_rows(c, |row| Ok(Some(nulls(c, row))))).variadic(),
    f("num_nonnulls", &[Any], Int4, |c| map_rows(c, |row| Ok(Some(c.args.len() as i32 - nulls(c, row))))).variadic(),
    f("pg_size_pretty", &[Int8], Text, |c| map1(c, |v: i64| Ok(size_pretty(i128::from(v))))),
    f("pg_size_pretty", &[Numeric], Text, |c| {
        map1(c, |v: i128| Ok(size_pretty(crate::sql::adt::decimal::round_div(v, crate::sql::adt::decimal::ONE))))
    }),
    // There are no advisory locks; connection pools release them all before they lend a connection again.
    f("pg_advisory_unlock_all", &[], Void, |c| Ok(c.nulls())).volatile(),
    f("pg_is_in_recovery", &[], Bool, |c| map_rows(c, |_| Ok(Some(false)))).stable(),
];

fn nulls(call: &Call, row: usize) -> i32 {
    (0..call.args.len()).filter(|at| call.is_null(*at, row)).count() as i32
}

/// `format_type(oid, typmod)`.
fn format_type(system: &System, call: &Call) -> Result<ArrayRef> {
    use arrow::array::AsArray;
    let oids = call.args[0].as_primitive::<arrow::datatypes::UInt32Type>();
    let modifiers = call.args[1].as_primitive::<arrow::datatypes::Int32Type>();
    map_rows(call, |row| {
        if call.is_null(0, row) {
            return Ok(None);
        }
        let oid = oids.value(call.row(0, row));
        let modifier = if call.is_null(1, row) { -1 } else { modifiers.value(call.row(1, row)) };
        Ok(Some(match SqlType::from_oid(oid) {
            Some(ty) => with_modifier(ty, modifier).to_string(),
            None if oid == 0 => "-".to_owned(),
            None => composite_name(&system.catalog, oid).unwrap_or_else(|| "???".to_owned()),
        }))
    })
}

fn with_modifier(ty: SqlType, modifier: i32) -> SqlType {
    let value = modifier - 4;
    match ty {
        _ if modifier < 4 => ty,
        SqlType::Varchar(_) => SqlType::Varchar(Some(value as u32)),
        SqlType::Bpchar(_) => SqlType::Bpchar(Some(value as u32)),
        SqlType::Numeric(_) => SqlType::Numeric(Some(((value >> 16) as u8, (value & 0x7ff) as i8))),
        SqlType::Array(element) => with_modifier(*element, modifier).array(),
        ty => ty,
    }
}

fn size_pretty(bytes: i128) -> String {
    if bytes.abs() < 10 * 1024 {
        return format!("{bytes} bytes");
    }
    // One bit more is kept until the end, for rounding.
    let mut size = bytes >> 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if size.abs() < 20 * 1024 - 1 {
            return format!("{} {unit}", (size + size.signum()) / 2);
        }
        size >>= 10;
    }
    format!("{} PB", (size + size.signum()) / 2)
}
