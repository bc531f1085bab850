//! Why answering a message failed, by what is done about it.

use std::io;

use levada_engine::error::{Error, SqlState};

/// Why a message could not be answered.
#[derive(Debug)]
pub enum Failure {
    /// The statement failed: the client is told, and the connection goes on.
    Statement(Error),
    /// The conversation cannot go on: the client is told, and the connection ends.
    Fatal(Error),
    /// The client cannot be told anything any more.
    Disconnected(io::Error),
}

impl Failure {
    /// The client closed its end.
    pub fn hung_up() -> Failure {
        Failure::Disconnected(io::ErrorKind::ConnectionAborted.into())
    }

    /// The client does not speak the protocol, and where its next message begins is not known.
    pub fn protocol(message: impl Into<String>) -> Failure {
        Failure::Fatal(Error::new(SqlState::PROTOCOL_VIOLATION, message))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Statement(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Disconnected(error)
    }
}
