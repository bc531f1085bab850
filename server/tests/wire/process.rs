//! The process as its operator sees it: settings, signals, exit codes.

use crate::raw::Client;
use crate::server::{Server, command, refused};

#[test]
fn signals_end_it_in_order() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut idle = Client::login(&server);
        server.signal(signal);
        let error = idle.last_error();
        assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "57P01"));
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_running_statement_does_not_hold_it_up() {
    let mut server = Server::start();
    let mut busy = Client::login(&server);
    busy.send('Q', &[crate::raw::ENDLESS.as_bytes(), b"\0"].concat());
    busy.until('D');
    server.signal("TERM");
    let error = loop {
        let message = busy.read();
        if message.tag == 'E' {
            break message.fields();
        }
        assert_eq!(message.tag, 'D');
    };
    assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "57P01"));
    assert_eq!(error[&'M'], "terminating connection due to administrator command");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_data_directory_has_one_server() {
    let server = Server::start();
    let mut second = command();
    second.arg("--data-dir").arg(server.directory.path().join("data")).args(["--listen", "127.0.0.1:0"]);
    let (code, said) = refused(second);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("levada: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn wrong_settings_are_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("levada.toml");
    std::fs::write(&file, "data_dir = 'data'\nlisten_on = '127.0.0.1:0'\n").unwrap();
    let mut unknown_key = command();
    unknown_key.arg("--config").arg(&file);
    let mut open = command();
    open.arg("--data-dir").arg(directory.path()).args(["--listen", "0.0.0.0:0"]);
    let no_directory = command();
    let mut taken = command();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.arg("--data-dir").arg(directory.path().join("data"));
    taken.arg("--listen").arg(other.local_addr().unwrap().to_string());
    for (command, expected) in [
        (unknown_key, "levada.toml:2: unknown field `listen_on`"),
        (open, "--insecure"),
        (no_directory, "no data directory"),
        (taken, "cannot listen on"),
    ] {
        let (code, said) = refused(command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("levada: ") && said.lines().count() == 1, "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn variables_go_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("levada.toml");
    std::fs::write(&file, "listen = '0.0.0.0:0'\n").unwrap();
    let mut variable = command();
    variable.arg("--config").arg(&file).env("LEVADA_DATA_DIR", directory.path()).env("LEVADA_LISTEN", "192.0.2.1:0");
    // The variable's address is the one refused.
    let (code, said) = refused(variable);
    assert_eq!(code, Some(1));
    assert!(said.contains("192.0.2.1:0"), "{said}");
}
