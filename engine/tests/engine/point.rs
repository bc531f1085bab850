//! Point queries answer as the planner's way does, by every type of key, with constants and parameters.

use futures::StreamExt;
use levada_engine::error::Result;
use levada_engine::format::{self, FormatSettings};
use levada_engine::{Response, ScalarValue, Session, input};

use crate::database::{open, run, session, sql};

/// A key: its type, the values there are, and what is asked for besides.
const KEYS: &[(&str, &[&str], &[&str])] = &[
    ("smallint", &["-7", "0", "3", "4"], &["3", "3::bigint", "70000", "'3'", "3.0", "3.5", "3::real", "NULL", "2 + 1"]),
    ("int", &["-7", "0", "3", "4"], &["3::smallint", "5000000000", "'4'", "4.0", "4.2", "NULL::int", "4::float8"]),
    ("bigint", &["-7", "0", "3", "5000000000"], &["3::smallint", "'3'", "5000000000", "3.0", "NULL"]),
    ("numeric", &["0", "1.5", "-2.25", "1000"], &["1.50", "1.5", "1000::int", "'-2.250'", "1.5::real", "NULL"]),
    ("numeric(10,2)", &["0", "1.5", "-2.25"], &["1.50", "1.5::numeric(4,1)", "1.501", "'1.5'", "123456789012.5"]),
    ("real", &["0", "1.5", "'NaN'", "0.1", "'Infinity'"], &["-0.0::real", "0.1", "0.1::real", "'NaN'", "1.5", "'-0'"]),
    ("float8", &["0", "1.5", "'NaN'", "0.1"], &["-0.0::float8", "0.1", "0.1::real", "'NaN'::real", "'NaN'", "0"]),
    ("text", &["''", "'a'", "'a '", "'A'"], &["'a'::char(3)", "'a'::varchar(1)", "'a  '", "NULL", "upper('a')"]),
    ("varchar(4)", &["''", "'a'", "'a '", "'abcd'"], &["'a'::char(3)", "'abcde'", "'abcd'::text", "'a'::name"]),
    ("char(4)", &["''", "'a'", "'abcd'"], &["'a '", "'a'::text", "'a '::text", "'a'::char(2)", "'abcde'"]),
    ("boolean", &["true", "false"], &["'t'", "NULL", "(1 = 1)"]),
    ("date", &["'2024-02-29'", "'1999-12-31'"], &["'2024-02-29'::timestamp", "'20240229'", "'2024-02-29'::date + 0"]),
    ("timestamp", &["'2024-02-29 12:00'", "'1999-12-31'"], &["'1999-12-31'::date", "'2024-02-29T12:00:00.0'"]),
    ("timestamptz", &["'2024-02-29 12:00+00'"], &["'2024-02-29 13:00+01'", "'2024-02-29 12:00'::timestamp"]),
    ("time", &["'12:00'", "'23:59:59.5'"], &["'12:00:00'", "'23:59:59.5'::time"]),
    ("interval", &["'1 day'", "'1 month'"], &["'24 hours'", "'30 days'", "'1 mon'"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    ("bytea", &["'\\x00ff'", "''"], &["'\\x00FF'", "'\\x00'"]),
];

/// What is selected, and how the rows are cut.
const SHAPES: &[(&str, &str)] = &[
    ("*", ""),
    ("n, k", ""),
    ("k, n + 1, upper('x')", ""),
    ("n AS a, n AS b, 1", "ORDER BY n"),
    ("k", "ORDER BY 1 LIMIT 1"),
    ("count(*)", ""),
    ("n", "OFFSET 0 LIMIT 5"),
    ("DISTINCT k", ""),
];

const RESIDUALS: &[&str] =
    &["", " AND n > 1", " AND n % 2 = 0", " AND k IS NOT NULL", " AND NOT n = 2", " AND n = 11", " AND n IN (0, 12)"];

/// Rows as text, in an order of their own.
async fn rows(session: &mut Session, query: &str) -> Vec<String> {
    let mut rows = run(session, query).await;
    rows.sort_unstable();
    rows
}

/// The same of a relation that only the planner can read.
fn planned(query: &str, relation: &str) -> String {
    let union = format!("FROM (SELECT * FROM {relation} UNION ALL SELECT * FROM {relation} WHERE false) {relation}");
    query.replace(&format!("FROM {relation}"), &union)
}

async fn is_lookup(session: &mut Session, query: &str) -> bool {
    let plan = run(session, &format!("EXPLAIN {query}")).await;
    plan.first().is_some_and(|line| line.starts_with("PointLookup"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_give_the_same_rows() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    let (mut asked, mut looked_up) = (0, 0);
    for (at, (ty, stored, more)) in KEYS.iter().enumerate() {
        let rows_of_keys: Vec<String> =
            stored.iter().enumerate().map(|(n, value)| format!("({value}, {n}), ({value}, {})", n + 10)).collect();
        run(
            &mut ada,
            &format!(
                "CREATE TABLE k{at} (k {ty}, n int, PRIMARY KEY (k, n)); CREATE TABLE p{at} (k {ty} PRIMARY KEY, n int);
                 CREATE MATERIALIZED VIEW v{at} AS SELECT k, max(n) AS n FROM k{at} GROUP BY k;
                 INSERT INTO k{at} VALUES {}; INSERT INTO p{at} SELECT * FROM k{at} WHERE n < 10",
                rows_of_keys.join(", ")
            ),
        )
        .await;
        let all: Vec<&str> = stored.iter().chain(*more).copied().collect();
        let list = format!("k IN ({}, {0})", stored.join(", "));
        let mut conditions = vec![list.clone()];
        conditions.extend(all.iter().flat_map(|value| [format!("k = {value}"), format!("{value} = k")]));
        for (number, condition) in conditions.iter().enumerate() {
            for relation in ["v", "p", "k"] {
                let (columns, tail) = SHAPES[(number + asked) % SHAPES.len()];
                let residual = match relation {
                    "k" => " AND n IN (1, 11, 1)",
                    _ => RESIDUALS[(number + asked / 3) % RESIDUALS.len()],
                };
                let from = format!("SELECT {columns} FROM {relation}{at} WHERE");
                let query = format!("{from} {condition}{residual} {tail}");
                let from = planned(&from, &format!("{relation}{at}"));
                let expected = rows(&mut ada, &format!("{from} ({condition}{residual}) IS TRUE {tail}")).await;
                assert_eq!(rows(&mut ada, &query).await, expected, "{query}");
                asked += 1;
                looked_up += usize::from(is_lookup(&mut ada, &query).await);
            }
        }
    }
    assert!(looked_up * 2 > asked, "{looked_up} of {asked}");
    engine.shutdown().await.unwrap();
}

/// The values of a result's first column, as text.
async fn execute(session: &mut Session, query: &str, values: &[&str]) -> Result<Vec<String>> {
    let prepared = session.prepare(query, &[]).await?;
    let settings = FormatSettings::default();
    let values = values.iter().zip(prepared.types()).map(|(value, ty)| match *value {
        "NULL" => Ok(ScalarValue::try_from(&ty.arrow())?),
        value => input::value(value, ty, &settings),
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let mut lines = Vec::new();
    // Twice, for the plan that is kept.
    for _ in 0..2 {
        lines.clear();
        let Response::Rows { columns, mut rows, .. } = session.execute(&prepared, &values).await? else { break };
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            lines.extend((0..batch.num_rows()).map(|row| format::shown(batch.column(0), &columns[0].ty, row)));
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// Around the number of rows up to which a relation is read as a whole, with rows that stand several times and deleted ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_relations_are_read_as_the_planner_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(
        &mut ada,
        "CREATE TABLE t (n int, a text, f float8, d interval);
         CREATE MATERIALIZED VIEW v AS SELECT n, a, f, d FROM t;
         CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(f) AS f, min(a) AS a, NULL::interval AS d FROM t",
    )
    .await;
    let queries = [
        "SELECT * FROM t",
        "SELECT n + 1, upper(a) FROM t WHERE f > 1 AND a <> 'a2'",
        "SELECT a, n FROM t ORDER BY f DESC, n, a",
        "SELECT n, f FROM t ORDER BY a COLLATE \"C\" DESC NULLS LAST, 1 LIMIT 7 OFFSET 2",
        "SELECT n FROM t WHERE 100 / nullif(n, 0) > 5 ORDER BY d NULLS FIRST, n",
        "SELECT n FROM t WHERE n IN (1, 2, 300) ORDER BY -n",
        "SELECT x FROM (SELECT n % 7 AS x, n FROM t ORDER BY n LIMIT 20) AS s WHERE x > 2 ORDER BY x LIMIT 5",
        "SELECT 1 FROM t WHERE false",
    ];
    for rows in [0, 1, 2, 99, 100, 101, 150] {
        run(&mut ada, "DELETE FROM t").await;
        let values = "CASE WHEN n % 5 = 0 THEN NULL ELSE 'a' || n % 4 END, CASE n WHEN 7 THEN float8 'NaN' ELSE n / 4.0 END, \
                      CASE WHEN n % 3 > 0 THEN n * interval '1 hour' END";
        run(&mut ada, &format!("INSERT INTO t SELECT n / 2, {values} FROM generate_series(1, {rows}) AS g(n)")).await;
        for relation in ["t", "v", "total"] {
            for query in queries {
                let query = query.replace("FROM t", &format!("FROM {relation}"));
                let (mut expected, mut got) =
                    (run(&mut ada, &planned(&query, relation)).await, run(&mut ada, &query).await);
                if !query.contains("ORDER BY") {
                    expected.sort_unstable();
                    got.sort_unstable();
                }
                assert_eq!(got, expected, "{rows} rows: {query}");
            }
        }
    }
    run(&mut ada, "BEGIN; DELETE FROM t WHERE n > 1; INSERT INTO t VALUES (-1, 'new', 0, NULL)").await;
    assert_eq!(run(&mut ada, "SELECT n FROM t ORDER BY n").await, ["-1", "0", "1", "1"]);
    run(&mut ada, "ROLLBACK").await;
    let error = sql(&mut ada, "SELECT 1 / (n - 1) FROM t").await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "22012");
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_values_of_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(
        &mut ada,
        "CREATE TABLE item (a int, b text, f float8, PRIMARY KEY (a, b));
         INSERT INTO item SELECT n, 'b' || n % 3, CASE n WHEN 1 THEN float8 'NaN' ELSE n - 2 END FROM generate_series(1, 50) AS g(n);
         CREATE MATERIALIZED VIEW by_f AS SELECT f, count(*) AS n, min(a) AS a FROM item GROUP BY f",
    )
    .await;
    for (query, condition, values) in [
        ("SELECT f FROM item", "a = $1 AND b = $2", &["4", "b1"][..]),
        ("SELECT f FROM item", "a = $1 AND b = $2", &["4", "b2"]),
        ("SELECT f FROM item", "a = $1 AND b = $2 AND f < $3", &["4", "b1", "2.5"]),
        ("SELECT f + $3 FROM item", "b = $2 AND $1 = a", &["4", "b1", "2.5"]),
        ("SELECT $3::text || b FROM item", "b = $2 AND $1 = a", &["4", "b1", "x"]),
        ("SELECT f FROM item", "a = $1 + 1 AND b = $2", &["3", "b1"]),
        ("SELECT f FROM item", "a = $1::bigint AND b = $2", &["5000000000", "b1"]),
        ("SELECT f FROM item", "a IN ($1, $2, $1) AND b = 'b1'", &["4", "7"]),
        ("SELECT f FROM item", "a = $1 AND b = $2", &["NULL", "b1"]),
        ("SELECT n FROM by_f", "f = $1", &["NaN"]),
        ("SELECT n FROM by_f", "f = $1", &["-0"]),
        ("SELECT n FROM by_f", "f = $1", &["NULL"]),
        ("SELECT a FROM by_f", "f = $1 AND n >= $2", &["2", "1"]),
    ] {
        let table = query.rsplit(' ').next().unwrap_or_default();
        let from = planned(query, table);
        let expected = execute(&mut ada, &format!("{from} WHERE ({condition}) IS TRUE"), values).await.unwrap();
        let got = execute(&mut ada, &format!("{query} WHERE {condition}"), values).await.unwrap();
        assert_eq!(got, expected, "{query} WHERE {condition} {values:?}");
    }
    let limited = "SELECT a FROM item WHERE a = $1 AND b = 'b1' LIMIT $2";
    assert_eq!(execute(&mut ada, limited, &["4", "1"]).await.unwrap(), ["4"]);
    assert!(execute(&mut ada, limited, &["4", "0"]).await.unwrap().is_empty());
    assert_eq!(execute(&mut ada, limited, &["4", "NULL"]).await.unwrap(), ["4"]);
    let error = execute(&mut ada, limited, &["4", "-1"]).await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "2201W");
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_sees_its_transaction_and_its_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (mut ada, mut eve) = (session(&engine), session(&engine));
    run(&mut ada, "CREATE TABLE item (id int PRIMARY KEY, n int); INSERT INTO item VALUES (1, 10), (2, 20)").await;
    let one = "SELECT n FROM item WHERE id = 1";
    run(&mut eve, "BEGIN").await;
    assert_eq!(run(&mut eve, one).await, ["10"]);
    run(&mut ada, "UPDATE item SET n = 11 WHERE id = 1").await;
    assert_eq!(run(&mut ada, one).await, ["11"]);
    assert_eq!(run(&mut eve, one).await, ["10"]);
    run(&mut eve, "COMMIT").await;
    assert_eq!(run(&mut eve, one).await, ["11"]);
    run(&mut eve, "BEGIN; DELETE FROM item WHERE id = 1; INSERT INTO item VALUES (3, 30)").await;
    assert!(run(&mut eve, one).await.is_empty());
    assert_eq!(run(&mut eve, "SELECT n FROM item WHERE id = 3").await, ["30"]);
    assert_eq!(run(&mut ada, one).await, ["11"]);
    run(&mut eve, "ROLLBACK").await;
    assert_eq!(run(&mut eve, one).await, ["11"]);
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_tells_of_missing_rows_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut ada = session(&engine);
    run(
        &mut ada,
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 5);
         CREATE MATERIALIZED VIEW share AS SELECT id, 100 / v AS share FROM t",
    )
    .await;
    ada.take_notices();
    let query = "SELECT share FROM share WHERE id = 2";
    assert!(is_lookup(&mut ada, query).await);
    assert_eq!(run(&mut ada, query).await, ["20"]);
    assert_eq!(ada.take_notices().len(), 1);
    engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_plan_goes_with_what_it_rests_on() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (mut ada, mut eve) = (session(&engine), session(&engine));
    run(&mut ada, "CREATE TABLE item (id int PRIMARY KEY, n int); INSERT INTO item VALUES (1, 10)").await;
    let prepared = eve.prepare("SELECT n FROM item WHERE id = $1", &[]).await.unwrap();
    let zoned =
        eve.prepare("SELECT '2024-01-01 00:00+00'::timestamptz::text, n FROM item WHERE id = 1", &[]).await.unwrap();
    let clock = eve.prepare("SELECT now()::text, n FROM item WHERE id = 1", &[]).await.unwrap();
    let one = [ScalarValue::Int32(Some(1))];
    let first = async |eve: &mut Session, prepared: &levada_engine::Prepared, values: &[ScalarValue]| {
        let response = eve.execute(prepared, values).await?;
        let Response::Rows { columns, mut rows, .. } = response else { panic!("no rows") };
        let batch = rows.next().await.expect("a batch")?;
        Ok::<_, levada_engine::error::Error>(format::shown(batch.column(0), &columns[0].ty, 0))
    };
    assert_eq!(first(&mut eve, &prepared, &one).await.unwrap(), "10");
    assert_eq!(first(&mut eve, &zoned, &[]).await.unwrap(), "2024-01-01 00:00:00+00");
    run(&mut eve, "SET TimeZone = 'Asia/Tokyo'").await;
    assert_eq!(first(&mut eve, &zoned, &[]).await.unwrap(), "2024-01-01 09:00:00+09");
    let before = first(&mut eve, &clock, &[]).await.unwrap();
    assert_ne!(first(&mut eve, &clock, &[]).await.unwrap(), before);
    run(&mut ada, "DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, m int, n int)").await;
    run(&mut ada, "INSERT INTO item VALUES (1, 2, 3)").await;
    assert_eq!(first(&mut eve, &prepared, &one).await.unwrap(), "3");
    run(&mut ada, "DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, n text)").await;
    let error = first(&mut eve, &prepared, &one).await.unwrap_err();
    assert_eq!(error.message(), "cached plan must not change result type");
    run(&mut ada, "DROP TABLE item").await;
    assert_eq!(first(&mut eve, &prepared, &one).await.unwrap_err().sqlstate().code(), "42P01");
    engine.shutdown().await.unwrap();
    assert!(sql(&mut ada, "SELECT 1").await.is_ok());
}
