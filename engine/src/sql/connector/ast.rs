//! What the statement says, before anything is checked.

use sqlparser::ast;
use sqlparser::tokenizer::{Location, Span};

use crate::sql::bind::fold;

/// `CREATE SOURCE | TABLE [IF NOT EXISTS] name (…) [INCLUDE …] WITH (…) FORMAT … ENCODE … [(…)]`
#[derive(Clone, Debug)]
pub struct CreateConnector {
    /// Whether rows are kept: TABLE, not SOURCE.
    pub stored: bool,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: ast::ObjectName,
    pub columns: Vec<ast::ColumnDef>,
    /// PRIMARY KEY and others at table level.
    pub constraints: Vec<ast::TableConstraint>,
    pub watermarks: Vec<Watermark>,
    pub includes: Vec<Include>,
    pub options: Vec<ConnectorOption>,
    /// The word after FORMAT, in upper case; None without the clause.
    pub format: Option<String>,
    /// The word after ENCODE, in upper case; None without the clause.
    pub encode: Option<String>,
    /// Options after ENCODE.
    pub encode_options: Vec<ConnectorOption>,
}

/// `WATERMARK FOR column AS expression`
#[derive(Clone, Debug)]
pub struct Watermark {
    pub column: ast::Ident,
    pub expression: ast::Expr,
}

/// `INCLUDE what [AS name]`: a column of the message's metadata.
#[derive(Clone, Debug)]
pub struct Include {
    pub what: Metadata,
    pub name: Option<ast::Ident>,
}

impl Include {
    /// The column's name: as given, else RisingWave's.
    pub fn column(&self) -> String {
        match &self.name {
            Some(name) => fold(name),
            None => format!("_rw_kafka_{}", self.what.word()),
        }
    }
}

/// What of a message is not its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    Key,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

impl Metadata {
    /// As INCLUDE names it.
    pub fn word(self) -> &'static str {
        match self {
            Metadata::Key => "key",
            Metadata::Partition => "partition",
            Metadata::Offset => "offset",
            Metadata::Timestamp => "timestamp",
            Metadata::Headers => "headers",
        }
    }
}

/// `name = value`
#[derive(Clone, Debug)]
pub struct ConnectorOption {
    /// Dotted, as written.
    pub name: String,
    pub value: String,
    /// Where the name stands.
    pub location: Location,
    /// Where the value stands.
    pub value_span: Span,
}
