//! Clauses of other dialects, which the parser takes and PostgreSQL does not have. Passed over in silence they would change what a
//! statement means: `DELETE FROM t LIMIT 1` would delete every row.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{self, Statement};
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The first word of what nobody heeds in a statement; None where all of it means something.
pub fn unheeded(statement: &Statement) -> Option<String> {
    let clauses = match statement {
        Statement::Delete(delete) => in_delete(delete),
        Statement::Update(update) => in_update(update),
        Statement::Insert(insert) => in_insert(insert),
        Statement::CreateTable(table) => return in_table(table),
        Statement::CreateView(view) => in_view(view),
        Statement::Drop { purge, temporary, table, .. } => {
            vec![(*purge, "PURGE"), (*temporary, "TEMPORARY"), (table.is_some(), "ON")]
        }
        Statement::ShowTables { terse, history, extended, full, external, show_options } => {
            let mut clauses = in_show(show_options);
            clauses.extend([(*terse, "TERSE"), (*history, "HISTORY"), (*extended, "EXTENDED")]);
            clauses.extend([(*full, "FULL"), (*external, "EXTERNAL")]);
            clauses
        }
        Statement::ShowViews { terse, show_options, .. } => {
            let mut clauses = in_show(show_options);
            clauses.push((*terse, "TERSE"));
            clauses
        }
        Statement::Set(ast::Set::SingleAssignment { scope, .. }) => {
            vec![(matches!(scope, Some(ast::ContextModifier::Global)), "GLOBAL")]
        }
        _ => return None,
    };
    clauses.into_iter().find(|(present, _)| *present).map(|(_, word)| word.to_owned())
}

/// The word for a counter or an order behind a column's type, which the parser passes over when it is not of its dialect. A
/// column may be called as a counter: then it stands at the beginning of an element, or inside of an expression.
pub fn lost<'t>(statement: &Statement, tokens: impl Iterator<Item = &'t TokenWithSpan>) -> Option<&'t TokenWithSpan> {
    let Statement::CreateTable(ast::CreateTable { query: None, .. }) = statement else { return None };
    let is_word = |token: &Token, words: &[&str]| match token {
        Token::Word(word) if word.quote_style.is_none() => words.iter().any(|it| word.value.eq_ignore_ascii_case(it)),
        _ => false,
    };
    let (mut depth, mut before) = (0, &Token::LParen);
    for token in tokens.filter(|token| !matches!(token.token, Token::Whitespace(_))) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            word if depth == 1 && is_word(word, &["AUTO_INCREMENT", "AUTOINCREMENT", "ASC", "DESC"]) => {
                let named = matches!(before, Token::LParen | Token::Comma) || is_word(before, &["CONSTRAINT"]);
                if !named {
                    return Some(token);
                }
            }
            _ => {}
        }
        before = &token.token;
    }
    None
}

/// Whether a clause is there, and its first word.
type Clauses = Vec<(bool, &'static str)>;

fn in_delete(delete: &ast::Delete) -> Clauses {
    vec![
        (!delete.tables.is_empty(), "FROM"),
        (delete.output.is_some(), "OUTPUT"),
        (!delete.order_by.is_empty(), "ORDER"),
        (delete.limit.is_some(), "LIMIT"),
    ]
}

fn in_update(update: &ast::Update) -> Clauses {
    vec![
        (update.or.is_some(), "OR"),
        (update.output.is_some(), "OUTPUT"),
        (!update.order_by.is_empty(), "ORDER"),
        (update.limit.is_some(), "LIMIT"),
    ]
}

fn in_insert(insert: &ast::Insert) -> Clauses {
    vec![
        (insert.replace_into, "REPLACE"),
        (insert.or.is_some(), "OR"),
        (insert.ignore, "IGNORE"),
        (insert.priority.is_some(), "INTO"),
        (insert.has_table_keyword, "TABLE"),
        (insert.partitioned.is_some(), "PARTITION"),
        (!insert.after_columns.is_empty(), "PARTITION"),
        (insert.output.is_some(), "OUTPUT"),
        (!insert.assignments.is_empty(), "SET"),
        (insert.insert_alias.is_some(), "AS"),
        (insert.settings.is_some(), "SETTINGS"),
        (insert.format_clause.is_some(), "FORMAT"),
    ]
}

fn in_view(view: &ast::CreateView) -> Clauses {
    vec![
        (view.or_alter, "ALTER"),
        (view.secure, "SECURE"),
        (view.name_before_not_exists, "IF"),
        (view.copy_grants, "COPY"),
        (view.comment.is_some(), "COMMENT"),
        (view.with_no_schema_binding, "NO"),
    ]
}

fn in_show(options: &ast::ShowStatementOptions) -> Clauses {
    let filter = match &options.filter_position {
        Some(ast::ShowStatementFilterPosition::Infix(filter) | ast::ShowStatementFilterPosition::Suffix(filter)) => {
            Some(match filter {
                ast::ShowStatementFilter::Where(_) => "WHERE",
                ast::ShowStatementFilter::ILike(_) => "ILIKE",
                _ => "LIKE",
            })
        }
        None => None,
    };
    vec![
        (filter.is_some(), filter.unwrap_or_default()),
        (options.show_in.is_some(), "IN"),
        (options.starts_with.is_some(), "STARTS"),
        (options.limit.is_some(), "LIMIT"),
        (options.limit_from.is_some(), "FROM"),
    ]
}

/// Of some fifty fields nearly all belong to others: what is left of the statement without those says which.
fn in_table(table: &ast::CreateTable) -> Option<String> {
    // What stands here and is not supported is refused by name later.
    let heeded = CreateTableBuilder::new(table.name.clone())
        .or_replace(table.or_replace)
        .temporary(table.temporary)
        .global(table.global)
        .external(table.external)
        .if_not_exists(table.if_not_exists)
        .columns(table.columns.clone())
        .constraints(table.constraints.clone())
        .table_options(table.table_options.clone())
        .query(table.query.clone())
        .like(table.like.clone())
        .clone_clause(table.clone.clone())
        .on_commit(table.on_commit)
        .inherits(table.inherits.clone())
        .partition_by(table.partition_by.clone())
        .partition_of(table.partition_of.clone())
        .for_values(table.for_values.clone())
        .build();
    if heeded == *table {
        return None;
    }
    let (written, heeded) = (table.to_string(), heeded.to_string());
    let mut rest = heeded.split_whitespace();
    let first = written.split_whitespace().find(|word| rest.next() != Some(word));
    first.map(|word| word.trim_matches(['(', ',']).to_owned())
}
