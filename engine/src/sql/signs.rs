//! Signs behind an operator: `j->-1` is the element number -1, where the parser library reads an operator `->-`.
//!
//! <https://www.postgresql.org/docs/15/sql-syntax-lexical.html#SQL-SYNTAX-OPERATORS>

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

/// Operators that have one of these may end in a sign.
const FREE: [char; 11] = ['~', '!', '@', '#', '%', '^', '&', '|', '`', '?', '$'];

/// The tokens in which an operator that may not end in signs ends before them.
pub fn split_signs(dialect: &dyn Dialect, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| signed(&token.token).is_some()) {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        let parts = signed(&token.token).and_then(|(operator, signs)| {
            let operator = Tokenizer::new(dialect, operator).tokenize().ok()?;
            let signs = signs.chars().map(|sign| if sign == '-' { Token::Minus } else { Token::Plus });
            Some(operator.into_iter().chain(signs))
        });
        let Some(parts) = parts else {
            out.push(token);
            continue;
        };
        let Location { line, mut column } = token.span.start;
        for part in parts {
            let start = Location { line, column };
            column += part.to_string().chars().count() as u64;
            out.push(TokenWithSpan { token: part, span: Span { start, end: Location { line, column } } });
        }
    }
    out
}

/// An operator and the signs behind it.
fn signed(token: &Token) -> Option<(&str, &str)> {
    let Token::CustomBinaryOperator(text) = token else { return None };
    let operator = text.trim_end_matches(['+', '-']);
    // What is nothing but signs keeps the first.
    let end = operator.len().max(1);
    (end < text.len() && !text.contains(FREE)).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::dialect::Postgres;

    #[test]
    fn operators_end_before_signs() {
        let dialect = Postgres::for_text(100);
        for (text, expected) in [
            ("a->-1", vec!["a", "->", "-", "1"]),
            ("a->>-1", vec!["a", "->>", "-", "1"]),
            ("a<-1", vec!["a", "<", "-", "1"]),
            ("a>=+1", vec!["a", ">=", "+", "1"]),
            ("a - -1", vec!["a", "-", "-", "1"]),
        ] {
            let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().unwrap();
            let split = split_signs(&dialect, tokens);
            let written = split.iter().map(|token| token.token.to_string());
            let written: Vec<String> = written.filter(|text| !text.trim().is_empty() && text != "EOF").collect();
            assert_eq!(written, expected, "{text}");
        }
    }
}
