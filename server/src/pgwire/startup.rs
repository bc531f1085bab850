//! The startup phase: what a client asks for before it may send statements.

use bytes::BytesMut;
use levada_engine::SessionParams;
use levada_engine::error::{Error, Result, SqlState};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{GssEncRequest, NegotiateProtocolVersion, SslRequest, Startup};
use pgwire::messages::{DecodeContext, Message};

use super::cancel::{LONG_KEY, Registry, SHORT_KEY};
use super::failure::Failure;
use super::frontend::utf8;
use super::input::Input;
use super::output::Output;

/// "No" to a request for an encrypted connection.
const NOT_ENCRYPTED: u8 = b'N';
/// Requests for encryption that a client may try: one for each kind there is.
const ENCRYPTION_REQUESTS: usize = 2;
/// The protocol versions we speak: 3.0 to 3.2, which differ in the length of secret keys.
const MAJOR: u16 = 3;
const NEWEST_MINOR: u16 = 2;

/// What a client that may come in asked for.
pub struct Request {
    pub session: SessionParams,
    /// Length of the secret key for cancel requests.
    pub key_length: usize,
}

/// Talks with a new client until it asks for a session. None when it came for something else and has been served, or
/// left.
pub async fn negotiate(
    input: &mut Input,
    output: &mut Output,
    registry: &Registry,
) -> Result<Option<Request>, Failure> {
    let mut encryption_requests = 0;
    loop {
        let Some(mut packet) = input.startup_packet().await? else { return Ok(None) };
        if SslRequest::is_ssl_request_packet(&packet) || GssEncRequest::is_gss_enc_request_packet(&packet) {
            encryption_requests += 1;
            if encryption_requests > ENCRYPTION_REQUESTS {
                return Err(Failure::protocol("too many requests for encryption"));
            }
            output.push_byte(NOT_ENCRYPTED);
            output.flush().await?;
        } else if CancelRequest::is_cancel_request_packet(&packet) {
            // Answered by closing the connection, whether it did something or not.
            if let Ok(Some(request)) = CancelRequest::decode(&mut packet, &DecodeContext::default()) {
                registry.cancel(request.pid, &request.secret_key.to_bytes());
            }
            return Ok(None);
        } else {
            return admit(packet, output).map(Some);
        }
    }
}

/// Reads a startup packet and lets the client in, or not.
fn admit(mut packet: BytesMut, output: &mut Output) -> Result<Request, Failure> {
    // pgwire reads names and values as text whatever they are.
    packet[8..].split(|byte| *byte == 0).try_for_each(|text| utf8(text).map(drop)).map_err(Failure::Fatal)?;
    let (major, minor) = (u16::from_be_bytes([packet[4], packet[5]]), u16::from_be_bytes([packet[6], packet[7]]));
    if major != MAJOR {
        let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}");
        return Err(Failure::Fatal(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)));
    }
    // Its last byte ends the list of parameters; with it there, no value can be cut.
    let startup = match packet.last() {
        Some(0) => Startup::decode(&mut packet, &DecodeContext::default()).ok().flatten(),
        _ => None,
    };
    let startup = startup.ok_or_else(|| Failure::protocol("invalid startup packet layout"))?;
    let (extensions, parameters): (Vec<_>, Vec<_>) =
        startup.parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
    let spoken = minor.min(NEWEST_MINOR);
    if minor > spoken || !extensions.is_empty() {
        let version = i32::from(MAJOR) << 16 | i32::from(spoken);
        let refused = extensions.into_iter().map(|(name, _)| name).collect();
        output.push(&NegotiateProtocolVersion::new(version, refused))?;
    }
    let session = session_params(parameters).map_err(Failure::Fatal)?;
    Ok(Request { session, key_length: if spoken >= 2 { LONG_KEY } else { SHORT_KEY } })
}

/// Sorts the parameters of a startup packet: those of the connection, and settings of the session.
///
/// There are no roles yet: any user is let in. What keeps strangers out is the address that the server listens on.
fn session_params(parameters: Vec<(String, String)>) -> Result<SessionParams> {
    let (mut user, mut database) = (String::new(), String::new());
    let mut settings = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" => user = value,
            "database" => database = value,
            "options" => settings.extend(command_line_settings(&value)?),
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => return Err(Error::unsupported("the replication protocol")),
            _ => settings.push((name, value)),
        }
    }
    if user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    }
    if database.is_empty() {
        database = user.clone();
    }
    Ok(SessionParams { user, database, settings })
}

/// Settings in the form of command-line arguments, as in `PGOPTIONS`: `-c name=value`, `--name=value`.
fn command_line_settings(options: &str) -> Result<Vec<(String, String)>> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--") {
            Some(assignment) => Some(assignment.to_owned()),
            None if word == "-c" => words.next(),
            None => word.strip_prefix("-c").map(str::to_owned),
        };
        let setting = assignment.as_deref().and_then(|assignment| assignment.split_once('='));
        let (name, value) = setting.ok_or_else(|| {
            let message = format!("invalid command-line argument for server process: {word}");
            Error::new(SqlState::SYNTAX_ERROR, message)
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words between blanks; a backslash makes the next character part of the word.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(parameters: &[(&str, &str)]) -> Result<SessionParams> {
        session_params(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_not_of_the_connection_is_a_setting() {
        let session = params(&[
            ("user", "ada"),
            ("database", "levada"),
            ("application_name", "psql"),
            ("options", r"-c statement_timeout=5s --search-path=a\ b -cextra_float_digits=3"),
            ("replication", "false"),
            ("DateStyle", "ISO"),
        ]);
        let session = session.unwrap();
        assert_eq!((session.user.as_str(), session.database.as_str()), ("ada", "levada"));
        let settings: Vec<_> = session.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("application_name", "psql"),
            ("statement_timeout", "5s"),
            ("search_path", "a b"),
            ("extra_float_digits", "3"),
            ("DateStyle", "ISO"),
        ];
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_we_cannot_do_is_refused() {
        let code = |parameters: &[(&str, &str)]| params(parameters).err().map(|error| error.sqlstate().code());
        let (user, database) = (("user", "ada"), ("database", "levada"));
        assert_eq!(code(&[user, database, ("replication", "database")]), Some("0A000"));
        assert_eq!(code(&[user, database, ("options", "-x")]), Some("42601"));
        assert_eq!(code(&[user, database, ("options", "-c")]), Some("42601"));
        assert_eq!(code(&[database]), Some("08P01"));
        assert_eq!(params(&[user]).unwrap().database, "ada", "as in PostgreSQL");
    }
}
