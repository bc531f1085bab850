//! The sessions of the server and what each is doing: what `pg_stat_activity` shows, and `pg_cancel_backend` stops.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::catalog::system::{PreparedSummary, SessionSummary, Sessions};
use crate::session::cancel::CancelHandle;
use crate::session::statements::Statements;
use crate::session::{Session, TransactionStatus};

/// The sessions that clients have, by the number of their process.
#[derive(Default)]
pub struct Activities(Mutex<BTreeMap<i32, Weak<Activity>>>);

/// One session.
pub(super) struct Activity {
    user: String,
    /// Microseconds since 1970, as all times here.
    began_at: i64,
    cancel: CancelHandle,
    now: Mutex<Now>,
}

/// What changes while a session goes on.
struct Now {
    process: i32,
    client: Option<SocketAddr>,
    application: String,
    query: Option<Arc<str>>,
    query_began_at: Option<i64>,
    transaction_began_at: Option<i64>,
    changed_at: i64,
    status: TransactionStatus,
}

fn clock() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

impl Activity {
    /// Of a session that begins.
    pub fn new(user: String, application: String, cancel: CancelHandle) -> Activity {
        let began_at = clock();
        let now = Now {
            process: 0,
            client: None,
            application,
            query: None,
            query_began_at: None,
            transaction_began_at: None,
            changed_at: began_at,
            status: TransactionStatus::Idle,
        };
        Activity { user, began_at, cancel, now: Mutex::new(now) }
    }

    pub fn set_application(&self, name: &str) {
        name.clone_into(&mut self.now.lock().application);
    }

    /// A statement of a query string begins.
    pub fn begin(&self, query: &Arc<str>) {
        let mut now = self.now.lock();
        let time = clock();
        (now.query, now.query_began_at, now.changed_at) = (Some(query.clone()), Some(time), time);
        now.transaction_began_at.get_or_insert(time);
    }

    /// It is over, or its rows are there to be read.
    pub fn end(&self, status: TransactionStatus) {
        let mut now = self.now.lock();
        (now.status, now.changed_at) = (status, clock());
        if status == TransactionStatus::Idle {
            now.transaction_began_at = None;
        }
    }

    fn summary(&self) -> SessionSummary {
        let now = self.now.lock();
        let is_active = self.cancel.is_running();
        let state = match now.status {
            _ if is_active => "active",
            TransactionStatus::Idle => "idle",
            TransactionStatus::InTransaction => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        };
        SessionSummary {
            process: now.process,
            user: self.user.clone(),
            application: now.application.clone(),
            client: now.client,
            began_at: self.began_at,
            transaction_began_at: now.transaction_began_at,
            query_began_at: now.query_began_at,
            changed_at: now.changed_at,
            is_active,
            state,
            query: now.query.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl Activities {
    fn activity(&self, process: i32) -> Option<Arc<Activity>> {
        self.0.lock().get(&process).and_then(Weak::upgrade)
    }

    fn all(&self) -> Vec<Arc<Activity>> {
        self.0.lock().values().filter_map(Weak::upgrade).collect()
    }
}

/// The sessions, as the statements of one of them see them.
pub(super) struct SeenSessions {
    pub all: Arc<Activities>,
    /// What its own session has prepared.
    pub prepared: Arc<Statements>,
}

impl Sessions for SeenSessions {
    fn all(&self) -> Vec<SessionSummary> {
        self.all.all().iter().map(|activity| activity.summary()).collect()
    }

    fn cancel(&self, process: i32) -> bool {
        self.all.activity(process).map(|activity| activity.cancel.cancel()).is_some()
    }

    fn terminate(&self, process: i32) -> bool {
        self.all.activity(process).map(|activity| activity.cancel.disconnect()).is_some()
    }

    fn prepared(&self) -> Vec<PreparedSummary> {
        self.prepared.summaries()
    }
}

impl Session {
    /// Makes the session known to the others by the number of its client's connection, by which it is cancelled.
    pub fn register(&mut self, process: i32, client: Option<SocketAddr>) {
        self.process = process;
        let mut now = self.activity.now.lock();
        (now.process, now.client) = (process, client);
        drop(now);
        let mut all = self.engine.sessions.0.lock();
        all.retain(|_, activity| activity.strong_count() > 0);
        all.insert(process, Arc::downgrade(&self.activity));
    }
}
