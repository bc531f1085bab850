//! What INSERT, UPDATE and DELETE read.

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{self, FromTable, Statement, TableObject};

use super::fixture::Fixture;
use crate::error::{Error, Result};
use crate::sql::bind::{BindSettings, Binder, BoundQuery, Parameters, Purpose, WriteTarget};
use crate::sql::parse;

/// The rows that a statement writes, each column of the table; for UPDATE the old ones, then the new ones.
async fn written(sql: &str) -> Result<Vec<String>> {
    let fixture = Fixture::new();
    let query = source_of(&fixture, sql)?;
    let mut rows = fixture.run(query, Vec::new()).await?.rows;
    rows.sort();
    Ok(rows)
}

fn source_of(fixture: &Fixture, sql: &str) -> Result<BoundQuery> {
    let settings = BindSettings::default();
    let mut binder = Binder::new(fixture, &settings, Purpose::Query, Parameters::none(), sql);
    let target = |name: &ast::ObjectName| {
        let table = fixture.source(&name.to_string());
        let mut defaults: Vec<Option<ast::Expr>> = table.schema.columns.iter().map(|_| None).collect();
        defaults[1] = Some(ast::Expr::value(ast::Value::SingleQuotedString("7".into())));
        WriteTarget { table, defaults }
    };
    match parse(sql)?.remove(0).into_sql().unwrap() {
        Statement::Insert(insert) => {
            let TableObject::TableName(name) = &insert.table else { panic!("{sql}") };
            binder.bind_insert_source(&target(name), &insert.columns, insert.source.as_deref())
        }
        Statement::Update(update) => {
            let ast::TableFactor::Table { name, alias, .. } = &update.table.relation else { panic!("{sql}") };
            let from = match &update.from {
                Some(ast::UpdateTableFromKind::AfterSet(from)) => &from[..],
                _ => &[],
            };
            let selection = update.selection.as_ref();
            Ok(binder.bind_update(&target(name), alias.as_ref(), &update.assignments, from, selection)?.query)
        }
        Statement::Delete(delete) => {
            let FromTable::WithFromKeyword(from) = &delete.from else { panic!("{sql}") };
            let ast::TableFactor::Table { name, alias, .. } = &from[0].relation else { panic!("{sql}") };
            let using = delete.using.as_deref().unwrap_or_default();
            binder.bind_where(&target(name).table, alias.as_ref(), using, delete.selection.as_ref())
        }
        other => panic!("{other}"),
    }
}

async fn error(sql: &str) -> (String, String, Option<usize>) {
    let error: Error = written(sql).await.unwrap_err();
    (error.sqlstate().code().to_owned(), error.message().to_owned(), error.position())
}

