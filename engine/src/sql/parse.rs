//! From a query string to statements, with PostgreSQL's syntax errors.

use std::sync::Arc;

use sqlparser::ast;
use sqlparser::keywords::RESERVED_FOR_COLUMN_ALIAS;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::SourceText;
use crate::sql::depth::check_depth;
use crate::sql::dialect::Postgres;
use crate::sql::emit::take_emit_clauses;
use crate::sql::group_elements::enclose_group_elements;
use crate::sql::row_star::name_row_stars;
use crate::sql::signs::split_signs;
use crate::sql::spellings::{common_spelling, missing_clause};
use crate::sql::statement::{Command, Statement, parse_command};
use crate::sql::trim::trim_blanks;
use crate::sql::unheeded::{lost, unheeded};
use crate::sql::values_subquery::select_values;
use crate::sql::word::parse_words;

/// Expressions and queries within each other, so that the stack holds.
pub(super) const MAX_DEPTH: usize = 100;

/// The statements of a query string; none if it is empty. Syntax errors are 42601, with position.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let (source, whole) = (SourceText::new(sql), Arc::<str>::from(sql));
    let dialect = Postgres::for_text(sql.len());
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| lexical_error(&source, &e))?;
    let tokens = split_signs(&dialect, tokens);
    check_depth(&tokens)?;
    check_names(&source, &tokens)?;
    check_operators(&source, &tokens)?;
    let mut written = trim_blanks(select_values(enclose_group_elements(continued(&source, &tokens)?)));
    written = common_spelling(name_row_stars(written));
    let emits = take_emit_clauses(&mut written);
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(written);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let start = byte_of(&source, parser.peek_token_ref().span.start);
        let command = parse_command(&mut parser).map_err(|error| {
            let seen = parser.peek_token_ref().span.start;
            syntax_error(&source, &tokens, &error, seen)
        })?;
        if let Some(place) = without_data(&mut parser, &command) {
            return Err(Error::unsupported("WITH NO DATA").at(source.position_of(place)));
        }
        let next = parser.peek_token_ref();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            let place = next.span.start;
            return Err(missing_clause(&tokens, place).unwrap_or_else(|| near(&source, &tokens, place)));
        }
        let end = if next.token == Token::EOF { sql.len() } else { byte_of(&source, next.span.start) };
        if let Some(sql) = command.sql() {
            let of_statement = |token: &TokenWithSpan| (start..end).contains(&byte_of(&source, token.span.start));
            check_heeded(&source, &tokens, sql, of_statement)?;
        }
        let range = start..end;
        let emit = emits.iter().find(|emit| range.contains(&byte_of(&source, **emit))).copied();
        let emit_on_window_close = emit.is_some();
        let statement = Statement { command, source: whole.clone(), range, emit_on_window_close };
        match emit {
            Some(emit) if !statement.command.maintains_query() => return Err(near(&source, &tokens, emit)),
            _ => statements.push(statement),
        }
    }
}

/// Goes past `WITH DATA` of a materialized view; gives the place of `WITH NO DATA`.
fn without_data(parser: &mut Parser<'_>, command: &Command) -> Option<Location> {
    let Some(ast::Statement::CreateView(ast::CreateView { materialized: true, .. })) = command.sql() else {
        return None;
    };
    let place = parser.peek_token_ref().span.start;
    let with_data = parse_words(parser, &["WITH", "DATA"]);
    (!with_data && parse_words(parser, &["WITH", "NO", "DATA"])).then_some(place)
}

/// The tokens in which a string constant that goes on in a later line is one constant. In the same line it is 42601.
fn continued(source: &SourceText, tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut gap: Vec<&TokenWithSpan> = Vec::new();
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            gap.push(token);
            continue;
        }
        if let Token::SingleQuotedString(more) = &token.token
            && let Some(last) = out.last_mut()
            && let Some(text) = string_of(&mut last.token)
            && !gap.is_empty()
        {
            let comment =
                |token: &&TokenWithSpan| matches!(token.token, Token::Whitespace(Whitespace::MultiLineComment(_)));
            if token.span.start.line == last.span.end.line || gap.iter().any(comment) {
                return Err(near(source, tokens, token.span.start));
            }
            text.push_str(more);
            if matches!(last.token, Token::EscapedStringLiteral(_)) && more.contains('\\') {
                return Err(Error::unsupported("an escape in the continuation of a string constant")
                    .with_hint("Write the constant in one piece."));
            }
            last.span.end = token.span.end;
            gap.clear();
            continue;
        }
        out.extend(gap.drain(..).cloned());
        out.push(token.clone());
    }
    Ok(out)
}

