//! psql, as people use it.

use std::process::{Command, Output};

use crate::server::Server;

fn psql(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new("psql");
    command.args(["-X", "-h", "127.0.0.1", "-p", &server.address.port().to_string(), "-U", "ada", "-d", "levada"]);
    command.args(arguments).env("PGCLIENTENCODING", "UTF8").output().expect("psql is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn queries_and_errors_look_as_they_do_with_postgres() {
    let server = Server::start();
    let table = psql(&server, &["-c", "SELECT 1 AS one"]);
    assert!(table.status.success(), "{}", text(&table.stderr));
    assert_eq!(text(&table.stdout), " one \n-----\n   1\n(1 row)\n\n");

    let several = psql(&server, &["-At", "-c", "SELECT 1; SELECT 2", "-c", "SELECT 3"]);
    assert_eq!(text(&several.stdout), "1\n2\n3\n");

    let wrong = psql(&server, &["-c", "SELECT * FROM nope"]);
    assert_eq!(wrong.status.code(), Some(1));
    let expected = "ERROR:  relation \"nope\" does not exist\nLINE 1: SELECT * FROM nope\n                      ^\n";
    assert_eq!(text(&wrong.stderr), expected);

    for statement in [
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE VIEW near AS SELECT id FROM t",
        "CREATE VIEW far AS SELECT id FROM near",
    ] {
        assert!(psql(&server, &["-c", statement]).status.success());
    }
    let refused = psql(&server, &["-c", "DROP TABLE t"]);
    let expected = "ERROR:  cannot drop table t because other objects depend on it
DETAIL:  view near depends on table t
view far depends on view near
HINT:  Use DROP ... CASCADE to drop the dependent objects too.
";
    assert_eq!(text(&refused.stderr), expected);

    let notice = psql(&server, &["-c", "DROP TABLE IF EXISTS absent"]);
    assert_eq!(text(&notice.stderr), "NOTICE:  table \"absent\" does not exist, skipping\n");
    assert_eq!(text(&notice.stdout), "DROP TABLE\n");
}

#[test]
fn the_version_is_known_to_it() {
    let server = Server::start();
    let version = psql(&server, &["-At", "-c", "\\echo :SERVER_VERSION_NUM", "-c", "\\conninfo"]);
    let said = text(&version.stdout);
    assert!(said.starts_with("15"), "{said}");
    assert_eq!(text(&version.stderr), "", "no warning about versions");
}
