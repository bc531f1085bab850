//! The extended protocol: statements are parsed, bound and executed by messages of their own.

use levada_engine::data::SqlType;
use levada_engine::error::{Error, Result, SqlState};
use levada_engine::{MOST_PREPARED, Response, TransactionStatus};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::{Connection, attend};
use super::encode::RowEncoder;
use super::failure::Failure;
use super::frontend::{Bind, Format, Target};
use super::parameter;
use super::portal::{Portal, Progress};
use super::rows::{Rows, tag};

impl Connection<'_> {
    /// `exec_parse_message`.
    pub(super) async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<(), Failure> {
        if name.is_empty() {
            // Gone even if what follows fails.
            self.session.forget_statement("");
        }
        let types: Vec<_> = types.iter().map(|oid| parameter_type(*oid)).collect::<Result<_>>()?;
        self.registration.interrupt.begin();
        let prepared = attend(self.input, self.registration, self.session.prepare(sql, &types)).await;
        self.registration.interrupt.end();
        let prepared = prepared?;
        self.session.keep_statement(name, prepared)?;
        Ok(self.output.push(&ParseComplete::new())?)
    }

    /// `exec_bind_message`.
    pub(super) fn bind(&mut self, bind: Bind) -> Result<(), Failure> {
        let statement = self.session.statement(&bind.statement)?.clone();
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message).into());
        }
        let values = parameter::decode_all(&bind, statement.types(), &self.session.format_settings())?;
        let columns = statement.columns().map_or(&[][..], |columns| columns);
        let formats = result_formats(&bind.result_formats, columns.len())?;
        let portal = Portal { statement, formats, progress: Progress::Bound(values) };
        if !bind.portal.is_empty() {
            self.check_room(&portal)?;
        }
        self.portals.insert(bind.portal, portal);
        Ok(self.output.push(&BindComplete::new())?)
    }

    /// Refuses a portal where those that have names take as much as they may; one is not refused by itself.
    fn check_room(&self, portal: &Portal) -> Result<()> {
        let named = self.portals.iter().filter(|(name, _)| !name.is_empty());
        let taken: usize = named.map(|(_, portal)| portal.bytes()).sum();
        if taken == 0 || taken + portal.bytes() <= MOST_PREPARED {
            return Ok(());
        }
        let detail = format!("They may take about {} MB.", MOST_PREPARED >> 20);
        Err(Error::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many open portals in this session")
            .with_detail(detail)
            .with_hint("Close those that you no longer run, or end the transaction."))
    }

    /// `exec_describe_statement_message` and `exec_describe_portal_message`.
    pub(super) fn describe(&mut self, target: &Target) -> Result<(), Failure> {
        let (statement, formats) = match target {
            Target::Statement(name) => {
                let statement = self.session.statement(name)?.clone();
                let types = statement.types().iter().map(SqlType::oid).collect();
                self.output.push(&ParameterDescription::new(types))?;
                let formats = vec![Format::Text; statement.columns().map_or(0, |columns| columns.len())];
                (statement, formats)
            }
            Target::Portal(name) => {
                let Some(portal) = self.portals.get(name) else {
                    // A cursor that was declared is one as well.
                    let columns = self.session.cursor_columns(name).ok_or_else(|| no_portal(name))?;
                    return Ok(self.output.push_columns(columns, &vec![Format::Text; columns.len()])?);
                };
                (portal.statement.clone(), portal.formats.clone())
            }
        };
        match statement.columns() {
            Some(columns) => self.output.push_columns(columns, &formats)?,
            None => self.output.push(&NoData::new())?,
        }
        Ok(())
    }

    /// `exec_execute_message`.
    pub(super) async fn execute(&mut self, name: &str, max_rows: Option<u64>) -> Result<(), Failure> {
        // Out of the map while it runs, and for good when it fails.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let before = self.session.transaction_status();
        self.registration.interrupt.begin();
        let outcome = self.run_portal(name, &mut portal, max_rows).await;
        self.registration.interrupt.end();
        outcome?;
        let ended = before != TransactionStatus::Idle && self.session.transaction_status() == TransactionStatus::Idle;
        if ended {
            self.portals.clear();
        } else {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(())
    }

    async fn run_portal(&mut self, name: &str, portal: &mut Portal, max_rows: Option<u64>) -> Result<(), Failure> {
        let mut rows = match portal.progress.take() {
            Progress::Bound(values) => {
                // Ended by Sync.
                self.session.begin_implicit();
                let work = self.session.execute(&portal.statement, &values);
                let response = attend(self.input, self.registration, work).await?;
                self.send_notices()?;
                match response {
                    Response::Empty => return Ok(self.output.push(&EmptyQueryResponse::new())?),
                    Response::Complete { tag } => return Ok(self.complete(tag)?),
                    Response::Rows { columns, rows, command } => {
                        let settings = self.session.format_settings();
                        let encoder = RowEncoder::new(columns, portal.formats.clone(), settings);
                        Rows::new(rows, encoder, command)
                    }
                }
            }
            Progress::Suspended(rows) => rows,
            Progress::Fetched(command) => {
                portal.progress = Progress::Fetched(command);
                return Ok(self.complete(tag(command, 0))?);
            }
            Progress::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
            }
        };
        let sent = self.send_rows(&mut rows, max_rows).await?;
        // As in PostgreSQL, a portal that gave just as many rows as asked for does not know yet whether there are more.
        if Some(sent) == max_rows {
            portal.progress = Progress::Suspended(rows);
            self.send_notices()?;
            return Ok(self.output.push(&PortalSuspended::new())?);
        }
        portal.progress = Progress::Fetched(rows.command());
        Ok(self.complete(tag(rows.command(), sent))?)
    }

    /// Closing what is not there is no error.
    pub(super) fn close(&mut self, target: &Target) -> Result<(), Failure> {
        match target {
            Target::Statement(name) => self.session.forget_statement(name),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        Ok(self.output.push(&CloseComplete::new())?)
    }

    /// Ends the transaction of the messages since the last Sync: they succeed together, or one of them has `failed`.
    pub(super) async fn sync(&mut self, failed: bool) -> Result<(), Failure> {
        attend(self.input, self.registration, self.session.end_implicit(!failed)).await?;
        self.ready_for_query().await
    }
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

/// The type that a client gives a parameter; None for it to be inferred.
fn parameter_type(oid: u32) -> Result<Option<SqlType>> {
    match oid {
        0 => Ok(None),
        oid => match SqlType::from_oid(oid) {
            Some(SqlType::Unknown) => Ok(None),
            Some(ty) => Ok(Some(ty)),
            None => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))),
        },
    }
}

/// One format for each column: none given is text, one is for all.
fn result_formats(given: &[Format], columns: usize) -> Result<Vec<Format>> {
    match given {
        [] => Ok(vec![Format::Text; columns]),
        [format] => Ok(vec![*format; columns]),
        // Without columns nobody looks at the formats.
        _ if columns == 0 => Ok(Vec::new()),
        given if given.len() == columns => Ok(given.to_vec()),
        given => {
            let message = format!("bind message has {} result formats but query has {columns} columns", given.len());
            Err(Error::new(SqlState::PROTOCOL_VIOLATION, message))
        }
    }
}
