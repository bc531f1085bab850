//! How deep an expression will be, found in its tokens: the parser makes a tree of any depth of operators in a row, and what
//! walks over trees needs stack for each level.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::word::is_word;
use crate::error::{Error, Result, SqlState};

/// Operators in a row, along with those around the brackets that they are in.
const MOST_OPERATORS: usize = 400;

/// The same of AND and OR, which are taken for lists.
const MOST_ALTERNATIVES: usize = 4000;

/// The same of UNION and its like: whole queries in a row.
const MOST_UNIONS: usize = 200;

/// Operators that are words, between operands or behind one; those before one the parser counts itself.
const OPERATORS: [&str; 11] =
    ["IS", "ISNULL", "NOTNULL", "LIKE", "ILIKE", "SIMILAR", "IN", "BETWEEN", "COLLATE", "AT", "OVERLAPS"];

/// What binds less tightly than any of them, so that its sides are trees of their own.
const ALTERNATIVES: [&str; 2] = ["AND", "OR"];

/// What stands between queries.
const UNIONS: [&str; 3] = ["UNION", "INTERSECT", "EXCEPT"];

/// Words that begin another expression, not one within the last.
const BOUNDARIES: [&str; 16] = [
    "SELECT",
    "FROM",
    "WHERE",
    "THEN",
    "WHEN",
    "ELSE",
    "ON",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "VALUES",
    "SET",
    "JOIN",
    "RETURNING",
];

/// What is open: a bracket, or the statement itself.
#[derive(Clone, Copy, Default)]
struct Level {
    operators: usize,
    alternatives: usize,
    unions: usize,
}

/// Whether what walks over the statements has stack enough for them.
///
/// # Errors
/// 54001 when one is too deep.
pub fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut around = Vec::new();
    let (mut total, mut level) = (Level::default(), Level::default());
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::LParen | Token::LBracket => around.push(std::mem::take(&mut level)),
            Token::RParen | Token::RBracket => {
                total.operators -= level.operators;
                total.alternatives -= level.alternatives;
                total.unions -= level.unions;
                level = around.pop().unwrap_or_default();
            }
            Token::SemiColon => {
                around.clear();
                (total, level) = (Level::default(), Level::default());
            }
            Token::Comma => {
                total.operators -= std::mem::take(&mut level.operators);
                total.alternatives -= std::mem::take(&mut level.alternatives);
            }
            Token::Word(_) if any(token, &ALTERNATIVES) => {
                total.operators -= std::mem::take(&mut level.operators);
                (level.alternatives, total.alternatives) = (level.alternatives + 1, total.alternatives + 1);
            }
            Token::Word(_) if any(token, &UNIONS) => {
                (level.unions, total.unions) = (level.unions + 1, total.unions + 1);
                total.operators -= std::mem::take(&mut level.operators);
                total.alternatives -= std::mem::take(&mut level.alternatives);
            }
            Token::Word(_) if any(token, &BOUNDARIES) => total.operators -= std::mem::take(&mut level.operators),
            Token::Word(_) if !any(token, &OPERATORS) => {}
            token if is_operand(token) => {}
            _ => (level.operators, total.operators) = (level.operators + 1, total.operators + 1),
        }
        let is_too_deep =
            total.operators > MOST_OPERATORS || total.alternatives > MOST_ALTERNATIVES || total.unions > MOST_UNIONS;
        if is_too_deep {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .with_hint("Split the expression, or write a list of values instead of many operators in a row."));
        }
    }
    Ok(())
}

fn any(token: &Token, words: &[&str]) -> bool {
    words.iter().any(|word| is_word(token, word))
}

fn is_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::Whitespace(_)
            | Token::Period
            | Token::EOF
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DollarQuotedString(_)
    )
}
