//! Statements that the parser library does not know, or not in our form.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use crate::sql::connector::{CreateConnector, CreateSink, SinkInput, parse_create_connector, parse_create_sink};
use crate::sql::cursor::{Declare, Fetch, parse_cursor};
use crate::sql::explain::{Explain, ExplainTarget, parse_explain};
use crate::sql::prepare::{Execute, Prepare, parse_prepared};
use crate::sql::refused::{Refused, parse_refused};
use crate::sql::word::parse_words;

/// A statement of a query string.
#[derive(Clone, Debug)]
pub struct Statement {
    pub command: Command,
    /// The whole query string: the statement's spans count from its start.
    pub source: Arc<str>,
    /// The statement's own part of it, in bytes.
    pub range: Range<usize>,
    /// Whether it says `EMIT ON WINDOW CLOSE`, which only what keeps a query's answer current may.
    pub emit_on_window_close: bool,
}

impl Statement {
    /// The statement's own text.
    pub fn text(&self) -> &str {
        self.source.get(self.range.clone()).unwrap_or_default()
    }

    /// Whether its text is that of a PREPARE, and not its own.
    pub fn is_prepared_by_sql(&self) -> bool {
        let first = self.text().split(|c: char| c.is_whitespace() || c == '"').next().unwrap_or_default();
        first.eq_ignore_ascii_case("prepare")
    }

    /// The parser library's statement, if it is one of those.
    pub fn into_sql(self) -> Option<ast::Statement> {
        match self.command {
            Command::Sql(sql) => Some(*sql),
            Command::Flush
            | Command::Explain(_)
            | Command::Prepare(_)
            | Command::Execute(_)
            | Command::CreateConnector(_)
            | Command::CreateSink(_)
            | Command::ShowCreate { .. }
            | Command::Declare(_)
            | Command::Fetch(_)
            | Command::Refused(_)
            | Command::Drop(_) => None,
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
    /// `EXPLAIN …`
    Explain(Box<Explain>),
    /// `PREPARE name … AS …`
    Prepare(Box<Prepare>),
    /// `EXECUTE name …`
    Execute(Execute),
    /// `CREATE SINK … WITH (connector = …)`
    CreateSink(Box<CreateSink>),
    /// `DROP SOURCE | SINK`: what the library does not know.
    Drop(DropObjects),
    /// `SHOW CREATE TABLE | SOURCE | VIEW | MATERIALIZED VIEW | SINK name`
    ShowCreate {
        kind: ObjectKind,
        name: ast::ObjectName,
    },
    /// `DECLARE name CURSOR FOR …`
    Declare(Box<Declare>),
    /// `FETCH …`, `MOVE …`
    Fetch(Fetch),
    /// What PostgreSQL has and Levada has not.
    Refused(Refused),
}

impl Command {
    /// The query, if it is one.
    pub fn query(&self) -> Option<&ast::Query> {
        match self {
            Command::Sql(sql) if let ast::Statement::Query(query) = &**sql => Some(query),
            _ => None,
        }
    }

    /// The statement of the library that it is, or that it explains or prepares.
    pub fn sql(&self) -> Option<&ast::Statement> {
        match self {
            Command::Sql(sql) => Some(sql),
            Command::Prepare(prepare) => prepare.statement.sql(),
            Command::Explain(explain) => match &explain.target {
                ExplainTarget::Statement(command) => command.sql(),
                ExplainTarget::Object(..) => None,
            },
            _ => None,
        }
    }

    /// Whether it makes something that keeps a query's answer current, or explains that: a materialized view, or a sink of
    /// a query.
    pub fn maintains_query(&self) -> bool {
        match self {
            Command::Sql(sql) => matches!(&**sql, ast::Statement::CreateView(view) if view.materialized),
            Command::CreateSink(sink) => matches!(sink.input, SinkInput::Query(_)),
            Command::Explain(explain) => match &explain.target {
                ExplainTarget::Statement(command) => command.maintains_query(),
                ExplainTarget::Object(..) => false,
            },
            _ => false,
        }
    }
}

/// `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`
#[derive(Clone, Debug)]
pub struct DropObjects {
    pub kind: ObjectKind,
    pub if_exists: bool,
    pub names: Vec<ast::ObjectName>,
    pub cascade: bool,
}

/// The kinds of objects that statements name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Source,
    View,
    MaterializedView,
    Sink,
}

impl ObjectKind {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::Source => "source",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Sink => "sink",
        }
    }
}

/// One statement, ours or the library's.
pub fn parse_command(parser: &mut Parser<'_>) -> Result<Command, ParserError> {
    if let Some(connector) = parse_create_connector(parser)? {
        return Ok(Command::CreateConnector(Box::new(connector)));
    }
    if let Some(explain) = parse_explain(parser)? {
        return Ok(Command::Explain(Box::new(explain)));
    }
    if let Some(refused) = parse_refused(parser) {
        return Ok(Command::Refused(refused));
    }
    if let Some(prepared) = parse_prepared(parser)? {
        return Ok(prepared);
    }
    if let Some(sink) = parse_create_sink(parser)? {
        return Ok(Command::CreateSink(Box::new(sink)));
    }
    if let Some(cursor) = parse_cursor(parser)? {
        return Ok(cursor);
    }
    if parse_words(parser, &["ABORT"]) {
        return Ok(Command::Sql(Box::new(parser.parse_rollback()?)));
    }
    if parse_words(parser, &["DROP", "SINK"]) {
        return Ok(Command::Drop(parse_drop(parser, ObjectKind::Sink)?));
    }
    if parser.parse_keyword(Keyword::FLUSH) {
        return Ok(Command::Flush);
    }
    if parser.parse_keywords(&[Keyword::SHOW, Keyword::CREATE]) {
        let kind = parse_object_kind(parser)?;
        return Ok(Command::ShowCreate { kind, name: parser.parse_object_name(false)? });
    }
    if parser.parse_keywords(&[Keyword::DROP, Keyword::SOURCE]) {
        return Ok(Command::Drop(parse_drop(parser, ObjectKind::Source)?));
    }
    Ok(Command::Sql(Box::new(parser.parse_statement()?)))
}

fn parse_object_kind(parser: &mut Parser<'_>) -> Result<ObjectKind, ParserError> {
    if parse_words(parser, &["SINK"]) {
        return Ok(ObjectKind::Sink);
    }
    let kinds = [Keyword::TABLE, Keyword::SOURCE, Keyword::VIEW, Keyword::MATERIALIZED];
    Ok(match parser.expect_one_of_keywords(&kinds)? {
        Keyword::TABLE => ObjectKind::Table,
        Keyword::SOURCE => ObjectKind::Source,
        Keyword::VIEW => ObjectKind::View,
        _ => {
            parser.expect_keyword(Keyword::VIEW)?;
            ObjectKind::MaterializedView
        }
    })
}

/// What follows the kind of objects.
fn parse_drop(parser: &mut Parser<'_>, kind: ObjectKind) -> Result<DropObjects, ParserError> {
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = parser.parse_comma_separated(|parser| parser.parse_object_name(false))?;
    let cascade = parser.parse_one_of_keywords(&[Keyword::CASCADE, Keyword::RESTRICT]) == Some(Keyword::CASCADE);
    Ok(DropObjects { kind, if_exists, names, cascade })
}
