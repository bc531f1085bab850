//! Functions that answer from the catalog: what clients ask about objects.

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Float64Type, UInt32Type};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::signature::T::{
    Any, Bool, Float8, Int4, Int8, Name, NameArray, Oid, Regclass, Regnamespace, Regproc, Regtype, Text,
};
use super::signature::{Function, T, catalog, f, rows};
use crate::catalog::DATABASE;
use crate::catalog::system::{Object, System, composite_name, function_name, namespace_oid};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::format::object_name;
use crate::sql::rows::{Call, Output, map_rows, map1, text_at};
use crate::sql::type_name::type_oid;

pub const FUNCTIONS: &[Function] = &[
    catalog("current_schemas", &[Bool], NameArray, current_schemas),
    catalog("current_setting", &[Text], Text, current_setting),
    catalog("current_setting", &[Text, Bool], Text, current_setting),
    catalog("pg_sleep", &[Float8], T::Void, sleep).volatile(),
    catalog("pg_cancel_backend", &[Int4], Bool, |s, c| map1(c, |process: i32| Ok(s.sessions.cancel(process))))
        .volatile(),
    catalog("pg_terminate_backend", &[Int4], Bool, |s, c| map1(c, |process: i32| Ok(s.sessions.terminate(process))))
        .volatile(),
    catalog("set_config", &[Text, Text, Bool], Text, set_config).volatile(),
    catalog("pg_get_userbyid", &[Oid], Name, |s, c| map1(c, |oid: u32| Ok(s.role_name(oid)))),
    catalog("pg_get_viewdef", &[Oid], Text, view_definition),
    catalog("pg_get_viewdef", &[Oid, Bool], Text, view_definition),
    catalog("pg_get_viewdef", &[Oid, Int4], Text, view_definition),
    catalog("pg_get_viewdef", &[Text], Text, view_definition_by_name),
    catalog("pg_get_viewdef", &[Text, Bool], Text, view_definition_by_name),
    catalog("pg_get_indexdef", &[Oid], Text, index_definition),
    catalog("pg_get_indexdef", &[Oid, Int4, Bool], Text, index_definition),
    catalog("pg_get_constraintdef", &[Oid], Text, constraint_definition),
    catalog("pg_get_constraintdef", &[Oid, Bool], Text, constraint_definition),
    catalog("pg_relation_size", &[Regclass], Int8, size),
    catalog("pg_relation_size", &[Regclass, Text], Int8, size),
    catalog("pg_table_size", &[Regclass], Int8, size),
    catalog("pg_total_relation_size", &[Regclass], Int8, size),
    catalog("pg_database_size", &[Name], Int8, database_size),
    catalog("pg_database_size", &[Oid], Int8, database_size),
    catalog("pg_table_is_visible", &[Oid], Bool, is_visible),
    catalog("pg_type_is_visible", &[Oid], Bool, |s, c| {
        map1(c, |oid: u32| {
            let known = SqlType::from_oid(oid).is_some() || composite_name(&s.catalog, oid).is_some();
            Ok(known.then_some(true))
        })
    }),
    catalog("to_regclass", &[Text], Regclass, |s, c| {
        map1(c, |name: &str| Ok(object(s, name)?.map(|object| object.oid)))
    }),
    f("regtypein", &[Text], Regtype, |c| {
        map1(c, |name: &str| name.parse().or_else(|_| if name == "-" { Ok(0) } else { type_oid(name) }))
    }),
    f("to_regtype", &[Text], Regtype, |c| map1(c, |name: &str| known(type_oid(name)))),
    f("to_regnamespace", &[Text], Regnamespace, |c| {
        map1(c, |name: &str| Ok(identifiers(name)?.last().and_then(|name| namespace_oid(name))))
    }),
    // Casts between names and numbers of relations.
    catalog("regclassin", &[Text], Regclass, |s, c| map1(c, |name: &str| relation_oid(s, name))),
    catalog("regclassout", &[Regclass], Text, |s, c| {
        map1(c, |oid: u32| Ok(object_name(&SqlType::Regclass, oid, Some(&s.catalog))))
    }),
    catalog("has_table_privilege", &[Any, Any], Bool, privilege_on_relation),
    catalog("has_table_privilege", &[Any, Any, Any], Bool, privilege_on_relation),
    catalog("has_any_column_privilege", &[Any, Any], Bool, privilege_on_relation),
    catalog("has_any_column_privilege", &[Any, Any, Any], Bool, privilege_on_relation),
];

