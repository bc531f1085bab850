//! Expressions bound and run, against what PostgreSQL 15 answers for `SELECT <expression>`.
//!
//! `expressions.golden` holds a line for each: the expression, ` => `, then name, type and value of the result as
//! PostgreSQL gave them, or the error with SQLSTATE and message. The session's time zone is Europe/Berlin.

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use sqlparser::ast::Statement;

use crate::error::{Error, Result};
use crate::sql::adt::time_zone::TimeZone;
use crate::sql::bind::{BindSettings, Binder, BoundQuery, NameResolver, Parameters, Purpose, Relation};
use crate::sql::decorrelate;
use crate::sql::format::{FormatSettings, value_text};
use crate::sql::parse;

/// Deviations from PostgreSQL that are meant: the expression, and what we say instead.
const DEVIATIONS: &[(&str, &str)] = &[
    // Intervals keep no record of their fields.
    ("interval '1' day", "interval | interval | 1 day"),
    ("interval '90' minute", "interval | interval | 01:30:00"),
    ("interval '1-2' year to month", "interval | interval | 1 year 2 mons"),
    // A numeric has 18 digits after the point, and no trailing zeros.
    ("1.0 / 3", "?column? | numeric | 0.333333333333333333"),
    ("2.0 / 3", "?column? | numeric | 0.666666666666666667"),
    ("1.50::text", "text | text | 1.5"),
    ("sqrt(2::numeric)", "sqrt | numeric | 1.414213562373095049"),
    ("exp(1.0)", "exp | numeric | 2.718281828459045"),
    ("avg(x) FROM (VALUES (1),(2),(4)) t(x)", "avg | numeric | 2.333333333333333333"),
    ("concat(1.50, date '2024-01-01', true)", "concat | text | 1.52024-01-01t"),
    ("jsonb_build_array(1, 'a', 1.50, true)", "jsonb_build_array | jsonb | [1, \"a\", 1.5, true]"),
    // And 20 before it.
    ("1e20", "ERROR 22003: value overflows numeric format"),
    ("99999999999999999999 + 1", "ERROR 22003: value overflows numeric format"),
    // Matched in linear time: no back references.
    ("'foo' ~ 'f(o)\\1'", "ERROR 0A000: a regular expression with back references is not supported"),
    // The last digits of a double depend on the order of additions.
    ("stddev(x) FROM (VALUES (1::float8),(2),(4)) t(x)", "stddev | double precision | 1.5275252316519465"),
    // A literal that is looked at is text.
    ("pg_typeof('x')", "pg_typeof | regtype | unknown"),
];

/// A database without relations.
struct Nothing;

impl NameResolver for Nothing {
    fn relation(&self, _: Option<&str>, _: &str) -> Result<Option<Relation>> {
        Ok(None)
    }
}

fn bind(sql: &str, purpose: Purpose) -> Result<BoundQuery> {
    let settings = BindSettings {
        time_zone: "Europe/Berlin".into(),
        database: "postgres".into(),
        user: "postgres".into(),
        ..BindSettings::default()
    };
    let Statement::Query(query) = parse(sql)?.remove(0).into_sql().unwrap() else {
        return Err(Error::internal("not a query"));
    };
    Binder::new(&Nothing, &settings, purpose, Parameters::none(), sql).bind_query(&query)
}

async fn run(query: BoundQuery) -> Result<Vec<RecordBatch>> {
    let state = SessionStateBuilder::new().with_default_features().with_analyzer_rules(Vec::new()).build();
    let context = SessionContext::new_with_state(state);
    let state = context.state();
    let plan = state.optimize(&decorrelate(query.plan)?)?;
    let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
    Ok(collect(physical, context.task_ctx()).await?)
}

/// Name, type and value of the only column, rows apart by `;`.
async fn answer(expression: &str) -> Result<String> {
    let query = bind(&format!("SELECT {expression}"), Purpose::Query)?;
    let column = query.columns[0].clone();
    let settings = FormatSettings::new(TimeZone::parse("Europe/Berlin")?);
    let mut values = Vec::new();
    for batch in run(query).await? {
        let array: &ArrayRef = batch.column(0);
        assert_eq!(*array.data_type(), column.ty.arrow(), "type of {expression}");
        for row in 0..array.len() {
            values.push(value_text(array, &column.ty, row, &settings)?.unwrap_or_else(|| "NULL".into()));
        }
    }
    Ok(format!("{} | {} | {}", column.name, column.ty, values.join(";")))
}

/// PostgreSQL keeps the zeros that a numeric was written with; ours prints none.
fn without_zeros(answer: &str) -> String {
    match answer.split_once(" | numeric | ") {
        Some((name, value)) if value.contains('.') => {
            format!("{name} | numeric | {}", value.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => answer.to_owned(),
    }
}

#[tokio::test]
async fn expressions_mean_what_postgresql_means() {
    let mut failures = Vec::new();
    let lines = include_str!("expressions.golden").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let Some((expression, expected)) = line.split_once(" => ") else {
            panic!("no expectation: {line}");
        };
        let meant = DEVIATIONS.iter().find(|(deviating, _)| *deviating == expression);
        let expected = meant.map_or(expected, |(_, said)| said);
        count += 1;
        let found = match answer(expression).await {
            Ok(found) => found,
            Err(error) => format!("ERROR {}: {}", error.sqlstate().code(), error.message()),
        };
        if without_zeros(&found) != without_zeros(expected) {
            failures.push(format!("{expression}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(failures.is_empty(), "{} of {count} differ\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn views_refuse_what_changes_by_itself() {
    for expression in ["now()", "random()", "current_date", "current_user", "clock_timestamp()", "version()"] {
        let error = bind(&format!("SELECT {expression}"), Purpose::View).unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000", "{expression}");
        assert!(error.hint().is_some(), "{expression}");
    }
}

#[test]
fn errors_say_where() {
    for (sql, position) in [
        ("SELECT 1 + 'x'::text", 10),
        ("SELECT nope(1, 2)", 8),
        ("SELECT 'x'::int", 8),
        ("SELECT 1 + date '2024-13-01'", 17),
        ("SELECT case when 1 then 2 end", 18),
        ("SELECT coalesce(1, true)", 20),
    ] {
        let error = bind(sql, Purpose::Query).unwrap_err();
        assert_eq!(error.position(), Some(position), "{sql}: {error}");
    }
}

#[test]
fn parameters_take_the_type_their_place_wants() {
    let settings = BindSettings::default();
    for (sql, types) in [
        ("SELECT upper($1)", "text"),
        ("SELECT 1 + $1", "integer"),
        ("SELECT coalesce('x'::varchar, $1)", "character varying"),
        ("SELECT $1 = 1.5", "numeric"),
        ("SELECT $1::uuid", "uuid"),
        ("SELECT 1 = ANY($1)", "integer[]"),
        ("SELECT $1", "text"),
        ("SELECT 5 IN ($1, $2)", "integer, integer"),
    ] {
        let Statement::Query(query) = parse(sql).unwrap().remove(0).into_sql().unwrap() else { panic!("{sql}") };
        let mut binder = Binder::new(&Nothing, &settings, Purpose::Query, Parameters::given(&[]), sql);
        binder.bind_query(&query).unwrap();
        let found: Vec<String> = binder.parameters().types().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found.join(", "), types, "{sql}");
    }
}
