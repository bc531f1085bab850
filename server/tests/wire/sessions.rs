//! What a session sees of the others and can do to them, and its cursors.

use crate::raw::{Client, ENDLESS, bind, code, describe, execute, parse, sync, tags};
use crate::server::{PATIENCE, Server};

fn process(key: &[u8]) -> i32 {
    i32::from_be_bytes(key[..4].try_into().expect("four bytes"))
}

/// Asks until the answer is this one.
fn comes(client: &mut Client, sql: &str, expected: &str) {
    let asked = std::time::Instant::now();
    loop {
        let rows = client.rows(sql);
        if rows == [[expected]] {
            return;
        }
        assert!(asked.elapsed() < PATIENCE, "{sql}: {rows:?}");
    }
}

#[test]
fn a_session_sees_what_the_others_do() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    let mut other = Client::login(&server);
    let process = process(&key);
    let state = format!("SELECT state FROM pg_stat_activity WHERE pid = {process}");
    client.query("SET application_name = 'dashboard'");
    let shown = other.rows(&format!(
        "SELECT datname, usename, application_name, query, client_addr, client_port > 0, backend_type, \
         backend_start <= query_start, query_start <= state_change FROM pg_stat_activity WHERE pid = {process}"
    ));
    let expected = [
        "levada",
        "ada",
        "dashboard",
        "SET application_name = 'dashboard'",
        "127.0.0.1",
        "t",
        "client backend",
        "t",
        "t",
    ];
    assert_eq!(shown, [expected]);
    comes(&mut other, &state, "idle");
    client.query("BEGIN");
    comes(&mut other, &state, "idle in transaction");
    client.query("SELECT 1 / 0");
    comes(&mut other, &state, "idle in transaction (aborted)");
    client.query("ROLLBACK");
    client.send('Q', &[ENDLESS.as_bytes(), b"\0"].concat());
    client.until('D');
    comes(&mut other, &state, "active");
    assert_eq!(other.rows("SELECT count(*) FROM pg_stat_activity"), [["2"]]);
    drop(client);
    comes(&mut other, "SELECT count(*) FROM pg_stat_activity", "1");
}

#[test]
fn a_session_stops_another_by_its_number() {
    let server = Server::start();
    let (mut client, key) = Client::login_with_key(&server);
    let mut other = Client::login(&server);
    let process = process(&key);
    let cancel = format!("SELECT pg_cancel_backend({process})");
    // It runs nothing: nothing happens.
    assert_eq!(other.rows(&cancel), [["t"]]);
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
    client.send('Q', &[ENDLESS.as_bytes(), b"\0"].concat());
    client.until('D');
    assert_eq!(other.rows(&cancel), [["t"]]);
    assert_eq!(code(&client.until_ready()), "57014");
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
    assert_eq!(other.rows("SELECT pg_cancel_backend(0), pg_terminate_backend(-1)"), [["f", "f"]]);
}

#[test]
fn a_session_sends_another_client_away() {
    let server = Server::start();
    let mut other = Client::login(&server);
    for runs in [false, true] {
        let (mut client, key) = Client::login_with_key(&server);
        if runs {
            client.send('Q', &[ENDLESS.as_bytes(), b"\0"].concat());
            client.until('D');
        }
        let terminate = format!("SELECT pg_terminate_backend({})", process(&key));
        assert_eq!(other.rows(&terminate), [["t"]]);
        // Behind the rows that were on their way.
        let messages = client.until('E');
        let error = messages.last().expect("an error").fields();
        assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "57P01"));
        assert_eq!(error[&'M'], "terminating connection due to administrator command");
        assert_eq!(client.try_read(), None);
    }
    comes(&mut other, "SELECT count(*) FROM pg_stat_activity", "1");
}

/// As psycopg does it: the cursor is declared with parameters, described as a portal, and fetched by prepared statements.
#[test]
fn cursors_are_fetched_by_messages() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("BEGIN");
    let declare = "DECLARE c CURSOR FOR SELECT x FROM generate_series(1, $1) AS g(x)";
    client.write(&[parse("", declare), bind("", "", &["5"], 0), execute("", 0), sync()].concat());
    assert_eq!(tags(&client.until_ready()), "12CZ");
    client.write(&[describe('P', "c"), sync()].concat());
    assert_eq!(tags(&client.until_ready()), "TZ");
    let fetch = parse("fetch", "FETCH FORWARD 2 FROM c");
    client.write(&[fetch, describe('S', "fetch"), sync()].concat());
    assert_eq!(tags(&client.until_ready()), "1tTZ");
    let mut fetched = Vec::new();
    for _ in 0..4 {
        client.write(&[bind("", "fetch", &[], 0), execute("", 0), sync()].concat());
        let messages = client.until_ready();
        let tag = messages.iter().find(|message| message.tag == 'C').expect("a tag").text().to_owned();
        fetched.push((tag, messages.iter().filter(|message| message.tag == 'D').flat_map(|row| row.texts()).collect()));
    }
    let row = |tag: &str, values: &[&str]| (tag.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    let expected: Vec<(String, Vec<String>)> =
        vec![row("FETCH 2", &["1", "2"]), row("FETCH 2", &["3", "4"]), row("FETCH 1", &["5"]), row("FETCH 0", &[])];
    assert_eq!(fetched, expected);
    client.query("COMMIT");
    client.write(&[describe('P', "c"), sync()].concat());
    assert_eq!(code(&client.until_ready()), "34000");
}

#[test]
fn start_transaction_says_so() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let tag = |client: &mut Client, sql: &str| client.query(sql)[0].text().to_owned();
    assert_eq!(tag(&mut client, "START TRANSACTION READ ONLY"), "START TRANSACTION");
    assert_eq!(tag(&mut client, "ABORT"), "ROLLBACK");
    assert_eq!(tag(&mut client, "BEGIN"), "BEGIN");
    assert_eq!(tag(&mut client, "END"), "COMMIT");
}
