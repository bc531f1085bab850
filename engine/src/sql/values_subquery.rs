//! `(VALUES …)` in an expression: the parser library takes only SELECT for a subquery there.

use std::collections::HashMap;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::group_elements::{parenthesis_end, written};
use super::word::is_word;

/// Words behind which a parenthesis begins an expression, or what IN, ANY and ALL look through.
const BEFORE: [&str; 19] = [
    "IN",
    "ANY",
    "ALL",
    "SOME",
    "SELECT",
    "DISTINCT",
    "WHERE",
    "HAVING",
    "ON",
    "BY",
    "AND",
    "OR",
    "NOT",
    "WHEN",
    "THEN",
    "ELSE",
    "BETWEEN",
    "LIKE",
    "RETURNING",
];

/// Makes `(SELECT * FROM (VALUES …) AS v)` of them.
pub fn select_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    let token = |at: usize| written.get(at).map(|at| &tokens[*at].token);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| is_word(token, word));
    let mut before: HashMap<usize, Vec<bool>> = HashMap::new();
    for at in 0..written.len() {
        if token(at + 1) == Some(&Token::LParen)
            && is(at + 2, "VALUES")
            && (BEFORE.iter().any(|word| is(at, word)) || token(at).is_some_and(is_sign))
            && let Some(end) = parenthesis_end(at + 1, &token)
        {
            before.entry(written[at + 2]).or_default().push(true);
            before.entry(written[end - 1]).or_default().push(false);
        }
    }
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let word = |word: &str| Token::make_word(word, None);
        for opens in before.get(&at).into_iter().flatten() {
            let added = match opens {
                true => vec![word("SELECT"), Token::Mul, word("FROM"), Token::LParen],
                false => vec![Token::RParen, word("AS"), word("v")],
            };
            out.extend(added.into_iter().map(|token| TokenWithSpan { token, span }));
        }
        out.push(token);
    }
    out
}

/// Signs behind which an operand stands, or an item of a list: what follows a comma of FROM means the same this way too.
fn is_sign(token: &Token) -> bool {
    let signs = [
        Token::Comma,
        Token::LParen,
        Token::Eq,
        Token::Neq,
        Token::Lt,
        Token::Gt,
        Token::LtEq,
        Token::GtEq,
        Token::Plus,
        Token::Minus,
        Token::Mul,
        Token::Div,
        Token::StringConcat,
        Token::LBracket,
    ];
    signs.contains(token)
}
