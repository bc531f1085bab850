//! Prepared statements by name: those of PREPARE, and those that a client's messages prepare.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::session::run::Arguments;
use crate::session::{Prepared, Response, Session};
use crate::sql::bind::Purpose;
use crate::sql::sql_type;
use crate::sql::{Command, Execute, Prepare, Statement, fold};

impl Session {
    /// Keeps a prepared statement under its name. The empty name is that of the protocol's unnamed statement, which the
    /// next one replaces.
    ///
    /// # Errors
    /// 42P05 where another one has the name, 53400 where the session would have prepared too much.
    pub fn keep_statement(&mut self, name: String, prepared: Prepared) -> Result<()> {
        Arc::make_mut(&mut self.statements).insert(name, prepared)
    }

    /// The prepared statement of this name.
    ///
    /// # Errors
    /// 26000 where there is none.
    pub fn statement(&self, name: &str) -> Result<&Prepared> {
        self.statements.get(name).ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            Error::new(SqlState::INVALID_STATEMENT_NAME, message)
        })
    }

    /// Forgets the prepared statement of this name, if there is one.
    pub fn forget_statement(&mut self, name: &str) {
        Arc::make_mut(&mut self.statements).remove(name);
    }

    /// PREPARE.
    pub(super) fn prepare_by_name(&mut self, prepare: &Prepare, whole: &Statement) -> Result<Response> {
        let types: Vec<Option<SqlType>> =
            prepare.types.iter().map(|ty| sql_type(ty).map(Some)).collect::<Result<_>>()?;
        let prepared = self.describe(Statement { command: (*prepare.statement).clone(), ..whole.clone() }, &types)?;
        self.keep_statement(fold(&prepare.name), prepared)?;
        Ok(Response::complete("PREPARE"))
    }

    /// EXECUTE.
    pub(super) async fn execute_by_name(&mut self, execute: &Execute, text: &str) -> Result<Response> {
        let prepared = self.statement(&fold(&execute.name))?.clone();
        let values = self.argument_values(execute, prepared.types(), text).await?;
        let Some(statement) = prepared.statement() else { return Ok(Response::Empty) };
        // Messages can prepare an EXECUTE, and so two that run each other.
        if matches!(statement.command, Command::Execute(_)) {
            return Err(Error::unsupported("EXECUTE of a statement that is EXECUTE itself"));
        }
        let response = Box::pin(self.dispatch(statement, prepared.arguments(&values))).await?;
        prepared.check_unchanged(response)
    }

    /// The values that EXECUTE gives, each of the type of its parameter.
    pub(super) async fn argument_values(
        &mut self,
        execute: &Execute,
        types: &[SqlType],
        text: &str,
    ) -> Result<Vec<ScalarValue>> {
        let (given, wanted) = (execute.arguments.len(), types.len());
        if given != wanted {
            let name = fold(&execute.name);
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {wanted} parameters but got {given}.");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_detail(detail));
        }
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self
            .bind(text, Purpose::Query, Arguments::NONE, |binder| binder.bind_arguments(&execute.arguments, types))?;
        let batches = self.batches(plan, &[]).await?;
        let row = batches.iter().find(|batch| batch.num_rows() > 0);
        let row = row.ok_or_else(|| Error::internal("arguments without values"))?;
        Ok(row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0)).collect::<Result<_, _>>()?)
    }

    /// DEALLOCATE name, DEALLOCATE ALL.
    pub(super) fn deallocate(&mut self, name: &ast::Ident) -> Result<Response> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.forget_named_statements();
            return Ok(Response::complete("DEALLOCATE ALL"));
        }
        let name = fold(name);
        self.statement(&name)?;
        self.forget_statement(&name);
        Ok(Response::complete("DEALLOCATE"))
    }

    /// All but the unnamed one, which the messages behind it may still want.
    pub(super) fn forget_named_statements(&mut self) {
        Arc::make_mut(&mut self.statements).clear_named();
    }
}