/// The text of a string constant that can go on in a later line.
fn string_of(token: &mut Token) -> Option<&mut String> {
    match token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::NationalStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// One expression, as the catalog keeps them.
///
/// # Errors
/// XX001 when it is none.
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let dialect = Postgres::for_text(text.len());
    let parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).try_with_sql(text);
    parser
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| Error::corrupt("a stored expression does not parse").with_source(error))
}

/// What the parser says, as PostgreSQL says it. `seen` is the token that the parser was at.
fn syntax_error(source: &SourceText, tokens: &[TokenWithSpan], error: &ParserError, seen: Location) -> Error {
    match error {
        ParserError::RecursionLimitExceeded => {
            Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            // At the end of input the parser gives no place.
            let at_end = message.ends_with("found: EOF");
            match at_end {
                false => {
                    let place = place_in(message).unwrap_or(seen);
                    missing_clause(tokens, place).unwrap_or_else(|| near(source, tokens, place))
                }
                true => at_end_of_input(source),
            }
        }
    }
}

/// `syntax error at or near "token"`
fn near(source: &SourceText, tokens: &[TokenWithSpan], place: Location) -> Error {
    let found = tokens.iter().find(|token| token.span.start == place && token.token != Token::EOF);
    let Some(token) = found.filter(|_| place.line > 0) else { return at_end_of_input(source) };
    let token = clause_after_comma(tokens, token).unwrap_or(token);
    let (start, end) = (byte_of(source, token.span.start), byte_of(source, token.span.end));
    let word = source.text().get(start..end).unwrap_or_default();
    Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))
        .at(source.position_of(token.span.start))
}

/// Refuses what the parser took of other dialects, at its token.
fn check_heeded(
    source: &SourceText,
    tokens: &[TokenWithSpan],
    statement: &ast::Statement,
    of_statement: impl Fn(&TokenWithSpan) -> bool,
) -> Result<()> {
    let written = || tokens.iter().filter(|token| of_statement(token));
    if let Some(token) = lost(statement, written()) {
        return Err(near(source, tokens, token.span.start));
    }
    let Some(unheeded) = unheeded(statement) else { return Ok(()) };
    let is_unheeded = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(&unheeded),
        _ => false,
    };
    Err(match written().rev().find(is_unheeded) {
        Some(token) => near(source, tokens, token.span.start),
        None => Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{unheeded}\"")),
    })
}

/// A name without characters, which the tokenizer takes.
fn check_names(source: &SourceText, tokens: &[TokenWithSpan]) -> Result<()> {
    let nameless = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_some() && word.value.is_empty());
    match tokens.iter().find(nameless) {
        Some(token) => {
            let message = "zero-length delimited identifier at or near \"\"\"\"";
            Err(Error::new(SqlState::SYNTAX_ERROR, message).at(source.position_of(token.span.start)))
        }
        None => Ok(()),
    }
}

/// Operators of other dialects, which the parser takes for PostgreSQL's.
fn check_operators(source: &SourceText, tokens: &[TokenWithSpan]) -> Result<()> {
    match tokens.iter().find(|token| token.token == Token::DoubleEq) {
        Some(token) => {
            let error = Error::new(SqlState::UNDEFINED_FUNCTION, "operator does not exist: ==");
            Err(error.with_hint("Values are compared by =.").at(source.position_of(token.span.start)))
        }
        None => Ok(()),
    }
}

