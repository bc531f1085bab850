//! Clients that say anything: the server answers each as the protocol says, or hangs up on it, and serves the next.
//!
//! `LEVADA_FUZZ=from..to` tries other seeds than the suite has time for.

use levada_testing::{Dice, garble, seeds};

use crate::raw::{Client, Message, bind, close, describe, execute, flush, message, parse, sync};
use crate::server::Server;

fn any_bytes(dice: &mut Dice, most: usize) -> Vec<u8> {
    let length = dice.below(most + 1);
    dice.bytes(length)
}

/// Reads to the end of the connection. Errors have a code, and none is of our own making.
fn read_to_end(client: &mut Client) {
    while let Some(message) = client.try_read() {
        check(&message);
    }
}

fn check(message: &Message) {
    if message.tag == 'E' {
        let fields = message.fields();
        assert!(fields[&'C'].len() == 5 && fields[&'C'] != "XX000", "{fields:?}");
    }
}

#[test]
fn any_startup_packet_has_an_answer() {
    let server = Server::start();
    let request = |code: u32, rest: &[u8]| [&code.to_be_bytes(), rest].concat();
    let startup = request(3 << 16, b"user\0ada\0database\0levada\0options\0-c lock_timeout=1s\0\0");
    let packets =
        [startup, request(80_877_102, &[7; 8]), request(80_877_103, &[]), request((3 << 16) + 2, b"user\0a\0\0")];
    for seed in seeds(300) {
        let mut dice = Dice::new(seed);
        let mut client = Client::connect(server.address);
        let mut body = dice.pick(&packets);
        if dice.below(8) > 0 {
            garble(&mut body, &mut dice);
        }
        let length = match dice.below(4) {
            0 => dice.pick(&[0, 4, 7, 8, 10_000, 10_001, u32::MAX, 1 << 31]),
            _ => body.len() as u32 + 4,
        };
        // It may hang up on what is wrong before it has all been said.
        let _ = client.try_write(&[&length.to_be_bytes(), body.as_slice(), &any_bytes(&mut dice, 20)].concat());
        client.say_no_more();
        match client.try_byte() {
            None | Some(b'N') => {}
            Some(tag) => check(&client.rest_of(tag)),
        }
        if !body.starts_with(&request(80_877_103, &[])) {
            read_to_end(&mut client);
        }
    }
    assert_eq!(Client::login(&server).rows("SELECT 1"), [["1"]]);
}

const STATEMENTS: &[&str] = &[
    "SELECT $1::int + 1",
    "SELECT $1::text, $2::numeric, $1",
    "SELECT $1::bytea, $2::timestamptz, $3::int[], $4::jsonb, $5::uuid, $6::float8, $7::bool, $8::date, $9::time",
    "INSERT INTO t VALUES ($1)",
    "SELECT a FROM t ORDER BY a LIMIT 20",
    "SELECT i FROM generate_series(1, 50) AS g(i)",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "",
    ";;",
    "SELECT 1; SELECT 2",
    "SELEC",
    "SELECT $1",
    "SELECT $70000",
    "SELECT $0",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "SHOW TimeZone",
    "SET statement_timeout = '20s'",
    "UPDATE t SET a = a + 1 WHERE a < $1",
    "COPY t FROM STDIN",
    "SELECT 1 / $1::int",
];

