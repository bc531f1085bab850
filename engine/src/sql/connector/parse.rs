//! From tokens to [`CreateConnector`].

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::ast::{ConnectorOption, CreateConnector, Include, Metadata, Watermark};
use super::column::parse_column;
use crate::sql::word::{is_word, parse_words};

/// Reads the statement if the parser is at one; leaves the parser as it is at any other statement, an ordinary CREATE
/// TABLE included.
pub fn parse_create_connector(parser: &mut Parser<'_>) -> Result<Option<CreateConnector>, ParserError> {
    if !is_create_connector(parser)? {
        return Ok(None);
    }
    parser.expect_keyword(Keyword::CREATE)?;
    let or_replace = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    let stored = parser.expect_one_of_keywords(&[Keyword::SOURCE, Keyword::TABLE])? == Keyword::TABLE;
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let mut statement = CreateConnector {
        stored,
        or_replace,
        if_not_exists,
        name,
        columns: Vec::new(),
        constraints: Vec::new(),
        watermarks: Vec::new(),
        includes: Vec::new(),
        options: Vec::new(),
        format: None,
        encode: None,
        encode_options: Vec::new(),
    };
    if parser.consume_token(&Token::LParen) {
        parse_items(parser, &mut statement)?;
    }
    while parse_words(parser, &["INCLUDE"]) {
        statement.includes.push(parse_include(parser)?);
    }
    if parser.parse_keyword(Keyword::WITH) {
        statement.options = parse_options(parser)?;
    }
    if parse_words(parser, &["FORMAT"]) {
        statement.format = Some(parser.parse_identifier()?.value.to_ascii_uppercase());
        if !parse_words(parser, &["ENCODE"]) {
            return parser.expected_ref("ENCODE", parser.peek_token_ref());
        }
        statement.encode = Some(parser.parse_identifier()?.value.to_ascii_uppercase());
        if parser.peek_token_ref().token == Token::LParen {
            statement.encode_options = parse_options(parser)?;
        }
    }
    Ok(Some(statement))
}

/// Looks ahead; the parser stays where it is.
fn is_create_connector(parser: &mut Parser<'_>) -> Result<bool, ParserError> {
    let mut found = false;
    let rewound: Result<(), ParserError> = parser.try_parse(|parser| {
        found = looks_like_connector(parser)?;
        Err(ParserError::ParserError(String::new()))
    });
    match rewound {
        Err(ParserError::RecursionLimitExceeded) => Err(ParserError::RecursionLimitExceeded),
        _ => Ok(found),
    }
}

fn looks_like_connector(parser: &mut Parser<'_>) -> Result<bool, ParserError> {
    parser.expect_keyword(Keyword::CREATE)?;
    let _ = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    if parser.parse_keyword(Keyword::SOURCE) {
        return Ok(true);
    }
    parser.expect_keyword(Keyword::TABLE)?;
    let _ = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    parser.parse_object_name(false)?;
    let (mut last_is_watermark, mut has_watermark) = (false, false);
    if parser.peek_token_ref().token == Token::LParen {
        // A column may be called so, but FOR is no type.
        skip_parentheses(parser, |token| {
            has_watermark |= last_is_watermark && is_word(token, "FOR");
            last_is_watermark = is_word(token, "WATERMARK");
        });
    }
    if has_watermark {
        return Ok(true);
    }
    if is_word(&parser.peek_token_ref().token, "INCLUDE") || is_word(&parser.peek_token_ref().token, "FORMAT") {
        return Ok(true);
    }
    let mut has_connector = false;
    if parser.parse_keyword(Keyword::WITH) && parser.peek_token_ref().token == Token::LParen {
        skip_parentheses(parser, |token| has_connector |= is_word(token, "connector"));
    }
    Ok(has_connector || is_word(&parser.peek_token_ref().token, "FORMAT"))
}

