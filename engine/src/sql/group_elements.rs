//! What is grouped by in `ROLLUP (…)`, `CUBE (…)` and `GROUPING SETS (…)`.
//!
//! The parser library takes a parenthesis at the start of an element for a list of expressions: of `ROLLUP ((a)::text, b)`
//! it reads `(a)` and stops. In parentheses of its own such an element is a list of one.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::word::is_word;

/// Puts parentheses around the elements that begin with one and do not end with it.
pub fn enclose_group_elements(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    let mut opened = vec![0_usize; tokens.len()];
    let mut closed = vec![0_usize; tokens.len()];
    let token = |at: usize| written.get(at).map(|at| &tokens[*at].token);
    for at in 0..written.len() {
        let named = ["ROLLUP", "CUBE", "SETS"].iter().any(|word| token(at).is_some_and(|token| is_word(token, word)));
        if !named || token(at + 1) != Some(&Token::LParen) {
            continue;
        }
        let mut start = at + 2;
        while let Some((end, last)) = element_end(start, &token) {
            if token(start) == Some(&Token::LParen) && parenthesis_end(start, &token) != Some(end) {
                opened[written[start]] += 1;
                closed[written[end - 1]] += 1;
            }
            if last {
                break;
            }
            start = end + 1;
        }
    }
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        out.extend((0..opened[at]).map(|_| TokenWithSpan { token: Token::LParen, span }));
        out.push(token);
        out.extend((0..closed[at]).map(|_| TokenWithSpan { token: Token::RParen, span }));
    }
    out
}

/// The places of tokens that are no blanks or comments.
pub fn written(tokens: &[TokenWithSpan]) -> Vec<usize> {
    (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect()
}

/// Where an element ends, and whether it is the last; None where the text does.
fn element_end<'t>(start: usize, token: &impl Fn(usize) -> Option<&'t Token>) -> Option<(usize, bool)> {
    let mut depth = 0;
    for at in start.. {
        match token(at)? {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen if depth == 0 => return Some((at, true)).filter(|_| at > start),
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => return Some((at, false)).filter(|_| at > start),
            _ => {}
        }
    }
    None
}

/// The place behind the parenthesis that ends the one at `start`.
pub fn parenthesis_end<'t>(start: usize, token: &impl Fn(usize) -> Option<&'t Token>) -> Option<usize> {
    let mut depth = 0;
    for at in start.. {
        match token(at)? {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}
