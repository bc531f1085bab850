//! A driver that prepares everything and wants everything in binary: tokio-postgres.

use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::raw::ENDLESS;
use crate::server::Server;

async fn connect(server: &Server) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn values_go_both_ways() {
    let server = Server::start();
    let client = connect(&server).await;
    let row = client.query_one("SELECT $1::int", &[&i32::MIN]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), i32::MIN);
    let row = client.query_one("SELECT $1::bigint", &[&i64::MAX]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), i64::MAX);
    let row = client.query_one("SELECT $1::smallint", &[&-7_i16]).await.unwrap();
    assert_eq!(row.get::<_, i16>(0), -7);
    let row = client.query_one("SELECT $1::text", &[&"čaj"]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "čaj");
    let row = client.query_one("SELECT $1::boolean", &[&true]).await.unwrap();
    assert!(row.get::<_, bool>(0));
    let row = client.query_one("SELECT $1::double precision", &[&0.1_f64]).await.unwrap();
    assert_eq!(row.get::<_, f64>(0), 0.1);
    let row = client.query_one("SELECT $1::int", &[&None::<i32>]).await.unwrap();
    assert_eq!(row.get::<_, Option<i32>>(0), None);
}

#[tokio::test]
async fn statements_are_prepared_and_types_inferred() {
    let server = Server::start();
    let client = connect(&server).await;
    let series = client.prepare("SELECT x FROM generate_series(1, $1) AS g(x)").await.unwrap();
    assert_eq!(series.params(), [Type::INT4]);
    assert_eq!(series.columns()[0].type_(), &Type::INT4);
    for count in [0, 1, 100] {
        let rows = client.query(&series, &[&count]).await.unwrap();
        assert_eq!(rows.len(), count as usize);
        assert!(rows.iter().zip(1..).all(|(row, expected)| row.get::<_, i32>("x") == expected));
    }
}

#[tokio::test]
async fn a_portal_is_read_in_parts() {
    let server = Server::start();
    let mut client = connect(&server).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT x FROM generate_series(1, 10) AS g(x)", &[]).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(transaction.query_portal(&portal, 4).await.unwrap().len());
    }
    assert_eq!(sizes, [4, 4, 2, 0]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn errors_carry_what_postgres_says() {
    let server = Server::start();
    let client = connect(&server).await;
    let error = client.query("SELECT * FROM nope", &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42P01");
    assert_eq!(error.message(), "relation \"nope\" does not exist");
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_violated_constraint_is_named() {
    let server = Server::start();
    let client = connect(&server).await;
    client.batch_execute("CREATE TABLE kept (id int PRIMARY KEY, v int NOT NULL)").await.unwrap();
    client.batch_execute("INSERT INTO kept VALUES (1, 1)").await.unwrap();
    for (sql, code, column, constraint) in [
        ("INSERT INTO kept VALUES (2, 2), (1, 2)", "23505", None, Some("kept_pkey")),
        ("INSERT INTO kept VALUES (2, NULL)", "23502", Some("v"), None),
        ("UPDATE kept SET v = NULL", "23502", Some("v"), None),
    ] {
        let error = client.execute(sql, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), code, "{sql}");
        assert_eq!((error.schema(), error.table()), (Some("public"), Some("kept")), "{sql}");
        assert_eq!((error.column(), error.constraint()), (column, constraint), "{sql}");
    }
    // What another transaction has committed since is found at COMMIT.
    let other = connect(&server).await;
    client.batch_execute("BEGIN; INSERT INTO kept VALUES (5, 5)").await.unwrap();
    other.batch_execute("INSERT INTO kept VALUES (5, 6)").await.unwrap();
    let error = client.batch_execute("COMMIT").await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("kept_pkey"));
    let error = client.query("SELECT 1 / 0", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().table(), None);
}

#[tokio::test]
async fn a_result_is_cancelled() {
    let server = Server::start();
    let client = connect(&server).await;
    let token = client.cancel_token();
    let rows = client.query_raw(ENDLESS, Vec::<i32>::new()).await.unwrap();
    pin_mut!(rows);
    rows.next().await.unwrap().unwrap();
    token.cancel_query(NoTls).await.unwrap();
    let error = rows.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

#[tokio::test]
async fn many_queries_share_a_connection() {
    let server = Server::start();
    let client = connect(&server).await;
    let queries = (0..200).map(|i| client.query_one("SELECT $1::int", vec_of(i)));
    let rows = futures::future::try_join_all(queries).await.unwrap();
    assert!(rows.iter().zip(0..).all(|(row, expected)| row.get::<_, i32>(0) == expected));
    let messages = client.simple_query("SELECT 1; SELECT 2").await.unwrap();
    let values = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(values.collect::<Vec<_>>(), ["1", "2"]);
}

/// Parameters that live as long as the test.
fn vec_of(value: i32) -> &'static [&'static (dyn tokio_postgres::types::ToSql + Sync)] {
    let value: &'static i32 = Box::leak(Box::new(value));
    let one: &'static [&'static (dyn tokio_postgres::types::ToSql + Sync)] = Box::leak(Box::new([value as _]));
    one
}
