//! SET, SHOW and their like.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use sqlparser::ast;

use crate::catalog::Item;
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::session::settings::spelled;
use crate::session::{Block, Notice, Response, Session, Severity};
use crate::sql::{ObjectKind, OutputColumn};

impl Session {
    pub(super) fn set(&mut self, set: &ast::Set) -> Result<Response> {
        match set {
            ast::Set::SingleAssignment { scope, variable, values, .. } => {
                let name = variable.to_string();
                let value = setting_value(values)?;
                self.set_one(&name, value.as_deref(), is_local(scope.as_ref()))?;
            }
            ast::Set::SetTimeZone { local, value } => {
                let value = setting_value(std::slice::from_ref(value))?;
                self.set_one("TimeZone", value.as_deref(), *local)?;
            }
            ast::Set::SetNames { charset_name, collation_name: None } => {
                self.set_one("client_encoding", Some(&charset_name.value), false)?;
            }
            ast::Set::SetTransaction { modes, session, .. } => {
                if !session && self.block == Block::None {
                    let message = "SET TRANSACTION can only be used in transaction blocks";
                    self.notice(Notice::new(Severity::Warning, SqlState::NO_ACTIVE_TRANSACTION, message));
                }
                self.set_transaction(modes, *session)?;
            }
            other => return Err(Error::unsupported(other)),
        }
        Ok(Response::complete("SET"))
    }

    pub(super) fn set_one(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        if self.block != Block::None && self.rollback_settings.is_none() {
            self.rollback_settings = Some(self.settings.clone());
        }
        if local {
            let before = self.settings.get(name)?.to_owned();
            self.local_settings.entry(name.to_ascii_lowercase()).or_insert(before);
        } else {
            self.local_settings.remove(&name.to_ascii_lowercase());
        }
        self.settings.set(name, value)
    }

    /// What a transaction is to be, or each of the session's. Every one reads one epoch, which is at least what each level of
    /// isolation asks for.
    pub(super) fn set_transaction(&mut self, modes: &[ast::TransactionMode], session: bool) -> Result<()> {
        for mode in modes {
            let (name, default, value) = match mode {
                ast::TransactionMode::AccessMode(mode) => {
                    let value = if *mode == ast::TransactionAccessMode::ReadOnly { "on" } else { "off" };
                    ("transaction_read_only", "default_transaction_read_only", value.to_owned())
                }
                ast::TransactionMode::IsolationLevel(level) => {
                    let level = level.to_string().to_ascii_lowercase();
                    ("transaction_isolation", "default_transaction_isolation", level)
                }
            };
            self.set_one(if session { default } else { name }, Some(&value), false)?;
        }
        Ok(())
    }

    /// At the end of a transaction: what SET LOCAL changed goes back, after ROLLBACK what SET changed as well.
    pub(super) fn end_settings(&mut self, committed: bool) {
        let before = self.rollback_settings.take();
        let local = std::mem::take(&mut self.local_settings);
        match before {
            Some(before) if !committed => self.settings = before,
            _ => local.iter().for_each(|(name, value)| {
                self.settings.set(name, Some(value)).ok();
            }),
        }
        self.settings.end_transaction();
    }

    pub(super) fn reset(&mut self, reset: &ast::ResetStatement) -> Result<Response> {
        match &reset.reset {
            ast::Reset::ALL => self.settings.reset(),
            // There is no SET ROLE to take back.
            ast::Reset::ConfigurationParameter(name) if name.to_string().eq_ignore_ascii_case("role") => {}
            ast::Reset::ConfigurationParameter(name) => self.set_one(&name.to_string(), None, false)?,
        }
        Ok(Response::complete("RESET"))
    }

    /// DISCARD.
    pub(super) fn discard(&mut self, object: &ast::DiscardObject) -> Result<Response> {
        if *object == ast::DiscardObject::ALL {
            if self.block != Block::None {
                let message = "DISCARD ALL cannot run inside a transaction block";
                return Err(Error::new(SqlState::ACTIVE_TRANSACTION, message));
            }
            self.settings.reset();
            self.forget_named_statements();
        }
        Ok(Response::complete(format!("DISCARD {object}")))
    }

