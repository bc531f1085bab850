//! The reading half of a connection: bytes to frames, within limits.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use levada_engine::error::{Error, SqlState};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Duration, sleep};

use super::failure::Failure;
use super::frontend;

/// Longest startup packet, as in PostgreSQL.
const MAX_STARTUP_PACKET: usize = 10_000;
/// Tag and length word of a message.
const HEADER: usize = 5;
/// Bytes asked of the socket at once.
const CHUNK: usize = 8 << 10;
/// Bytes read ahead while a statement runs; a client that sends more waits, as it would anyway.
const READ_AHEAD: usize = 64 << 10;
/// How long a statement may go on after the client closed its end: clients that send and leave expect it to be done.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes of a client that are not decoded yet.
pub struct Input {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    closed: bool,
}

impl Input {
    pub fn new(socket: OwnedReadHalf) -> Input {
        Input { socket, buffer: BytesMut::with_capacity(CHUNK), closed: false }
    }

    /// The next packet of the startup phase, its length word included. None when the client left instead.
    pub async fn startup_packet(&mut self) -> Result<Option<BytesMut>, Failure> {
        if !self.fill(4).await? {
            return Ok(None);
        }
        let length = (&self.buffer[..4]).get_u32() as usize;
        if !(8..=MAX_STARTUP_PACKET).contains(&length) {
            return Err(Failure::protocol("invalid length of startup packet"));
        }
        let whole = self.fill(length).await?;
        Ok(whole.then(|| self.buffer.split_to(length)))
    }

    /// Tag and body of the next message. None when the client left instead, also in the middle of a message.
    ///
    /// Safe to drop half-way: what was read stays.
    pub async fn message(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            // Memory follows the bytes that arrive, not the length that a client claims.
            let wanted = self.length()?.unwrap_or(HEADER);
            if self.closed {
                return Ok(None);
            }
            self.read(wanted.saturating_sub(self.buffer.len()).clamp(CHUNK, READ_AHEAD)).await?;
        }
    }

    /// Tag and body of the next message, if all of it was read.
    pub fn buffered(&mut self) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some(length) = self.length()?.filter(|length| *length <= self.buffer.len()) else { return Ok(None) };
        let tag = self.buffer[0];
        let mut frame = self.buffer.split_to(length);
        frame.advance(HEADER);
        Ok(Some((tag, frame.freeze())))
    }

    /// How long the next message is, its tag and length word included; None while they have not been read.
    fn length(&self) -> Result<Option<usize>, Failure> {
        let Some(tag) = self.buffer.first().copied() else { return Ok(None) };
        let Some(longest) = frontend::longest(tag) else {
            return Err(Failure::protocol(format!("invalid frontend message type {tag}")));
        };
        let Some(mut word) = self.buffer.get(1..HEADER) else { return Ok(None) };
        let length = word.get_u32() as usize;
        if length < 4 {
            return Err(Failure::protocol("invalid message length"));
        }
        if length > longest {
            let message = format!("message of {length} bytes is too long");
            let detail = format!("Messages of type \"{}\" may have at most {longest} bytes.", char::from(tag));
            return Err(Failure::Fatal(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_detail(detail)));
        }
        Ok(Some(1 + length))
    }

    /// Waits until the client has closed its end, plus a moment. Reads ahead to notice it.
    pub async fn hung_up(&mut self) {
        while !self.closed {
            if self.buffer.len() >= READ_AHEAD {
                return std::future::pending().await;
            }
            // Errors are for the next read or write to report; here they mean the same as the end.
            let more = self.read(CHUNK).await;
            self.closed |= more.is_err();
        }
        sleep(FAREWELL).await;
    }

    /// Reads until `length` bytes are there; false when the client closed its end before.
    async fn fill(&mut self, length: usize) -> io::Result<bool> {
        while self.buffer.len() < length {
            if self.closed {
                return Ok(false);
            }
            // Memory follows the bytes that arrive, not the length that a client claims.
            let missing = (length - self.buffer.len()).clamp(CHUNK, READ_AHEAD);
            self.read(missing).await?;
        }
        Ok(true)
    }

    async fn read(&mut self, room: usize) -> io::Result<()> {
        self.buffer.reserve(room);
        self.closed |= self.socket.read_buf(&mut self.buffer).await? == 0;
        Ok(())
    }
}
