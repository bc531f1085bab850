//! `CREATE SINK`, as RisingWave spells it.

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::ConnectorOption;
use super::options::{Options, missing};
use super::parse::parse_options;
use crate::error::{Error, Result};
use crate::sql::bind::SourceText;
use crate::sql::parse::MAX_DEPTH;
use crate::sql::word::{at_words, is_word, parse_words};

/// `CREATE SINK [IF NOT EXISTS] name FROM relation | AS query [EMIT ON WINDOW CLOSE] WITH (connector = …)`
#[derive(Clone, Debug)]
pub struct CreateSink {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: ast::ObjectName,
    /// `INTO table`
    pub into: Option<ast::ObjectName>,
    pub input: SinkInput,
    pub options: Vec<ConnectorOption>,
    /// What FORMAT and ENCODE say, if they are there.
    pub format: Option<(ast::Ident, ast::Ident)>,
}

/// What a sink takes the changes of.
#[derive(Clone, Debug)]
pub enum SinkInput {
    Relation(ast::ObjectName),
    Query(Box<ast::Query>),
}

impl CreateSink {
    /// The connector's name, once all clauses and options are found to be such as it has. `text` is the query string.
    ///
    /// # Errors
    /// 0A000 for what we do not do yet, 22023 for options that are unknown, missing or twice there.
    pub fn connector(&self, text: &str) -> Result<&'static str> {
        let source = SourceText::new(text);
        let refused = [(self.or_replace, "OR REPLACE"), (self.into.is_some(), "INTO")];
        if let Some((_, clause)) = refused.iter().find(|(present, _)| *present) {
            return Err(Error::unsupported(format!("CREATE SINK with {clause}")));
        }
        let mut options = Options::new(&self.options, &source)?;
        let connector = options.take("connector").ok_or_else(|| missing("connector", "connector = 'blackhole'"))?;
        if !connector.value.eq_ignore_ascii_case("blackhole") {
            return Err(Error::unsupported(format!("a sink with connector \"{}\"", connector.value))
                .with_hint("The connector is 'blackhole'.")
                .at(source.position_of(connector.location)));
        }
        options.refuse_rest("A sink with connector 'blackhole' has no other options.")?;
        if self.format.is_some() {
            return Err(Error::unsupported("FORMAT and ENCODE of a sink with connector \"blackhole\"")
                .with_hint("It writes nothing: leave them out."));
        }
        Ok("blackhole")
    }

    /// The statement as `SHOW CREATE` prints it.
    pub fn shown(&self, emit_on_window_close: bool) -> String {
        let input = match &self.input {
            SinkInput::Relation(relation) => format!("FROM {relation}"),
            SinkInput::Query(query) => format!("AS {query}"),
        };
        let emit = if emit_on_window_close { " EMIT ON WINDOW CLOSE" } else { "" };
        let quoted = |option: &ConnectorOption| format!("{} = '{}'", option.name, option.value.replace('\'', "''"));
        let options: Vec<String> = self.options.iter().map(quoted).collect();
        format!("CREATE SINK {} {input}{emit} WITH ({})", self.name, options.join(", "))
    }

    /// The query whose changes are to be taken.
    pub fn query(&self) -> Result<Box<ast::Query>> {
        let relation = match &self.input {
            SinkInput::Query(query) => return Ok(query.clone()),
            SinkInput::Relation(relation) => relation,
        };
        let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT * FROM r");
        let mut query = parsed.and_then(|mut parser| parser.parse_query()).map_err(unreadable)?;
        // By its own name, which knows where it stands.
        if let ast::SetExpr::Select(select) = &mut *query.body
            && let Some(ast::TableFactor::Table { name, .. }) = select.from.first_mut().map(|from| &mut from.relation)
        {
            *name = relation.clone();
        }
        Ok(query)
    }
}

fn unreadable(error: ParserError) -> Error {
    Error::internal("the query of a sink does not parse").with_source(error)
}

/// What is said of materialized views, said of a sink.
pub fn of_sink(error: Error) -> Error {
    error.reworded(|text| {
        text.replace("materialized view can", "sink can").replace("in a materialized view", "in a sink")
    })
}

/// Reads the statement if the parser is at one; leaves the parser as it is at any other statement.
pub fn parse_create_sink(parser: &mut Parser<'_>) -> Result<Option<CreateSink>, ParserError> {
    let or_replace = at_words(parser, &["CREATE", "OR", "REPLACE", "SINK"]);
    if !or_replace && !at_words(parser, &["CREATE", "SINK"]) {
        return Ok(None);
    }
    while !parse_words(parser, &["SINK"]) {
        parser.advance_token();
    }
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let into = if parser.parse_keyword(Keyword::INTO) { Some(parser.parse_object_name(false)?) } else { None };
    let input = match parser.expect_one_of_keywords(&[Keyword::FROM, Keyword::AS])? {
        Keyword::FROM => SinkInput::Relation(parser.parse_object_name(false)?),
        _ => SinkInput::Query(parse_query_before_with(parser)?),
    };
    let options = if parser.parse_keyword(Keyword::WITH) { parse_options(parser)? } else { Vec::new() };
    let format = match parse_words(parser, &["FORMAT"]) {
        true => {
            let format = parser.parse_identifier()?;
            if !parse_words(parser, &["ENCODE"]) {
                return parser.expected_ref("ENCODE", parser.peek_token_ref());
            }
            let encode = parser.parse_identifier()?;
            if parser.peek_token_ref().token == Token::LParen {
                parse_options(parser)?;
            }
            Some((format, encode))
        }
        false => None,
    };
    Ok(Some(CreateSink { or_replace, if_not_exists, name, into, input, options, format }))
}

/// A query that ends where `WITH (` follows. The parser library would take that for hints on the last table.
fn parse_query_before_with(parser: &mut Parser<'_>) -> Result<Box<ast::Query>, ParserError> {
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    let mut depth = 0_usize;
    loop {
        let next = &parser.peek_token_ref().token;
        let ends = match next {
            Token::EOF => true,
            Token::SemiColon => depth == 0,
            word if is_word(word, "WITH") => depth == 0 && parser.peek_nth_token_ref(1).token == Token::LParen,
            _ => false,
        };
        if ends {
            break;
        }
        match next {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens.push(parser.next_token());
    }
    let dialect = PostgreSqlDialect {};
    let mut inner = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    match inner.parse_query() {
        Ok(query) if inner.peek_token_ref().token == Token::EOF => Ok(query),
        Ok(_) => inner.expected_ref("the end of the query", inner.peek_token_ref()),
        // It is the end of the query only.
        Err(ParserError::ParserError(message)) if message.ends_with("found: EOF") => {
            parser.expected_ref("a query", parser.peek_token_ref())
        }
        Err(error) => Err(error),
    }
}
