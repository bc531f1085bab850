//! Values that are equal and can be told apart, in what views make of them, while random changes come.

use levada_engine::Session;
use levada_testing::Dice;

use crate::database::{open, run, session};

const SPANS: [&str; 8] =
    ["'1 day'", "'24 hours'", "'30 days'", "'1 mon'", "'29 days 24:00'", "'-1 mon 2 days'", "'-28 days'", "NULL"];
const FLOATS: [&str; 6] = ["'0'", "'-0'", "'1'", "'NaN'", "'-infinity'", "NULL"];
/// What a view says, and a query that comes to the same in another way.
const VIEWS: [(&str, &str, &str); 6] = [
    (
        "counted",
        "SELECT id, (SELECT count(*) FROM texts t WHERE t.s = o.v::text OR t.s = o.x::text) AS n FROM o",
        "SELECT o.id, count(t.s) FROM o LEFT JOIN texts t ON t.s = o.v::text OR t.s = o.x::text GROUP BY o.id",
    ),
    (
        "one",
        "SELECT id, (SELECT max(n) FROM texts t WHERE t.s = o.v::text) AS n FROM o",
        "SELECT o.id, max(t.n) FROM o LEFT JOIN texts t ON t.s = o.v::text GROUP BY o.id",
    ),
    (
        "present",
        "SELECT id FROM o WHERE EXISTS (SELECT 1 FROM texts t WHERE t.s = o.x::text AND t.n > o.id)",
        "SELECT DISTINCT o.id FROM o JOIN texts t ON t.s = o.x::text AND t.n > o.id",
    ),
    (
        "beside",
        "SELECT o.id, t.n FROM o, LATERAL (SELECT n FROM texts t WHERE t.s <> o.v::text ORDER BY n DESC, s LIMIT 1) t",
        "SELECT o.id, max(t.n) FROM o JOIN texts t ON t.s <> o.v::text GROUP BY o.id",
    ),
    (
        "spans",
        "SELECT k, min(v) AS lo, max(v) AS hi, min(v) FILTER (WHERE id < 8) AS few FROM o GROUP BY k",
        "SELECT k, min(v), max(v), min(v) FILTER (WHERE id < 8) FROM o GROUP BY k",
    ),
    (
        "floats",
        "SELECT k, min(x)::text AS lo, max(x)::text AS hi, var_pop(id) AS a, stddev(n) AS b FROM o GROUP BY k",
        "SELECT k, min(x)::text, max(x)::text, var_pop(id), stddev(n) FROM o GROUP BY k",
    ),
];

async fn change(session: &mut Session, dice: &mut Dice) {
    let (id, span, float) = (dice.below(16), dice.pick(&SPANS), dice.pick(&FLOATS));
    let statement = match dice.below(6) {
        0 | 1 => format!(
            "INSERT INTO o VALUES ({id}, {}, {span}, {float}, {}.{id}) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
            id % 3,
            dice.below(1000)
        ),
        2 => format!("UPDATE o SET v = {span}, x = {float}, n = n * 3 WHERE id % 4 = {}", id % 4),
        3 => format!("DELETE FROM o WHERE id = {id}"),
        4 => format!("INSERT INTO texts SELECT v::text, {id} FROM o UNION ALL SELECT x::text, {id} FROM o"),
        _ => format!("DELETE FROM texts WHERE n % 5 = {}", id % 5),
    };
    run(session, &statement).await;
}

/// Each view is what the query says, after every statement and over a start.
#[tokio::test]
async fn views_tell_apart_what_queries_do() {
    for seed in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(seed);
        let mut engine = open(directory.path());
        let mut ada = session(&engine);
        run(&mut ada, "CREATE TABLE o (id int PRIMARY KEY, k int, v interval, x float8, n numeric)").await;
        run(&mut ada, "CREATE TABLE texts (s text, n int)").await;
        for (name, view, _) in VIEWS {
            run(&mut ada, &format!("CREATE MATERIALIZED VIEW {name} AS {view}")).await;
        }
        for round in 0..60 {
            change(&mut ada, &mut dice).await;
            for (name, _, query) in VIEWS {
                let (mut found, mut expected) =
                    (run(&mut ada, &format!("SELECT * FROM {name}")).await, run(&mut ada, query).await);
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected, "{name}, seed {seed}, round {round}");
            }
            if round == 30 {
                run(&mut ada, "FLUSH").await;
            }
            if round == 40 {
                drop((ada, engine));
                engine = open(directory.path());
                ada = session(&engine);
            }
        }
    }
}
