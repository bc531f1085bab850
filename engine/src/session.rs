//! A client's session: statements in, responses out.

mod activity;
mod by_name;
mod cancel;
mod conflict;
mod connector;
mod cursors;
mod ddl;
mod dml;
mod explain;
mod growth;
mod hydration;
mod matched;
mod missing_rows;
mod plans;
mod prepared;
mod response;
mod run;
mod savepoint;
mod settings;
mod show;
mod sink;
mod sources;
mod statements;
mod system;
mod transaction;
mod view_options;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::scalar::ScalarValue;
use sqlparser::ast;

pub use activity::Activities;
pub use cancel::CancelHandle;
pub use prepared::Prepared;
pub use response::{Notice, Response, Rows, Severity};
pub use settings::{SERVER_VERSION, Settings};
pub use statements::MOST_PREPARED;

use crate::catalog::DATABASE;
use crate::data::SqlType;
use crate::engine::Shared;
use crate::error::{Error, Result, SqlState};
use crate::session::activity::Activity;
use crate::session::cursors::Cursors;
use crate::session::run::Arguments;
use crate::session::settings::Version;
use crate::session::statements::Statements;
use crate::session::system::SettingChanges;
use crate::session::transaction::Transaction;
use crate::sql::format::{FormatSettings, RelationNames};
use crate::sql::{self, Interrupt, Statement};

/// What a client says of itself when it connects.
#[derive(Clone, Debug, Default)]
pub struct SessionParams {
    pub user: String,
    pub database: String,
    /// Settings of the startup message, `application_name` among them.
    pub settings: Vec<(String, String)>,
}

/// Where a session stands towards transactions: what `ReadyForQuery` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside of a block.
    Idle,
    /// In a block.
    InTransaction,
    /// In a block that failed: only its end is accepted.
    Failed,
}

/// Bytes of a query string that is parsed within a millisecond or so.
const PARSED_AT_ONCE: usize = 16 << 10;

/// How the current transaction began, and so how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Each statement is a transaction.
    None,
    /// Several statements of one query string, or of one pipeline: until its end.
    Implicit,
    /// BEGIN: until COMMIT or ROLLBACK.
    Explicit,
    /// BEGIN, and a statement failed: until COMMIT or ROLLBACK, both of which roll back, or ROLLBACK TO a savepoint.
    Failed,
}

/// A client's session.
pub struct Session {
    engine: Arc<Shared>,
    user: String,
    settings: Settings,
    /// The settings to go back to at ROLLBACK, and after `SET LOCAL`.
    rollback_settings: Option<Settings>,
    local_settings: BTreeMap<String, String>,
    setting_changes: SettingChanges,
    /// Gone when the statement that runs has ended.
    statement: Weak<()>,
    /// What stops the statement that is bound.
    interrupt: Interrupt,
    /// What `pg_backend_pid()` answers.
    process: i32,
    block: Block,
    transaction: Option<Transaction>,
    notices: Vec<Notice>,
    statements: Arc<Statements>,
    cursors: Cursors,
    activity: Arc<Activity>,
    /// What the client was last told of reported settings.
    reported: BTreeMap<&'static str, String>,
    /// The settings that were looked through for that.
    reported_version: Option<Version>,
    cancel: CancelHandle,
}

