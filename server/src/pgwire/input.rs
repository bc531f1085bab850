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
        if !self.fill(1).await? {
            return Ok(None);
        }
        let tag = self.buffer[0];
        let Some(longest) = frontend::longest(tag) else {
            return Err(Failure::protocol(format!("invalid frontend message type {tag}")));
        };
        if !self.fill(5).await? {
            return Ok(None);
        }
        let length = (&self.buffer[1..5]).get_u32() as usize;
        if length < 4 {
            return Err(Failure::protocol("invalid message length"));
        }
        if length > longest {
            let message = format!("message of {length} bytes is too long");
            let detail = format!("Messages of type \"{}\" may have at most {longest} bytes.", char::from(tag));
            return Err(Failure::Fatal(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).with_detail(detail)));
        }
        if !self.fill(1 + length).await? {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(1 + length);
        frame.advance(5);
        Ok(Some((tag, frame.freeze())))
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
