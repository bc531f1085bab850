//! `TRIM (LEADING FROM x)`: the parser library wants to know what is trimmed.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::group_elements::written;
use super::word::is_word;

/// Says that it is blanks where nothing is said.
pub fn trim_blanks(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    let token = |at: usize| written.get(at).map(|at| &tokens[*at].token);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| is_word(token, word));
    let mut bare = Vec::new();
    for at in 0..written.len() {
        if !is(at, "TRIM") || token(at + 1) != Some(&Token::LParen) {
            continue;
        }
        let sided = ["LEADING", "TRAILING", "BOTH"].iter().any(|side| is(at + 2, side));
        let from = at + 2 + usize::from(sided);
        if is(from, "FROM") {
            bare.push(written[from]);
        }
    }
    if bare.is_empty() {
        return tokens;
    }
    let (mut with_blanks, mut bare) = (Vec::with_capacity(tokens.len() + bare.len()), bare.into_iter().peekable());
    for (place, token) in tokens.into_iter().enumerate() {
        if bare.next_if_eq(&place).is_some() {
            with_blanks.push(TokenWithSpan { token: Token::SingleQuotedString(" ".to_owned()), span: token.span });
        }
        with_blanks.push(token);
    }
    with_blanks
}