    pub(super) fn show_variable(&mut self, variable: &[ast::Ident]) -> Result<Response> {
        let words: Vec<String> = variable.iter().map(|word| word.value.to_ascii_lowercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["all"] => Ok(self.show_all()),
            ["sources"] => self.show_objects("source"),
            ["sinks"] => self.show_objects("sink"),
            ["views"] => self.show_objects("view"),
            words => self.show_setting(&setting_name(words)),
        }
    }

    /// One setting, under its own spelling.
    fn show_setting(&self, name: &str) -> Result<Response> {
        let value = self.settings.get(name)?;
        Ok(text_rows(&[spelled(name)], [vec![value.to_owned()]], "SHOW"))
    }

    fn show_all(&self) -> Response {
        let (mut names, mut values, mut descriptions) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value, description) in self.settings.all() {
            names.push(name.to_owned());
            values.push(value.to_owned());
            descriptions.push(description.to_owned());
        }
        text_rows(&["name", "setting", "description"], [names, values, descriptions], "SHOW")
    }

    /// The names of all objects of a kind.
    pub(super) fn show_objects(&mut self, kind: &str) -> Result<Response> {
        let catalog = self.transaction().catalog().clone();
        let items = catalog.items().filter(|item| item.kind_name() == kind);
        let mut names: Vec<String> = items.map(|item| item.name.clone()).collect();
        names.sort_unstable();
        Ok(text_rows(&["Name"], [names], "SHOW"))
    }

    /// The object of a name, which must be of this kind.
    pub(super) fn object_of(&mut self, kind: ObjectKind, name: &ast::ObjectName) -> Result<Arc<Item>> {
        let item = self.object(name)?;
        if item.kind_name() != kind.name() {
            let message = format!("\"{}\" is not a {}", item.name, kind.name());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Ok(item)
    }

    /// The statement that would make an object.
    pub(super) fn show_create(&mut self, kind: ObjectKind, name: &ast::ObjectName) -> Result<Response> {
        let item = self.object_of(kind, name)?;
        let columns = [vec![item.name.clone()], vec![item.create_sql.clone()]];
        Ok(text_rows(&["Name", "Create Sql"], columns, "SHOW"))
    }
}

fn is_local(scope: Option<&ast::ContextModifier>) -> bool {
    matches!(scope, Some(ast::ContextModifier::Local))
}

/// The columns of a SHOW's result.
pub(super) fn shown_columns(variable: &[ast::Ident]) -> Result<Vec<OutputColumn>> {
    let text = |name: &str| OutputColumn { name: name.to_owned(), ty: SqlType::Text, relation: None };
    let words: Vec<String> = variable.iter().map(|word| word.value.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["all"] => vec![text("name"), text("setting"), text("description")],
        ["sources" | "sinks" | "views"] => vec![text("Name")],
        words => vec![text(spelled(&setting_name(words)))],
    })
}

/// The setting that the words of a SHOW mean.
fn setting_name(words: &[&str]) -> String {
    match words {
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["time", "zone"] => "TimeZone".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        // The parser drops the dots of a name.
        words => words.join("."),
    }
}

/// The value of a SET: None for DEFAULT; several values are a list.
fn setting_value(values: &[ast::Expr]) -> Result<Option<String>> {
    let mut texts = Vec::with_capacity(values.len());
    for value in values {
        texts.push(match value {
            ast::Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") => {
                return Ok(None);
            }
            ast::Expr::Identifier(name) => name.value.clone(),
            ast::Expr::Value(value) => match &value.value {
                ast::Value::SingleQuotedString(text) => text.clone(),
                ast::Value::Number(number, _) => number.clone(),
                ast::Value::Boolean(value) => value.to_string(),
                other => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("{other} is no value of a setting"))),
            },
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => format!("-{expr}"),
            other => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("{other} is no value of a setting"))),
        });
    }
    Ok(Some(texts.join(", ")))
}

/// Rows of text columns.
pub(super) fn text_rows<const N: usize>(
    names: &[&str; N],
    columns: [Vec<String>; N],
    command: &'static str,
) -> Response {
    let outputs = names.iter().map(|name| OutputColumn { name: (*name).to_owned(), ty: SqlType::Text, relation: None });
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    let arrays: Vec<ArrayRef> = columns.into_iter().map(|values| Arc::new(StringArray::from(values)) as _).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap_or_else(|_| RecordBatch::new_empty(schema));
    Response::ready(outputs.collect(), batch, command)
}