/// `SELECT a, FROM t`: the parser takes FROM for a name and stops at `t`; PostgreSQL stops at FROM.
fn clause_after_comma<'t>(tokens: &'t [TokenWithSpan], found: &TokenWithSpan) -> Option<&'t TokenWithSpan> {
    let after = |token: &&TokenWithSpan| token.span.start >= found.span.start;
    let written = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let mut before = tokens.iter().rev().skip_while(after).filter(written);
    let (last, comma) = (before.next()?, before.next()?);
    let clause = |token: &Token| match token {
        Token::Word(word) => RESERVED_FOR_COLUMN_ALIAS.contains(&word.keyword) && word.quote_style.is_none(),
        _ => false,
    };
    (comma.token == Token::Comma && clause(&last.token)).then_some(last)
}

fn at_end_of_input(source: &SourceText) -> Error {
    let end = source.text().chars().count() + 1;
    Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(end)
}

/// The place that the parser puts at the end of its messages: ` at Line: 1, Column: 8`.
fn place_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location::new(line.parse().ok()?, column.parse().ok()?))
}

/// Quotes and comments that do not end.
fn lexical_error(source: &SourceText, error: &TokenizerError) -> Error {
    let found = byte_of(source, error.location);
    // For a dollar quote the tokenizer tells where the text ends.
    let dollar_quoted = error.message.contains("dollar-quoted");
    let start = if dollar_quoted { open_dollar_quote(source.text()).unwrap_or(found) } else { found };
    let rest = source.text().get(start..).unwrap_or_default();
    let unterminated = match error.message.as_str() {
        message if message.contains("multi-line comment") => Some("/* comment"),
        message if message.contains("dollar-quoted") => Some("dollar-quoted string"),
        message if message.contains("close delimiter") => Some("quoted identifier"),
        message if message.starts_with("Unterminated") => Some("quoted string"),
        _ => None,
    };
    let message = match unterminated {
        Some(what) => format!("unterminated {what} at or near \"{rest}\""),
        None => {
            let word: String = rest.chars().take(1).collect();
            format!("syntax error at or near \"{word}\"")
        }
    };
    let position = source.text().get(..start).map(|before| before.chars().count() + 1);
    Error::new(SqlState::SYNTAX_ERROR, message).at(position)
}

/// Where the dollar quote begins that does not end: the first one that what stands before it does not contain.
fn open_dollar_quote(text: &str) -> Option<usize> {
    let opens = |start: usize| {
        let tag = text[start + 1..].split('$').next().unwrap_or_default();
        tag.chars().all(|character| character.is_alphanumeric() || character == '_')
    };
    let complete = |start: usize| Tokenizer::new(&Postgres::for_text(0), &text[..start]).tokenize().is_ok();
    let mut dollars = text.match_indices('$').map(|(start, _)| start);
    dollars.find(|start| {
        opens(*start) && complete(*start) && Tokenizer::new(&Postgres::for_text(0), &text[*start..]).tokenize().is_err()
    })
}

