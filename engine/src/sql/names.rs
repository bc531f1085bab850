//! The catalog's answers to the binder.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;

use crate::catalog::RelationSource;
use crate::catalog::system::{self, System};
use crate::catalog::{Catalog, DATABASE, DEFAULT_SCHEMA, Item, ItemKind, Partial, source_errors};
use crate::data::ObjectId;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::{BindSettings, Binder, NameResolver, Parameters, Purpose, Relation};
use crate::sql::{Statement, parse};

/// Names in a catalog; remembers which objects were found.
pub struct CatalogNames<'a> {
    catalog: &'a Catalog,
    /// The session's view of the catalog; None for what is bound without a session.
    system: Option<&'a Arc<System>>,
    /// Of which sources there is only a part of the history.
    partial: Option<&'a BTreeMap<ObjectId, Partial>>,
    used: RefCell<BTreeSet<ObjectId>>,
}

impl<'a> CatalogNames<'a> {
    pub fn new(catalog: &'a Catalog) -> CatalogNames<'a> {
        CatalogNames { catalog, system: None, partial: None, used: RefCell::default() }
    }

    /// Names as a session sees them, by its search path; functions about the catalog can be called.
    pub fn of_session(system: &'a Arc<System>) -> CatalogNames<'a> {
        CatalogNames { catalog: &system.catalog, system: Some(system), partial: None, used: RefCell::default() }
    }

    /// The objects that were found so far, those behind views included, in order of their ids.
    pub fn used(&self) -> Vec<ObjectId> {
        self.used.borrow().iter().copied().collect()
    }

    /// Binds something by these names.
    pub fn bind<T>(
        &self,
        settings: &BindSettings,
        purpose: Purpose,
        text: &str,
        bind: impl FnOnce(&mut Binder<'_>) -> Result<T>,
    ) -> Result<T> {
        bind(&mut Binder::new(self, settings, purpose, Parameters::none(), text))
    }
}

impl NameResolver for CatalogNames<'_> {
    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>> {
        if let Some(schema) = schema {
            return self.relation_of(schema, name);
        }
        let Some(system) = self.system else { return self.relation_of(DEFAULT_SCHEMA, name) };
        for schema in &system.search_path {
            if let Some(found) = self.relation_of(schema, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn system(&self) -> Option<Arc<System>> {
        self.system.cloned()
    }
}

impl CatalogNames<'_> {
    fn relation_of(&self, schema: &str, name: &str) -> Result<Option<Relation>> {
        if schema == "levada_catalog" && name == source_errors().name {
            return Ok(Some(Relation::Stored(source_errors().clone())));
        }
        if let Some(relation) = system::relation(schema, name) {
            let source = RelationSource::new(relation.id, relation.name, relation.schema.clone());
            return Ok(Some(Relation::Stored(source)));
        }
        if schema != DEFAULT_SCHEMA {
            return Ok(None);
        }
        let Some(item) = self.catalog.by_name(name) else { return Ok(None) };
        self.used.borrow_mut().insert(item.id);
        Ok(Some(match &item.kind {
            ItemKind::Table { .. } | ItemKind::MaterializedView { .. } => Relation::Stored(source(item)),
            ItemKind::Sink { .. } => {
                let message = format!("cannot read from sink \"{name}\"");
                let hint = "Make a materialized view of its query.";
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint));
            }
            ItemKind::Source { .. } => {
                let partial = self.partial.and_then(|partial| partial.get(&item.id));
                Relation::Stored(match partial {
                    Some(partial) => source(item).since(partial.place()),
                    None => source(item),
                })
            }
            ItemKind::View { query } => Relation::View {
                oid: item.id.0,
                name: item.name.clone(),
                query: Arc::new(stored_query(query)?),
                columns: item.schema.columns.iter().map(|column| column.name.clone()).collect(),
            },
        }))
    }
}

/// A relation as plans name it.
pub fn source(item: &Item) -> Arc<RelationSource> {
    RelationSource::new(item.id, item.name.clone(), item.schema.clone())
}

/// The plan of a materialized view's query; `partial` says of which sources it has only a part of the history.
///
/// # Errors
/// Whatever binding gives; for a view of the catalog none is expected.
pub fn plan_view(
    query: &str,
    time_zone: &str,
    partial: &BTreeMap<ObjectId, Partial>,
    catalog: &Catalog,
) -> Result<LogicalPlan> {
    let names = CatalogNames { partial: Some(partial), ..CatalogNames::new(catalog) };
    let settings =
        BindSettings { time_zone: time_zone.to_owned(), database: DATABASE.to_owned(), ..BindSettings::default() };
    let query = stored_query(query)?;
    // Its positions mean nothing to anybody: the text is our own.
    let bound = names.bind(&settings, Purpose::View, "", |binder| binder.bind_query(&query))?;
    Ok(bound.plan)
}

/// Reads a query back from the catalog.
fn stored_query(text: &str) -> Result<ast::Query> {
    let mut statements = parse(text)?.into_iter();
    match statements.next().and_then(Statement::into_sql) {
        Some(ast::Statement::Query(query)) => Ok(*query),
        _ => Err(Error::corrupt("a view's query does not parse")),
    }
}
