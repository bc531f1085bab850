//! CREATE and DROP.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sqlparser::ast::{self, Spanned};

use crate::catalog::{DEFAULT_SCHEMA, Item, ItemKind};
use crate::data::{Column, ObjectId, RelationSchema};
use crate::engine::{Operation, serialization_failure};
use crate::error::{Error, Result, SqlState};
use crate::session::response::{Notice, Response, Severity};
use crate::session::run::Arguments;
use crate::session::sources::Asked;
use crate::session::view_options::{ViewOptions, view_options};
use crate::session::{Block, Session};
use crate::sql::bind::{Purpose, SourceText};
use crate::sql::{BoundQuery, CatalogNames, Statement, TableDefinition, fold, table_definition};

impl Session {
    /// Makes this transaction the one that may change the catalog, and its catalog the latest.
    pub(super) async fn begin_ddl(&mut self, command: &str) -> Result<()> {
        self.check_ddl(command)?;
        if self.transaction().locks().has_catalog() {
            return Ok(());
        }
        let (engine, limit) = (self.engine.clone(), self.settings.lock_timeout());
        let lock = engine.locks.catalog(self.transaction().locks(), limit).await?;
        let latest = engine.snapshot();
        let transaction = self.transaction();
        transaction.move_to(latest.clone());
        if !Arc::ptr_eq(&latest.catalog, &transaction.snapshot().catalog) {
            return Err(serialization_failure());
        }
        transaction.locks().add_catalog(lock);
        Ok(())
    }

    /// Refuses to change the catalog where that is not possible.
    pub(super) fn check_ddl(&mut self, command: &str) -> Result<()> {
        self.check_writable(command)?;
        if self.block == Block::Explicit {
            let hint = "Run it outside of BEGIN … COMMIT; several statements of one query string are one transaction.";
            return Err(Error::unsupported(format!("{command} in a transaction block")).with_hint(hint));
        }
        Ok(())
    }

    pub(super) async fn create_table(&mut self, table: &ast::CreateTable, statement: &Statement) -> Result<Response> {
        self.begin_ddl("CREATE TABLE").await?;
        let name = self.new_name(&table.name)?;
        if self.exists(&name, table.if_not_exists)? {
            return Ok(Response::complete("CREATE TABLE"));
        }
        if let Some(query) = &table.query {
            return self.create_table_as(name, query, table, statement).await;
        }
        let TableDefinition { schema, defaults } =
            self.bind(&statement.source, Purpose::Query, Arguments::NONE, |binder| table_definition(table, binder))?;
        let create_sql = ast::CreateTable { if_not_exists: false, ..table.clone() }.to_string();
        let kind = ItemKind::Table { defaults, connector: None };
        self.create(Item {
            id: self.engine.new_object(),
            name,
            kind,
            schema,
            create_sql,
            depends_on: Vec::new(),
            suspended: None,
        })?;
        Ok(Response::complete("CREATE TABLE"))
    }

    /// CREATE TABLE … AS: a table with the rows that the query has now.
    async fn create_table_as(
        &mut self,
        name: String,
        query: &ast::Query,
        table: &ast::CreateTable,
        statement: &Statement,
    ) -> Result<Response> {
        if !table.columns.is_empty() {
            return Err(Error::unsupported("CREATE TABLE AS with a list of columns")
                .with_hint("Name the columns in the query, with AS."));
        }
        let bound = self.bind(&statement.source, Purpose::Query, Arguments::NONE, |binder| binder.bind_query(query))?;
        let schema = result_schema(&bound, &[])?;
        let columns: Vec<String> =
            schema.columns.iter().map(|column| format!("{} {}", quote(&column.name), column.ty)).collect();
        let create_sql = format!("CREATE TABLE {} ({})", quote(&name), columns.join(", "));
        let kind = ItemKind::Table { defaults: vec![None; schema.columns.len()], connector: None };
        let id = self.engine.new_object();
        let rows = self.collect(bound, &schema, &[]).await?;
        let count: usize = rows.iter().map(crate::data::ZSet::len).sum();
        self.create(Item { id, name, kind, schema, create_sql, depends_on: Vec::new(), suspended: None })?;
        rows.into_iter().try_for_each(|rows| self.transaction().write(id, rows))?;
        Ok(Response::complete(format!("SELECT {count}")))
    }

    pub(super) async fn create_view(&mut self, view: &ast::CreateView, statement: &Statement) -> Result<Response> {
        let command = if view.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
        self.check_ddl(command)?;
        view_options(view, command, &statement.source)?;
        let name = self.new_name(&view.name)?;
        let materialized = view.materialized;
        let asked = match materialized && self.is_free(&name) {
            true => self.ask_sources(|session| session.view_item(view, statement)).await?,
            false => Asked::default(),
        };
        self.begin_ddl(command).await?;
        if self.exists(&name, view.if_not_exists)? {
            return Ok(Response::complete(command));
        }
        let mut view = self.view_item(view, statement)?;
        if materialized {
            let partial = self.begin_sources(&view.name, &view.depends_on, asked).await?;
            view = view.with_partial(partial);
        }
        self.tell_growth(&view);
        self.create(view)?;
        Ok(Response::complete(command))
    }

