//! What an expression may ask of the session and the clock, and names looked up as constants.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};

use crate::catalog::system::{function_number, namespace_oid};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::call::changing;
use crate::sql::bind::coerce::{Coercion, convert};
use crate::sql::bind::{Binder, Bound, Purpose, Relation};
use crate::sql::functions::catalog::{identifiers, relation_oid};
use crate::sql::functions::named;
use crate::sql::type_name::type_oid;

impl Binder<'_> {
    /// `current_date` and other values that are written without parentheses, and functions of the session without
    /// arguments. None for other names.
    pub(super) fn session_value(&mut self, name: &str, position: Option<usize>) -> Result<Option<Bound>> {
        let (expr, ty) = match name {
            "current_timestamp" => (self.now(), SqlType::Timestamptz),
            "current_date" => (self.local_now(&SqlType::Date)?, SqlType::Date),
            "localtimestamp" => (self.local_now(&SqlType::Timestamp)?, SqlType::Timestamp),
            "localtime" => (self.local_now(&SqlType::Time)?, SqlType::Time),
            "current_time" => return Err(Error::unsupported("time with time zone").at(position)),
            "current_user" | "session_user" | "user" | "current_role" => {
                (lit(self.settings.user.clone()), SqlType::Name)
            }
            "current_catalog" => (lit(self.settings.database.clone()), SqlType::Name),
            "current_schema" => (self.current_schema(), SqlType::Name),
            _ => return Ok(None),
        };
        if self.purpose == Purpose::View {
            return Err(changing(name).at(position));
        }
        self.lasting = false;
        Ok(Some(Bound::new(expr, ty, position)))
    }

    fn local_now(&self, ty: &SqlType) -> Result<Expr> {
        convert(self.now(), &SqlType::Timestamptz, ty, Coercion::Assignment, &self.zone()?)
    }

    /// The moment at which the transaction began, the same throughout.
    fn now(&self) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(self.settings.now), Some("UTC".into())), None)
    }

    fn current_schema(&self) -> Expr {
        match self.settings.search_path.iter().find(|schema| *schema != "pg_catalog") {
            Some(schema) => lit(schema.clone()),
            None => Expr::Literal(ScalarValue::Utf8(None), None),
        }
    }

    /// Functions of the session that are called with parentheses and no arguments.
    pub(super) fn session_function(&mut self, name: &str, position: Option<usize>) -> Result<Option<Bound>> {
        let (expr, ty) = match name {
            "now" | "transaction_timestamp" | "statement_timestamp" => (self.now(), SqlType::Timestamptz),
            "pg_backend_pid" => (lit(self.settings.process), SqlType::Int4),
            "current_database" => (lit(self.settings.database.clone()), SqlType::Name),
            "current_schema" | "current_user" | "session_user" => return self.session_value(name, position),
            _ => return Ok(None),
        };
        if self.purpose == Purpose::View {
            return Err(changing(name).at(position));
        }
        self.lasting = false;
        Ok(Some(Bound::new(expr, ty, position)))
    }

    /// A constant name cast to `regclass`, `regtype` and so on, looked up now. None if it is no name.
    pub(super) fn name_constant(&mut self, bound: &Bound, target: &SqlType) -> Result<Option<Bound>> {
        let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &bound.expr else {
            return Ok(None);
        };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || text == "-" {
            return Ok(None);
        }
        let oid = match target {
            SqlType::Regclass => self.relation_oid(text).map_err(|error| error.at(bound.position))?,
            SqlType::Regnamespace => schema_oid(text).map_err(|error| error.at(bound.position))?,
            SqlType::Regtype => type_oid(text).map_err(|error| error.at(bound.position))?,
            SqlType::Regproc => function_oid(text).map_err(|error| error.at(bound.position))?,
            _ => return Ok(None),
        };
        Ok(Some(Bound::new(lit(oid), target.clone(), bound.position)))
    }

    fn relation_oid(&self, text: &str) -> Result<u32> {
        if let Some(system) = self.names.system() {
            return relation_oid(&system, text);
        }
        let parts = identifiers(text)?;
        let found = match parts.as_slice() {
            [name] => self.names.relation(None, name)?,
            [.., schema, name] => self.names.relation(Some(schema), name)?,
            [] => None,
        };
        match found {
            Some(Relation::Stored(source)) => Ok(source.id.0),
            Some(Relation::View { oid, .. }) => Ok(oid),
            None => {
                let message = format!("relation \"{}\" does not exist", parts.join("."));
                Err(Error::new(SqlState::UNDEFINED_TABLE, message))
            }
        }
    }
}

fn schema_oid(text: &str) -> Result<u32> {
    let missing = || Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{text}\" does not exist"));
    identifiers(text)?.last().and_then(|name| namespace_oid(name)).ok_or_else(missing)
}

/// Of a function of `pg_proc`; what can be called in SQL has no number.
fn function_oid(text: &str) -> Result<u32> {
    let name = identifiers(text)?.pop().unwrap_or_default();
    if let Some(oid) = function_number(&name) {
        return Ok(oid);
    }
    match named(&name).next() {
        Some(_) => Err(Error::unsupported(format!("the number of function {name}()"))),
        None => Err(Error::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"))),
    }
}
