//! CREATE SINK: a query whose changes leave the database.

use std::collections::BTreeMap;

use crate::catalog::{Item, ItemKind};
use crate::error::Result;
use crate::session::ddl::{object_name, result_schema};
use crate::session::sources::Asked;
use crate::session::{Response, Session};
use crate::sql::bind::Purpose;
use crate::sql::connector::{CreateSink, of_sink};
use crate::sql::{CatalogNames, Statement};

impl Session {
    pub(super) async fn create_sink(&mut self, create: &CreateSink, statement: &Statement) -> Result<Response> {
        self.check_ddl("CREATE SINK")?;
        create.connector(&statement.source)?;
        let name = self.new_name(&create.name)?;
        let asked = match self.is_free(&name) {
            true => self.ask_sources(|session| session.sink_item(create, statement)).await?,
            false => Asked::default(),
        };
        self.begin_ddl("CREATE SINK").await?;
        if self.exists(&name, create.if_not_exists)? {
            return Ok(Response::complete("CREATE SINK"));
        }
        let sink = self.sink_item(create, statement)?;
        let partial = self.begin_sources(&sink.name, &sink.depends_on, asked).await?;
        let sink = sink.with_partial(partial);
        self.tell_growth(&sink);
        self.create(sink)?;
        Ok(Response::complete("CREATE SINK"))
    }

    /// The object that CREATE SINK makes.
    pub(super) fn sink_item(&mut self, create: &CreateSink, statement: &Statement) -> Result<Item> {
        let connector = create.connector(&statement.source)?.to_owned();
        let name = object_name(&create.name)?;
        let query = create.query()?;
        let system = self.system();
        let names = CatalogNames::of_session(&system);
        let settings = self.bind_settings();
        let bound = names.bind(&settings, Purpose::View, &statement.source, |binder| binder.bind_query(&query));
        let bound = bound.map_err(of_sink)?;
        let schema = result_schema(&bound, &[])?;
        let emit_on_window_close = statement.emit_on_window_close;
        let (create_sql, depends_on) = (create.shown(emit_on_window_close), names.used());
        let (query, partial) = (query.to_string(), BTreeMap::new());
        let time_zone = settings.time_zone;
        let kind = ItemKind::Sink { query, time_zone, connector, emit_on_window_close, partial };
        Ok(Item { id: self.engine.new_object(), name, kind, schema, create_sql, depends_on, suspended: None })
    }
}
