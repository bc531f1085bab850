//! What clients cannot do to the server.

use crate::raw::{Client, ENDLESS, bind, code, message, parse, sync, tags};
use crate::server::{Server, until};

#[test]
fn sessions_are_limited() {
    let server = Server::start_with(&["--max-connections", "2"]);
    let first = Client::login(&server);
    let _second = Client::login(&server);
    let mut third = Client::connect(server.address);
    third.startup(&[("user", "ada"), ("database", "levada")]);
    let error = third.last_error();
    assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "53300"));
    assert_eq!(error[&'M'], "sorry, too many clients already");
    drop(first);
    admitted(&server);
}

/// A session, as soon as there is a place: the server notices only after a moment that another client has left.
fn admitted(server: &Server) -> Client {
    let mut admitted = None;
    until("a place is free", || {
        let mut client = Client::connect(server.address);
        client.startup(&[("user", "ada"), ("database", "levada")]);
        if client.read().tag == 'R' {
            client.until_ready();
            admitted = Some(client);
        }
        admitted.is_some()
    });
    admitted.unwrap()
}

#[test]
fn messages_are_limited() {
    let server = Server::start();
    for (bytes, expected) in [
        (&b"Q\x7f\xff\xff\xff"[..], "54000"),
        (b"S\0\x10\0\0", "54000"),
        (b"Q\0\0\0\x03", "08P01"),
        (b"Q\xff\xff\xff\xff", "54000"),
        (b"!\0\0\0\x04", "08P01"),
        (b"p\0\0\0\x09word\0", "08P01"),
    ] {
        let mut client = Client::login(&server);
        client.write(bytes);
        let error = client.last_error();
        assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", expected), "{bytes:?}");
    }
    let mut client = Client::login(&server);
    let long = format!("SELECT 1 --{}", "x".repeat(8 << 20));
    assert_eq!(client.rows(&long), [["1"]]);
}

#[test]
fn leaving_ends_what_runs() {
    let server = Server::start_with(&["--max-connections", "1"]);
    let mut reads = admitted(&server);
    reads.send('Q', &[ENDLESS.as_bytes(), b"\0"].concat());
    reads.until('D');
    drop(reads);
    let mut waits = admitted(&server);
    let before = server.cpu();
    waits.send('Q', &[ENDLESS.replace("SELECT a.x", "SELECT sum(a.x * k.x)").as_bytes(), b"\0"].concat());
    server.computes(before);
    drop(waits);
    admitted(&server);
}

#[test]
fn what_was_sent_before_leaving_is_done() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("CREATE TABLE t (a int)");
    client.write(&[message('Q', b"INSERT INTO t VALUES (1)\0"), message('X', b"")].concat());
    client.say_no_more();
    assert_eq!(tags(&client.until_ready()), "CZ");
    assert_eq!(client.try_read(), None);
    assert_eq!(Client::login(&server).rows("SELECT count(*) FROM t"), [["1"]]);
}

#[test]
fn a_slow_client_costs_little() {
    let server = Server::start();
    let mut warm = Client::login(&server);
    warm.query("SELECT 1");
    let (before, started) = (server.memory(), server.cpu());
    let mut slow: Vec<Client> = (0..8).map(|_| Client::login(&server)).collect();
    for client in &mut slow {
        client.send('Q', &[ENDLESS.as_bytes(), b"\0"].concat());
    }
    server.computes(started);
    server.rests();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes for 8 clients that do not read");
    // The others do not notice.
    assert_eq!(warm.rows("SELECT 1"), [["1"]]);
    // It gets its rows in order, at its own pace.
    assert_eq!(slow[0].read().tag, 'T');
    assert!((0..100_000).all(|_| slow[0].read().tag == 'D'));
}

#[test]
fn many_messages_at_once_are_answered_in_order() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let queries: Vec<u8> = (0..500).flat_map(|i| message('Q', format!("SELECT {i}\0").as_bytes())).collect();
    client.write(&queries);
    for i in 0..500 {
        let messages = client.until_ready();
        assert_eq!(messages[1].texts(), [i.to_string()]);
    }
}

/// A client that falls silent within a transaction gives back its locks; one without a transaction may be silent.
#[test]
fn an_idle_transaction_is_ended() {
    let server = Server::start();
    let (mut idle, mut quiet) = (Client::login(&server), Client::login(&server));
    idle.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    for client in [&mut idle, &mut quiet] {
        client.query("SET idle_in_transaction_session_timeout = '100ms'");
    }
    idle.query("BEGIN");
    idle.query("UPDATE t SET a = 2");
    let error = idle.last_error();
    assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "25P03"));
    assert_eq!(error[&'M'], "terminating connection due to idle-in-transaction timeout");
    assert_eq!(idle.try_read(), None);
    quiet.query("UPDATE t SET a = a + 10");
    assert_eq!(quiet.rows("SELECT a FROM t"), [["11"]]);
}

/// What a client prepares is counted, and given back.
#[test]
fn prepared_statements_are_limited() {
    let server = Server::start();
    let mut client = Client::login(&server);
    // Of 100 kB each, so that a few are enough.
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    let prepare = |client: &mut Client, at: usize| {
        client.write(&[parse(&format!("p{at}"), &long), sync()].concat());
        client.until_ready()
    };
    let last = (0..100).find(|at| tags(&prepare(&mut client, *at)) != "1Z").expect("a limit");
    let messages = prepare(&mut client, last);
    assert_eq!(code(&messages), "53400");
    assert_eq!(messages[0].fields()[&'M'], "too many prepared statements in this session");
    // Those that are there can be run, the unnamed one can be prepared, and there is room again for one that goes.
    client.write(&[parse("", &long), bind("", "p0", &[], 0), sync()].concat());
    assert_eq!(tags(&client.until_ready()), "12Z");
    client.query("DEALLOCATE p0");
    assert_eq!(tags(&prepare(&mut client, last)), "1Z");
    assert_eq!(code(&client.query(&format!("PREPARE another AS {long}"))), "53400");
    client.query("DEALLOCATE ALL");
    assert_eq!(tags(&client.query(&format!("PREPARE another AS {long}"))), "CZ");
}

#[test]
fn open_portals_are_limited() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.write(&[parse("p", "SELECT $1::text"), sync()].concat());
    client.until_ready();
    client.query("BEGIN");
    let value = "x".repeat(1_000_000);
    let open = |client: &mut Client, name: &str| {
        client.write(&[bind(name, "p", &[&value], 0), sync()].concat());
        client.until_ready()
    };
    let refused = (0..1000).map(|at| open(&mut client, &format!("c{at}"))).find(|messages| tags(messages) != "2Z");
    let refused = refused.expect("a limit");
    assert_eq!(code(&refused), "53400");
    client.query("ROLLBACK");
    client.query("BEGIN");
    assert_eq!(tags(&open(&mut client, "c0")), "2Z");
}
