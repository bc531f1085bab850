//! Accepts connections, within limits, and ends them when the server stops.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use levada_engine::Engine;
use levada_engine::error::{Error, SqlState};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cancel::Registry;
use super::connection::Connection;
use super::failure::Failure;
use super::input::Input;
use super::output::{Output, Severity};
use super::startup;

/// Time for the startup phase, as PostgreSQL's `authentication_timeout`.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections beyond the limit that may be in their startup phase: cancel requests, and clients to be refused.
const SPARE_CONNECTIONS: usize = 64;
/// A client whose machine has vanished is given up this long after the last sign of life.
const VANISHED: Duration = Duration::from_secs(90);
/// Time for clients to take the news that the server stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// What clients may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at the same time.
    pub connections: u32,
}

/// The port that clients connect to.
pub struct Listener {
    socket: TcpListener,
    doorway: Doorway,
    /// Sockets of any kind, sessions or not.
    sockets: Arc<Semaphore>,
    stopped: watch::Sender<bool>,
}

/// What a new connection needs.
#[derive(Clone)]
struct Doorway {
    engine: Engine,
    registry: Arc<Registry>,
    sessions: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Listener {
    pub fn new(socket: TcpListener, engine: Engine, limits: Limits) -> Listener {
        let (stopped, stopping) = watch::channel(false);
        let connections = limits.connections as usize;
        let sessions = Arc::new(Semaphore::new(connections));
        let sockets = Arc::new(Semaphore::new(connections + SPARE_CONNECTIONS));
        Listener { socket, doorway: Doorway { engine, registry: Arc::default(), sessions, stopping }, sockets, stopped }
    }

    /// Where clients connect.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves clients until `stop` is ready; then tells those that are there, and returns when they are gone.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let socket = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.socket.accept() => match accepted {
                    Ok((socket, _)) => socket,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        // Most often there are no file descriptors left: more will not come faster by asking.
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            // Beyond the spare ones nobody is told anything: telling would take what there is none of.
            let Ok(place) = self.sockets.clone().try_acquire_owned() else { continue };
            let doorway = self.doorway.clone();
            connections.spawn(async move {
                let _place = place;
                doorway.serve(socket).await;
            });
        }
        drop(self.socket);
        self.stopped.send_replace(true);
        self.doorway.registry.terminate_all();
        let all_gone = async { while connections.join_next().await.is_some() {} };
        if timeout(FAREWELL, all_gone).await.is_err() {
            tracing::info!("some clients did not take the news that the server stops");
        }
    }
}

impl Doorway {
    /// A connection, from its first byte to its last.
    async fn serve(self, socket: TcpStream) {
        let client = socket.peer_addr().ok();
        if let Err(error) = tune(&socket) {
            tracing::debug!(%error, "cannot tune a connection");
        }
        let (reader, writer) = socket.into_split();
        let mut input = Input::new(reader);
        let mut output = Output::new(writer);
        let started = timeout(STARTUP_TIMEOUT, startup::negotiate(&mut input, &mut output, &self.registry)).await;
        let outcome = match started {
            Err(_) | Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(request))) => self.converse(&mut input, &mut output, request, client).await,
            Ok(Err(failure)) => Err(failure),
        };
        if let Err(failure) = outcome {
            part(&mut output, failure).await;
        }
        // The client may have gone before.
        let _ = output.close().await;
    }

    /// A session, from when the client may come in to when it leaves.
    async fn converse(
        &self,
        input: &mut Input,
        output: &mut Output,
        request: startup::Request,
        client: Option<SocketAddr>,
    ) -> Result<(), Failure> {
        let Ok(_place) = self.sessions.try_acquire() else {
            let error = Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
            return Err(Failure::Fatal(error));
        };
        let mut session = self.engine.session(request.session).map_err(Failure::Fatal)?;
        let registration = self.registry.register(session.cancel_handle(), request.key_length)?;
        session.register(registration.process, client);
        let connection = Connection::new(session, input, output, &registration, self.stopping.clone());
        // A panic is a bug of ours, and ends the connection it happened in; the others never notice.
        match AssertUnwindSafe(connection.run()).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Fatal(Error::internal("the server failed to answer; its log says where"))),
        }
    }
}

/// Tells a client why its connection ends, if it can be told.
async fn part(output: &mut Output, failure: Failure) {
    let error = match failure {
        Failure::Statement(error) | Failure::Fatal(error) => error,
        Failure::Disconnected(error) => return tracing::debug!(%error, "a client has gone"),
    };
    tracing::debug!(%error, "a connection ends");
    if output.push_error(Severity::Fatal, &error).is_ok() {
        let _ = timeout(FAREWELL, output.flush()).await;
    }
}

/// Small answers go out at once, and a client that has vanished is noticed.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let probe = VANISHED / 6;
    let keepalive = TcpKeepalive::new().with_time(VANISHED / 2).with_interval(probe).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(VANISHED))?;
    Ok(())
}
