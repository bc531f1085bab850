//! The writing half of a connection: messages are collected, then written in one piece.

use std::io;

use bytes::{BufMut, BytesMut};
use levada_engine::error::{Error, Result, Violated};
use levada_engine::{Notice, OutputColumn};
use pgwire::messages::Message;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, ErrorResponse, NoticeResponse};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use super::encode;
use super::frontend::Format;

/// Bytes collected before rows wait for the socket.
const FULL: usize = 64 << 10;
/// Buffers that grew beyond this (for a huge row) are given back.
const KEEP: usize = 1 << 20;

/// How bad an error is for the connection.
#[derive(Clone, Copy, Debug)]
pub enum Severity {
    Error,
    Fatal,
}

/// Bytes for a client that are not written yet.
pub struct Output {
    socket: OwnedWriteHalf,
    buffer: BytesMut,
}

impl Output {
    pub fn new(socket: OwnedWriteHalf) -> Output {
        Output { socket, buffer: BytesMut::with_capacity(FULL) }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// XX000 when it is longer than its kind may be; nothing is added then.
    pub fn push(&mut self, message: &impl Message) -> Result<()> {
        let start = self.buffer.len();
        message.encode(&mut self.buffer).map_err(|error| {
            self.buffer.truncate(start);
            Error::internal("cannot encode a message").with_source(error)
        })
    }

    /// Adds a byte that is no message: the answer to a request for encryption.
    pub fn push_byte(&mut self, byte: u8) {
        self.buffer.put_u8(byte);
    }

    pub fn push_error(&mut self, severity: Severity, error: &Error) -> Result<()> {
        let severity = match severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let mut fields = fields(severity, error.sqlstate().code(), error.message(), error.detail(), error.hint());
        fields.extend(error.position().map(|position| (b'P', position.to_string())));
        if let Some(Violated { schema, table, column, constraint }) = error.violated().cloned() {
            let named = [(b's', Some(schema)), (b't', Some(table)), (b'c', column), (b'n', constraint)];
            fields.extend(named.into_iter().filter_map(|(kind, name)| Some((kind, name?))));
        }
        self.push(&ErrorResponse::new(fields))
    }

    pub fn push_notice(&mut self, notice: &Notice) -> Result<()> {
        let Notice { severity, sqlstate, message, detail, hint } = notice;
        let fields = fields(severity.name(), sqlstate.code(), message, detail.as_deref(), hint.as_deref());
        self.push(&NoticeResponse::new(fields))
    }

    /// Adds the description of a result; `formats` has one entry a column.
    ///
    /// # Errors
    /// 54000 when there are too many columns.
    pub fn push_columns(&mut self, columns: &[OutputColumn], formats: &[Format]) -> Result<()> {
        encode::width(columns)?;
        let fields = columns.iter().zip(formats).map(|(column, format)| {
            let (relation, attribute) = column.relation.unwrap_or_default();
            FieldDescription::new(
                column.name.clone(),
                relation.cast_signed(),
                attribute,
                column.ty.oid(),
                column.ty.type_len(),
                column.ty.typmod(),
                format.code(),
            )
        });
        self.push(&RowDescription::new(fields.collect()))
    }

    pub fn push_complete(&mut self, tag: String) -> Result<()> {
        self.push(&CommandComplete::new(tag))
    }

    /// Where rows are encoded to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether it is time to wait for the socket.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// Writes everything, at the client's pace.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.buffer).await?;
        if self.buffer.capacity() > KEEP {
            self.buffer = BytesMut::with_capacity(FULL);
        } else {
            self.buffer.clear();
        }
        Ok(())
    }

    /// Tells the client that nothing more will come.
    pub async fn close(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }
}

/// Fields that errors and notices share. Strings on the wire end at a zero byte, so none may have one inside.
fn fields(severity: &str, code: &str, message: &str, detail: Option<&str>, hint: Option<&str>) -> Vec<(u8, String)> {
    let required = [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)];
    let optional = [(b'D', detail), (b'H', hint)].into_iter().filter_map(|(kind, text)| Some((kind, text?)));
    required.into_iter().chain(optional).map(|(kind, text)| (kind, text.replace('\0', "\u{fffd}"))).collect()
}