/// Functions about objects of which there are only PostgreSQL's own, or none.
pub const FIXED: &[Function] = &[
    f("regtypeout", &[Regtype], Text, names),
    f("regprocout", &[Regproc], Text, names),
    f("regnamespaceout", &[Regnamespace], Text, names),
    f("pg_get_expr", &[Text, Oid], Text, first),
    f("pg_get_expr", &[Text, Oid, Bool], Text, first),
    f("pg_encoding_to_char", &[Int4], Name, |c| map1(c, |number: i32| Ok(encoding(number)))),
    f("pg_function_is_visible", &[Oid], Bool, |c| map1(c, |oid: u32| Ok(function_name(oid).map(|_| true)))),
    f("pg_collation_is_visible", &[Oid], Bool, yes),
    f("pg_operator_is_visible", &[Oid], Bool, yes),
    f("pg_opclass_is_visible", &[Oid], Bool, yes),
    f("pg_opfamily_is_visible", &[Oid], Bool, yes),
    f("pg_conversion_is_visible", &[Oid], Bool, yes),
    f("pg_ts_config_is_visible", &[Oid], Bool, yes),
    f("pg_ts_dict_is_visible", &[Oid], Bool, yes),
    f("pg_ts_parser_is_visible", &[Oid], Bool, yes),
    f("pg_ts_template_is_visible", &[Oid], Bool, yes),
    f("pg_statistics_obj_is_visible", &[Oid], Bool, yes),
    f("pg_tablespace_size", &[Oid], Int8, |c| map1(c, |_: u32| Ok(0i64))),
    f("pg_char_to_encoding", &[Name], Int4, |c| {
        map1(c, |name: &str| Ok(if matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8") { 6 } else { -1 }))
    }),
    f("getdatabaseencoding", &[], Name, |c| map_rows(c, |_| Ok(Some("UTF8")))),
    f("pg_relation_is_publishable", &[Regclass], Bool, no),
    f("pg_is_other_temp_schema", &[Oid], Bool, no),
    f("pg_my_temp_schema", &[], T::Oid, |c| map_rows(c, |_| Ok(Some(0u32)))),
    f("pg_stat_get_numscans", &[Oid], Int8, |c| map1(c, |_: u32| Ok(0i64))),
    f("pg_indexes_size", &[Regclass], Int8, |c| map1(c, |_: u32| Ok(0i64))),
    f("pg_tablespace_location", &[Oid], Text, |c| map1(c, |_: u32| Ok(""))),
    f("obj_description", &[Oid], Text, nothing),
    f("obj_description", &[Oid, Name], Text, nothing),
    f("col_description", &[Oid, Int4], Text, nothing),
    f("shobj_description", &[Oid, Name], Text, nothing),
    f("pg_get_triggerdef", &[Oid], Text, nothing),
    f("pg_get_triggerdef", &[Oid, Bool], Text, nothing),
    f("pg_get_ruledef", &[Oid], Text, nothing),
    f("pg_get_ruledef", &[Oid, Bool], Text, nothing),
    f("pg_get_partkeydef", &[Oid], Text, nothing),
    f("pg_get_statisticsobjdef_columns", &[Oid], Text, nothing),
    f("pg_get_function_result", &[Oid], Text, nothing),
    f("pg_get_function_arguments", &[Oid], Text, nothing),
    f("pg_get_function_identity_arguments", &[Oid], Text, nothing),
    f("pg_get_functiondef", &[Oid], Text, nothing),
    f("pg_get_function_sqlbody", &[Oid], Text, nothing),
    // No table is partitioned.
    rows("pg_partition_tree", &[Regclass], T::Partition, nothing),
    f("pg_get_serial_sequence", &[Text, Text], Text, nothing),
    f("has_schema_privilege", &[Any, Any], Bool, allowed),
    f("has_schema_privilege", &[Any, Any, Any], Bool, allowed),
    f("has_database_privilege", &[Any, Any], Bool, allowed),
    f("has_database_privilege", &[Any, Any, Any], Bool, allowed),
    f("has_column_privilege", &[Any, Any, Any], Bool, allowed),
    f("has_column_privilege", &[Any, Any, Any, Any], Bool, allowed),
    f("has_function_privilege", &[Any, Any], Bool, allowed),
    f("has_function_privilege", &[Any, Any, Any], Bool, allowed),
    f("has_type_privilege", &[Any, Any], Bool, allowed),
    f("has_tablespace_privilege", &[Any, Any], Bool, allowed),
    f("pg_has_role", &[Any, Any], Bool, allowed),
    f("pg_has_role", &[Any, Any, Any], Bool, allowed),
];

fn yes(call: &Call) -> Result<ArrayRef> {
    map1(call, |_: u32| Ok(true))
}

fn no(call: &Call) -> Result<ArrayRef> {
    map1(call, |_: u32| Ok(false))
}

/// The names of objects that do not depend on the catalog.
fn names(call: &Call) -> Result<ArrayRef> {
    map1(call, |oid: u32| Ok(object_name(&call.types[0], oid, None)))
}

/// NULL: there is no such object, or nothing is said of it.
fn nothing(call: &Call) -> Result<ArrayRef> {
    Ok(call.nulls())
}

fn first(call: &Call) -> Result<ArrayRef> {
    map1(call, |text: &str| Ok(text))
}

/// Whoever is connected may do everything; NULL of NULL.
fn allowed(call: &Call) -> Result<ArrayRef> {
    map_rows(call, |row| Ok((0..call.args.len()).all(|at| !call.is_null(at, row)).then_some(true)))
}

fn encoding(number: i32) -> &'static str {
    if number == 6 { "UTF8" } else { "" }
}

/// What a name, qualified or not, stands for.
fn object<'s>(system: &'s System, name: &str) -> Result<Option<Object<'s>>> {
    let parts = identifiers(name)?;
    Ok(match parts.as_slice() {
        [.., schema, name] => system.object_by_name(Some(schema), name),
        [name] => system.object_by_name(None, name),
        [] => None,
    })
}

