//! Plain views, and what is refused in materialized ones.

use super::fixture::{Fixture, bind};
use crate::error::Error;
use crate::sql::bind::Purpose;

fn refused(sql: &str, purpose: Purpose) -> Error {
    bind(&Fixture::new(), sql, purpose).unwrap_err()
}

#[test]
fn an_error_inside_a_view_has_no_position() {
    let error = refused("SELECT * FROM broken", Purpose::Query);
    assert_eq!((error.sqlstate().code(), error.position()), ("42703", None));
}

#[test]
fn a_view_sees_nothing_of_the_query_around() {
    let bound = bind(&Fixture::new(), "WITH t AS (SELECT 1 AS x) SELECT vid FROM v", Purpose::Query).unwrap();
    assert_eq!(bound.columns[0].name, "vid");
}

#[test]
fn volatile_functions_are_refused_in_materialized_views() {
    let error = refused("SELECT id, random() FROM t", Purpose::View);
    assert_eq!(error.sqlstate().code(), "0A000");
    assert!(error.hint().is_some());
    assert!(bind(&Fixture::new(), "SELECT id, random() FROM t", Purpose::Query).is_ok());
}

#[test]
fn columns_say_where_they_come_from() {
    let fixture = Fixture::new();
    let bound = bind(&fixture, "SELECT name, id + 1, t.id AS z FROM t", Purpose::Query).unwrap();
    let oid = fixture.source("t").id.0;
    let relations: Vec<_> = bound.columns.iter().map(|column| column.relation).collect();
    assert_eq!(relations, [Some((oid, 2)), None, Some((oid, 1))]);
}

#[test]
fn what_is_not_supported_is_named() {
    for (sql, message) in [
        ("SELECT id FROM t FOR UPDATE", "FOR UPDATE is not supported"),
        ("SELECT id FROM t FETCH FIRST 1 ROW WITH TIES", "FETCH … WITH TIES is not supported"),
        ("SELECT id INTO q FROM t", "SELECT … INTO is not supported"),
        ("SELECT (SELECT sum(t.id)) FROM t", "an aggregate over columns of an outer query only is not supported"),
        ("SELECT id FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE is not supported"),
    ] {
        let error = refused(sql, Purpose::Query);
        assert_eq!((error.sqlstate().code(), error.message()), ("0A000", message), "{sql}");
    }
}
