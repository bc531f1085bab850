//! DECLARE, FETCH, MOVE and CLOSE: cursors that go forward.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::statement::Command;
use crate::sql::word::parse_words;

/// `DECLARE name [BINARY] [INSENSITIVE] [[NO] SCROLL] CURSOR [WITH HOLD] FOR query`
#[derive(Clone, Debug)]
pub struct Declare {
    pub name: ast::Ident,
    pub query: Box<ast::Query>,
    binary: bool,
    scroll: bool,
    hold: bool,
}

impl Declare {
    /// # Errors
    /// 0A000 for a cursor that does more than to go forward within its transaction.
    pub fn check(&self) -> Result<()> {
        match self {
            Declare { scroll: true, .. } => {
                Err(Error::unsupported("a cursor with SCROLL").with_hint("Declare it without: it goes forward."))
            }
            Declare { hold: true, .. } => Err(Error::unsupported("a cursor WITH HOLD")
                .with_hint("Fetch from it in the transaction in which it is declared.")),
            Declare { binary: true, .. } => Err(Error::unsupported("a BINARY cursor")),
            _ => Ok(()),
        }
    }
}

/// `FETCH | MOVE [direction] [FROM | IN] name`
#[derive(Clone, Debug)]
pub struct Fetch {
    pub name: ast::Ident,
    /// How many rows; None for all.
    pub rows: Option<u64>,
    /// MOVE: the rows are not given.
    pub skips: bool,
    /// What it does that only a cursor with SCROLL can.
    back: bool,
}

impl Fetch {
    /// # Errors
    /// 55000 for another direction than forward.
    pub fn check(&self) -> Result<()> {
        if !self.back {
            return Ok(());
        }
        let message = "cursor can only scan forward";
        Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_hint("FETCH, FETCH n, FETCH FORWARD n and FETCH ALL give the next rows."))
    }
}

/// Reads the statement if the parser is at one of them.
pub fn parse_cursor(parser: &mut Parser<'_>) -> Result<Option<Command>, ParserError> {
    if parse_words(parser, &["DECLARE"]) {
        return Ok(Some(Command::Declare(Box::new(parse_declare(parser)?))));
    }
    let skips = parse_words(parser, &["MOVE"]);
    if !skips && !parse_words(parser, &["FETCH"]) {
        return Ok(None);
    }
    let (rows, back) = parse_direction(parser)?;
    let _ = parser.parse_one_of_keywords(&[Keyword::FROM, Keyword::IN]);
    Ok(Some(Command::Fetch(Fetch { name: parser.parse_identifier()?, rows, skips, back })))
}

fn parse_declare(parser: &mut Parser<'_>) -> Result<Declare, ParserError> {
    let name = parser.parse_identifier()?;
    let (mut binary, mut scroll, mut hold) = (false, false, false);
    loop {
        if parse_words(parser, &["BINARY"]) {
            binary = true;
        } else if parse_words(parser, &["SCROLL"]) {
            scroll = true;
        } else if !["INSENSITIVE", "ASENSITIVE"].iter().any(|word| parse_words(parser, &[word]))
            && !parse_words(parser, &["NO", "SCROLL"])
        {
            break;
        }
    }
    parser.expect_keyword(Keyword::CURSOR)?;
    if parse_words(parser, &["WITH", "HOLD"]) {
        hold = true;
    } else {
        let _ = parse_words(parser, &["WITHOUT", "HOLD"]);
    }
    parser.expect_keyword(Keyword::FOR)?;
    Ok(Declare { name, query: parser.parse_query()?, binary, scroll, hold })
}

/// How many rows, None for all; and whether it goes anywhere but forward.
fn parse_direction(parser: &mut Parser<'_>) -> Result<(Option<u64>, bool), ParserError> {
    // A cursor may be called as a direction is.
    let is_name = matches!(parser.peek_nth_token_ref(1).token, Token::SemiColon | Token::EOF);
    if is_name {
        return Ok((Some(1), false));
    }
    if parse_words(parser, &["NEXT"]) {
        return Ok((Some(1), false));
    }
    if ["PRIOR", "FIRST", "LAST"].iter().any(|word| parse_words(parser, &[word])) {
        return Ok((Some(1), true));
    }
    let back = ["BACKWARD", "ABSOLUTE", "RELATIVE"].iter().any(|word| parse_words(parser, &[word]));
    if !back {
        let _ = parse_words(parser, &["FORWARD"]);
    }
    if parse_words(parser, &["ALL"]) {
        return Ok((None, back));
    }
    let sign = parser.consume_token(&Token::Minus);
    if !sign {
        let _ = parser.consume_token(&Token::Plus);
    }
    if !matches!(parser.peek_token_ref().token, Token::Number(..)) {
        return Ok((Some(1), back));
    }
    let rows = parser.parse_literal_uint()?;
    // FETCH 0 gives the row again that was given last.
    Ok((Some(rows), back || sign || rows == 0))
}