    /// The object that CREATE VIEW makes.
    pub(super) fn view_item(&mut self, view: &ast::CreateView, statement: &Statement) -> Result<Item> {
        let command = if view.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
        let ViewOptions { strict } = view_options(view, command, &statement.source)?;
        let name = object_name(&view.name)?;
        let system = self.system();
        let names = CatalogNames::of_session(&system);
        let purpose = if view.materialized { Purpose::View } else { Purpose::Query };
        let settings = self.bind_settings();
        let bound = names.bind(&settings, purpose, &statement.source, |binder| binder.bind_query(&view.query))?;
        let aliases: Vec<String> = view.columns.iter().map(|column| fold(&column.name)).collect();
        let schema = result_schema(&bound, &aliases)?;
        let query = view.query.to_string();
        let emit_on_window_close = statement.emit_on_window_close;
        let (depends_on, partial) = (names.used(), BTreeMap::new());
        // What a strict view will not answer, a view over it does not either, unless it says so.
        let reads_strict =
            || depends_on.iter().any(|id| system.catalog.by_id(*id).is_some_and(|item| item.is_strict()));
        let strict = strict.unwrap_or_else(reads_strict);
        let kind = match view.materialized {
            true => ItemKind::MaterializedView {
                query,
                time_zone: settings.time_zone,
                strict,
                emit_on_window_close,
                partial,
            },
            false => ItemKind::View { query },
        };
        let mut create_sql = ast::CreateView { if_not_exists: false, ..view.clone() }.to_string();
        if emit_on_window_close {
            create_sql.push_str(" EMIT ON WINDOW CLOSE");
        }
        Ok(Item { id: self.engine.new_object(), name, kind, schema, create_sql, depends_on, suspended: None })
    }

    pub(super) fn create(&mut self, item: Item) -> Result<()> {
        let transaction = self.transaction();
        let mut catalog = (**transaction.catalog()).clone();
        catalog.insert(item.clone())?;
        transaction.change_catalog(catalog, Operation::Create(item));
        Ok(())
    }

    /// Whether nothing has the name, as far as this transaction sees before it may change the catalog.
    pub(super) fn is_free(&mut self, name: &str) -> bool {
        self.transaction().catalog().by_name(name).is_none()
    }

    /// Whether the name is taken, which IF NOT EXISTS forgives.
    pub(super) fn exists(&mut self, name: &str, if_not_exists: bool) -> Result<bool> {
        if self.transaction().catalog().by_name(name).is_none() {
            return Ok(false);
        }
        let message = format!("relation \"{name}\" already exists");
        if !if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.notice(Notice::new(Severity::Notice, SqlState::DUPLICATE_TABLE, format!("{message}, skipping")));
        Ok(true)
    }

    pub(super) async fn drop_objects(&mut self, statement: &ast::Statement) -> Result<Response> {
        let ast::Statement::Drop { object_type, if_exists, names, cascade, .. } = statement else {
            return Err(Error::internal("not a DROP"));
        };
        let kind = match object_type {
            ast::ObjectType::Table => "table",
            ast::ObjectType::View => "view",
            ast::ObjectType::MaterializedView => "materialized view",
            other => return Err(Error::unsupported(format!("DROP {other}"))),
        };
        self.drop_all(kind, *if_exists, names, *cascade).await
    }

    /// Drops objects of a kind, as messages name it.
    pub(super) async fn drop_all(
        &mut self,
        kind: &str,
        if_exists: bool,
        names: &[ast::ObjectName],
        cascade: bool,
    ) -> Result<Response> {
        let command = format!("DROP {}", kind.to_uppercase());
        self.begin_ddl(&command).await?;
        let mut targets = Vec::new();
        for written in names {
            let name = object_name(written)?;
            match self.in_path(written, &name) {
                Some(item) => targets.push(checked_kind(item, kind)?),
                None if if_exists => {
                    let message = format!("{kind} \"{name}\" does not exist, skipping");
                    self.notice(Notice::new(Severity::Notice, SqlState::UNDEFINED_TABLE, message));
                }
                None => {
                    let message = format!("{kind} \"{name}\" does not exist");
                    return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
                }
            }
        }
        let ids = self.with_dependents(&targets, cascade)?;
        let transaction = self.transaction();
        let mut catalog = (**transaction.catalog()).clone();
        // Dependents were made after what they stand on.
        ids.iter().rev().for_each(|id| {
            catalog.remove(*id);
        });
        if !ids.is_empty() {
            transaction.change_catalog(catalog, Operation::Drop(ids));
        }
        Ok(Response::complete(command))
    }

