//! Simple queries.

use crate::raw::{Client, code, tags};
use crate::server::Server;

#[test]
fn a_query_is_answered() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let messages = client.query("SELECT 1, 'a'");
    assert_eq!(tags(&messages), "TDCZ");
    // Two columns; of the first: no relation, int4 of 4 bytes, no modifier, text.
    let first = [&b"\0\x02?column?\0"[..], &[0; 6], &[0, 0, 0, 23, 0, 4], &[255; 4], &[0, 0]].concat();
    assert_eq!(messages[0].body[..first.len()], first);
    assert_eq!(messages[1].texts(), ["1", "a"]);
    assert_eq!(messages[2].text(), "SELECT 1");
    assert_eq!(messages[3].body, b"I");
}

#[test]
fn nothing_is_answered_too() {
    let server = Server::start();
    let mut client = Client::login(&server);
    for nothing in ["", " ", ";", " ; "] {
        assert_eq!(tags(&client.query(nothing)), "IZ", "{nothing:?}");
    }
    assert_eq!(tags(&client.query("SELECT 1;")), "TDCZ");
}

#[test]
fn a_pool_makes_its_connection_clean() {
    let server = Server::start();
    let mut client = Client::login(&server);
    client.query("SET statement_timeout = '5s'");
    let messages = client.query("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;");
    assert_eq!(tags(&messages), "TDCCCCZ");
    let done = messages[2..6].iter().map(|message| message.text()).collect::<Vec<_>>();
    assert_eq!(done, ["SELECT 1", "CLOSE CURSOR ALL", "UNLISTEN", "RESET"]);
    assert_eq!(client.rows("SHOW statement_timeout"), [["0"]]);
}

#[test]
fn results_come_statement_by_statement() {
    let server = Server::start();
    let mut client = Client::login(&server);
    assert_eq!(tags(&client.query("SELECT 1; SELECT 2; SELECT 3")), "TDCTDCTDCZ");
    // Those before an error have been sent, those behind it are not run.
    let messages = client.query("SELECT 1; SELECT * FROM nope; SELECT 3");
    assert_eq!(tags(&messages), "TDCEZ");
    assert_eq!(code(&messages), "42P01");
    // A string that does not parse is not begun.
    assert_eq!(tags(&client.query("SELECT 1; SELEC 2")), "EZ");
}

#[test]
fn a_string_is_one_transaction() {
    let server = Server::start();
    let mut client = Client::login(&server);
    assert_eq!(tags(&client.query("CREATE TABLE t (a int)")), "CZ");
    let count = "SELECT count(*) FROM t";
    assert_eq!(code(&client.query("INSERT INTO t VALUES (1); SELECT * FROM nope")), "42P01");
    assert_eq!(client.rows(count), [["0"]]);
    let messages = client.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
    assert_eq!(tags(&messages), "CCZ");
    assert_eq!(messages[1].text(), "INSERT 0 1");
    assert_eq!(client.rows(count), [["2"]]);
    // A block that is opened in a string outlives it.
    assert_eq!(client.query("BEGIN; INSERT INTO t VALUES (3)").last().unwrap().body, b"T");
    assert_eq!(client.query("ROLLBACK").last().unwrap().body, b"I");
    assert_eq!(client.rows(count), [["2"]]);
    // What follows a COMMIT in a string is one transaction again.
    let behind = "BEGIN; INSERT INTO t VALUES (3); COMMIT; INSERT INTO t VALUES (4); SELECT * FROM nope";
    assert_eq!(code(&client.query(behind)), "42P01");
    assert_eq!(client.rows(count), [["3"]]);
}

#[test]
fn the_state_of_a_block_is_reported() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let mut state = |sql: &str| {
        let messages = client.query(sql);
        let error = messages.iter().find(|message| message.tag == 'E').map(|error| error.fields()[&'C'].clone());
        (error, char::from(messages.last().unwrap().body[0]))
    };
    assert_eq!(state("BEGIN"), (None, 'T'));
    assert_eq!(state("SELECT 1"), (None, 'T'));
    assert_eq!(state("SELECT * FROM nope"), (Some("42P01".to_owned()), 'E'));
    assert_eq!(state("SELECT 1"), (Some("25P02".to_owned()), 'E'));
    assert_eq!(state("ROLLBACK"), (None, 'I'));
    assert_eq!(state("SELECT * FROM nope"), (Some("42P01".to_owned()), 'I'));
}

#[test]
fn errors_say_where() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let messages = client.query("SELECT * FROM nope");
    let error = messages[0].fields();
    assert_eq!(error[&'S'], "ERROR");
    assert_eq!(error[&'V'], "ERROR");
    assert_eq!(error[&'M'], "relation \"nope\" does not exist");
    assert_eq!(error[&'P'], "15");
}

#[test]
fn notices_and_settings_are_told() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let messages = client.query("DROP TABLE IF EXISTS absent");
    assert_eq!(tags(&messages), "NCZ");
    let notice = messages[0].fields();
    assert_eq!((notice[&'S'].as_str(), notice[&'M'].as_str()), ("NOTICE", "table \"absent\" does not exist, skipping"));

    let messages = client.query("SET TimeZone = 'Europe/Lisbon'");
    assert_eq!(tags(&messages), "CSZ");
    assert_eq!(messages[1].body, b"TimeZone\0Europe/Lisbon\0");
}
