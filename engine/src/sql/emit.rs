//! `EMIT ON WINDOW CLOSE` at the end of a statement, or before the `WITH (…)` of a sink: RisingWave's clause, which the parser library takes for an alias.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

const CLAUSE: [&str; 4] = ["EMIT", "ON", "WINDOW", "CLOSE"];

/// Takes the clauses out of the tokens of a query string; gives where each began.
pub fn take_emit_clauses(tokens: &mut Vec<TokenWithSpan>) -> Vec<Location> {
    let written: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let mut found = Vec::new();
    for (place, clause) in written.windows(CLAUSE.len()).enumerate() {
        let after = |more: usize| written.get(place + CLAUSE.len() + more).map(|at| &tokens[*at].token);
        let ends = match after(0) {
            None | Some(Token::SemiColon | Token::EOF) => true,
            Some(next) => is_word(next, "WITH") && after(1) == Some(&Token::LParen),
        };
        if ends && clause.iter().zip(CLAUSE).all(|(at, word)| is_word(&tokens[*at].token, word)) {
            found.push((clause[0], clause[CLAUSE.len() - 1]));
        }
    }
    let places = found.iter().map(|(first, _)| tokens[*first].span.start).collect();
    for (first, last) in found.into_iter().rev() {
        tokens.drain(first..=last);
    }
    places
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}
