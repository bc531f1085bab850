//! Simple queries: a string of statements, answered one by one.

use levada_engine::error::Result;
use levada_engine::{Response, Statement};
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::{Connection, attend};
use super::encode::RowEncoder;
use super::failure::Failure;
use super::frontend::Format;
use super::rows::{Rows, tag};

impl Connection<'_> {
    /// `exec_simple_query`.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Result<(), Failure> {
        self.session.forget_statement("");
        self.portals.remove("");
        self.registration.interrupt.begin();
        let outcome = self.run_statements(sql).await;
        self.registration.interrupt.end();
        outcome?;
        self.ready_for_query().await
    }

    /// Several statements succeed together or not at all, unless they say otherwise by BEGIN and COMMIT.
    async fn run_statements(&mut self, sql: &str) -> Result<(), Failure> {
        let statements = attend(self.input, self.registration, self.session.parse(sql)).await?;
        let mut last = None;
        for (index, statement) in statements.iter().enumerate() {
            if index > 0 {
                self.finish_statement(last.take())?;
            }
            self.registration.interrupt.check()?;
            if statements.len() > 1 {
                // Also after a COMMIT: what follows it is one transaction again.
                self.session.begin_implicit();
            }
            last = self.run_statement(statement).await?;
        }
        // The last statement is complete when all are durable.
        attend(self.input, self.registration, self.session.end_implicit(true)).await?;
        Ok(self.finish_statement(last)?)
    }

    /// Runs one statement and sends its rows; returns its tag, None for the empty statement.
    async fn run_statement(&mut self, statement: &Statement) -> Result<Option<String>, Failure> {
        let response = attend(self.input, self.registration, self.session.simple(statement)).await?;
        self.send_notices()?;
        match response {
            Response::Empty => Ok(None),
            Response::Complete { tag } => Ok(Some(tag)),
            Response::Rows { columns, rows, command } => {
                let formats = vec![Format::Text; columns.len()];
                self.output.push_columns(&columns, &formats)?;
                let encoder = RowEncoder::new(columns, formats, self.session.format_settings());
                let mut rows = Rows::new(rows, encoder, command);
                let sent = self.send_rows(&mut rows, None).await?;
                Ok(Some(tag(command, sent)))
            }
        }
    }

    /// Without statements there is no tag either.
    fn finish_statement(&mut self, tag: Option<String>) -> Result<()> {
        match tag {
            Some(tag) => self.complete(tag),
            None => self.output.push(&EmptyQueryResponse::new()),
        }
    }
}
