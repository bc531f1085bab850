//! The statement.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use super::options::ExplainOption;
use crate::sql::statement::{Command, ObjectKind, parse_command};
use crate::sql::word::{at_words, parse_words};

/// `EXPLAIN [ANALYZE] [VERBOSE] | EXPLAIN (option [value], …)` of a statement, or of what a view's dataflow is.
#[derive(Clone, Debug)]
pub struct Explain {
    pub options: Vec<ExplainOption>,
    pub target: ExplainTarget,
}

impl Explain {
    /// The query that is explained, if it is one.
    pub fn query(&self) -> Option<&ast::Query> {
        match &self.target {
            ExplainTarget::Statement(command) => command.query(),
            ExplainTarget::Object(..) => None,
        }
    }
}

/// What is explained.
#[derive(Clone, Debug)]
pub enum ExplainTarget {
    /// `MATERIALIZED VIEW name`, `SINK name`
    Object(ObjectKind, ast::ObjectName),
    Statement(Box<Command>),
}

/// Reads the statement if the parser is at one.
pub fn parse_explain(parser: &mut Parser<'_>) -> Result<Option<Explain>, ParserError> {
    if !parse_words(parser, &["EXPLAIN"]) {
        return Ok(None);
    }
    let options = match parser.peek_token_ref().token {
        // A query may stand in parentheses.
        Token::LParen if !at_query(parser) => parse_options(parser)?,
        _ => {
            let mut options = Vec::new();
            for word in ["ANALYZE", "VERBOSE"] {
                let location = parser.peek_token_ref().span.start;
                if parse_words(parser, &[word]) {
                    options.push(option(word, None, location));
                }
            }
            options
        }
    };
    let target = if parse_words(parser, &["MATERIALIZED", "VIEW"]) {
        ExplainTarget::Object(ObjectKind::MaterializedView, parser.parse_object_name(false)?)
    } else if parse_words(parser, &["SINK"]) {
        ExplainTarget::Object(ObjectKind::Sink, parser.parse_object_name(false)?)
    } else if at_words(parser, &["EXPLAIN"]) {
        return parser.expected_ref("a statement", parser.peek_token_ref());
    } else {
        ExplainTarget::Statement(Box::new(parse_command(parser)?))
    };
    Ok(Some(Explain { options, target }))
}

fn at_query(parser: &Parser<'_>) -> bool {
    let first = &parser.peek_nth_token_ref(1).token;
    let starts = [Keyword::SELECT, Keyword::WITH, Keyword::VALUES, Keyword::TABLE];
    match first {
        Token::LParen => true,
        Token::Word(word) => starts.contains(&word.keyword),
        _ => false,
    }
}

fn option(name: &str, value: Option<String>, location: Location) -> ExplainOption {
    ExplainOption { name: name.to_ascii_lowercase(), value, location }
}

/// `(name [value], …)`
fn parse_options(parser: &mut Parser<'_>) -> Result<Vec<ExplainOption>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        let location = parser.peek_token_ref().span.start;
        let name = parser.parse_identifier()?;
        let value = match &parser.peek_token_ref().token {
            Token::Comma | Token::RParen => None,
            Token::Word(word) => Some(word.value.clone()),
            Token::SingleQuotedString(text) => Some(text.clone()),
            Token::Number(digits, _) => Some(digits.clone()),
            _ => return parser.expected_ref("the value of an option", parser.peek_token_ref()),
        };
        if value.is_some() {
            parser.advance_token();
        }
        options.push(option(&name.value, value, location));
        if parser.consume_token(&Token::RParen) {
            return Ok(options);
        }
        parser.expect_token(&Token::Comma)?;
    }
}
