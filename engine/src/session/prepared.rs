//! Statements of the extended protocol, between Parse and Execute.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use crate::catalog::{Catalog, Item};
use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::session::conflict::{no_pairs, on_conflict, updating};
use crate::session::ddl::{object_name, undefined};
use crate::session::dml::{check_written, delete_target, insert_alias, insert_target, update_target, write_target};
use crate::session::matched::update_from;
use crate::session::plans::{Ground, PlanCache, PlannedQuery};
use crate::session::run::Arguments;
use crate::session::show::shown_columns;
use crate::session::{Response, Session};
use crate::sql::bind::{Binder, Parameters, Purpose};
use crate::sql::{CatalogNames, Command, OutputColumn, Statement, fold, source};

/// A statement with the types of its parameters and the columns of its result.
#[derive(Clone)]
pub struct Prepared(Arc<Description>);

struct Description {
    /// None for an empty query string.
    statement: Option<Statement>,
    types: Vec<SqlType>,
    columns: Option<Arc<[OutputColumn]>>,
    plans: PlanCache,
}

impl Prepared {
    /// Of a statement that takes no parameters, whatever was declared.
    fn unbound(
        statement: Option<Statement>,
        types: &[Option<SqlType>],
        columns: Option<Arc<[OutputColumn]>>,
    ) -> Prepared {
        let types = types.iter().map(|ty| ty.clone().unwrap_or(SqlType::Text)).collect();
        Prepared(Arc::new(Description { statement, types, columns, plans: PlanCache::default() }))
    }

    /// The types of `$1`, `$2`, … .
    pub fn types(&self) -> &[SqlType] {
        &self.0.types
    }

    /// The result's columns; None for a statement that returns no rows.
    pub fn columns(&self) -> Option<&Arc<[OutputColumn]>> {
        self.0.columns.as_ref()
    }

    /// Bytes that it takes, about: its syntax tree and its plan are in proportion to its text.
    pub fn bytes(&self) -> usize {
        const EACH: usize = 8 << 10;
        const BY_BYTE: usize = 128;
        EACH + BY_BYTE * self.0.statement.as_ref().map_or(0, |statement| statement.range.len())
    }

    /// Bytes of the query string that it is from.
    pub(super) fn source_bytes(&self) -> usize {
        self.0.statement.as_ref().map_or(0, |statement| statement.source.len())
    }

    /// What it is run with, given the values of its parameters.
    pub(super) fn arguments<'a>(&'a self, values: &'a [ScalarValue]) -> Arguments<'a> {
        Arguments { types: &self.0.types, values, plans: Some(&self.0.plans) }
    }

    pub(super) fn statement(&self) -> Option<&Statement> {
        self.0.statement.as_ref()
    }

    /// Refuses rows of other columns than were described: the client would misread them.
    pub(super) fn check_unchanged(&self, response: Response) -> Result<Response> {
        let same = match (&response, &self.0.columns) {
            (Response::Rows { columns, .. }, Some(described)) => {
                columns.len() == described.len() && columns.iter().zip(described.iter()).all(|(a, b)| a.ty == b.ty)
            }
            (Response::Rows { .. }, None) => false,
            _ => true,
        };
        if same {
            return Ok(response);
        }
        // Drivers know this message, and prepare again.
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type"))
    }
}

impl Session {
    pub(super) async fn try_prepare(&mut self, sql: &str, types: &[Option<SqlType>]) -> Result<Prepared> {
        let mut statements = self.statements_of(sql).await?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let Some(statement) = statements.pop() else { return Ok(Prepared::unbound(None, types, None)) };
        self.describe(statement, types)
    }

