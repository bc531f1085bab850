//! The startup phase.

use std::collections::BTreeMap;

use crate::raw::{Client, Message, tags};
use crate::server::Server;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

fn parameters(messages: &[Message]) -> BTreeMap<String, String> {
    let reported = messages.iter().filter(|message| message.tag == 'S');
    let pair = |message: &Message| {
        let text = String::from_utf8(message.body.clone()).unwrap();
        let (name, value) = text.trim_end_matches('\0').split_once('\0').unwrap_or((text.trim_end_matches('\0'), ""));
        (name.to_owned(), value.to_owned())
    };
    reported.map(pair).collect()
}

#[test]
fn clients_are_told_what_drivers_need() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    client.startup(&[("user", "ada"), ("database", "levada"), ("application_name", "tests"), ("DateStyle", "ISO")]);
    let messages = client.until_ready();
    let order: String = tags(&messages).replace('S', "");
    assert_eq!(order, "RKZ");
    assert_eq!(messages[0].body, [0; 4]);
    let told = parameters(&messages);
    for (name, value) in [
        ("application_name", "tests"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("default_transaction_read_only", "off"),
        ("in_hot_standby", "off"),
        ("integer_datetimes", "on"),
        ("IntervalStyle", "postgres"),
        ("is_superuser", "off"),
        ("server_encoding", "UTF8"),
        ("session_authorization", "ada"),
        ("standard_conforming_strings", "on"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(told["server_version"].starts_with("15."), "{told:?}");
    assert_eq!(messages.last().unwrap().body, b"I");
}

#[test]
fn encryption_is_declined() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    client.packet(&SSL_REQUEST.to_be_bytes());
    assert_eq!(client.byte(), b'N');
    client.packet(&GSS_REQUEST.to_be_bytes());
    assert_eq!(client.byte(), b'N');
    client.startup(&[("user", "ada"), ("database", "levada")]);
    assert_eq!(tags(&client.until_ready()).replace('S', ""), "RKZ");

    let mut insists = Client::connect(server.address);
    for _ in 0..2 {
        insists.packet(&SSL_REQUEST.to_be_bytes());
        assert_eq!(insists.byte(), b'N');
    }
    insists.packet(&SSL_REQUEST.to_be_bytes());
    assert_eq!(insists.last_error()[&'C'], "08P01");
}

#[test]
fn there_is_one_database() {
    let server = Server::start();
    for parameters in [&[("user", "ada"), ("database", "other")][..], &[("user", "other")]] {
        let mut client = Client::connect(server.address);
        client.startup(parameters);
        let error = client.last_error();
        assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "3D000"));
        assert_eq!(error[&'M'], "database \"other\" does not exist");
    }
    let mut nobody = Client::connect(server.address);
    nobody.startup(&[("database", "levada")]);
    assert_eq!(nobody.last_error()[&'S'], "FATAL");
}

#[test]
fn parameters_are_settings() {
    let server = Server::start();
    let mut client = Client::connect(server.address);
    let options = ("options", "-c statement_timeout=90s");
    client.startup(&[("user", "ada"), ("database", "levada"), options]);
    client.until_ready();
    assert_eq!(client.rows("SHOW statement_timeout"), [["90s"]]);

    let mut wrong = Client::connect(server.address);
    wrong.startup(&[("user", "ada"), ("database", "levada"), ("no_such", "1")]);
    let error = wrong.last_error();
    assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "42704"));
}

#[test]
fn versions_are_negotiated() {
    let server = Server::start();
    let mut newer = Client::connect(server.address);
    newer.startup_version((3 << 16) + 9999, &[("user", "ada"), ("database", "levada"), ("_pq_.odd", "1")]);
    let messages = newer.until_ready();
    assert_eq!(tags(&messages).replace('S', ""), "vRKZ");
    assert_eq!(messages[0].body, [&[0, 3, 0, 2, 0, 0, 0, 1][..], b"_pq_.odd\0"].concat());
    let key = messages.iter().find(|message| message.tag == 'K').unwrap();
    assert_eq!(key.body.len(), 4 + 32, "keys are long from 3.2 on");

    let mut older = Client::connect(server.address);
    older.startup_version(2 << 16, &[("user", "ada")]);
    assert_eq!(older.last_error()[&'C'], "0A000");
}

#[test]
fn noise_is_refused() {
    let server = Server::start();
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\x04",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\x27\x11aaaa",
        b"\0\0\0\x08\0\x03\0\0",
        b"\0\0\0\x0e\0\x03\0\0user\0\xff",
    ] {
        let mut client = Client::connect(server.address);
        client.write(noise);
        client.say_no_more();
        assert_eq!(client.last_error()[&'S'], "FATAL", "{noise:?}");
    }
    // Whoever leaves half-way is told nothing.
    let mut leaves = Client::connect(server.address);
    leaves.write(b"\0\0\0\x50\0\x03\0\0user");
    leaves.say_no_more();
    assert_eq!(leaves.try_read(), None);
    Client::login(&server).rows("SELECT 1");
}
