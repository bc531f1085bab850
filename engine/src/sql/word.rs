//! Words that the parser library does not count among its keywords.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Word};

/// Whether a token is this word, unquoted and in any case.
pub fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// Whether the next tokens are these words; stays where it is.
pub fn at_words(parser: &Parser<'_>, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(at, word)| is_word(&parser.peek_nth_token_ref(at).token, word))
}

/// Goes past these words if they are next.
pub fn parse_words(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let found = at_words(parser, words);
    if found {
        words.iter().for_each(|_| parser.advance_token());
    }
    found
}
