//! Brokers that do not answer, and everybody else meanwhile.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::raw::{Client, code};
use crate::server::{PATIENCE, Server};

fn create_source(name: &str, broker: &str) -> String {
    format!(
        "CREATE SOURCE {name} (a int) WITH (connector = 'kafka', topic = 't', properties.bootstrap.server = '{broker}') \
         FORMAT PLAIN ENCODE JSON"
    )
}

/// A broker that takes connections and says nothing is given up after three seconds; until then others may change the
/// catalog, the very name among it.
#[test]
fn a_silent_broker_holds_up_nobody_else() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let server = Server::start();
    let (mut asks, mut other) = (Client::login(&server), Client::login(&server));
    let begun = Instant::now();
    asks.send('Q', &[create_source("s", &address).as_bytes(), b"\0"].concat());
    // The broker is being asked.
    let _connection = silent.accept().unwrap();
    // Shorter than the patience with brokers, so that waiting for the catalog's lock would fail.
    other.query("SET lock_timeout = '1s'");
    for sql in ["CREATE TABLE t (a int)", "CREATE TABLE s (b int)", "CREATE MATERIALIZED VIEW v AS SELECT a FROM t"] {
        assert!(other.query(sql).iter().all(|message| message.tag != 'E'), "{sql}");
    }
    // A name that is taken needs no broker.
    let name_is_taken = other.query(&create_source("t", &address));
    assert_eq!(code(&name_is_taken), "42P07");
    assert_eq!(code(&asks.until_ready()), "08006");
    let took = begun.elapsed();
    assert!((Duration::from_millis(2500)..PATIENCE).contains(&took), "{took:?}");
    assert_eq!(other.rows("SELECT count(*) FROM s"), [["0"]]);
}