impl Session {
    pub(crate) fn new(engine: Arc<Shared>, params: SessionParams) -> Result<Session> {
        if params.database != DATABASE {
            let message = format!("database \"{}\" does not exist", params.database);
            let hint = format!("There is one database: {DATABASE}.");
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, message).with_hint(hint));
        }
        let mut settings = Settings::new(&params.user);
        for (name, value) in &params.settings {
            settings.set(name, Some(value))?;
        }
        let cancel = CancelHandle::default();
        let application = settings.get("application_name")?.to_owned();
        let activity = Arc::new(Activity::new(params.user.clone(), application, cancel.clone()));
        Ok(Session {
            engine,
            user: params.user,
            settings,
            rollback_settings: None,
            local_settings: BTreeMap::new(),
            setting_changes: SettingChanges::default(),
            statement: Weak::new(),
            interrupt: Interrupt::default(),
            process: 0,
            block: Block::None,
            transaction: None,
            notices: Vec::new(),
            statements: Arc::default(),
            cursors: Cursors::default(),
            activity,
            reported: BTreeMap::new(),
            reported_version: None,
            cancel,
        })
    }

    /// The statements of a query string. Without any, the client gets an empty response.
    ///
    /// # Errors
    /// 42601 with the position of what does not parse, 57014 when it takes too long.
    pub async fn parse(&mut self, sql: &str) -> Result<Vec<Statement>> {
        let guard = self.cancel.begin(self.settings.statement_timeout());
        guard.run(self.statements_of(sql)).await
    }

    /// A long string is parsed on another thread: this one serves others too.
    async fn statements_of(&mut self, sql: &str) -> Result<Vec<Statement>> {
        if sql.len() <= PARSED_AT_ONCE {
            return sql::parse(sql);
        }
        let sql = sql.to_owned();
        self.engine.queries.aside(move || sql::parse(&sql)).await
    }

    /// The statement types and result columns of one statement; `types` are those the client declared.
    ///
    /// # Errors
    /// 42601 for more than one statement, and whatever binding gives.
    pub async fn prepare(&mut self, sql: &str, types: &[Option<SqlType>]) -> Result<Prepared> {
        let guard = self.cancel.begin(self.settings.statement_timeout());
        self.interrupt = guard.interrupt();
        let outcome = guard.run(self.try_prepare(sql, types)).await;
        self.note_failure(outcome)
    }

    /// Runs a prepared statement with the values of its parameters, each of its type.
    pub async fn execute(&mut self, prepared: &Prepared, parameters: &[ScalarValue]) -> Result<Response> {
        let Some(statement) = prepared.statement() else { return Ok(Response::Empty) };
        let outcome = self.run(statement, prepared.arguments(parameters)).await;
        let outcome = outcome.and_then(|response| prepared.check_unchanged(response));
        self.note_failure(outcome)
    }

    /// Runs a statement of a simple query.
    pub async fn simple(&mut self, statement: &Statement) -> Result<Response> {
        let outcome = self.run(statement, Arguments::NONE).await;
        self.note_failure(outcome)
    }

    /// Statements from here to [`end_implicit`](Session::end_implicit) are one transaction.
    pub fn begin_implicit(&mut self) {
        if self.block == Block::None {
            self.block = Block::Implicit;
        }
    }

    /// Ends what [`begin_implicit`](Session::begin_implicit) began: commits, or forgets when a statement failed. A block
    /// that a BEGIN among the statements opened stays open.
    pub async fn end_implicit(&mut self, succeeded: bool) -> Result<()> {
        if self.block != Block::Implicit {
            return Ok(());
        }
        self.block = Block::None;
        if succeeded {
            return self.commit().await;
        }
        self.roll_back();
        Ok(())
    }

    /// Takes note that the rows of a statement ended with an error.
    pub fn fail(&mut self) {
        if self.block == Block::Explicit {
            self.block = Block::Failed;
            // With a savepoint the block can be mended: ROLLBACK TO.
            if self.transaction.take_if(|transaction| !transaction.has_marks()).is_some() {
                self.cursors.clear();
            }
            self.activity.end(self.transaction_status());
        }
    }

    /// How long the client may stay silent now; None is for ever.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match self.transaction_status() {
            TransactionStatus::Idle => None,
            TransactionStatus::InTransaction | TransactionStatus::Failed => self.settings.idle_in_transaction_timeout(),
        }
    }

    pub fn transaction_status(&self) -> TransactionStatus {
        match self.block {
            Block::None | Block::Implicit => TransactionStatus::Idle,
            Block::Explicit => TransactionStatus::InTransaction,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    /// Messages for the client since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Reported settings that the client has not been told of.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        let mut changes = Vec::new();
        // Asked after every statement, of which nearly none changes any.
        if self.reported_version.as_ref() == Some(self.settings.version()) {
            return changes;
        }
        self.reported_version = Some(self.settings.version().clone());
        for (name, value) in self.settings.reported() {
            if self.reported.get(name).is_none_or(|told| told != value) {
                if name == "application_name" {
                    self.activity.set_application(value);
                }
                self.reported.insert(name, value.to_owned());
                changes.push((name.to_owned(), value.to_owned()));
            }
        }
        changes
    }

    /// What stops the running statement, from another connection.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// What decides how values are written as text.
    pub fn format_settings(&self) -> FormatSettings {
        let time_zone = self.settings.zone();
        let catalog = match &self.transaction {
            Some(transaction) => transaction.catalog().clone(),
            None => self.engine.snapshot().catalog.clone(),
        };
        let float_digits = self.settings.float_digits();
        FormatSettings { time_zone, float_digits, relations: RelationNames(Some(catalog)) }
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// A failure inside a block spoils the block.
    fn note_failure<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.fail();
        }
        outcome
    }
}

/// Whether a statement is allowed in a failed block: its end, and ROLLBACK TO.
fn ends_block(statement: &ast::Statement) -> bool {
    matches!(statement, ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
}
