//! SAVEPOINT, RELEASE and ROLLBACK TO.

use sqlparser::ast;

use crate::error::{Error, Result, SqlState};
use crate::session::transaction::SessionMark;
use crate::session::{Block, Response, Session};

impl Session {
    pub(super) fn savepoint(&mut self, name: &ast::Ident) -> Result<Response> {
        self.require_block("SAVEPOINT")?;
        let session = SessionMark {
            settings: self.settings.clone(),
            local_settings: self.local_settings.clone(),
            cursors: self.cursors.next_number(),
        };
        self.transaction().mark(&folded(name), session);
        Ok(Response::complete("SAVEPOINT"))
    }

    pub(super) fn release(&mut self, name: &ast::Ident) -> Result<Response> {
        self.require_block("RELEASE SAVEPOINT")?;
        self.transaction().release(&folded(name))?;
        Ok(Response::complete("RELEASE"))
    }

    /// Undoes what came after a savepoint; a block that failed since goes on.
    pub(super) fn roll_back_to(&mut self, name: &ast::Ident) -> Result<Response> {
        self.require_block("ROLLBACK TO SAVEPOINT")?;
        let session = self.transaction().roll_back_to(&folded(name))?;
        self.settings = session.settings;
        self.local_settings = session.local_settings;
        self.cursors.close_from(session.cursors);
        self.block = Block::Explicit;
        Ok(Response::complete("ROLLBACK"))
    }

    /// A savepoint begins a transaction without choosing its epoch: the first query or write does.
    pub(super) fn renew_snapshot(&mut self) {
        if let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.has_marks()) {
            transaction.move_to(self.engine.snapshot());
        }
    }

    fn require_block(&self, command: &str) -> Result<()> {
        if matches!(self.block, Block::Explicit | Block::Failed) {
            return Ok(());
        }
        let message = format!("{command} can only be used in transaction blocks");
        Err(Error::new(SqlState::NO_ACTIVE_TRANSACTION, message))
    }
}

/// A savepoint's name: quoted as written, else in lower case.
fn folded(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}