/// The byte at which a place of the parser begins.
fn byte_of(source: &SourceText, place: Location) -> usize {
    let text = source.text();
    let Some(position) = source.position_of(place) else { return text.len() };
    text.char_indices().nth(position.saturating_sub(1)).map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sql: &str) -> (String, Option<usize>) {
        let error = parse(sql).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::SYNTAX_ERROR);
        (error.message().to_owned(), error.position())
    }

    #[test]
    fn a_query_string_has_any_number_of_statements() {
        let statements = parse(" SELECT 1 ;; -- nothing\n SELECT 'é;' ").unwrap();
        let texts: Vec<_> = statements.into_iter().map(|statement| statement.into_sql().unwrap().to_string()).collect();
        assert_eq!(texts, ["SELECT 1", "SELECT 'é;'"]);
        assert!(parse(" ; -- nothing").unwrap().is_empty());
    }

    #[test]
    fn a_string_goes_on_in_a_later_line() {
        let statements = parse("SELECT 'a' -- more\n  'b'\n'c', 'd'").unwrap();
        let texts: Vec<_> = statements.into_iter().map(|statement| statement.into_sql().unwrap().to_string()).collect();
        assert_eq!(texts, ["SELECT 'abc', 'd'"]);
    }

    #[test]
    fn errors_are_postgresqls() {
        for (sql, message, position) in [
            ("SELEC 1", "syntax error at or near \"SELEC\"", 1),
            ("SELECT 1 FRM t", "syntax error at or near \"t\"", 14),
            ("SELECT", "syntax error at end of input", 7),
            ("SELECT id FROM", "syntax error at end of input", 15),
            ("SELECT\n  1 + ) FROM t", "syntax error at or near \")\"", 14),
            ("SELECT * FROM t WHERE )", "syntax error at or near \")\"", 23),
            ("SELECT 'é' 1", "syntax error at or near \"1\"", 12),
            ("SELECT 'a' 'b'", "syntax error at or near \"'b'\"", 12),
            ("SELECT 'open", "unterminated quoted string at or near \"'open\"", 8),
            ("SELECT \"open", "unterminated quoted identifier at or near \"\"open\"", 8),
            ("SELECT $$open", "unterminated dollar-quoted string at or near \"$$open\"", 8),
            ("SELECT 1; SELECT , 2", "syntax error at or near \",\"", 18),
        ] {
            assert_eq!(error(sql), (message.to_owned(), Some(position)), "{sql}");
        }
    }

    #[test]
    fn statements_within_statements_come_to_an_end() {
        for word in ["PREPARE a AS ", "EXPLAIN ", "EXPLAIN PREPARE a AS ", "PREPARE a AS EXPLAIN "] {
            let sql = format!("{}SELECT 1", word.repeat(50_000));
            // As much stack as the server's threads have.
            let parsing = std::thread::Builder::new().stack_size(16 << 20).spawn(move || parse(&sql).unwrap_err());
            let refused = parsing.unwrap().join().unwrap();
            let states = [SqlState::SYNTAX_ERROR, SqlState::STATEMENT_TOO_COMPLEX];
            assert!(states.contains(&refused.sqlstate()), "{word}: {refused}");
        }
    }

    #[test]
    fn operators_in_a_row_have_an_end() {
        let list = |first: &str, next: &str, count: usize| format!("SELECT {first}{}", next.repeat(count));
        let words = ["+ 1", "|| 'a'", "::text", "IS NULL", "AT TIME ZONE 'UTC'", "= (1 + 1)", "- f(1)"];
        for next in words.map(|word| format!(" {word} ")) {
            assert!(parse(&list("a", &next, 300)).is_ok(), "{next}");
            let refused = parse(&list("a", &next, 100_000)).unwrap_err();
            assert_eq!(refused.sqlstate(), SqlState::STATEMENT_TOO_COMPLEX, "{next}");
        }
        for (next, fine) in [(" OR a = 1", 1000), (" AND b < c + 1", 1000), (" UNION SELECT 1 + 1, 2", 150)] {
            assert!(parse(&list("a", next, fine)).is_ok(), "{next}");
            assert!(parse(&list("a", next, 100_000)).is_err(), "{next}");
        }
        assert!(parse(&list("a", ", f(1 + 1) + 1", 20_000)).is_ok());
        let nested = format!("SELECT {}1{}", "1 + (2 + 3 + 4 + 5 + 6 + 7 + ".repeat(60), ")".repeat(60));
        assert_eq!(parse(&nested).unwrap_err().sqlstate(), SqlState::STATEMENT_TOO_COMPLEX);
    }

    #[test]
    fn what_is_within_each_other_takes_no_longer_than_the_rest() {
        let whole = [("abs(", ")"), ("coalesce(a, ", ")"), ("abs(CASE WHEN a THEN ", " END)"), ("ARRAY[", "]")];
        let broken = [("abs(", ""), ("ARRAY[", ""), ("CAST(", ""), ("NOT ", " )"), ("extract(", ""), ("floor(", "")];
        let all = whole.map(|nested| (nested, true)).into_iter().chain(broken.map(|nested| (nested, false)));
        for ((open, close), is_whole) in all {
            let sql = format!("SELECT {}a{}", open.repeat(40), close.repeat(40));
            let (sender, parsed) = std::sync::mpsc::channel();
            let tried = sql.clone();
            std::thread::spawn(move || sender.send(parse(&tried).is_ok()));
            let parsed = parsed.recv_timeout(std::time::Duration::from_secs(60));
            assert_eq!(parsed, Ok(is_whole), "{sql}");
        }
    }
}