/// A message of the extended protocol or a query, mostly well made.
fn any_message(dice: &mut Dice) -> Vec<u8> {
    let name = dice.pick(&["", "", "a", "b"]);
    let statement = dice.pick(&["", "", "a", "b"]);
    let mut bytes = match dice.below(12) {
        0..3 => parse(statement, dice.pick(STATEMENTS)),
        3 => {
            let mut body = format!("{statement}\0{}\0", dice.pick(STATEMENTS)).into_bytes();
            let types = [0_u32, 16, 17, 20, 23, 25, 701, 1082, 1114, 1184, 1186, 1700, 2950, 3802, 1007, 5, 705];
            let count = dice.below(10);
            body.extend((count as u16).to_be_bytes());
            (0..count).for_each(|_| body.extend(dice.pick(&types).to_be_bytes()));
            message('P', &body)
        }
        4 => bind(name, statement, &["1", "-2", "x"][..dice.below(4)], dice.below(2) as u8),
        5 => {
            // Values in binary, of any length.
            let mut body = format!("{name}\0{statement}\0").into_bytes();
            body.extend([0, 1, 0, 1]);
            let count = dice.below(10);
            body.extend((count as u16).to_be_bytes());
            for _ in 0..count {
                let most = dice.pick(&[0, 1, 4, 8, 40]);
                let value = any_bytes(dice, most);
                body.extend((value.len() as u32).to_be_bytes());
                body.extend(value);
            }
            body.extend([0, 1, 0, dice.below(2) as u8]);
            message('B', &body)
        }
        6 => describe(dice.pick(&['S', 'P']), name),
        7 | 8 => execute(name, dice.pick(&[0, 1, 7, u32::MAX])),
        9 => close(dice.pick(&['S', 'P']), name),
        10 => dice.pick(&[flush(), sync(), message('d', b"1\n"), message('c', b""), message('f', b"no\0")]),
        _ => message('Q', format!("{}\0", dice.pick(STATEMENTS).replace("$1", "1")).as_bytes()),
    };
    if dice.below(6) == 0 {
        let mut body = bytes.split_off(5);
        garble(&mut body, dice);
        bytes = message(char::from(bytes[0]), &body);
    }
    bytes
}

/// Messages in any order: after a Sync the session goes on as if nothing had been.
#[test]
fn messages_in_any_order_are_answered() {
    let server = Server::start();
    Client::login(&server).query("CREATE TABLE t (a int)");
    for seed in seeds(40) {
        let mut dice = Dice::new(seed);
        let (mut client, key) = Client::login_with_key(&server);
        for part in 0..4 {
            let said: Vec<u8> = (0..dice.below(30)).flat_map(|_| any_message(&mut dice)).collect();
            client.write(&said);
            if dice.below(4) == 0 {
                // Somebody with a wrong key, or with half of it.
                let mut other = Client::connect(server.address);
                let mut wrong = key.clone();
                garble(&mut wrong, &mut dice);
                if !wrong.starts_with(&key) {
                    other.packet(&[&80_877_102_u32.to_be_bytes(), wrong.as_slice()].concat());
                }
            }
            let marker = format!("end of part {part}");
            client.write(
                &[sync(), message('Q', b"ROLLBACK\0"), message('Q', format!("SELECT '{marker}'\0").as_bytes())]
                    .concat(),
            );
            loop {
                let answer = client.read();
                check(&answer);
                if answer.tag == 'D' && answer.values().last() == Some(&Some(marker.clone().into_bytes())) {
                    break;
                }
            }
            client.until_ready();
        }
    }
}

/// Frames that end too early, claim too much, or are none.
#[test]
fn frames_of_any_length_are_answered_or_hung_up_on() {
    let server = Server::start();
    for seed in seeds(120) {
        let mut dice = Dice::new(seed);
        let mut client = Client::login(&server);
        let mut said: Vec<u8> = (0..dice.below(5)).flat_map(|_| any_message(&mut dice)).collect();
        garble(&mut said, &mut dice);
        said.extend(any_bytes(&mut dice, 30));
        let _ = client.try_write(&said);
        client.say_no_more();
        read_to_end(&mut client);
    }
    assert_eq!(Client::login(&server).rows("SELECT 1"), [["1"]]);
}

/// As many parameters as a message can hold, and then one that there cannot be.
#[test]
fn parameters_are_counted_in_sixteen_bits() {
    let server = Server::start();
    let mut client = Client::login(&server);
    let numbers: Vec<String> = (1..=65_535).map(|number| format!("${number}::int")).collect();
    let values = vec!["1"; 65_535];
    let many = format!("SELECT cardinality(ARRAY[{}])", numbers.join(","));
    client.write(&[parse("", &many), bind("", "", &values, 0), execute("", 0), sync()].concat());
    let answer = client.until_ready();
    assert_eq!(answer.iter().find(|message| message.tag == 'D').map(Message::texts), Some(vec!["65535".to_owned()]));
    client.write(&[parse("", "SELECT $65536::int"), sync()].concat());
    let refused = client.until_ready();
    assert!(matches!(crate::raw::code(&refused).as_str(), "42P02" | "54000" | "42601"), "{refused:?}");
}
