//! `IN (VALUES …)` and `ANY (VALUES …)`: the parser library takes only SELECT for a subquery there.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::group_elements::{parenthesis_end, written};
use super::word::is_word;

/// Makes `(SELECT * FROM (VALUES …) AS v)` of such lists.
pub fn select_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    let token = |at: usize| written.get(at).map(|at| &tokens[*at].token);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| is_word(token, word));
    let mut before: Vec<(usize, bool)> = Vec::new();
    for at in 0..written.len() {
        let quantified = ["IN", "ANY", "ALL", "SOME"].iter().any(|word| is(at, word));
        if quantified
            && token(at + 1) == Some(&Token::LParen)
            && is(at + 2, "VALUES")
            && let Some(end) = parenthesis_end(at + 1, &token)
        {
            before.extend([(written[at + 2], true), (written[end - 1], false)]);
        }
    }
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let word = |word: &str| Token::make_word(word, None);
        for (_, opens) in before.iter().filter(|(place, _)| *place == at) {
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
