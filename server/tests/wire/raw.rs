//! A client that says exactly what a test wants, right or wrong.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::server::{PATIENCE, Server};

/// A result that never ends, and uses little to make.
pub const ENDLESS: &str = "SELECT a.x FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS a(x), \
    (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS b(x), (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS c(x), \
    (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS d(x), (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS e(x), \
    (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS f(x), (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS g(x), \
    (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS h(x), (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS i(x), \
    (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS j(x), (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) AS k(x)";

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub tag: char,
    pub body: Vec<u8>,
}

impl Message {
    /// The fields of an error or a notice.
    pub fn fields(&self) -> BTreeMap<char, String> {
        assert!(matches!(self.tag, 'E' | 'N'), "{self:?}");
        let parts = self.body.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| (char::from(part[0]), String::from_utf8(part[1..].to_vec()).unwrap())).collect()
    }

    /// The text up to the first zero byte: the tag of a command.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.split(|byte| *byte == 0).next().unwrap()).unwrap()
    }

    /// The values of a row.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.tag, 'D');
        let mut rest = &self.body[2..];
        let mut values = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk() {
            match usize::try_from(i32::from_be_bytes(*length)) {
                Ok(length) => {
                    values.push(Some(after[..length].to_vec()));
                    rest = &after[length..];
                }
                Err(_) => {
                    values.push(None);
                    rest = after;
                }
            }
        }
        values
    }

    /// The values of a row in text format.
    pub fn texts(&self) -> Vec<String> {
        self.values().into_iter().map(|value| String::from_utf8(value.unwrap()).unwrap()).collect()
    }
}

/// The tags of messages, to compare a conversation by.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| message.tag).collect()
}

/// The code of the only error among messages.
pub fn code(messages: &[Message]) -> String {
    let errors: Vec<_> = messages.iter().filter(|message| message.tag == 'E').collect();
    assert_eq!(errors.len(), 1, "{messages:?}");
    errors[0].fields()[&'C'].clone()
}

/// A connection.
pub struct Client {
    socket: TcpStream,
}

impl Client {
    /// A connection that has said nothing yet.
    pub fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client { socket }
    }

    /// A session, ready for queries.
    pub fn login(server: &Server) -> Client {
        Client::login_with_key(server).0
    }

    /// A session, and the bytes that cancel it: process id and secret key.
    pub fn login_with_key(server: &Server) -> (Client, Vec<u8>) {
        let mut client = Client::connect(server.address);
        client.startup(&[("user", "ada"), ("database", "levada")]);
        let messages = client.until_ready();
        let key = messages.iter().find(|message| message.tag == 'K').expect("a secret key").body.clone();
        (client, key)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends what the server may not want to hear to its end.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends a packet of the startup phase.
    pub fn packet(&mut self, body: &[u8]) {
        self.write(&[&(body.len() as u32 + 4).to_be_bytes(), body].concat());
    }

    /// Asks for a session by protocol 3.0.
    pub fn startup(&mut self, parameters: &[(&str, &str)]) {
        self.startup_version(3 << 16, parameters);
    }

    pub fn startup_version(&mut self, version: u32, parameters: &[(&str, &str)]) {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        body.push(0);
        self.packet(&body);
    }

    pub fn send(&mut self, tag: char, body: &[u8]) {
        self.write(&message(tag, body));
    }

    /// Sends a query and reads the answer to its end.
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send('Q', &[sql.as_bytes(), b"\0"].concat());
        self.until_ready()
    }

    /// Runs a query that is to succeed; returns its rows as text.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let messages = self.query(sql);
        assert!(!tags(&messages).contains('E'), "{messages:?}");
        messages.iter().filter(|message| message.tag == 'D').map(Message::texts).collect()
    }

    pub fn byte(&mut self) -> u8 {
        self.try_byte().expect("a byte, not the end")
    }

    /// The next byte; None at the end of the connection.
    pub fn try_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.read_or_end(&mut byte).then_some(byte[0])
    }

    /// Fills a buffer; false at the end of the connection.
    fn read_or_end(&mut self, buffer: &mut [u8]) -> bool {
        let Err(error) = self.socket.read_exact(buffer) else { return true };
        let over = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
        assert!(over, "{error}");
        false
    }

    pub fn read(&mut self) -> Message {
        self.try_read().expect("a message, not the end")
    }

    /// The next message; None at the end of the connection.
    pub fn try_read(&mut self) -> Option<Message> {
        let tag = self.try_byte()?;
        Some(self.rest_of(tag))
    }

    /// The message of which the first byte was read.
    pub fn rest_of(&mut self, tag: u8) -> Message {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.socket.read_exact(&mut body).unwrap();
        Message { tag: char::from(tag), body }
    }

    /// Messages up to and with one of this tag.
    pub fn until(&mut self, tag: char) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.last().is_none_or(|message: &Message| message.tag != tag) {
            messages.push(self.read());
        }
        messages
    }

    pub fn until_ready(&mut self) -> Vec<Message> {
        self.until('Z')
    }

    /// Reads a last error, and the end behind it.
    pub fn last_error(&mut self) -> BTreeMap<char, String> {
        let error = self.read().fields();
        assert_eq!(self.try_read(), None, "the connection is to end");
        error
    }

    /// Closes the sending half.
    pub fn say_no_more(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

/// The bytes of a message.
pub fn message(tag: char, body: &[u8]) -> Vec<u8> {
    [&[tag as u8], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

/// Parse, without types of parameters.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message('P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// Bind, with parameters in text format and all results in `format`.
pub fn bind(portal: &str, statement: &str, parameters: &[&str], format: u8) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend((parameters.len() as u16).to_be_bytes());
    for parameter in parameters {
        body.extend((parameter.len() as u32).to_be_bytes());
        body.extend(parameter.as_bytes());
    }
    body.extend([0, 1, 0, format]);
    message('B', &body)
}

/// Describe of a statement (`S`) or portal (`P`).
pub fn describe(kind: char, name: &str) -> Vec<u8> {
    message('D', format!("{kind}{name}\0").as_bytes())
}

pub fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    message('E', &[portal.as_bytes(), b"\0", &max_rows.to_be_bytes()].concat())
}

pub fn close(kind: char, name: &str) -> Vec<u8> {
    message('C', format!("{kind}{name}\0").as_bytes())
}

pub fn sync() -> Vec<u8> {
    message('S', b"")
}

pub fn flush() -> Vec<u8> {
    message('H', b"")
}
