//! `(row).*`: the parser library takes only a relation's name before the star.

use sqlparser::ast::{AccessExpr, Expr};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::group_elements::written;

/// The field that stands for all of them: a name that nobody writes.
const ALL_FIELDS: &str = "(fields)";

/// Makes a field of the star behind a parenthesis.
pub fn name_row_stars(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let written = written(&tokens);
    for places in written.windows(3) {
        let [end, period, star] = [0, 1, 2].map(|at| &tokens[places[at]].token);
        if (end, period, star) == (&Token::RParen, &Token::Period, &Token::Mul) {
            tokens[places[2]].token = Token::make_word(ALL_FIELDS, Some('"'));
        }
    }
    tokens
}

/// Whether a step of an access stands for all fields.
pub fn is_row_star(step: &AccessExpr) -> bool {
    matches!(step, AccessExpr::Dot(Expr::Identifier(name)) if name.value == ALL_FIELDS)
}
