//! PREPARE and EXECUTE.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::sql::statement::Command;
use crate::sql::word::parse_words;

/// `PREPARE name [(type, …)] AS statement`
#[derive(Clone, Debug)]
pub struct Prepare {
    pub name: ast::Ident,
    pub types: Vec<ast::DataType>,
    /// SELECT, INSERT, UPDATE or DELETE.
    pub statement: Box<Command>,
}

/// `EXECUTE name [(value, …)]`
#[derive(Clone, Debug)]
pub struct Execute {
    pub name: ast::Ident,
    pub arguments: Vec<ast::Expr>,
}

/// Reads the statement if the parser is at one of them.
pub fn parse_prepared(parser: &mut Parser<'_>) -> Result<Option<Command>, ParserError> {
    if parse_words(parser, &["PREPARE"]) {
        return Ok(Some(Command::Prepare(Box::new(parse_prepare(parser)?))));
    }
    if !parse_words(parser, &["EXECUTE"]) {
        return Ok(None);
    }
    let name = parser.parse_identifier()?;
    let arguments = match parser.consume_token(&Token::LParen) {
        true => {
            let arguments = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
            arguments
        }
        false => Vec::new(),
    };
    Ok(Some(Command::Execute(Execute { name, arguments })))
}

/// What follows PREPARE.
fn parse_prepare(parser: &mut Parser<'_>) -> Result<Prepare, ParserError> {
    let name = parser.parse_identifier()?;
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        types = parser.parse_comma_separated(Parser::parse_data_type)?;
        parser.expect_token(&Token::RParen)?;
    }
    parser.expect_keyword(Keyword::AS)?;
    let first = parser.peek_token_ref().clone();
    // None of ours can be: nothing recurses but what the library counts.
    let statement = parser.parse_statement()?;
    match &statement {
        ast::Statement::Query(_)
        | ast::Statement::Insert(_)
        | ast::Statement::Update(_)
        | ast::Statement::Delete(_) => {
            Ok(Prepare { name, types, statement: Box::new(Command::Sql(Box::new(statement))) })
        }
        _ => parser.expected("a statement that can be prepared", first),
    }
}
