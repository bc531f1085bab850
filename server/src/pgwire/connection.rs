//! A session on the wire: a state machine over the client's messages.
//!
//! pgwire's own loop is not used, because its handlers cannot do what PostgreSQL does: send the results of a query
//! string statement by statement, cancel a result that is being sent, keep portals until their transaction ends, write
//! once a Sync. The functions here are named after those of PostgreSQL's `tcop/postgres.c` where they mirror one.

use std::collections::HashMap;

use levada_engine::error::{Error, Result, SqlState};
use levada_engine::{CancelHandle, Session, TransactionStatus};
use pgwire::messages::response::{ReadyForQuery, TransactionStatus as WireStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::cancel::Registration;
use super::failure::Failure;
use super::frontend::{self, Message};
use super::input::Input;
use super::output::{Output, Severity};
use super::portal::Portal;

/// A client that is in, and its session.
pub struct Connection<'a> {
    pub(super) session: Session,
    pub(super) input: &'a mut Input,
    pub(super) output: &'a mut Output,
    pub(super) registration: &'a Registration,
    /// Portals by name; the unnamed one under the empty name. They last until their transaction ends.
    pub(super) portals: HashMap<String, Portal>,
    stopping: watch::Receiver<bool>,
    /// Tells when another session sends this client away.
    handle: CancelHandle,
    state: State,
    /// Until when the client may stay silent.
    deadline: Option<Instant>,
}

/// What is done with the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is answered.
    Ready,
    /// It is thrown away unless it is a Sync: what came before failed.
    Skipping,
}

impl<'a> Connection<'a> {
    pub fn new(
        session: Session,
        input: &'a mut Input,
        output: &'a mut Output,
        registration: &'a Registration,
        stopping: watch::Receiver<bool>,
    ) -> Connection<'a> {
        let (handle, portals) = (session.cancel_handle(), HashMap::new());
        let (state, deadline) = (State::Ready, None);
        Connection { session, input, output, registration, portals, stopping, handle, state, deadline }
    }

    /// Answers messages until the client leaves.
    pub async fn run(mut self) -> Result<(), Failure> {
        self.welcome()?;
        self.ready_for_query().await?;
        while let Some((tag, body)) = self.next().await? {
            if self.state == State::Skipping && !matches!(tag, b'S' | b'X') {
                continue;
            }
            let outcome = match frontend::decode(tag, body) {
                Ok(Message::Terminate) => return Ok(()),
                Ok(message) => self.answer(message).await,
                Err(error) => Err(error.into()),
            };
            if let Err(failure) = outcome {
                self.recover(tag, failure).await?;
            }
            // Of a client that asks for much and for no Sync, answers must not pile up.
            if self.output.is_full() {
                self.output.flush().await?;
            }
        }
        Ok(())
    }

    /// Tells the client that it is in.
    fn welcome(&mut self) -> Result<()> {
        let Registration { process, secret, .. } = self.registration;
        self.output.push(&Authentication::Ok)?;
        self.report_parameters()?;
        self.output.push(&BackendKeyData::new(*process, SecretKey::Bytes(secret.clone())))
    }

    /// The next message, unless the server stops, the client is sent away, or leaves a transaction open for too long.
    async fn next(&mut self) -> Result<Option<(u8, bytes::Bytes)>, Failure> {
        let deadline = self.deadline.take();
        // Messages come together: what is there already is not waited for.
        if !*self.stopping.borrow()
            && !self.handle.is_disconnected()
            && let Some(message) = self.input.buffered()?
        {
            return Ok(Some(message));
        }
        let silence = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let terminated = || {
            let message = "terminating connection due to administrator command";
            Err(Failure::Fatal(Error::new(SqlState::ADMIN_SHUTDOWN, message)))
        };
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => terminated(),
            () = self.handle.disconnected() => terminated(),
            message = self.input.message() => message,
            () = silence => {
                let message = "terminating connection due to idle-in-transaction timeout";
                Err(Failure::Fatal(Error::new(SqlState::IDLE_IN_TRANSACTION_TIMEOUT, message)))
            }
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Query { sql } => self.simple_query(&sql).await,
            Message::Parse { statement, sql, parameter_types } => self.parse(statement, &sql, &parameter_types).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await,
            Message::Close(target) => self.close(&target),
            Message::Flush => Ok(self.output.flush().await?),
            Message::Sync => {
                let before = std::mem::replace(&mut self.state, State::Ready);
                self.sync(before == State::Skipping).await
            }
            Message::Copy | Message::Terminate => Ok(()),
            Message::FunctionCall => Err(Error::unsupported("the function call message").into()),
        }
    }

    /// Tells the client of an error, and goes on where the protocol says.
    async fn recover(&mut self, tag: u8, failure: Failure) -> Result<(), Failure> {
        let error = match failure {
            // The server stops.
            Failure::Statement(error) if error.sqlstate() == SqlState::ADMIN_SHUTDOWN => {
                return Err(Failure::Fatal(error));
            }
            Failure::Statement(error) => error,
            fatal => return Err(fatal),
        };
        self.session.fail();
        self.send_notices()?;
        self.output.push_error(Severity::Error, &error)?;
        if frontend::is_extended(tag) {
            self.state = State::Skipping;
            // A client that waits after a Flush gets no other answer.
            return Ok(self.output.flush().await?);
        }
        self.state = State::Ready;
        // What matters to the client is the error that it was told.
        let _ = self.session.end_implicit(false).await;
        self.ready_for_query().await
    }

    /// Ends the answer to a query or a Sync, and writes it.
    pub(super) async fn ready_for_query(&mut self) -> Result<(), Failure> {
        self.report_parameters()?;
        self.send_notices()?;
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => WireStatus::Idle,
            TransactionStatus::InTransaction => WireStatus::Transaction,
            TransactionStatus::Failed => WireStatus::Error,
        };
        if status != WireStatus::Transaction {
            self.portals.clear();
        }
        self.output.push(&ReadyForQuery::new(status))?;
        self.output.flush().await?;
        self.deadline = self.session.idle_timeout().map(|timeout| Instant::now() + timeout);
        Ok(())
    }

    /// Tells the client which settings have changed.
    fn report_parameters(&mut self) -> Result<()> {
        for (name, value) in self.session.take_parameter_changes() {
            self.output.push(&ParameterStatus::new(name, value))?;
        }
        Ok(())
    }

    pub(super) fn send_notices(&mut self) -> Result<()> {
        self.session.take_notices().iter().try_for_each(|notice| self.output.push_notice(notice))
    }

    /// Ends a command: what it had to say, and its tag.
    pub(super) fn complete(&mut self, tag: String) -> Result<()> {
        self.send_notices()?;
        self.output.push_complete(tag)
    }
}

