//! Stopping statements from outside.

use std::time::Instant;

use crate::raw::{Client, ENDLESS, bind, code, execute, parse, sync, tags};
use crate::server::{PATIENCE, Server};

const CANCEL_REQUEST: u32 = 80_877_102;

/// Sends a cancel request, and waits until the server has taken it.
fn cancel(server: &Server, key: &[u8]) {
    let mut other = Client::connect(server.address);
    other.packet(&[&CANCEL_REQUEST.to_be_bytes(), key].concat());
    assert_eq!(other.try_read(), None, "a cancel request has no answer");
}

fn query(client: &mut Client, sql: &str) {
    client.send('Q', &[sql.as_bytes(), b"\0"].concat());
}

#[test]
fn a_result_on_its_way_is_cancelled() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    query(&mut client, ENDLESS);
    assert_eq!(client.read().tag, 'T');
    for _ in 0..1000 {
        assert_eq!(client.read().tag, 'D');
    }
    cancel(&server, &key);
    let messages = client.until_ready();
    assert_eq!(code(&messages), "57014");
    let error = messages[messages.len() - 2].fields();
    assert_eq!(error[&'M'], "canceling statement due to user request");
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
}

#[test]
fn a_statement_that_computes_is_cancelled() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    let computing = ENDLESS.replace("SELECT a.x", "SELECT sum(a.x * k.x)");
    let before = server.cpu();
    query(&mut client, &computing);
    server.computes(before);
    cancel(&server, &key);
    assert_eq!(code(&client.until_ready()), "57014");

    let before = server.cpu();
    client.write(&[parse("", &computing), bind("", "", &[], 0), execute("", 0), sync()].concat());
    server.computes(before);
    cancel(&server, &key);
    let messages = client.until_ready();
    assert_eq!(tags(&messages), "12EZ");
    assert_eq!(code(&messages), "57014");
}

/// A join may compare for minutes between two rows, a window may compute one long frame after the other: their threads must not
/// go on when nobody waits for them.
#[test]
fn what_a_cancelled_query_computes_it_leaves() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    client.rows("CREATE TABLE t (id int PRIMARY KEY, s text)");
    client.rows("INSERT INTO t SELECT n, repeat('x', 100) || n FROM generate_series(1, 60000) AS g(n)");
    let floats = "(SELECT n / 7.0::float8 AS x FROM generate_series(1, 1000000) AS g(n)) AS f";
    let unlike = "b.s || 'x' LIKE '%' || a.s || '%' AND a.id <> b.id";
    for computing in [
        format!("DELETE FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE {unlike})"),
        format!("SELECT count(*) FROM t a LEFT JOIN t b ON {unlike}"),
        format!("SELECT count(*) FROM t a JOIN t b ON a.id / 60001 = b.id / 60001 AND {unlike}"),
        format!("SELECT count(*) FROM t a, t b WHERE random() < 0.5 AND {unlike}"),
        format!("SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN CURRENT ROW AND 1000000 FOLLOWING) FROM {floats}"),
    ] {
        let before = server.cpu();
        query(&mut client, &computing);
        // By then it has read what it compares.
        server.computes(before + 300);
        cancel(&server, &key);
        assert_eq!(code(&client.until_ready()), "57014", "{computing}");
        server.rests();
    }
}

#[test]
fn only_the_statement_meant_is_cancelled() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    let (mut other, other_key) = Client::login_with_key(&server);
    assert_ne!(key[..4], other_key[..4]);
    query(&mut client, ENDLESS);
    client.until('D');
    // The wrong key, the wrong process, half a key: no effect, no answer.
    let wrong = [&key[..4], &other_key[4..]].concat();
    cancel(&server, &wrong);
    cancel(&server, &[&other_key[..4], &key[4..]].concat());
    cancel(&server, &key[..6]);
    for _ in 0..10_000 {
        assert_eq!(client.read().tag, 'D');
    }
    cancel(&server, &key);
    assert_eq!(code(&client.until_ready()), "57014");
    // A request that comes too late does not hit the next statement.
    cancel(&server, &key);
    cancel(&server, &other_key);
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
    assert_eq!(other.rows("SELECT 1"), [["1"]]);
}

#[test]
fn a_block_fails_by_cancellation() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    client.query("BEGIN");
    query(&mut client, ENDLESS);
    client.until('D');
    cancel(&server, &key);
    assert_eq!(client.until_ready().last().unwrap().body, b"E");
    assert_eq!(client.query("ROLLBACK").last().unwrap().body, b"I");
}

/// Whether it computes or its rows are on their way, and however fast they are read.
#[test]
fn a_statement_takes_no_longer_than_it_may() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("SET statement_timeout = '200ms'");
    for sql in [ENDLESS, &ENDLESS.replace("SELECT a.x", "SELECT sum(a.x * k.x)")] {
        let begun = Instant::now();
        query(&mut client, sql);
        let mut message = client.read();
        while message.tag != 'E' {
            assert!(begun.elapsed() < PATIENCE, "it goes on");
            message = client.read();
        }
        let error = message.fields();
        assert_eq!(error[&'C'], "57014");
        assert_eq!(error[&'M'], "canceling statement due to statement timeout");
        client.until_ready();
    }
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
}
