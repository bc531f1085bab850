//! One statement, from its syntax tree to its response.

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use sqlparser::ast;

use crate::catalog::RelationSource;
use crate::data::{ObjectId, SqlType};
use crate::engine::Operation;
use crate::error::{Error, Result, SqlState};
use crate::query::RowStream;
use crate::session::plans::PlanCache;
use crate::session::response::{Notice, Response, Severity};
use crate::session::system::SettingChanges;
use crate::session::transaction::Transaction;
use crate::session::{Block, Session, ends_block};
use crate::sql::bind::{BindSettings, Binder, Parameters, Purpose};
use crate::sql::{CatalogNames, Command, Statement, runnable};

/// What a statement is run with: the values of its parameters, and the plan that was kept of it.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    pub types: &'a [SqlType],
    pub values: &'a [ScalarValue],
    /// None for a statement that is run once.
    pub plans: Option<&'a PlanCache>,
}

impl Arguments<'_> {
    /// A statement that has no parameters.
    pub const NONE: Arguments<'static> = Arguments { types: &[], values: &[], plans: None };

    fn parameters(self) -> Parameters {
        if self.types.is_empty() {
            return Parameters::none();
        }
        Parameters::given(&self.types.iter().cloned().map(Some).collect::<Vec<_>>())
    }
}

