//! The indexes that joins have on the rows of others are there as long as the joins.

use arrow::array::Int64Array;

use super::*;

const JOINED: &str = "SELECT b.a, o.n FROM big b JOIN o ON b.c = o.c";

/// The columns of the indexes that a table has, and the bytes that it takes, unless its rows have not been read back yet.
async fn indexes(engine: &Engine, name: &str) -> (Vec<Vec<usize>>, Option<i64>) {
    let (snapshot, id) = (engine.0.snapshot(), table(engine, name));
    let bytes = format!("SELECT state_bytes FROM levada_catalog.tables WHERE name = '{name}'");
    let bytes = run(engine, &bytes).await[0].parse().ok();
    (snapshot.stores[&id].snapshot(snapshot.epoch).indexes(), bytes)
}

async fn create(engine: &Engine, name: &str, query: &str) {
    run(engine, &format!("CREATE MATERIALIZED VIEW {name} AS {query}")).await;
    engine.0.hydrated(&[table(engine, name)]).await.unwrap();
}

/// The view is what its query gives.
async fn check(engine: &Engine, name: &str, query: &str) {
    for (some, others) in
        [(format!("SELECT * FROM {name}"), query.to_owned()), (query.to_owned(), format!("TABLE {name}"))]
    {
        assert_eq!(
            run(engine, &format!("SELECT count(*) FROM ({some} EXCEPT ALL {others}) AS d")).await,
            ["0"],
            "{name}"
        );
    }
}

async fn tables(engine: &Engine, rows: usize) {
    run(engine, "CREATE TABLE big (a int, c int); CREATE TABLE o (c int, n int)").await;
    run(engine, &format!("INSERT INTO big SELECT g, g % 1000 FROM generate_series(1, {rows}) AS g")).await;
    run(engine, "INSERT INTO o SELECT g, g * g FROM generate_series(1, 50) AS g").await;
}

#[tokio::test]
async fn an_index_goes_with_the_last_join_that_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path());
    // As many as are filled on a thread of their own.
    tables(&engine, 20_000).await;
    let (none, without) = indexes(&engine, "big").await;
    assert!(none.is_empty());

    run(&engine, &format!("EXPLAIN CREATE MATERIALIZED VIEW x AS {JOINED}")).await;
    run(&engine, &format!("EXPLAIN CREATE SINK x AS {JOINED} WITH (connector = 'blackhole')")).await;
    assert_eq!(indexes(&engine, "big").await, (vec![], without));
    // The join is planned before what cannot be.
    let refused =
        format!("CREATE MATERIALIZED VIEW x AS SELECT row_number() OVER (ORDER BY a) AS r FROM ({JOINED}) AS j");
    assert_eq!(refusal(&engine, &refused).await.sqlstate().code(), "0A000");
    assert_eq!(indexes(&engine, "big").await, (vec![], without));

    create(&engine, "inner_one", JOINED).await;
    let (one, with) = indexes(&engine, "big").await;
    assert_eq!(one, [[1]]);
    assert!(with.unwrap() > without.unwrap() + 20_000 * 20, "{with:?} bytes, {without:?} without index");
    const OUTER: &str = "SELECT b.a, o.n FROM big b LEFT JOIN o ON b.c = o.c AND o.n > b.a";
    create(&engine, "outer_one", OUTER).await;
    assert_eq!(indexes(&engine, "big").await, (vec![vec![1]], with));
    run(&engine, "DROP MATERIALIZED VIEW inner_one").await;
    assert_eq!(indexes(&engine, "big").await.0, [[1]]);
    check(&engine, "outer_one", OUTER).await;
    run(&engine, "DROP MATERIALIZED VIEW outer_one").await;
    assert_eq!(indexes(&engine, "big").await, (vec![], without));
    assert!(indexes(&engine, "o").await.0.is_empty());

    // Made again it has what was written in between, before and after a start, from a checkpoint and from the log.
    for round in 0..3 {
        run(&engine, "INSERT INTO big VALUES (-1, 7), (-2, 2000); DELETE FROM big WHERE a % 17 = 3").await;
        create(&engine, "inner_one", JOINED).await;
        check(&engine, "inner_one", JOINED).await;
        run(
            &engine,
            "INSERT INTO o VALUES (2000, 5), (51, 1); DELETE FROM o WHERE c = 9; INSERT INTO big VALUES (-3, 51)",
        )
        .await;
        check(&engine, "inner_one", JOINED).await;
        if round == 1 {
            run(&engine, "FLUSH").await;
        }
        drop(engine);
        engine = open(directory.path());
        engine.0.hydrated(&[table(&engine, "inner_one")]).await.unwrap();
        assert_eq!(indexes(&engine, "big").await.0, [[1]]);
        run(&engine, "INSERT INTO o VALUES (400, 5); DELETE FROM o WHERE c = 51; INSERT INTO big VALUES (-4, 2)").await;
        check(&engine, "inner_one", JOINED).await;
        run(&engine, "DROP MATERIALIZED VIEW inner_one").await;
        assert!(indexes(&engine, "big").await.0.is_empty());
    }
    drop(engine);
    let engine = open(directory.path());
    assert!(indexes(&engine, "big").await.0.is_empty());
    check(&engine, "big", "SELECT * FROM big").await;
}

#[tokio::test]
async fn a_suspended_view_lets_go_of_its_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    run(&engine, "CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)")
        .await;
    create(&engine, "pairs", "SELECT x.a FROM t x JOIN t y ON x.a = y.a").await;
    create(&engine, "both", "SELECT u.a FROM u WHERE a IN (SELECT a FROM u)").await;
    assert_eq!((indexes(&engine, "t").await.0.len(), indexes(&engine, "u").await.0.len()), (1, 1));
    // How often a pair stands has no number.
    let t = table(&engine, "t");
    let often = ZSet::new(rows(&engine, t, vec![7]).batch().clone(), Int64Array::from(vec![1_i64 << 40]));
    commit(&engine, vec![Operation::Write { table: t, change: often }]).await.unwrap();
    assert_eq!(run(&engine, "SELECT name FROM levada_catalog.views WHERE hydration = 'suspended'").await, ["pairs"]);
    assert_eq!((indexes(&engine, "t").await.0.len(), indexes(&engine, "u").await.0.len()), (0, 1));
}
