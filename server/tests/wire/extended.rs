//! The extended protocol, message by message.

use crate::raw::{Client, Message, bind, close, code, describe, execute, flush, message, parse, sync, tags};
use crate::server::Server;

/// Sends messages and a Sync, and reads the answer.
fn pipeline(client: &mut Client, messages: &[Vec<u8>]) -> Vec<Message> {
    client.write(&[messages.concat(), sync()].concat());
    client.until_ready()
}

const SERIES: &str = "SELECT x FROM generate_series(1, 25) AS g(x)";

#[test]
fn a_statement_is_prepared_described_and_run() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let messages = pipeline(&mut client, &[parse("s", "SELECT $1::int AS a"), describe('S', "s")]);
    assert_eq!(tags(&messages), "1tTZ");
    assert_eq!(messages[1].body, [0, 1, 0, 0, 0, 23]);
    assert_eq!(messages[2].body[..4], *b"\0\x01a\0");
    // Again and again, in both formats; a portal is described with its own.
    for (format, value) in [(0, &b"7"[..]), (1, &[0, 0, 0, 7])] {
        let messages = pipeline(&mut client, &[bind("", "s", &["7"], format), describe('P', ""), execute("", 0)]);
        assert_eq!(tags(&messages), "2TDCZ");
        assert_eq!(messages[1].body.last(), Some(&format));
        assert_eq!(messages[2].values(), [Some(value.to_vec())]);
        assert_eq!(messages[3].text(), "SELECT 1");
    }
    let messages = pipeline(&mut client, &[close('S', "s"), close('S', "s"), bind("", "s", &["7"], 0)]);
    assert_eq!(tags(&messages), "33EZ");
    assert_eq!(code(&messages), "26000");
}

#[test]
fn a_statement_without_rows_has_no_columns() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("CREATE TABLE t (a int)");
    let insert = [parse("", "INSERT INTO t VALUES ($1)"), bind("", "", &["5"], 0), describe('P', ""), execute("", 0)];
    let messages = pipeline(&mut client, &insert);
    assert_eq!(tags(&messages), "12nCZ");
    assert_eq!(messages[3].text(), "INSERT 0 1");
    assert_eq!(client.rows("SELECT count(*) FROM t"), [["1"]]);

    let messages = pipeline(&mut client, &[parse("", ""), bind("", "", &[], 0), describe('P', ""), execute("", 0)]);
    assert_eq!(tags(&messages), "12nIZ");
}

#[test]
fn after_an_error_all_is_skipped_until_sync() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let messages = [
        parse("", "SELEC 1"),
        bind("", "", &[], 0),
        execute("", 0),
        message('Q', b"SELECT 1\0"),
        // Not even decoded.
        message('B', b"\xff"),
        flush(),
    ];
    let messages = pipeline(&mut client, &messages);
    assert_eq!(tags(&messages), "EZ");
    assert_eq!(code(&messages), "42601");
    // What came before it is taken back, and the next pipeline begins anew.
    client.query("CREATE TABLE t (a int)");
    let insert = [parse("", "INSERT INTO t VALUES ($1)"), bind("", "", &["5"], 0), execute("", 0)].concat();
    let messages = pipeline(&mut client, &[insert.clone(), parse("", "SELECT * FROM nope")]);
    assert_eq!(tags(&messages), "12CEZ");
    assert_eq!(client.rows("SELECT count(*) FROM t"), [["0"]]);
    let messages = pipeline(&mut client, &[insert.clone(), insert]);
    assert_eq!(tags(&messages), "12C12CZ");
    assert_eq!(client.rows("SELECT count(*) FROM t"), [["2"]]);
}

#[test]
fn errors_in_messages_spoil_a_block() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("BEGIN");
    let messages = pipeline(&mut client, &[execute("nope", 0)]);
    assert_eq!(tags(&messages), "EZ");
    assert_eq!(messages[1].body, b"E");
    assert_eq!(client.query("ROLLBACK").last().unwrap().body, b"I");
}

#[test]
fn names_are_checked() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let mut error = |messages: &[Vec<u8>]| code(&pipeline(&mut client, messages));
    assert_eq!(error(&[bind("", "nope", &[], 0)]), "26000");
    assert_eq!(error(&[describe('S', "nope")]), "26000");
    assert_eq!(error(&[describe('P', "nope")]), "34000");
    assert_eq!(error(&[execute("nope", 0)]), "34000");
    assert_eq!(error(&[parse("s", "SELECT 1"), parse("s", "SELECT 1")]), "42P05");
    assert_eq!(error(&[bind("p", "s", &[], 0), bind("p", "s", &[], 0)]), "42P03");
    assert_eq!(error(&[bind("", "s", &["1"], 0)]), "08P01");
    // The unnamed statement goes with the next Parse, and with a simple query.
    assert_eq!(error(&[parse("", "SELECT 1"), parse("", "SELEC")]), "42601");
    assert_eq!(error(&[bind("", "", &[], 0)]), "26000");
    assert_eq!(tags(&pipeline(&mut client, &[parse("", "SELECT 1")])), "1Z");
    client.query("SELECT 1");
    assert_eq!(code(&pipeline(&mut client, &[bind("", "", &[], 0)])), "26000");
}

