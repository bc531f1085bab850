//! Statements that the parser library does not know, or not in our form.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use crate::sql::connector::{CreateConnector, parse_create_connector};

/// A statement of a query string.
#[derive(Clone, Debug)]
pub struct Statement {
    pub command: Command,
    /// The whole query string: the statement's spans count from its start.
    pub source: Arc<str>,
    /// The statement's own part of it, in bytes.
    pub range: Range<usize>,
}

impl Statement {
    /// The statement's own text.
    pub fn text(&self) -> &str {
        self.source.get(self.range.clone()).unwrap_or_default()
    }

    /// The parser library's statement, if it is one of those.
    pub fn into_sql(self) -> Option<ast::Statement> {
        match self.command {
            Command::Sql(sql) => Some(*sql),
            Command::Flush | Command::CreateConnector(_) | Command::ShowCreate { .. } => None,
        }
    }
}

/// What a statement says.
#[derive(Clone, Debug)]
pub enum Command {
    Sql(Box<ast::Statement>),
    /// `FLUSH`: wait until all that is visible now is in a checkpoint.
    Flush,
    /// `CREATE TABLE | SOURCE … WITH (connector = …)`
    CreateConnector(Box<CreateConnector>),
    /// `SHOW CREATE TABLE | VIEW | MATERIALIZED VIEW name`
    ShowCreate {
        kind: ObjectKind,
        name: ast::ObjectName,
    },
}

/// The kinds of objects that statements name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    View,
    MaterializedView,
}

impl ObjectKind {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
        }
    }
}

/// One statement, ours or the library's.
pub fn parse_command(parser: &mut Parser<'_>) -> Result<Command, ParserError> {
    if let Some(connector) = parse_create_connector(parser)? {
        return Ok(Command::CreateConnector(Box::new(connector)));
    }
    if parser.parse_keyword(Keyword::FLUSH) {
        return Ok(Command::Flush);
    }
    if parser.parse_keywords(&[Keyword::SHOW, Keyword::CREATE]) {
        let kind = match parser.expect_one_of_keywords(&[Keyword::TABLE, Keyword::VIEW, Keyword::MATERIALIZED])? {
            Keyword::TABLE => ObjectKind::Table,
            Keyword::VIEW => ObjectKind::View,
            _ => {
                parser.expect_keyword(Keyword::VIEW)?;
                ObjectKind::MaterializedView
            }
        };
        return Ok(Command::ShowCreate { kind, name: parser.parse_object_name(false)? });
    }
    Ok(Command::Sql(Box::new(parser.parse_statement()?)))
}
