//! The databases that run the scripts, a test each.

use levada_engine::{Engine, EngineOptions};

use crate::in_process::InProcess;
use crate::postgres::Postgres;
use crate::server::Server;
use crate::wire::{Options, Wire};

use super::rewrite::rewrite;
use super::run::{Report, runner, scripts};

/// Runs the scripts of a folder against a real PostgreSQL, or writes its answers into them.
async fn hold_against_postgres(folder: &str, plain_views: bool) {
    let mut server = Postgres::start().await;
    let mut report = Report::default();
    for script in scripts(folder) {
        let database = server.create_database().await;
        let options = Options { with_positions: script.with_positions, plain_views };
        let mut runner = runner(|| Wire::connect(server.port(), &database, options), &["postgres"]);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            rewrite(&script, &mut runner).await;
        } else {
            report.run(&script, &mut runner).await;
        }
    }
    report.finish("PostgreSQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_agrees() {
    hold_against_postgres("postgres", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_agrees_on_views() {
    hold_against_postgres("views", true).await;
}

/// The folders that Levada runs.
const LEVADA: [&str; 3] = ["postgres", "views", "levada"];

#[tokio::test(flavor = "multi_thread")]
async fn levada_agrees_in_process() {
    let mut report = Report::default();
    for script in LEVADA.iter().flat_map(|folder| scripts(folder)) {
        let data = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::open(EngineOptions::new(data.path())).expect("an engine on an empty folder");
        let connect = || std::future::ready(InProcess::connect(&engine, script.with_positions));
        report.run(&script, &mut runner(connect, &["levada"])).await;
        engine.shutdown().await.expect("an orderly end");
    }
    report.finish("Levada in process");
}

#[tokio::test(flavor = "multi_thread")]
async fn levada_agrees_over_the_wire() {
    let mut report = Report::default();
    for script in LEVADA.iter().flat_map(|folder| scripts(folder)) {
        let data = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(data.path());
        let options = Options { with_positions: script.with_positions, plain_views: false };
        let connect = || Wire::connect(server.port(), "levada", options);
        report.run(&script, &mut runner(connect, &["levada", "wire"])).await;
    }
    report.finish("Levada over the wire");
}