#[test]
fn malformed_messages_are_errors_of_one_message() {
    let server = Server::start();
    let mut client = Client::login(&server);
    for (tag, body) in [
        ('P', &b"no end"[..]),
        ('P', b"\0SELECT 1\0\xff\xff"),
        ('B', b"\0\0\0\x05\0\x01"),
        ('B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        ('D', b"Z\0"),
        ('E', b"\0\0"),
        ('C', b""),
        ('H', b"extra"),
    ] {
        let messages = pipeline(&mut client, &[message(tag, body)]);
        assert_eq!((tags(&messages), code(&messages)), ("EZ".to_owned(), "08P01".to_owned()), "{tag}");
    }
    client.send('Q', b"SELECT 1");
    assert_eq!(code(&client.until_ready()), "08P01");
    client.send('Q', b"SELECT '\xff'\0");
    assert_eq!(tags(&client.until_ready()), "EZ");
    client.send('F', b"");
    assert_eq!(code(&client.until_ready()), "0A000");
    // Left from a COPY that failed: nobody answers.
    client.send('d', b"1\n");
    client.send('c', b"");
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
}

#[test]
fn portals_are_suspended() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("BEGIN");
    let begin = [parse("", SERIES), bind("p", "", &[], 0)].concat();
    let messages = pipeline(&mut client, &[begin, execute("p", 10)]);
    assert_eq!(tags(&messages), format!("12{}sZ", "D".repeat(10)));
    // Other statements do not disturb it.
    assert_eq!(client.rows("SELECT 1"), [["1"]]);
    let messages = pipeline(&mut client, &[execute("p", 10)]);
    assert_eq!(messages[0].texts(), ["11"]);
    assert_eq!(tags(&messages), format!("{}sZ", "D".repeat(10)));
    let messages = pipeline(&mut client, &[execute("p", 10)]);
    assert_eq!(tags(&messages), "DDDDDCZ");
    assert_eq!(messages[5].text(), "SELECT 5");
    let messages = pipeline(&mut client, &[execute("p", 0)]);
    assert_eq!((tags(&messages).as_str(), messages[0].text()), ("CZ", "SELECT 0"));
    client.query("COMMIT");
    assert_eq!(code(&pipeline(&mut client, &[execute("p", 0)])), "34000");
}

#[test]
fn portals_end_with_their_transaction() {
    let server = Server::start();
    let mut client = Client::login(&server);
    // Without a block the transaction ends at Sync; a Flush does not end it.
    client.write(&[parse("", SERIES), bind("p", "", &[], 0), execute("p", 20), flush()].concat());
    let messages = client.until('s');
    assert_eq!(tags(&messages), format!("12{}s", "D".repeat(20)));
    client.write(&[execute("p", 20), flush()].concat());
    assert_eq!(client.until('C').last().unwrap().text(), "SELECT 5");
    let messages = pipeline(&mut client, &[parse("", SERIES), bind("q", "", &[], 0), execute("q", 20)]);
    assert_eq!(messages.last().unwrap().body, b"I");
    assert_eq!(code(&pipeline(&mut client, &[execute("q", 0)])), "34000");
    // A statement without rows runs once.
    client.query("BEGIN");
    let set = [parse("", "SET TimeZone = 'Europe/Lisbon'"), bind("", "", &[], 0), execute("", 0), execute("", 0)];
    assert_eq!(code(&pipeline(&mut client, &set)), "55000");
}

#[test]
fn an_error_is_told_without_sync() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.write(&[parse("", "SELEC 1"), flush()].concat());
    assert_eq!(client.read().tag, 'E');
    assert_eq!(tags(&pipeline(&mut client, &[])), "Z");
}

#[test]
fn statements_of_messages_and_of_sql_share_their_names() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("PREPARE twice (int) AS SELECT $1 * 2 AS n");
    let messages = pipeline(&mut client, &[parse("s", "SELECT $1::int + 1 AS n"), parse("twice", "SELECT 1")]);
    assert_eq!((tags(&messages).as_str(), code(&messages).as_str()), ("1EZ", "42P05"));
    assert_eq!(client.rows("EXECUTE s (1)"), [["2"]]);
    let messages = pipeline(&mut client, &[bind("", "twice", &["21"], 0), describe('P', ""), execute("", 0)]);
    assert_eq!(tags(&messages), "2TDCZ");
    assert_eq!(messages[2].texts(), ["42"]);
    // EXECUTE is prepared too, with the columns of what it runs.
    let messages = pipeline(&mut client, &[parse("", "EXECUTE twice (4)"), bind("", "", &[], 0), execute("", 0)]);
    assert_eq!(tags(&messages), "12DCZ");
    assert_eq!(messages[2].texts(), ["8"]);
    client.query("DEALLOCATE s");
    let messages = pipeline(&mut client, &[bind("", "s", &["1"], 0)]);
    assert_eq!(code(&messages), "26000");
    pipeline(&mut client, &[close('S', "twice")]);
    assert_eq!(code(&client.query("EXECUTE twice (1)")), "26000");
}

#[test]
fn two_statements_that_execute_each_other_end() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("PREPARE a AS SELECT 1");
    pipeline(&mut client, &[parse("b", "EXECUTE a")]);
    client.query("DEALLOCATE a");
    pipeline(&mut client, &[parse("a", "EXECUTE b")]);
    assert_eq!(code(&client.query("EXECUTE a")), "0A000");
}
