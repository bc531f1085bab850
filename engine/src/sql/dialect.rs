//! PostgreSQL's syntax where the parser library's dialect of that name binds operators in another way.
//!
//! Precedence: <https://www.postgresql.org/docs/15/sql-syntax-lexical.html#SQL-PRECEDENCE>.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::sql::word::{at_words, is_word, parse_words};

/// The library's value for `COLLATE`, below `::` and subscripts and above all operators: that of a sign before an operand.
const SIGN: u8 = 120;

/// The library's PostgreSQL, but for
///
/// - `-` and `+` before an operand, which bind more tightly than any operator between two: `-2 ^ 2` is 4;
/// - other operators before one, which bind less tightly than arithmetic: `|/ 4 + 5` is 3;
/// - `IS [NOT] DISTINCT FROM`, whose right side ends before `AND` and `OR`;
/// - `ISNULL`;
/// - `BETWEEN SYMMETRIC`.
#[derive(Debug)]
pub struct Postgres {
    /// How many operands may still be begun.
    operands: Cell<usize>,
}

impl Postgres {
    /// For a text of so many bytes. It bounds how often the parser begins an operand: where it fails within one that begins
    /// with a word it tries the word as a name, and so again in each that is around it, twice as often every time.
    pub fn for_text(bytes: usize) -> Postgres {
        Postgres { operands: Cell::new(bytes.saturating_mul(4).saturating_add(20_000)) }
    }
}

impl Dialect for Postgres {
    /// The library asks whether it reads PostgreSQL's dialect: yes.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match is_word(&parser.peek_token_ref().token, "ISNULL") {
            true => Some(Ok(self.prec_value(Precedence::Is))),
            false => PostgreSqlDialect {}.get_next_precedence(parser),
        }
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        match self.operands.get().checked_sub(1) {
            Some(left) => self.operands.set(left),
            None => return Some(Err(ParserError::RecursionLimitExceeded)),
        }
        let other = self.prec_value(Precedence::PgOther);
        let (op, precedence) = match &parser.peek_token_ref().token {
            Token::Minus => (UnaryOperator::Minus, SIGN),
            Token::Plus => (UnaryOperator::Plus, SIGN),
            Token::Tilde => (UnaryOperator::BitwiseNot, other),
            Token::AtSign => (UnaryOperator::PGAbs, other),
            Token::PGSquareRoot => (UnaryOperator::PGSquareRoot, other),
            Token::PGCubeRoot => (UnaryOperator::PGCubeRoot, other),
            Token::DoubleExclamationMark => (UnaryOperator::PGPrefixFactorial, other),
            _ => return None,
        };
        parser.advance_token();
        let operand = parser.parse_subexpr(precedence);
        Some(operand.map(|operand| Expr::UnaryOp { op, expr: Box::new(operand) }))
    }

    fn parse_infix(&self, parser: &mut Parser, left: &Expr, _precedence: u8) -> Option<Result<Expr, ParserError>> {
        if parse_words(parser, &["ISNULL"]) {
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        if let Some(between) = self.parse_between(parser, left) {
            return Some(between);
        }
        if !parser.peek_keyword(Keyword::IS) {
            return None;
        }
        let negated = at_words(parser, &["IS", "NOT", "DISTINCT", "FROM"]);
        if !negated && !at_words(parser, &["IS", "DISTINCT", "FROM"]) {
            return None;
        }
        (0..if negated { 4 } else { 3 }).for_each(|_| parser.advance_token());
        let (left, right) = (Box::new(left.clone()), parser.parse_subexpr(self.prec_value(Precedence::Is)));
        Some(right.map(|right| match negated {
            true => Expr::IsNotDistinctFrom(left, Box::new(right)),
            false => Expr::IsDistinctFrom(left, Box::new(right)),
        }))
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        PostgreSqlDialect {}.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(ch)
    }

    fn supports_unicode_string_literal(&self) -> bool {
        PostgreSqlDialect {}.supports_unicode_string_literal()
    }

    /// Words that are no names, so that nothing is tried again as if they were.
    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        let reserved = [Keyword::ARRAY, Keyword::CASE, Keyword::CAST, Keyword::NOT].contains(&kw);
        reserved || PostgreSqlDialect {}.is_reserved_for_identifier(kw)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_custom_operator_part(ch)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        PostgreSqlDialect {}.supports_filter_during_aggregation()
    }

    fn supports_group_by_expr(&self) -> bool {
        PostgreSqlDialect {}.supports_group_by_expr()
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        PostgreSqlDialect {}.prec_value(prec)
    }

    fn allow_extract_custom(&self) -> bool {
        PostgreSqlDialect {}.allow_extract_custom()
    }

    fn allow_extract_single_quotes(&self) -> bool {
        PostgreSqlDialect {}.allow_extract_single_quotes()
    }

    fn supports_create_index_with_clause(&self) -> bool {
        PostgreSqlDialect {}.supports_create_index_with_clause()
    }

    fn supports_explain_with_utility_options(&self) -> bool {
        PostgreSqlDialect {}.supports_explain_with_utility_options()
    }

    fn supports_listen_notify(&self) -> bool {
        PostgreSqlDialect {}.supports_listen_notify()
    }

    fn supports_factorial_operator(&self) -> bool {
        PostgreSqlDialect {}.supports_factorial_operator()
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        PostgreSqlDialect {}.supports_bitwise_shift_operators()
    }

    fn supports_comment_on(&self) -> bool {
        PostgreSqlDialect {}.supports_comment_on()
    }

    fn supports_load_extension(&self) -> bool {
        PostgreSqlDialect {}.supports_load_extension()
    }

    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        PostgreSqlDialect {}.supports_named_fn_args_with_colon_operator()
    }

    /// With it, the parser reads every argument twice, and with each call within another twice as often: a statement of
    /// some thirty calls would take for ever. Names of arguments are identifiers.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn supports_empty_projections(&self) -> bool {
        PostgreSqlDialect {}.supports_empty_projections()
    }

    fn supports_nested_comments(&self) -> bool {
        PostgreSqlDialect {}.supports_nested_comments()
    }

    fn supports_string_escape_constant(&self) -> bool {
        PostgreSqlDialect {}.supports_string_escape_constant()
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        PostgreSqlDialect {}.supports_numeric_literal_underscores()
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        PostgreSqlDialect {}.supports_array_typedef_with_brackets()
    }

    fn supports_geometric_types(&self) -> bool {
        PostgreSqlDialect {}.supports_geometric_types()
    }

    fn supports_set_names(&self) -> bool {
        PostgreSqlDialect {}.supports_set_names()
    }

    fn supports_alter_column_type_using(&self) -> bool {
        PostgreSqlDialect {}.supports_alter_column_type_using()
    }

    fn supports_notnull_operator(&self) -> bool {
        PostgreSqlDialect {}.supports_notnull_operator()
    }

    fn supports_interval_options(&self) -> bool {
        PostgreSqlDialect {}.supports_interval_options()
    }

    fn supports_insert_table_alias(&self) -> bool {
        PostgreSqlDialect {}.supports_insert_table_alias()
    }

    fn supports_create_table_like_parenthesized(&self) -> bool {
        PostgreSqlDialect {}.supports_create_table_like_parenthesized()
    }

    fn supports_select_wildcard_with_alias(&self) -> bool {
        PostgreSqlDialect {}.supports_select_wildcard_with_alias()
    }

    fn supports_comma_separated_trim(&self) -> bool {
        PostgreSqlDialect {}.supports_comma_separated_trim()
    }

    fn supports_xml_expressions(&self) -> bool {
        PostgreSqlDialect {}.supports_xml_expressions()
    }

    fn supports_comment_optimizer_hint(&self) -> bool {
        PostgreSqlDialect {}.supports_comment_optimizer_hint()
    }
}

