//! Columns whose types may be `struct<name type, …>`, as RisingWave spells what a nested JSON object becomes.

use sqlparser::ast::{ArrayElemTypeDef, ColumnDef, ColumnOptionDef, DataType, StructBracketKind, StructField};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::sql::word::is_word;

/// Structs within each other. Each takes stack of the parser.
const MOST_NESTING: usize = 64;

/// A column's name, type and constraints.
pub(super) fn parse_column(parser: &mut Parser<'_>) -> Result<ColumnDef, ParserError> {
    if !is_struct(parser, 1) {
        return parser.parse_column_def();
    }
    let name = parser.parse_identifier()?;
    let (data_type, closed_twice) = parse_struct(parser, 0)?;
    if closed_twice {
        return parser.expected("a comma or a closing parenthesis", parser.get_current_token().clone());
    }
    let mut options = Vec::new();
    while let Some(option) = parser.parse_optional_column_option()? {
        options.push(ColumnOptionDef { name: None, option });
    }
    Ok(ColumnDef { name, data_type, options })
}

/// Whether `struct <` begins so many tokens ahead.
fn is_struct(parser: &Parser<'_>, ahead: usize) -> bool {
    is_word(&parser.peek_nth_token_ref(ahead).token, "STRUCT")
        && parser.peek_nth_token_ref(ahead + 1).token == Token::Lt
}

/// A type, and whether a `>>` at its end has closed the struct around it as well.
fn parse_type(parser: &mut Parser<'_>, depth: usize) -> Result<(DataType, bool), ParserError> {
    if is_struct(parser, 0) { parse_struct(parser, depth) } else { Ok((parser.parse_data_type()?, false)) }
}

fn parse_struct(parser: &mut Parser<'_>, depth: usize) -> Result<(DataType, bool), ParserError> {
    if depth == MOST_NESTING {
        return Err(ParserError::RecursionLimitExceeded);
    }
    parser.advance_token();
    parser.expect_token(&Token::Lt)?;
    let mut fields = Vec::new();
    let closed_twice = loop {
        let name = parser.parse_identifier()?;
        let (field_type, closed) = parse_type(parser, depth + 1)?;
        fields.push(StructField { field_name: Some(name), field_type, options: None });
        if closed || parser.consume_token(&Token::Gt) {
            break false;
        }
        if parser.consume_token(&Token::ShiftRight) {
            break true;
        }
        parser.expect_token(&Token::Comma)?;
    };
    let mut data_type = DataType::Struct(fields, StructBracketKind::AngleBrackets);
    while !closed_twice && parser.consume_token(&Token::LBracket) {
        parser.expect_token(&Token::RBracket)?;
        data_type = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(data_type), None));
    }
    Ok((data_type, closed_twice))
}
