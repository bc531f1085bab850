//! What CREATE VIEW and CREATE MATERIALIZED VIEW say besides their query.

use sqlparser::ast;

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::SourceText;
use crate::sql::fold;

/// The options of a materialized view: `WITH (strict = true)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ViewOptions {
    /// Whether it cannot be read while it lacks rows on which an expression failed; None leaves that to what it reads.
    pub strict: Option<bool>,
}

/// Reads the options of a view; `text` is the query string that it stands in.
///
/// # Errors
/// 22023 for an option that there is not and for a value that is none of its; 0A000 for clauses that are not ours.
pub(super) fn view_options(view: &ast::CreateView, command: &str, text: &str) -> Result<ViewOptions> {
    let refused = [
        (view.or_replace, "OR REPLACE"),
        (view.temporary, "TEMPORARY"),
        (!view.materialized && view.options != ast::CreateTableOptions::None, "WITH"),
        (!view.cluster_by.is_empty(), "CLUSTER BY"),
        (view.to.is_some(), "TO"),
        (view.params.is_some(), "ALGORITHM"),
    ];
    if let Some((_, option)) = refused.iter().find(|(present, _)| *present) {
        return Err(Error::unsupported(format!("{command} with {option}")));
    }
    let mut options = ViewOptions::default();
    let given = match &view.options {
        ast::CreateTableOptions::None => return Ok(options),
        ast::CreateTableOptions::With(given) => given,
        other => return Err(Error::unsupported(format!("{command} with {other}"))),
    };
    for option in given {
        let (name, value) = match option {
            ast::SqlOption::KeyValue { key, value } => (key, Some(value)),
            ast::SqlOption::Ident(name) => (name, None),
            other => return Err(Error::unsupported(format!("{command} with ({other})"))),
        };
        match fold(name).as_str() {
            "strict" => options.strict = Some(value.map_or(Ok(true), boolean)?),
            unknown => {
                let message = format!("unrecognized parameter \"{unknown}\"");
                let place = SourceText::new(text).position(name.span);
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .with_hint("A materialized view has the option strict.")
                    .at(place));
            }
        }
    }
    Ok(options)
}

/// The value of an option that is on or off, spelled as PostgreSQL takes it.
fn boolean(value: &ast::Expr) -> Result<bool> {
    let text = match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Boolean(value) => return Ok(*value),
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, _) => text.clone(),
            other => other.to_string(),
        },
        ast::Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => {
            let message = format!("invalid value for boolean option \"strict\": {text}");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}
