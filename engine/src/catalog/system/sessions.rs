//! The sessions of the server, and what one of them has prepared.

use std::net::SocketAddr;

use super::rows::{Datum, Rows};
use super::{DATABASE_OID, System};
use crate::catalog::DATABASE;
use crate::data::SqlType;

/// The sessions of the server, as one of them sees them.
pub trait Sessions: Send + Sync {
    /// All of them, by the numbers of their processes.
    fn all(&self) -> Vec<SessionSummary>;

    /// Stops what a session runs; whether there is one of that number.
    fn cancel(&self, process: i32) -> bool;

    /// Sends a session's client away; whether there is one of that number.
    fn terminate(&self, process: i32) -> bool;

    /// What the session itself has prepared under a name.
    fn prepared(&self) -> Vec<PreparedSummary>;
}

/// What a session is doing. Times are microseconds since 1970.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    pub process: i32,
    pub user: String,
    pub application: String,
    pub client: Option<SocketAddr>,
    pub began_at: i64,
    pub transaction_began_at: Option<i64>,
    pub query_began_at: Option<i64>,
    pub changed_at: i64,
    pub is_active: bool,
    /// As `pg_stat_activity` names it.
    pub state: &'static str,
    /// The query string that runs, or was run last.
    pub query: String,
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub struct PreparedSummary {
    pub name: String,
    pub statement: String,
    /// Microseconds since 1970.
    pub prepared_at: i64,
    pub types: Vec<SqlType>,
    /// Whether PREPARE made it.
    pub by_sql: bool,
}

/// `pg_stat_activity`.
pub fn activity(system: &System, rows: &mut Rows) {
    let roles = system.roles();
    for session in system.sessions.all() {
        let role = roles.iter().find(|(_, name)| *name == session.user).map(|(oid, _)| *oid);
        // As PostgreSQL says that it waits for the client.
        let waits = |what: &str| Datum::from((!session.is_active).then(|| what.to_owned()));
        rows.add([
            ("datid", DATABASE_OID.into()),
            ("datname", DATABASE.into()),
            ("pid", session.process.into()),
            ("usesysid", role.into()),
            ("client_addr", session.client.map(|client| client.ip().to_string()).into()),
            ("client_port", session.client.map(|client| i32::from(client.port())).into()),
            ("backend_start", Datum::Time(session.began_at)),
            ("xact_start", session.transaction_began_at.map_or(Datum::Null, Datum::Time)),
            ("query_start", session.query_began_at.map_or(Datum::Null, Datum::Time)),
            ("state_change", Datum::Time(session.changed_at)),
            ("wait_event_type", waits("Client")),
            ("wait_event", waits("ClientRead")),
            ("state", session.state.into()),
            ("usename", session.user.into()),
            ("application_name", session.application.into()),
            ("query", session.query.into()),
            ("backend_type", "client backend".into()),
        ]);
    }
}

/// `pg_prepared_statements`.
pub fn prepared_statements(system: &System, rows: &mut Rows) {
    for prepared in system.sessions.prepared() {
        let types: Vec<u32> = prepared.types.iter().map(SqlType::oid).collect();
        rows.add([
            ("name", prepared.name.into()),
            ("statement", prepared.statement.into()),
            ("prepare_time", Datum::Time(prepared.prepared_at)),
            ("parameter_types", types.into()),
            ("from_sql", prepared.by_sql.into()),
        ]);
    }
}
