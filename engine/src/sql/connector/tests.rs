use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};

use super::{CreateConnector, KafkaOptions, Metadata, StartupMode, parse_create_connector};
use crate::error::Error;

fn parse(sql: &str) -> Result<Option<CreateConnector>, ParserError> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(sql)?;
    let index = parser.index();
    let parsed = parse_create_connector(&mut parser)?;
    match parsed {
        Some(_) => assert_eq!(parser.peek_token_ref().token, sqlparser::tokenizer::Token::EOF, "{sql}"),
        None => assert_eq!(parser.index(), index, "{sql}"),
    }
    Ok(parsed)
}

fn connector(sql: &str) -> CreateConnector {
    parse(sql).expect(sql).expect(sql)
}

fn options(rest: &str) -> Result<KafkaOptions, Error> {
    let sql = format!("CREATE TABLE t (a int) WITH ({rest}) FORMAT PLAIN ENCODE JSON");
    connector(&sql).kafka(&sql)
}

const LEAST: &str = "connector = 'kafka', topic = 't', properties.bootstrap.server = 'h:1'";

#[test]
fn the_whole_statement() {
    let sql = "CREATE TABLE IF NOT EXISTS shop.\"Orders\" (
        order_id bigint PRIMARY KEY,
        item struct_type[] NOT NULL,
        at timestamptz,
        price numeric(10, 2),
        WATERMARK FOR at AS at - INTERVAL '5 seconds',
        PRIMARY KEY (order_id)
    )
    INCLUDE KEY AS k INCLUDE partition INCLUDE OFFSET AS \"Off\" INCLUDE timestamp INCLUDE header AS h
    WITH (
        connector = 'kafka',
        topic = 'orders',
        properties.bootstrap.server = 'a:9092,b:9092',
        properties.security.protocol = 'SASL_SSL',
        scan.startup.mode = 'latest',
        scan.watermark.idle_timeout = '30 seconds',
    ) FORMAT UPSERT ENCODE JSON (on_error = 'fail')";
    let create = connector(sql);
    assert!(create.stored && create.if_not_exists && !create.or_replace);
    assert_eq!(create.name.to_string(), "shop.\"Orders\"");
    let names: Vec<String> = create.columns.iter().map(|column| column.name.value.clone()).collect();
    assert_eq!(names, ["order_id", "item", "at", "price"]);
    assert_eq!(create.columns[3].data_type.to_string(), "NUMERIC(10,2)");
    assert_eq!(create.constraints.len(), 1);
    assert_eq!(create.watermarks[0].column.value, "at");
    assert_eq!(create.watermarks[0].expression.to_string(), "at - INTERVAL '5 seconds'");
    let includes: Vec<_> = create.includes.iter().map(|include| (include.what, include.column())).collect();
    assert_eq!(
        includes,
        [
            (Metadata::Key, "k".to_owned()),
            (Metadata::Partition, "_rw_kafka_partition".to_owned()),
            (Metadata::Offset, "Off".to_owned()),
            (Metadata::Timestamp, "_rw_kafka_timestamp".to_owned()),
            (Metadata::Headers, "h".to_owned()),
        ]
    );
    let options = create.kafka(sql).unwrap();
    let error = CreateConnector { watermarks: Vec::new(), ..create }.kafka(sql).unwrap_err();
    assert_eq!(error.sqlstate().code(), "22023");
    assert_eq!(
        options,
        KafkaOptions {
            brokers: "a:9092,b:9092".to_owned(),
            topic: "orders".to_owned(),
            properties: [("security.protocol".to_owned(), "SASL_SSL".to_owned())].into(),
            startup: StartupMode::Latest,
            upsert: true,
            fail_on_error: true,
            continue_after_gap: false,
            retention: None,
            idle_timeout: Some(30_000_000),
        }
    );
}