impl Session {
    /// Runs a statement in the transaction that is open, or in one of its own.
    pub(super) async fn run(&mut self, statement: &Statement, arguments: Arguments<'_>) -> Result<Response> {
        if self.block == Block::Failed && !matches!(&statement.command, Command::Sql(sql) if ends_block(sql)) {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Error::new(SqlState::IN_FAILED_TRANSACTION, message));
        }
        self.activity.begin(&statement.source);
        let outcome = self.run_in_transaction(statement, arguments).await;
        self.activity.end(self.transaction_status());
        outcome
    }

    async fn run_in_transaction(&mut self, statement: &Statement, arguments: Arguments<'_>) -> Result<Response> {
        self.renew_snapshot();
        let guard = self.cancel.begin(self.settings.statement_timeout());
        (self.statement, self.interrupt) = (guard.alive(), guard.interrupt());
        // What a statement before this one still does on its threads is not this one's.
        self.setting_changes = SettingChanges::default();
        let outcome = guard.run(self.dispatch(statement, arguments)).await;
        let outcome = outcome.and_then(|response| self.change_settings().map(|()| response));
        if self.block != Block::None {
            return outcome.map(|response| guard.response(response));
        }
        match outcome {
            // Not under the guard: a transaction on its way cannot be called back.
            Ok(response) => self.commit().await.map(|()| guard.response(response)),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    pub(super) async fn dispatch(&mut self, statement: &Statement, arguments: Arguments<'_>) -> Result<Response> {
        let text = &*statement.source;
        let sql = match &statement.command {
            Command::Sql(sql) => &**sql,
            Command::Flush => return self.flush().await,
            Command::CreateConnector(create) => return self.create_connector(create, statement).await,
            Command::CreateSink(create) => return self.create_sink(create, statement).await,
            Command::Explain(explain) => return self.explain(explain, statement, arguments).await,
            Command::Prepare(prepare) => return self.prepare_by_name(prepare, statement),
            Command::Execute(execute) => return self.execute_by_name(execute, text).await,
            Command::ShowCreate { kind, name } => return self.show_create(*kind, name),
            Command::Declare(declare) => return self.declare(declare, text, arguments).await,
            Command::Fetch(fetch) => return self.fetch(fetch).await,
            Command::Refused(refused) => return Err(refused.error()),
            Command::Drop(drop) => {
                return self.drop_all(drop.kind.name(), drop.if_exists, &drop.names, drop.cascade).await;
            }
        };
        match sql {
            ast::Statement::Query(query) => self.select(query, text, arguments).await,
            ast::Statement::Insert(insert) => self.insert(insert, text, arguments).await,
            ast::Statement::Update(update) => self.update(update, text, arguments).await,
            ast::Statement::Delete(delete) => self.delete(delete, text, arguments).await,
            ast::Statement::CreateTable(table) => self.create_table(table, statement).await,
            ast::Statement::CreateView(view) => self.create_view(view, statement).await,
            ast::Statement::Drop { .. } => self.drop_objects(sql).await,
            ast::Statement::Set(set) => self.set(set),
            ast::Statement::Reset(reset) => self.reset(reset),
            ast::Statement::Discard { object_type } => self.discard(object_type),
            ast::Statement::ShowVariable { variable } => self.show_variable(variable),
            ast::Statement::ShowTables { .. } => self.show_objects("table"),
            ast::Statement::ShowViews { materialized: true, .. } => self.show_objects("materialized view"),
            ast::Statement::ShowViews { .. } => self.show_objects("view"),
            ast::Statement::StartTransaction { modes, begin, .. } => {
                self.begin(modes, if *begin { "BEGIN" } else { "START TRANSACTION" })
            }
            ast::Statement::Commit { chain: false, .. } => self.commit_block().await,
            ast::Statement::Rollback { chain: false, savepoint: None, .. } => Ok(self.roll_back_block()),
            ast::Statement::Rollback { chain: false, savepoint: Some(name), .. } => self.roll_back_to(name),
            ast::Statement::Savepoint { name } => self.savepoint(name),
            ast::Statement::ReleaseSavepoint { name } => self.release(name),
            ast::Statement::Deallocate { name, .. } => self.deallocate(name),
            ast::Statement::Close { cursor } => self.close(cursor),
            // There is no LISTEN to take back.
            ast::Statement::UNLISTEN { .. } => Ok(Response::complete("UNLISTEN")),
            other => Err(unsupported_statement(other)),
        }
    }

    /// The transaction that is open, begun now if none is.
    pub(super) fn transaction(&mut self) -> &mut Transaction {
        let engine = &self.engine;
        self.transaction.get_or_insert_with(|| Transaction::new(engine.snapshot()))
    }

    pub(super) fn bind_settings(&self) -> BindSettings {
        let defaults = BindSettings::default();
        BindSettings {
            now: self.transaction.as_ref().map_or(defaults.now, Transaction::began_at),
            time_zone: self.settings.time_zone().to_owned(),
            user: self.user.clone(),
            process: self.process,
            search_path: self.search_path(),
            interrupt: self.interrupt.clone(),
            ..defaults
        }
    }

    /// Binds something against the transaction's catalog.
    pub(super) fn bind<T>(
        &mut self,
        text: &str,
        purpose: Purpose,
        arguments: Arguments<'_>,
        bind: impl FnOnce(&mut Binder<'_>) -> Result<T>,
    ) -> Result<T> {
        let system = self.system();
        let settings = self.bind_settings();
        let names = CatalogNames::of_session(&system);
        let mut binder = Binder::new(&names, &settings, purpose, arguments.parameters(), text);
        bind(&mut binder)
    }

    /// Runs a bound plan over the transaction's relations.
    pub(super) async fn run_plan(&mut self, plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<RowStream> {
        let engine = self.engine.clone();
        let plan = self.ready(plan, parameters).await?;
        let sources = self.source_tables(&plan).await?;
        engine.queries.run(plan, &self.tables(sources)?).await
    }

    /// Runs a bound plan and forgets its rows; returns its operators with how many rows each gave.
    pub(super) async fn analyze_plan(&mut self, plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<Vec<String>> {
        let engine = self.engine.clone();
        let plan = self.ready(plan, parameters).await?;
        let sources = self.source_tables(&plan).await?;
        engine.queries.analyze(plan, &self.tables(sources)?).await
    }

    /// A bound plan as it can be run now.
    async fn ready(&mut self, plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<LogicalPlan> {
        let parameters = parameters.to_vec();
        let plan = self.engine.queries.aside(move || runnable(plan, &parameters)).await?;
        let relations = RelationSource::all_in(&plan)?;
        self.wait_for_hydration(&relations).await?;
        if reads_rows(&plan)? {
            self.transaction().read();
            self.heed_missing_rows(&relations)?;
        }
        Ok(plan)
    }

    /// Runs a bound plan and keeps all its rows.
    pub(super) async fn batches(&mut self, plan: LogicalPlan, parameters: &[ScalarValue]) -> Result<Vec<RecordBatch>> {
        self.run_plan(plan, parameters).await?.try_collect().await
    }

    async fn flush(&mut self) -> Result<Response> {
        self.engine.flush().await?;
        Ok(Response::complete("FLUSH"))
    }

    fn begin(&mut self, modes: &[ast::TransactionMode], tag: &str) -> Result<Response> {
        if self.block == Block::Explicit {
            let message = "there is already a transaction in progress";
            self.notice(Notice::new(Severity::Warning, SqlState::ACTIVE_TRANSACTION, message));
            return Ok(Response::complete(tag));
        }
        self.block = Block::Explicit;
        self.rollback_settings.get_or_insert_with(|| self.settings.clone());
        self.set_transaction(modes, false)?;
        Ok(Response::complete(tag))
    }

    async fn commit_block(&mut self) -> Result<Response> {
        match self.block {
            Block::Explicit | Block::Implicit => {
                // What follows an explicit COMMIT in one query string begins anew, as in PostgreSQL.
                let outcome = self.commit().await;
                self.block = if self.block == Block::Implicit { Block::Implicit } else { Block::None };
                outcome.map(|()| Response::complete("COMMIT"))
            }
            Block::Failed => Ok(self.roll_back_block()),
            Block::None => {
                self.no_transaction();
                Ok(Response::complete("COMMIT"))
            }
        }
    }

    fn roll_back_block(&mut self) -> Response {
        if self.block == Block::None {
            self.no_transaction();
        }
        if self.block != Block::Implicit {
            self.block = Block::None;
        }
        self.roll_back();
        Response::complete("ROLLBACK")
    }

    fn no_transaction(&mut self) {
        let message = "there is no transaction in progress";
        self.notice(Notice::new(Severity::Warning, SqlState::NO_ACTIVE_TRANSACTION, message));
    }

    /// Makes the open transaction durable and visible; nothing to do when it has only read.
    pub(super) async fn commit(&mut self) -> Result<()> {
        self.end_settings(true);
        self.cursors.clear();
        match self.transaction.take() {
            Some(transaction) if !transaction.is_clean() => {
                let (operations, locks) = transaction.into_parts();
                let created: Vec<ObjectId> = operations.iter().filter_map(Operation::created_view).collect();
                let snapshot = self.engine.commit(operations, locks).await?;
                self.wait_a_moment(&snapshot, &created).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Forgets the open transaction.
    pub(super) fn roll_back(&mut self) {
        self.end_settings(false);
        self.cursors.clear();
        self.transaction = None;
    }

    /// Refuses to write in a transaction that is read-only.
    pub(super) fn check_writable(&mut self, command: &str) -> Result<()> {
        if self.settings.get("transaction_read_only")? == "on" {
            let message = format!("cannot execute {command} in a read-only transaction");
            return Err(Error::new(SqlState::READ_ONLY_TRANSACTION, message));
        }
        Ok(())
    }
}

/// Whether a plan reads rows of any relation, and so is of one epoch.
fn reads_rows(plan: &LogicalPlan) -> Result<bool> {
    Ok(plan.exists(|node| Ok(matches!(node, LogicalPlan::TableScan(_))))?)
}

/// Names a statement that is not ours by its first words.
fn unsupported_statement(statement: &ast::Statement) -> Error {
    let text = statement.to_string();
    let is_keyword = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let words: Vec<&str> = text.split_whitespace().take_while(is_keyword).take(3).collect();
    Error::unsupported(if words.is_empty() { "this statement".to_owned() } else { words.join(" ") })
}
