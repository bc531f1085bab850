//! Types of parameters, and running with values for them.

use datafusion::common::ScalarValue;

use super::fixture::{Fixture, query_of};
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::bind::{BindSettings, Binder, BoundQuery, Parameters, Purpose};

fn bind(fixture: &Fixture, sql: &str, given: &[Option<SqlType>]) -> Result<(BoundQuery, Vec<SqlType>)> {
    let query = query_of(sql)?;
    let settings = BindSettings::default();
    let mut binder = Binder::new(fixture, &settings, Purpose::Query, Parameters::given(given), sql);
    let bound = binder.bind_query(&query)?;
    let types = binder.parameters().types()?;
    Ok((bound, types))
}

fn types(sql: &str, given: &[Option<SqlType>]) -> Result<Vec<SqlType>> {
    Ok(bind(&Fixture::new(), sql, given)?.1)
}

#[test]
fn context_gives_the_types() {
    let int8 = SqlType::Int8;
    for (sql, expected) in [
        ("SELECT id FROM t WHERE id = $1", vec![SqlType::Int4]),
        ("SELECT id FROM t WHERE name = $2 AND id = $1", vec![SqlType::Int4, SqlType::Text]),
        ("SELECT id FROM t LIMIT $1 OFFSET $2", vec![int8.clone(), int8.clone()]),
        ("SELECT $1", vec![SqlType::Text]),
        ("SELECT 1 UNION SELECT $1", vec![SqlType::Int4]),
        ("VALUES (1), ($1)", vec![SqlType::Int4]),
        ("SELECT id FROM t WHERE $1", vec![SqlType::Bool]),
        ("SELECT amount FROM u WHERE amount > $1 ORDER BY $2", vec![int8, SqlType::Text]),
        ("SELECT $1 FROM t GROUP BY $1", vec![SqlType::Text]),
    ] {
        assert_eq!(types(sql, &[]).unwrap(), expected, "{sql}");
    }
}

#[test]
fn given_types_stand() {
    assert_eq!(types("SELECT $1", &[Some(SqlType::Date)]).unwrap(), vec![SqlType::Date]);
    let skipped = types("SELECT $2 + 1", &[]).unwrap_err();
    assert_eq!(
        (skipped.sqlstate().code(), skipped.message()),
        ("42P18", "could not determine data type of parameter $1")
    );
}

#[test]
fn none_are_allowed_in_a_plain_statement() {
    let error = super::fixture::bind(&Fixture::new(), "SELECT $1", Purpose::Query).unwrap_err();
    assert_eq!((error.sqlstate().code(), error.message()), ("42P02", "there is no parameter $1"));
}

#[tokio::test]
async fn values_take_their_places() {
    let fixture = Fixture::new();
    for (sql, values, expected) in [
        (
            "SELECT id FROM t WHERE id > $1 ORDER BY id LIMIT $2",
            vec![ScalarValue::from(1i32), ScalarValue::from(2i64)],
            vec!["2", "3"],
        ),
        ("SELECT id FROM t ORDER BY id OFFSET $1", vec![ScalarValue::from(4i64)], vec!["5"]),
        ("SELECT id FROM t ORDER BY id LIMIT $1", vec![ScalarValue::Int64(None)], vec!["1", "2", "3", "4", "5"]),
        ("SELECT $1 || 'x'", vec![ScalarValue::from("a")], vec!["ax"]),
        (
            "SELECT grp + $1, count(*) FROM t WHERE grp = 10 GROUP BY grp + $1",
            vec![ScalarValue::from(5i32)],
            vec!["15|2"],
        ),
        ("VALUES ($1), (2)", vec![ScalarValue::from(1i32)], vec!["1", "2"]),
    ] {
        let (bound, _) = bind(&fixture, sql, &[]).unwrap();
        assert_eq!(fixture.run(bound, values).await.unwrap().rows, expected, "{sql}");
    }
}