/// Skips a group in parentheses, or all that is left where it does not end; shows each token in it.
fn skip_parentheses(parser: &mut Parser<'_>, mut see: impl FnMut(&Token)) {
    let mut depth = 0_usize;
    loop {
        let token = parser.next_token().token;
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::EOF => return,
            _ => see(&token),
        }
        if depth == 0 {
            return;
        }
    }
}

/// Columns, constraints and watermarks up to the closing parenthesis.
fn parse_items(parser: &mut Parser<'_>, statement: &mut CreateConnector) -> Result<(), ParserError> {
    if parser.consume_token(&Token::RParen) {
        return Ok(());
    }
    loop {
        if is_word(&parser.peek_token_ref().token, "WATERMARK") && is_word(&parser.peek_nth_token_ref(1).token, "FOR") {
            statement.watermarks.push(parse_watermark(parser)?);
        } else if let Some(constraint) = parser.parse_optional_table_constraint()? {
            statement.constraints.push(constraint);
        } else {
            statement.columns.push(parse_column(parser)?);
        }
        if parser.consume_token(&Token::RParen) {
            return Ok(());
        }
        parser.expect_token(&Token::Comma)?;
    }
}

fn parse_watermark(parser: &mut Parser<'_>) -> Result<Watermark, ParserError> {
    parser.next_token();
    parser.expect_keyword(Keyword::FOR)?;
    let column = parser.parse_identifier()?;
    parser.expect_keyword(Keyword::AS)?;
    Ok(Watermark { column, expression: parser.parse_expr()? })
}

fn parse_include(parser: &mut Parser<'_>) -> Result<Include, ParserError> {
    let token = parser.next_token();
    let what = match &token.token {
        word if is_word(word, "KEY") => Metadata::Key,
        word if is_word(word, "PARTITION") => Metadata::Partition,
        word if is_word(word, "OFFSET") => Metadata::Offset,
        word if is_word(word, "TIMESTAMP") => Metadata::Timestamp,
        word if is_word(word, "HEADERS") || is_word(word, "HEADER") => Metadata::Headers,
        _ => return parser.expected("KEY, PARTITION, OFFSET, TIMESTAMP or HEADERS", token),
    };
    let name = if parser.parse_keyword(Keyword::AS) { Some(parser.parse_identifier()?) } else { None };
    Ok(Include { what, name })
}

/// `(name = value, …)`
pub(super) fn parse_options(parser: &mut Parser<'_>) -> Result<Vec<ConnectorOption>, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    while !parser.consume_token(&Token::RParen) {
        let location = parser.peek_token_ref().span.start;
        let name = parse_option_name(parser)?;
        parser.expect_token(&Token::Eq)?;
        let start = parser.peek_token_ref().span.start;
        let value = parse_option_value(parser)?;
        let value_span = Span { start, end: parser.get_current_token().span.end };
        options.push(ConnectorOption { name, value, location, value_span });
        if parser.peek_token_ref().token != Token::RParen {
            parser.expect_token(&Token::Comma)?;
        }
    }
    Ok(options)
}

/// Words with dots between them, or a string.
fn parse_option_name(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    if let Token::SingleQuotedString(name) = &parser.peek_token_ref().token {
        let name = name.clone();
        parser.next_token();
        return Ok(name);
    }
    let mut name = parse_name_part(parser)?;
    while parser.consume_token(&Token::Period) {
        name.push('.');
        name.push_str(&parse_name_part(parser)?);
    }
    Ok(name)
}

fn parse_name_part(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::Word(word) => Ok(word.value),
        _ => parser.expected("the name of an option", token),
    }
}

fn parse_option_value(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(text) => Ok(text),
        Token::Number(digits, _) => Ok(digits),
        Token::Minus => match parser.next_token() {
            number if matches!(number.token, Token::Number(..)) => Ok(format!("-{}", number.token)),
            other => parser.expected("a number", other),
        },
        Token::Word(word) if matches!(word.keyword, Keyword::TRUE | Keyword::FALSE) => {
            Ok(word.value.to_ascii_lowercase())
        }
        _ => parser.expected("the value of an option: a string, a number, true or false", token),
    }
}
