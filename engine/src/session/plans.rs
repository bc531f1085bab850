//! Queries as they are run: bound once, and again only when the catalog or what decides names and time zones has changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use sqlparser::ast;

use crate::catalog::{Catalog, RelationSource};
use crate::data::ObjectId;
use crate::error::Result;
use crate::query::{PointQuery, Tables};
use crate::session::response::Response;
use crate::session::run::Arguments;
use crate::session::{Session, Settings};
use crate::sql::bind::{Binder, Purpose};
use crate::sql::functions::comparison::key_operand;
use crate::sql::{BoundQuery, OutputColumn};

/// A query, ready to be run with values for its parameters.
pub(super) struct PlannedQuery {
    columns: Arc<[OutputColumn]>,
    pub plan: LogicalPlan,
    point: Option<PointQuery>,
    /// The relations that it reads.
    pub reads: BTreeSet<ObjectId>,
    /// Whether it calls `set_config()`.
    changes_settings: bool,
}

impl PlannedQuery {
    /// Of a query that `binder` has bound.
    pub fn new(bound: BoundQuery, binder: &Binder<'_>) -> Result<PlannedQuery> {
        let changes_settings = binder.changes_settings();
        let point = if changes_settings { None } else { PointQuery::recognise(&bound.plan, key_operand)? };
        let reads = RelationSource::all_in(&bound.plan)?;
        Ok(PlannedQuery { columns: bound.columns.into(), plan: bound.plan, point, reads, changes_settings })
    }

    /// The columns of its result.
    pub fn columns(&self) -> &Arc<[OutputColumn]> {
        &self.columns
    }
}

/// The plan of a prepared statement, while it is good.
#[derive(Default)]
pub(super) struct PlanCache(Mutex<Option<(Ground, Arc<PlannedQuery>)>>);

/// What a plan rests on.
pub(super) struct Ground {
    catalog: Arc<Catalog>,
    time_zone: String,
    search_path: String,
}

impl Ground {
    pub fn new(catalog: &Arc<Catalog>, settings: &Settings) -> Ground {
        let search_path = settings.get("search_path").unwrap_or_default().to_owned();
        Ground { catalog: catalog.clone(), time_zone: settings.time_zone().to_owned(), search_path }
    }

    fn holds(&self, catalog: &Arc<Catalog>, settings: &Settings) -> bool {
        // A catalog is never changed, and this one is held: another one at its place is another one.
        Arc::ptr_eq(&self.catalog, catalog)
            && self.time_zone == settings.time_zone()
            && settings.get("search_path").is_ok_and(|path| path == self.search_path)
    }
}

impl PlanCache {
    pub fn set(&self, ground: Ground, plan: Arc<PlannedQuery>) {
        *self.0.lock() = Some((ground, plan));
    }

    fn get(&self, catalog: &Arc<Catalog>, settings: &Settings) -> Option<Arc<PlannedQuery>> {
        let cached = self.0.lock();
        cached.as_ref().filter(|(ground, _)| ground.holds(catalog, settings)).map(|(_, plan)| plan.clone())
    }
}

impl Session {
    pub(super) async fn select(
        &mut self,
        query: &ast::Query,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        let planned = self.planned(query, text, arguments)?;
        let columns = planned.columns.clone();
        self.wait_for_hydration(&planned.reads).await?;
        if let Some(point) = &planned.point {
            self.transaction().read();
            // Before its index is there every row is looked at, which is not for this thread: others have statements on it.
            if let Some(stored) = self.transaction().stored(point.relation())?
                && stored.store().is_complete()
                && let Some(rows) = point.rows(&stored, arguments.values)?
            {
                self.heed_missing_rows(&planned.reads)?;
                let rows = Box::pin(futures::stream::iter([Ok(rows)]));
                return Ok(Response::Rows { columns, rows, command: "SELECT" });
            }
        }
        if planned.changes_settings {
            // They are changed when it is done, which must not be later than the response.
            let batches = self.batches(planned.plan.clone(), arguments.values).await?;
            let rows = Box::pin(futures::stream::iter(batches.into_iter().map(Ok)));
            return Ok(Response::Rows { columns, rows, command: "SELECT" });
        }
        let rows = self.run_plan(planned.plan.clone(), arguments.values).await?;
        Ok(Response::Rows { columns, rows: Box::pin(rows), command: "SELECT" })
    }

    /// The index in which a query looks up its rows, as EXPLAIN says it. None for a query that is planned.
    pub(super) fn lookup(&mut self, planned: &PlannedQuery) -> Result<Option<String>> {
        let Some(point) = &planned.point else { return Ok(None) };
        let relation = point.relation();
        let stored = self.transaction().stored(relation)?;
        let key = stored.and_then(|stored| point.key(&stored));
        let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
        let names: Vec<&str> = key.iter().map(|column| relation.schema.columns[*column].name.as_str()).collect();
        Ok(Some(format!("PointLookup: {} ({})", relation.name, names.join(", "))))
    }

    /// The query's plan: the one that was kept, if it is still good.
    pub(super) fn planned(
        &mut self,
        query: &ast::Query,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Arc<PlannedQuery>> {
        let catalog = self.transaction().catalog().clone();
        if let Some(planned) = arguments.plans.and_then(|plans| plans.get(&catalog, &self.settings)) {
            return Ok(planned);
        }
        let bind = |binder: &mut Binder<'_>| {
            let planned = PlannedQuery::new(binder.bind_query(query)?, binder)?;
            Ok((Arc::new(planned), binder.is_lasting()))
        };
        let (planned, lasting) = self.bind(text, Purpose::Query, arguments, bind)?;
        if let Some(plans) = arguments.plans.filter(|_| lasting) {
            plans.set(Ground::new(&catalog, &self.settings), planned.clone());
        }
        Ok(planned)
    }
}