#[test]
fn other_statements_are_left_alone() {
    for sql in [
        "SELECT 1",
        "CREATE TABLE t (a int, b text)",
        "CREATE TABLE t (a int, connector text DEFAULT 'connector = ')",
        "CREATE TABLE t (connector int) WITH (fillfactor = 70)",
        "CREATE TABLE include (format int)",
        "CREATE TABLE t AS SELECT 1 AS connector",
        "CREATE VIEW source AS SELECT 1",
        "CREATE TABLE t (a int",
        "CREATE",
        "",
    ] {
        assert!(parse(sql).expect(sql).is_none(), "{sql}");
    }
}

#[test]
fn syntax_errors_name_the_token() {
    for (sql, expected) in [
        ("CREATE SOURCE s (a int) WITH (connector 'kafka')", "found: 'kafka'"),
        ("CREATE SOURCE s (a int) INCLUDE value", "found: value"),
        ("CREATE SOURCE s (a int) FORMAT PLAIN", "found: EOF"),
        ("CREATE SOURCE s (a int,) FORMAT PLAIN", "found: )"),
        ("CREATE SOURCE s (a int WITH (x = 'y')", "found"),
        ("CREATE SOURCE s (a int) WITH (x = )", "found: )"),
        ("CREATE SOURCE s (a int) WITH (x = 'y'", "found: EOF"),
    ] {
        let message = parse(sql).expect_err(sql).to_string();
        assert!(message.contains(expected), "{sql}: {message}");
    }
}

#[test]
fn where_reading_begins() {
    let startup = |rest: &str| options(&format!("{LEAST}{rest}")).map(|options| options.startup);
    assert_eq!(startup("").unwrap(), StartupMode::Earliest);
    assert_eq!(startup(", scan.startup.mode = 'EARLIEST'").unwrap(), StartupMode::Earliest);
    assert_eq!(startup(", scan.startup.timestamp.millis = '1700'").unwrap(), StartupMode::Timestamp(1700));
    let both = ", scan.startup.mode = 'timestamp', scan.startup.timestamp.millis = 1700";
    assert_eq!(startup(both).unwrap(), StartupMode::Timestamp(1700));
    for wrong in [
        ", scan.startup.mode = 'beginning'",
        ", scan.startup.mode = 'timestamp'",
        ", scan.startup.timestamp.millis = 'yesterday'",
        ", scan.startup.timestamp.millis = -1",
        ", scan.startup.mode = 'latest', scan.startup.timestamp.millis = '1'",
    ] {
        assert_eq!(startup(wrong).expect_err(wrong).sqlstate().code(), "22023", "{wrong}");
    }
}