    /// The types and columns of a statement that is to be run later; `types` are those that were declared.
    pub(super) fn describe(&mut self, statement: Statement, types: &[Option<SqlType>]) -> Result<Prepared> {
        if let Command::Execute(execute) = &statement.command {
            let columns = self.statement(&fold(&execute.name))?.columns().cloned();
            return Ok(Prepared::unbound(Some(statement), types, columns));
        }
        if let Command::Fetch(fetch) = &statement.command {
            let columns = if fetch.skips { None } else { self.cursor_columns(&fold(&fetch.name)).cloned() };
            return Ok(Prepared::unbound(Some(statement), types, columns));
        }
        let snapshot = self.engine.snapshot();
        let catalog = self.transaction.as_ref().map_or(&snapshot.catalog, |open| open.catalog());
        let system = self.system_of(catalog.clone(), snapshot.clone());
        let names = CatalogNames::of_session(&system);
        let settings = self.bind_settings();
        let parameters = Parameters::given(types);
        let mut binder = Binder::new(&names, &settings, Purpose::Query, parameters, &statement.source);
        let plans = PlanCache::default();
        let columns = match &statement.command {
            Command::Sql(sql) if let ast::Statement::Query(query) = &**sql => {
                let planned = PlannedQuery::new(binder.bind_query(query)?, &binder)?;
                let columns = planned.columns().clone();
                // Where the types of parameters were found on the way, what stands before was bound without them.
                if binder.is_lasting() && types.len() == binder.parameters().types()?.len() {
                    plans.set(Ground::new(catalog, &self.settings), Arc::new(planned));
                }
                Some(columns)
            }
            command => describe(&mut binder, command, catalog)?.map(Into::into),
        };
        let types = binder.parameters().types()?;
        Ok(Prepared(Arc::new(Description { statement: Some(statement), types, columns, plans })))
    }
}

/// The columns of a statement's result, while its parameters get their types.
fn describe(binder: &mut Binder<'_>, command: &Command, catalog: &Catalog) -> Result<Option<Vec<OutputColumn>>> {
    let text = |name: &str| OutputColumn { name: name.to_owned(), ty: SqlType::Text, relation: None };
    let sql = match command {
        Command::Sql(sql) => &**sql,
        Command::Flush | Command::CreateConnector(_) | Command::CreateSink(_) | Command::Drop(_) => return Ok(None),
        Command::Explain(explain) => {
            if let Some(query) = explain.query() {
                binder.bind_query(query)?;
            }
            return Ok(Some(vec![text("QUERY PLAN")]));
        }
        // EXECUTE and FETCH have the columns of what they run, which are known without a binder.
        Command::Prepare(_) | Command::Execute(_) | Command::Fetch(_) | Command::Refused(_) => return Ok(None),
        Command::Declare(declare) => {
            binder.bind_query(&declare.query)?;
            return Ok(None);
        }
        Command::ShowCreate { .. } => return Ok(Some(vec![text("Name"), text("Create Sql")])),
    };
    match sql {
        ast::Statement::Insert(insert) => {
            let table = written(catalog, insert_target(insert)?, "insert into")?;
            let (target, alias) = (write_target(&table)?, insert_alias(insert));
            binder.bind_insert_source(&target, &insert.columns, insert.source.as_deref())?;
            if let Some(update) = on_conflict(insert)?.and_then(updating) {
                binder.bind_conflict_update(&target, alias.as_ref(), update, no_pairs(&table)?)?;
            }
            returned(binder, &table, alias.as_ref(), &[], insert.returning.as_deref())
        }
        ast::Statement::Update(update) => {
            let (name, alias) = update_target(update)?;
            let table = written(catalog, name, "update")?;
            let (assignments, selection) = (&update.assignments, update.selection.as_ref());
            binder.bind_update(&write_target(&table)?, alias, assignments, update_from(update)?, selection)?;
            returned(binder, &table, alias, update_from(update)?, update.returning.as_deref())
        }
        ast::Statement::Delete(delete) => {
            let (name, alias) = delete_target(delete)?;
            let table = written(catalog, name, "delete from")?;
            let using = delete.using.as_deref().unwrap_or_default();
            binder.bind_where(&source(&table), alias, using, delete.selection.as_ref())?;
            returned(binder, &table, alias, using, delete.returning.as_deref())
        }
        ast::Statement::ShowVariable { variable } => Ok(Some(shown_columns(variable)?)),
        ast::Statement::ShowTables { .. } | ast::Statement::ShowViews { .. } => Ok(Some(vec![text("Name")])),
        _ => Ok(None),
    }
}

/// The table that a statement writes to.
fn written(catalog: &Catalog, name: &ast::ObjectName, verb: &str) -> Result<Arc<Item>> {
    let name = object_name(name)?;
    let item = catalog.by_name(&name).cloned().ok_or_else(|| undefined(&name))?;
    check_written(&item, verb)?;
    Ok(item)
}

/// The columns of RETURNING.
fn returned(
    binder: &mut Binder<'_>,
    table: &Item,
    alias: Option<&ast::TableAlias>,
    others: &[ast::TableWithJoins],
    items: Option<&[ast::SelectItem]>,
) -> Result<Option<Vec<OutputColumn>>> {
    let Some(items) = items else { return Ok(None) };
    Ok(Some(binder.bind_returning(&source(table), alias, others, items, None)?.columns))
}
