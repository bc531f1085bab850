//! What clients send after startup.
//!
//! pgwire's decoders trust the bytes: they panic on a message that is shorter than its fields, read past its end into
//! the next one, and replace what is not UTF-8. These check a message whole before anything acts on it. Every error is
//! of one message only: [`input`](super::input) has found its end before, so the connection goes on behind it.

use bytes::{Buf, Bytes};
use levada_engine::error::{Error, Result, SqlState};

/// Longest message of a kind whose size the client's data decide: a statement, or bound parameters.
const LARGE: usize = 64 << 20;
/// Longest message of the other kinds: names and numbers. As PostgreSQL's `PQ_SMALL_MESSAGE_LIMIT`.
const SMALL: usize = 10_000;

/// A message, decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Query {
        sql: String,
    },
    Parse {
        statement: String,
        sql: String,
        parameter_types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        max_rows: Option<u64>,
    },
    Close(Target),
    Flush,
    Sync,
    /// Part of a COPY that is over or was refused.
    Copy,
    FunctionCall,
    Terminate,
}

/// Values for a prepared statement's parameters, which make a portal of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    /// None: all text; one: of all parameters; else one a parameter.
    pub parameter_formats: Vec<Format>,
    /// None is NULL.
    pub parameters: Vec<Option<Bytes>>,
    /// As `parameter_formats`, of the result's columns.
    pub result_formats: Vec<Format>,
}

/// What a Describe or a Close is about; the empty name is the unnamed one.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Statement(String),
    Portal(String),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

impl Format {
    /// The code in messages.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// The most bytes that a message with this tag may have, its length word included; None when there is no such tag.
pub fn longest(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Some(LARGE),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => Some(SMALL),
        _ => None,
    }
}

/// Whether an error in a message with this tag makes the server skip everything until the next Sync.
pub fn is_extended(tag: u8) -> bool {
    matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
}

/// Decodes the body of a message.
///
/// # Errors
/// 08P01 when the body is not what the tag promises, 22P02 when text is not UTF-8, 22023 for formats that do not exist.
pub fn decode(tag: u8, body: Bytes) -> Result<Message> {
    let mut body = Body(body);
    let message = match tag {
        b'Q' => Message::Query { sql: body.string()? },
        b'P' => Message::Parse {
            statement: body.string()?,
            sql: body.string()?,
            parameter_types: body.list(|body| body.u32())?,
        },
        b'B' => Message::Bind(Bind {
            portal: body.string()?,
            statement: body.string()?,
            parameter_formats: body.list(Body::format)?,
            parameters: body.list(Body::value)?,
            result_formats: body.list(Body::format)?,
        }),
        b'D' => Message::Describe(body.target()?),
        b'E' => {
            let portal = body.string()?;
            let max_rows = u64::try_from(body.u32()?.cast_signed()).ok().filter(|rows| *rows > 0);
            Message::Execute { portal, max_rows }
        }
        b'C' => Message::Close(body.target()?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        // What is in them matters to nobody.
        b'd' | b'c' | b'f' => return Ok(Message::Copy),
        b'F' => return Ok(Message::FunctionCall),
        b'X' => return Ok(Message::Terminate),
        other => return Err(malformed(format!("invalid frontend message type {other}"))),
    };
    if !body.0.is_empty() {
        return Err(malformed("invalid message format"));
    }
    Ok(message)
}

/// The part of a message not yet read.
struct Body(Bytes);

impl Body {
    fn take(&mut self, length: usize) -> Result<Bytes> {
        if self.0.len() < length {
            return Err(malformed("insufficient data left in message"));
        }
        Ok(self.0.split_to(length))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(self.take(2)?.get_u16())
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(self.take(4)?.get_u32())
    }

    /// Text up to a zero byte.
    fn string(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| malformed("invalid string in message"))?;
        let text = self.take(end)?;
        self.0.advance(1);
        Ok(utf8(&text)?.to_owned())
    }

    /// As many items as a count in front says.
    fn list<T>(&mut self, item: impl Fn(&mut Body) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u16()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn format(&mut self) -> Result<Format> {
        match self.u16()?.cast_signed() {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {other}"))),
        }
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.u32()?.cast_signed() {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) => self.take(length).map(Some),
                Err(_) => Err(malformed("insufficient data left in message")),
            },
        }
    }

    fn target(&mut self) -> Result<Target> {
        let kind = self.take(1)?[0];
        let name = self.string()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            other => Err(malformed(format!("invalid message subtype {other}"))),
        }
    }
}

/// Bytes of a client as text, in which there is no zero character.
///
/// # Errors
/// 22021 when they are none.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    levada_engine::input::utf8(bytes)
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests;