    /// The ids to drop, in rising order.
    fn with_dependents(&mut self, targets: &[Arc<Item>], cascade: bool) -> Result<Vec<ObjectId>> {
        let catalog = self.transaction().catalog().clone();
        let named: HashSet<ObjectId> = targets.iter().map(|item| item.id).collect();
        let mut all: Vec<Arc<Item>> = targets.iter().flat_map(|item| catalog.with_dependents(item.id)).collect();
        all.sort_unstable_by_key(|item| item.id);
        all.dedup_by_key(|item| item.id);
        let others: Vec<&Arc<Item>> = all.iter().filter(|item| !named.contains(&item.id)).collect();
        let describe = |item: &Item| format!("{} {}", item.kind_name(), item.name);
        if !others.is_empty() && !cascade {
            let target = targets.iter().find(|target| catalog.dependents(target.id).next().is_some());
            let target = target.map(|target| describe(target)).unwrap_or_default();
            // What an object stands on directly was made last: views behind views are among what it depends on.
            let below = |item: &Item| {
                let goes = |id: &&ObjectId| all.binary_search_by_key(*id, |item| item.id).is_ok();
                let nearest = item.depends_on.iter().filter(goes).max().and_then(|id| catalog.by_id(*id));
                nearest.map_or_else(|| target.clone(), |item| describe(item))
            };
            let lines: Vec<String> =
                others.iter().map(|item| format!("{} depends on {}", describe(item), below(item))).collect();
            let message = format!("cannot drop {target} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS, message)
                .with_detail(lines.join("\n"))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        if let [first, more @ ..] = others.as_slice() {
            let state = SqlState::SUCCESSFUL_COMPLETION;
            let mut notice = match more.len() {
                0 => Notice::new(Severity::Notice, state, format!("drop cascades to {}", describe(first))),
                _ => Notice::new(Severity::Notice, state, format!("drop cascades to {} other objects", others.len())),
            };
            let lines = others.iter().map(|item| format!("drop cascades to {}", describe(item)));
            notice.detail = (!more.is_empty()).then(|| lines.collect::<Vec<_>>().join("\n"));
            self.notice(notice);
        }
        Ok(all.iter().map(|item| item.id).collect())
    }

    /// The object of a name.
    pub(super) fn object(&mut self, name: &ast::ObjectName) -> Result<Arc<Item>> {
        let folded = object_name(name)?;
        self.in_path(name, &folded).ok_or_else(|| undefined(&folded))
    }

    /// What is there under a name, which without a schema is looked for along `search_path`.
    fn in_path(&mut self, written: &ast::ObjectName, name: &str) -> Option<Arc<Item>> {
        if written.0.len() == 1 && !self.search_path().iter().any(|schema| schema == DEFAULT_SCHEMA) {
            return None;
        }
        self.transaction().catalog().by_name(name).cloned()
    }
}

/// Where a name stands in the query string.
pub(super) fn place(text: &str, name: &ast::ObjectName) -> Option<usize> {
    SourceText::new(text).position(name.span())
}

/// There is no relation of this name.
pub(super) fn undefined(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

fn checked_kind(item: Arc<Item>, kind: &str) -> Result<Arc<Item>> {
    if item.kind_name() == kind {
        return Ok(item);
    }
    let message = format!("\"{}\" is not a {kind}", item.name);
    let hint = format!("Use DROP {} to remove a {}.", item.kind_name().to_uppercase(), item.kind_name());
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint))
}

/// An object's name without its schema, of which users have one.
pub(super) fn object_name(name: &ast::ObjectName) -> Result<String> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    let (schema, name) = match parts.as_slice() {
        [name] => return Ok(name.clone()),
        [schema, name] | [_, schema, name] => (schema, name),
        _ => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("improper qualified name: {name}"))),
    };
    match schema.as_str() {
        DEFAULT_SCHEMA => Ok(name.clone()),
        "pg_catalog" | "information_schema" | "levada_catalog" => Err(no_permission(schema)),
        _ => Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
            .with_hint("All objects are in the schema public.")),
    }
}

/// What is in the system's schemas stays as it is.
pub(super) fn no_permission(schema: &str) -> Error {
    let message = format!("permission denied for schema {schema}");
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).with_hint("System relations can only be read.")
}

/// The columns of a query as those of a relation.
pub(super) fn result_schema(bound: &BoundQuery, aliases: &[String]) -> Result<RelationSchema> {
    if aliases.len() > bound.columns.len() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "CREATE VIEW specifies more column names than columns"));
    }
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(bound.columns.len());
    for (index, column) in bound.columns.iter().enumerate() {
        let name = aliases.get(index).unwrap_or(&column.name);
        if !seen.insert(name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message)
                .with_hint("Give the columns of the query names of their own, with AS."));
        }
        columns.push(Column::new(name.clone(), column.ty.clone(), true));
    }
    Ok(RelationSchema { columns, primary_key: None })
}

/// A name as it must be written in SQL.
pub(super) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