fn existing<'s>(system: &'s System, name: &str) -> Result<Object<'s>> {
    let missing = || Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
    object(system, name)?.ok_or_else(missing)
}

/// The OID of a relation's or index's name, or of its OID's digits.
pub fn relation_oid(system: &System, name: &str) -> Result<u32> {
    if name == "-" {
        return Ok(0);
    }
    if let Ok(oid) = name.parse() {
        return Ok(oid);
    }
    let parts = identifiers(name)?;
    if let Some(index) = system.indexes().find(|index| parts.last() == Some(&index.name)) {
        return Ok(index.oid);
    }
    existing(system, name).map(|object| object.oid)
}

fn current_schemas(system: &System, call: &Call) -> Result<ArrayRef> {
    let DataType::List(field) = call.result.arrow() else {
        return Err(Error::internal("a list type expected"));
    };
    let implicit = call.args[0].as_boolean();
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(field);
    for row in 0..call.rows {
        if call.is_null(0, row) {
            lists.append_null();
            continue;
        }
        let all = implicit.value(call.row(0, row));
        let schemas = system.search_path.iter().filter(|schema| all || *schema != "pg_catalog");
        lists.append_value(schemas.map(Some));
    }
    Ok(Arc::new(lists.finish()))
}

/// A setting's value; of one that does not exist NULL, if the second argument says so.
fn current_setting(system: &System, call: &Call) -> Result<ArrayRef> {
    map_rows(call, |row| {
        let Some(name) = text_at(call, 0, row)? else { return Ok(None) };
        let found = system.setting(name);
        let lenient =
            call.args.get(1).is_some_and(|arg| !call.is_null(1, row) && arg.as_boolean().value(call.row(1, row)));
        match found {
            Some(value) => Ok(Some(value)),
            None if lenient => Ok(None),
            None => {
                let message = format!("unrecognized configuration parameter \"{name}\"");
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
            }
        }
    })
}

fn set_config(system: &System, call: &Call) -> Result<ArrayRef> {
    let local = call.args[2].as_boolean();
    map_rows(call, |row| {
        let Some(name) = text_at(call, 0, row)? else {
            return Err(Error::new(SqlState::NULL_NOT_ALLOWED, "SET requires parameter name"));
        };
        let local = !call.is_null(2, row) && local.value(call.row(2, row));
        system.settings.change(name, text_at(call, 1, row)?, local).map(Some)
    })
}

/// How often what sleeps looks whether its statement has ended.
const NAP: Duration = Duration::from_millis(10);

/// `pg_sleep(seconds)`.
fn sleep(system: &System, call: &Call) -> Result<ArrayRef> {
    let seconds = call.args[0].as_primitive::<Float64Type>();
    for row in (0..call.rows).filter(|row| !call.is_null(0, *row)) {
        let time = Duration::try_from_secs_f64(seconds.value(call.row(0, row)).max(0.0)).unwrap_or(Duration::MAX);
        let until = Instant::now().checked_add(time);
        // The other queries of this thread go on elsewhere meanwhile.
        tokio::task::block_in_place(|| nap_until(system, until))?;
    }
    Ok(call.nulls())
}

