//! PostgreSQL's other spellings of what the parser library reads in one.

use std::collections::HashMap;

use sqlparser::keywords::RESERVED_FOR_COLUMN_ALIAS;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::group_elements::{parenthesis_end, written};
use super::word::is_word;
use crate::error::Error;

/// What stands before a query.
const BEFORE_QUERY: [&str; 6] = ["UNION", "INTERSECT", "EXCEPT", "ALL", "AS", "FOR"];

/// What stands before the name of a relation.
const BEFORE_RELATION: [&str; 4] = ["FROM", "JOIN", "UPDATE", "TABLE"];

/// `TABLE a` becomes `SELECT * FROM a`, `ORDER BY a USING <` becomes `ORDER BY a ASC`. What says nothing goes: `ONLY`, for
/// no table has heirs, and `EXCLUDE NO OTHERS` of a window.
pub fn common_spelling(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    let token = |at: usize| written.get(at).map(|at| &tokens[*at].token);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| is_word(token, word));
    let word = |word: &str| Token::make_word(word, None);
    let mut instead: HashMap<usize, Vec<Token>> = HashMap::new();
    let mut put = |at: usize, tokens: Vec<Token>| instead.insert(written[at], tokens);
    for at in 0..written.len() {
        let before = at.checked_sub(1);
        let follows = |words: &[&str]| before.is_some_and(|before| words.iter().any(|word| is(before, word)));
        if is(at, "USING")
            && let Some(direction @ (Token::Lt | Token::Gt)) = token(at + 1)
        {
            put(at, vec![word(if *direction == Token::Lt { "ASC" } else { "DESC" })]);
            put(at + 1, Vec::new());
        } else if is(at, "EXCLUDE")
            && is(at + 1, "NO")
            && is(at + 2, "OTHERS")
            && follows(&["ROW", "PRECEDING", "FOLLOWING"])
        {
            (at..at + 3).for_each(|at| drop(put(at, Vec::new())));
        } else if is(at, "ONLY") && (follows(&BEFORE_RELATION) || follows_comma(before, &token)) {
            put(at, Vec::new());
            if token(at + 1) == Some(&Token::LParen)
                && let Some(end) = parenthesis_end(at + 1, &token)
            {
                put(at + 1, Vec::new());
                put(end - 1, Vec::new());
            }
        } else if is(at, "TABLE") && token(at + 1).is_some_and(is_name) && begins_query(before, &token) {
            put(at, vec![word("SELECT"), Token::Mul, word("FROM")]);
        }
    }
    if instead.is_empty() {
        return tokens;
    }
    let changed = tokens.into_iter().enumerate().flat_map(|(place, token)| {
        let span = token.span;
        let tokens = instead.remove(&place).unwrap_or_else(|| vec![token.token]);
        tokens.into_iter().map(move |token| TokenWithSpan { token, span })
    });
    changed.collect()
}

fn follows_comma<'t>(before: Option<usize>, token: &impl Fn(usize) -> Option<&'t Token>) -> bool {
    before.and_then(token) == Some(&Token::Comma)
}

fn begins_query<'t>(before: Option<usize>, token: &impl Fn(usize) -> Option<&'t Token>) -> bool {
    let Some(before) = before else { return true };
    let is = |at: Option<usize>, word: &str| at.and_then(token).is_some_and(|token| is_word(token, word));
    match token(before) {
        Some(Token::SemiColon | Token::LParen | Token::RParen) => true,
        _ if BEFORE_QUERY.iter().any(|word| is(Some(before), word)) => true,
        // INSERT INTO name TABLE …
        _ => is(before.checked_sub(1), "INTO") && is(before.checked_sub(2), "INSERT"),
    }
}

fn is_name(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some() || !RESERVED_FOR_COLUMN_ALIAS.contains(&word.keyword),
        _ => false,
    }
}

/// Clauses of PostgreSQL at which the parser library stops.
const CLAUSES: [&[&str]; 4] =
    [&["ROWS", "FROM"], &["EXCLUDE", "CURRENT", "ROW"], &["EXCLUDE", "GROUP"], &["EXCLUDE", "TIES"]];

/// What is to be said instead of a syntax error at `place`: the clause there is PostgreSQL's, but not ours.
pub fn missing_clause(tokens: &[TokenWithSpan], place: Location) -> Option<Error> {
    let written = written(tokens);
    let found = written.iter().position(|at| tokens[*at].span.start >= place)?;
    let is = |at: usize, word: &str| written.get(at).is_some_and(|at| is_word(&tokens[*at].token, word));
    let stands = |start: usize, clause: &[&str]| clause.iter().enumerate().all(|(more, word)| is(start + more, word));
    CLAUSES.iter().find_map(|clause| {
        let near = found.saturating_sub(clause.len())..=found;
        near.into_iter().find(|start| stands(*start, clause)).map(|_| Error::unsupported(clause.join(" ")))
    })
}