#[test]
fn retention_is_a_time() {
    let retention = |text: &str| options(&format!("{LEAST}, retention = '{text}'")).map(|options| options.retention);
    for (text, micros) in [
        ("10 minutes", 600_000_000),
        ("00:10", 600_000_000),
        ("1 day 12:00:00", 129_600_000_000),
        ("1.5 seconds", 1_500_000),
        ("PT1H", 3_600_000_000),
        ("2 days -1 hour", 169_200_000_000),
    ] {
        assert_eq!(retention(text).unwrap(), Some(micros), "{text}");
    }
    for (wrong, in_hint) in [
        ("", "such as"),
        ("soon", "such as"),
        ("0", "such as"),
        ("-10 minutes", "negative"),
        ("1 month", "Months"),
        ("1 year 1 day", "Months"),
        ("2000000000 days", "such as"),
    ] {
        let error = retention(wrong).expect_err(wrong);
        assert_eq!((error.sqlstate().code(), error.position().is_some()), ("22023", true), "{wrong}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(in_hint)), "{wrong}: {:?}", error.hint());
    }
    let sql = format!("CREATE SOURCE s (a int) WITH ({LEAST}, retention = '1 day') FORMAT PLAIN ENCODE JSON");
    assert_eq!(connector(&sql).kafka(&sql).unwrap_err().sqlstate().code(), "0A000");
}

#[test]
fn options_are_checked_by_name() {
    let check = |rest: &str, sqlstate: &str, in_message: &str| {
        let error = options(rest).expect_err(rest);
        assert_eq!(error.sqlstate().code(), sqlstate, "{rest}: {error}");
        assert!(error.message().contains(in_message), "{rest}: {error}");
        assert!(error.hint().is_some(), "{rest}: {error}");
    };
    check("topic = 't', properties.bootstrap.server = 'h'", "22023", "connector");
    check("connector = 'kafka', properties.bootstrap.server = 'h'", "22023", "topic");
    check("connector = 'kafka', topic = 't'", "22023", "properties.bootstrap.server");
    check("connector = 'kinesis', topic = 't'", "0A000", "kinesis");
    check(&format!("{LEAST}, topics = 'x'"), "22023", "topics");
    for ours in ["group.id", "enable.auto.commit", "auto.offset.reset", "enable.partition.eof", "Group.ID"] {
        check(&format!("{LEAST}, properties.{ours} = 'x'"), "22023", ours);
    }
    for closed in [
        "ssl.ca.location",
        "plugin.library.paths",
        "sasl.kerberos.kinit.cmd",
        "ssl.engine.location",
        "sasl.oauthbearer.assertion.private.key.file",
        "test.mock.num.brokers",
        "offset.store.path",
    ] {
        check(&format!("{LEAST}, properties.{closed} = 'x'"), "42501", closed);
    }
    let twice = options(&format!("{LEAST}, topic = 'u'")).unwrap_err();
    assert_eq!((twice.sqlstate().code(), twice.position().is_some()), ("22023", true));
}

#[test]
fn positions_are_those_of_the_options() {
    let sql = format!("CREATE TABLE t (a int)\nWITH ({LEAST}, wrong = 'x') FORMAT PLAIN ENCODE JSON");
    let error = connector(&sql).kafka(&sql).unwrap_err();
    let start = sql.find("wrong").unwrap();
    assert_eq!(error.position(), Some(start + 1));
}

#[test]
fn what_is_not_done_yet_is_refused() {
    for (sql, what) in [
        (format!("CREATE SOURCE s (a int) WITH ({LEAST}) FORMAT DEBEZIUM ENCODE JSON"), "DEBEZIUM"),
        (format!("CREATE SOURCE s (a int) WITH ({LEAST}) FORMAT PLAIN ENCODE AVRO"), "AVRO"),
        (format!("CREATE SOURCE s (a int) WITH ({LEAST}) FORMAT UPSERT ENCODE JSON"), "UPSERT"),
        (format!("CREATE OR REPLACE SOURCE s (a int) WITH ({LEAST}) FORMAT PLAIN ENCODE JSON"), "OR REPLACE"),
        (format!("CREATE SOURCE s WITH ({LEAST}) FORMAT PLAIN ENCODE JSON"), "columns"),
    ] {
        let error = connector(&sql).kafka(&sql).expect_err(&sql);
        assert_eq!(error.sqlstate().code(), "0A000", "{sql}");
        assert!(error.message().contains(what), "{sql}: {error}");
    }
    let sql = format!("CREATE SOURCE s (a int) WITH ({LEAST})");
    assert_eq!(connector(&sql).kafka(&sql).unwrap_err().sqlstate().code(), "42601");
}

#[test]
fn structs_within_structs() {
    let sql = "CREATE TABLE t (a struct<b int, c struct<d text[], \"E\" struct<f int>>[]> NOT NULL, g struct<h struct<i int>>)
        WITH (connector = 'kafka') FORMAT PLAIN ENCODE JSON";
    let create = connector(sql);
    let types: Vec<String> = create.columns.iter().map(|column| column.data_type.to_string()).collect();
    assert_eq!(types, ["STRUCT<b INT, c STRUCT<d TEXT[], \"E\" STRUCT<f INT>>[]>", "STRUCT<h STRUCT<i INT>>"]);
    assert_eq!(create.columns[0].options.len(), 1);
}

#[test]
fn broken_structs_are_refused() {
    let deep = format!("{}int{}", "struct<a ".repeat(1000), ">".repeat(1000));
    for broken in ["struct<", "struct<>", "struct<a>", "struct<a int", "struct<a int>>", "struct<a int,>", &deep] {
        let sql = format!("CREATE SOURCE s (c {broken}) WITH (connector = 'kafka') FORMAT PLAIN ENCODE JSON");
        assert!(parse(&sql).is_err(), "{broken}");
    }
}