impl Postgres {
    /// `[NOT] BETWEEN SYMMETRIC low AND high`: the limits in either order. `ASYMMETRIC` says nothing.
    fn parse_between(&self, parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
        let negated = at_words(parser, &["NOT", "BETWEEN"]);
        let at = usize::from(negated);
        let symmetric = is_word(&parser.peek_nth_token_ref(at + 1).token, "SYMMETRIC");
        let asymmetric = is_word(&parser.peek_nth_token_ref(at + 1).token, "ASYMMETRIC");
        if !(negated || parser.peek_keyword(Keyword::BETWEEN)) || !(symmetric || asymmetric) {
            return None;
        }
        (0..at + 2).for_each(|_| parser.advance_token());
        Some(self.parse_limits(parser).map(|(low, high)| {
            let between = |low: &Expr, high: &Expr, negated| Expr::Between {
                expr: Box::new(left.clone()),
                negated,
                low: Box::new(low.clone()),
                high: Box::new(high.clone()),
            };
            if asymmetric {
                return between(&low, &high, negated);
            }
            let [first, second] = [between(&low, &high, false), between(&high, &low, false)];
            let either = Expr::BinaryOp { left: Box::new(first), op: BinaryOperator::Or, right: Box::new(second) };
            let either = Expr::Nested(Box::new(either));
            match negated {
                true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(either) },
                false => either,
            }
        }))
    }

    /// `low AND high`
    fn parse_limits(&self, parser: &mut Parser) -> Result<(Expr, Expr), ParserError> {
        let precedence = self.prec_value(Precedence::Between);
        let low = parser.parse_subexpr(precedence)?;
        parser.expect_keyword(Keyword::AND)?;
        Ok((low, parser.parse_subexpr(precedence)?))
    }
}
