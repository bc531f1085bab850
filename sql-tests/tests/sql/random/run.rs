//! The databases that are compared.

use levada_testing::{Dice, seeds};

use crate::postgres::Postgres;
use crate::server::Server;
use crate::wire::{Options, Wire};

use super::compare::{Answer, Report, Verdict, ask, comparable, verdict};
use super::data;
use super::query::{Queries, Query};

/// How many queries of each kind are made of a seed.
const EXPRESSIONS: usize = 60;
const QUERIES: usize = 60;
const VIEWS: usize = 6;

/// How often the tables of a view change.
const CHANGES: usize = 4;

const ZONES: &[&str] = &["UTC", "America/New_York", "Asia/Kolkata"];

/// A connection to each.
struct Pair {
    ours: Wire,
    theirs: Wire,
}

impl Pair {
    async fn ask(&mut self, sql: &str) -> (Answer, Answer) {
        tokio::join!(ask(&mut self.ours, sql), ask(&mut self.theirs, sql))
    }

    /// A statement on which both must agree.
    async fn same(&mut self, sql: &str) {
        let (left, right) = self.ask(sql).await;
        let query = Query { sql: sql.to_owned(), ordered: true };
        assert_eq!(verdict(&query, false, &left, &right), Verdict::Agrees, "{sql}: {left:?}, {right:?}");
    }

    /// The tables of a seed.
    async fn fill(&mut self, seed: u64) {
        let create = data::TABLES.iter().map(|sql| (*sql).to_owned());
        let rows = data::filled(&mut Dice::new(seed));
        let zone = ZONES[(seed % ZONES.len() as u64) as usize];
        let settings = [format!("SET TimeZone = '{zone}'"), "SET statement_timeout = 5000".to_owned()];
        for statement in data::DROPS.iter().map(|sql| (*sql).to_owned()).chain(create).chain(rows).chain(settings) {
            self.same(&statement).await;
        }
    }
}

async fn expressions(pair: &mut Pair, seed: u64, report: &mut Report) {
    let mut queries = Queries::new(seed);
    for _ in 0..EXPRESSIONS {
        let query = queries.expression();
        let (left, right) = pair.ask(&query.sql).await;
        // A subquery may see several rows.
        let strict = !query.sql.contains("FROM");
        report.add(seed, &query.sql, verdict(&query, strict, &left, &right), &left, &right);
    }
}

async fn queries(pair: &mut Pair, seed: u64, report: &mut Report) {
    let mut queries = Queries::new(seed);
    for _ in 0..QUERIES {
        let query = queries.query();
        let (left, right) = pair.ask(&query.sql).await;
        report.add(seed, &query.sql, verdict(&query, false, &left, &right), &left, &right);
    }
}

/// Materialized views of random queries equal the queries while their tables change.
async fn views(pair: &mut Pair, seed: u64, report: &mut Report) {
    let mut random = Dice::new(seed);
    let mut queries = Queries::of_views(seed);
    let mut id = 100;
    for _ in 0..VIEWS {
        let query = queries.query();
        let created = ask(&mut pair.ours, &format!("CREATE MATERIALIZED VIEW v AS {}", query.sql)).await;
        if created.is_err() {
            let wanted = ask(&mut pair.theirs, &query.sql).await;
            report.add(seed, &query.sql, verdict(&query, false, &created, &wanted), &created, &wanted);
            continue;
        }
        for _ in 0..CHANGES {
            for _ in 0..1 + random.below(3) {
                id += 1;
                pair.same(&data::change(&mut random, id)).await;
            }
            let view = ask(&mut pair.ours, "SELECT * FROM v").await;
            let wanted = ask(&mut pair.theirs, &query.sql).await;
            let missing = ask(&mut pair.ours, "SELECT * FROM levada_catalog.view_errors").await;
            let verdict = match (&view, &wanted) {
                // Rows on which an expression fails are set aside.
                _ if missing.is_ok_and(|(_, rows)| !rows.is_empty()) => Verdict::ErrorElsewhere,
                (Ok(view), Ok(wanted)) if comparable(view, false).1 == comparable(wanted, false).1 => Verdict::Agrees,
                _ => verdict(&query, false, &view, &wanted),
            };
            let stop = verdict == Verdict::Differs;
            report.add(seed, &query.sql, verdict, &view, &wanted);
            if stop {
                break;
            }
        }
        ask(&mut pair.ours, "DROP MATERIALIZED VIEW v").await.expect("a view that goes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_agree() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(folder.path());
    let mut postgres = Postgres::start().await;
    let database = postgres.create_database().await;
    let ours = Wire::connect(server.port(), "levada", Options::default()).await.expect("a connection");
    let theirs = Wire::connect(postgres.port(), &database, Options::default()).await.expect("one to PostgreSQL");
    let mut pair = Pair { ours, theirs };
    ask(&mut pair.ours, "SET wait_for_hydration = on").await.expect("a setting");
    let mut reports = ["expressions", "queries", "materialized views"].map(Report::new);
    for seed in seeds(1) {
        pair.fill(seed).await;
        expressions(&mut pair, seed, &mut reports[0]).await;
        queries(&mut pair, seed, &mut reports[1]).await;
        views(&mut pair, seed, &mut reports[2]).await;
    }
    let failures: Vec<String> = reports.into_iter().flat_map(Report::finish).collect();
    assert!(failures.is_empty(), "{} differ:\n\n{}", failures.len(), failures.join("\n"));
}
