//! What a session's statements see of the system: system relations, and functions about the catalog.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use parking_lot::Mutex;
use sqlparser::ast;

use crate::catalog::RelationSource;
use crate::catalog::system::{Setting, SettingValues, System, relation_by_id};
use crate::catalog::{Catalog, DEFAULT_SCHEMA};
use crate::engine::Snapshot;
use crate::error::{Error, Result, SqlState};
use crate::query::Tables;
use crate::session::activity::SeenSessions;
use crate::session::ddl::{no_permission, object_name};
use crate::session::sources::SourceTables;
use crate::session::transaction::Transaction;
use crate::session::{Session, Settings};
use crate::view::RowSnapshot;

/// The relations of a statement: those of its transaction, and the system's.
pub struct StatementTables<'a> {
    pub transaction: &'a Transaction,
    /// The sources that it reads.
    pub sources: SourceTables,
    pub system: Arc<System>,
}

impl Tables for StatementTables<'_> {
    fn rows(&self, relation: &RelationSource) -> Result<Arc<dyn TableProvider>> {
        if let Some(source) = self.sources.get(&relation.id) {
            return Ok(source.clone());
        }
        let Some(virtual_relation) = relation_by_id(relation.id) else { return self.transaction.rows(relation) };
        let batch = self.system.rows(virtual_relation)?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }

    fn stored(&self, relation: &RelationSource) -> Result<Option<RowSnapshot>> {
        if relation_by_id(relation.id).is_some() { Ok(None) } else { self.transaction.stored(relation) }
    }
}

/// A change that `set_config()` asked for.
struct SettingChange {
    name: String,
    value: Option<String>,
    local: bool,
}

/// What statements ask for while they run, to be done when they are.
#[derive(Clone, Default)]
pub(super) struct SettingChanges(Arc<Mutex<Vec<SettingChange>>>);

/// The settings that a statement finds, and those that it changes.
struct StatementSettings {
    settings: Settings,
    changes: SettingChanges,
}

impl SettingValues for StatementSettings {
    fn all(&self) -> Vec<Setting> {
        let all = self.settings.all();
        all.map(|(name, value, description)| Setting { name, value: value.to_owned(), description }).collect()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.settings.get(name).ok().map(str::to_owned)
    }

    fn change(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        let mut changed = self.settings.clone();
        changed.set(name, value)?;
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        let shown = changed.get(&name)?.to_owned();
        self.changes.0.lock().push(SettingChange { name, value, local });
        Ok(shown)
    }
}

impl Session {
    /// The system as the open transaction sees it.
    pub(super) fn system(&mut self) -> Arc<System> {
        let transaction = self.transaction();
        let (catalog, snapshot) = (transaction.catalog().clone(), transaction.snapshot().clone());
        self.system_of(catalog, snapshot)
    }

    /// The system by this catalog.
    pub(super) fn system_of(&self, catalog: Arc<Catalog>, statistics: Arc<Snapshot>) -> Arc<System> {
        let settings = StatementSettings { settings: self.settings.clone(), changes: self.setting_changes.clone() };
        let settings = Arc::new(settings);
        let search_path = self.search_path();
        let (user, statement) = (self.user.clone(), self.statement.clone());
        let sessions = SeenSessions { all: self.engine.sessions.clone(), prepared: self.statements.clone() };
        let sessions = Arc::new(sessions);
        Arc::new(System { catalog, user, search_path, settings, sessions, statistics, statement })
    }

    /// The schemas that unqualified names are looked for in, and that there are.
    pub(super) fn search_path(&self) -> Vec<String> {
        let mut path: Vec<String> = self.listed_schemas().collect();
        if !path.iter().any(|name| name == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        path
    }

    /// The schemas that `search_path` names, of those that there are.
    fn listed_schemas(&self) -> impl Iterator<Item = String> {
        let setting = self.settings.get("search_path").unwrap_or_default();
        let listed = setting.split(',').map(|name| {
            let name = name.trim();
            match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
                Some(quoted) => quoted.to_owned(),
                None => name.to_lowercase(),
            }
        });
        listed.filter(|name| is_schema(name))
    }

    /// The name of an object to create: without a schema of its own it belongs to the first of `search_path`.
    ///
    /// # Errors
    /// 3F000 where there is none, 42501 where it is the system's.
    pub(super) fn new_name(&self, name: &ast::ObjectName) -> Result<String> {
        if name.0.len() > 1 {
            return object_name(name);
        }
        match self.listed_schemas().next() {
            Some(schema) if schema == DEFAULT_SCHEMA => object_name(name),
            Some(schema) => Err(no_permission(&schema)),
            None => Err(Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")),
        }
    }

    /// Does what `set_config()` was called for.
    pub(super) fn change_settings(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut *self.setting_changes.0.lock());
        changes.into_iter().try_for_each(|change| self.set_one(&change.name, change.value.as_deref(), change.local))
    }

    /// The transaction's relations, the sources that are read besides, and the system's.
    pub(super) fn tables(&mut self, sources: SourceTables) -> Result<StatementTables<'_>> {
        let system = self.system();
        let transaction = self.transaction.as_ref().ok_or_else(|| Error::internal("no transaction is open"))?;
        Ok(StatementTables { transaction, sources, system })
    }
}

fn is_schema(name: &str) -> bool {
    name == DEFAULT_SCHEMA || crate::catalog::system::is_system_schema(name)
}