/// Waits for the engine's work on a statement; when the client leaves meanwhile, cancels it.
///
/// The work itself is never dropped half-way: it ends with an error soon after it was cancelled.
pub(super) async fn attend<T>(
    input: &mut Input,
    registration: &Registration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::pin!(work);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        () = input.hung_up() => registration.interrupt.cancel(),
        // Told again, in case it was told before the engine began.
        _ = registration.interrupt.canceled() => registration.interrupt.cancel(),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::TryStreamExt;
    use levada_engine::{Engine, EngineOptions, Response, SessionParams};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::super::cancel::{Registry, SHORT_KEY};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// All that a statement gives, which is little and takes an hour.
    async fn sleep_for_long(session: &mut Session) -> Result<()> {
        let statements = session.parse("SELECT pg_sleep(3600)").await?;
        if let Response::Rows { rows, .. } = session.simple(&statements[0]).await? {
            rows.try_for_each(|_| std::future::ready(Ok(()))).await?;
        }
        Ok(())
    }

    /// The wire has begun the statement, and the engine has not: it is told again.
    #[tokio::test]
    async fn a_cancel_request_is_not_lost_before_the_engine_begins() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineOptions::new(directory.path())).unwrap();
        let params = SessionParams { user: "ada".into(), database: "levada".into(), settings: Vec::new() };
        let mut session = engine.session(params).unwrap();
        let registration = Arc::new(Registry::default()).register(session.cancel_handle(), SHORT_KEY).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reading, _writing) = listener.accept().await.unwrap().0.into_split();
        let mut input = Input::new(reading);
        // Twice: a statement that was stopped leaves nothing behind.
        for _ in 0..2 {
            registration.interrupt.begin();
            registration.interrupt.cancel();
            let asleep = attend(&mut input, &registration, sleep_for_long(&mut session));
            let error = timeout(PATIENCE, asleep).await.expect("it is stopped").unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED);
            registration.interrupt.end();
        }
    }
}