fn nap_until(system: &System, until: Option<Instant>) -> Result<()> {
    loop {
        let left = until.map_or(NAP, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(());
        }
        if system.statement.upgrade().is_none() {
            return Err(Error::new(SqlState::QUERY_CANCELED, "the statement has ended"));
        }
        std::thread::sleep(left.min(NAP));
    }
}

fn view_definition(system: &System, call: &Call) -> Result<ArrayRef> {
    map1(call, |oid: u32| Ok(system.object(oid).and_then(|object| object.definition())))
}

fn view_definition_by_name(system: &System, call: &Call) -> Result<ArrayRef> {
    map1(call, |name: &str| Ok(existing(system, name)?.definition()))
}

/// The whole definition, or one column's where the second argument is not 0.
fn index_definition(system: &System, call: &Call) -> Result<ArrayRef> {
    map_oids(call, |oid, row| {
        let index = system.index(oid)?;
        let columns = call.args.get(1).map(|arg| arg.as_primitive::<arrow::datatypes::Int32Type>());
        let column = columns.map_or(0, |columns| columns.value(call.row(1, row)));
        match usize::try_from(column) {
            Ok(0) => Some(index.definition()),
            Ok(column) => index.column_names().get(column - 1).cloned().or_else(|| Some(String::new())),
            Err(_) => Some(String::new()),
        }
    })
}

fn constraint_definition(system: &System, call: &Call) -> Result<ArrayRef> {
    map_oids(call, |oid, _| {
        let index = system.indexes().find(|index| index.constraint_oid() == oid)?;
        Some(index.constraint_definition())
    })
}

/// Maps OIDs with their rows; NULL where any argument is.
fn map_oids<R: Output>(call: &Call, f: impl Fn(u32, usize) -> Option<R>) -> Result<ArrayRef> {
    let oids = call.args[0].as_primitive::<UInt32Type>();
    map_rows(call, |row| {
        let given = (0..call.args.len()).all(|at| !call.is_null(at, row));
        Ok(if given { f(oids.value(call.row(0, row)), row) } else { None })
    })
}

fn size(system: &System, call: &Call) -> Result<ArrayRef> {
    map_oids(call, |oid, _| {
        let object = system.object(oid);
        object.map(|object| system.statistics.bytes(object.id()).map_or(0, |bytes| bytes as i64))
    })
}

fn database_size(system: &System, call: &Call) -> Result<ArrayRef> {
    let all = || system.user_objects().filter_map(|object| system.statistics.bytes(object.id())).sum::<u64>() as i64;
    map_rows(call, |row| match &call.types[0] {
        SqlType::Oid => Ok((!call.is_null(0, row)).then(all)),
        _ => match text_at(call, 0, row)? {
            Some(DATABASE) => Ok(Some(all())),
            Some(name) => {
                let message = format!("database \"{name}\" does not exist");
                Err(Error::new(SqlState::INVALID_CATALOG_NAME, message))
            }
            None => Ok(None),
        },
    })
}

fn is_visible(system: &System, call: &Call) -> Result<ArrayRef> {
    map_oids(call, |oid, _| match system.object(oid) {
        Some(object) => Some(system.is_visible(&object)),
        None => system.index(oid).map(|_| system.search_path.iter().any(|schema| schema == "public")),
    })
}

/// The relation is the last argument but one: a name, which has to be one, or an OID.
fn privilege_on_relation(system: &System, call: &Call) -> Result<ArrayRef> {
    let at = call.args.len() - 2;
    map_rows(call, |row| {
        if (0..call.args.len()).any(|at| call.is_null(at, row)) {
            return Ok(None);
        }
        if let Some(oids) = call.args[at].as_primitive_opt::<UInt32Type>() {
            return Ok(system.object(oids.value(call.row(at, row))).map(|_| true));
        }
        match text_at(call, at, row)? {
            Some(name) => existing(system, name).map(|_| Some(true)),
            None => Ok(None),
        }
    })
}

/// The number that a name has; NULL for a name of nothing.
fn known(oid: Result<u32>) -> Result<Option<u32>> {
    match oid {
        Err(error) if error.sqlstate() == SqlState::UNDEFINED_OBJECT => Ok(None),
        oid => oid.map(Some),
    }
}

/// The parts of a qualified name: unquoted ones in lower case.
///
/// # Errors
/// 42602 when it is none.
pub fn identifiers(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').ok_or_else(invalid)?;
                (quoted[..end].to_owned(), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_ascii_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}