#[tokio::test]
async fn insert_gives_all_columns_in_order() {
    for (sql, expected) in [
        ("INSERT INTO u VALUES (1, 2, 3), (4, DEFAULT, NULL)", vec!["1|2|3", "4|7|NULL"]),
        ("INSERT INTO u (amount, id) VALUES (1, 2)", vec!["2|7|1"]),
        ("INSERT INTO u VALUES (1)", vec!["1|7|NULL"]),
        ("INSERT INTO u VALUES ('1', '2', '3')", vec!["1|2|3"]),
        ("INSERT INTO u (id) SELECT id FROM t WHERE id < 3", vec!["1|7|NULL", "2|7|NULL"]),
        ("INSERT INTO u SELECT id, grp FROM t WHERE id = 1", vec!["1|10|NULL"]),
        ("INSERT INTO u (amount, id) SELECT '5', 6", vec!["6|7|5"]),
        ("INSERT INTO u DEFAULT VALUES", vec!["NULL|7|NULL"]),
        ("INSERT INTO u VALUES ((SELECT max(id) FROM t), 1, 1)", vec!["5|1|1"]),
    ] {
        assert_eq!(written(sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn insert_is_checked() {
    for (sql, state, message, position) in [
        ("INSERT INTO u VALUES (1, 2, 3, 4)", "42601", "INSERT has more expressions than target columns", Some(32)),
        ("INSERT INTO u (id, t_id) VALUES (1)", "42601", "INSERT has more target columns than expressions", Some(34)),
        ("INSERT INTO u (nope) VALUES (1)", "42703", "column \"nope\" of relation \"u\" does not exist", Some(16)),
        ("INSERT INTO u (id, id) VALUES (1, 2)", "42701", "column \"id\" specified more than once", Some(20)),
        ("INSERT INTO u VALUES (1, 2), (1)", "42601", "VALUES lists must all be the same length", Some(31)),
        (
            "INSERT INTO u VALUES (true)",
            "42804",
            "column \"id\" is of type integer but expression is of type boolean",
            Some(23),
        ),
        (
            "INSERT INTO u SELECT true",
            "42804",
            "column \"id\" is of type integer but expression is of type boolean",
            None,
        ),
        ("INSERT INTO u VALUES ('x')", "22P02", "invalid input syntax for type integer: \"x\"", Some(23)),
    ] {
        assert_eq!(error(sql).await, (state.to_owned(), message.to_owned(), position), "{sql}");
    }
}

#[tokio::test]
async fn update_gives_rows_before_and_after() {
    for (sql, expected) in [
        ("UPDATE u SET amount = amount + 1 WHERE id = 1", vec!["1|1|100|1|1|101"]),
        ("UPDATE u SET t_id = DEFAULT, amount = 0 WHERE id > 4", vec!["5|NULL|500|5|7|0"]),
        ("UPDATE u AS z SET (t_id, amount) = (z.id, 1) WHERE z.id = 2", vec!["2|1|200|2|2|1"]),
        ("UPDATE u SET amount = t.val FROM t WHERE t.id = u.t_id AND u.id = 2", vec!["2|1|200|2|1|1"]),
    ] {
        assert_eq!(written(sql).await.unwrap(), expected, "{sql}");
    }
    let twice = error("UPDATE u SET id = 1, id = 2").await;
    assert_eq!(twice, ("42601".into(), "multiple assignments to same column \"id\"".into(), Some(22)));
    let grouped = error("UPDATE u SET id = count(*)").await;
    assert_eq!(grouped, ("42803".into(), "aggregate functions are not allowed in UPDATE".into(), Some(19)));
}

#[tokio::test]
async fn delete_gives_the_rows_to_remove() {
    for (sql, expected) in [
        ("DELETE FROM u WHERE id = 1", vec!["1|1|100"]),
        ("DELETE FROM u AS z USING t WHERE z.t_id = t.id AND t.grp = 20", vec!["3|3|300"]),
        ("DELETE FROM u WHERE id IN (SELECT id FROM t WHERE grp = 20)", vec!["3|3|300", "4|9|400"]),
    ] {
        assert_eq!(written(sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn returning_reads_the_written_rows() {
    let fixture = Fixture::new();
    let settings = BindSettings::default();
    let sql = "INSERT INTO u VALUES (1, 2, 3) RETURNING id, amount + 1 AS more, u.*";
    let Statement::Insert(insert) = parse(sql).unwrap().remove(0).into_sql().unwrap() else { panic!() };
    let table = fixture.source("u");
    let rows: LogicalPlan = source_of(&fixture, sql).unwrap().plan;
    let mut binder = Binder::new(&fixture, &settings, Purpose::Query, Parameters::none(), sql);
    let bound = binder.bind_returning(&table, None, &[], &insert.returning.unwrap(), Some(rows)).unwrap();
    let answer = fixture.run(bound, Vec::new()).await.unwrap();
    assert_eq!(answer.columns, ["id integer", "more bigint", "id integer", "t_id integer", "amount bigint"]);
    assert_eq!(answer.rows, ["1|4|1|2|3"]);
}
