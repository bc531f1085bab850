//! EXPLAIN: how a query is run, and what keeps a view current, as text.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlparser::ast;

use crate::catalog::{Catalog, Item, ItemKind, source_errors};
use crate::data::ObjectId;
use crate::engine::Explained;
use crate::error::{Error, Result, SqlState};
use crate::session::run::Arguments;
use crate::session::show::text_rows;
use crate::session::{Response, Session};
use crate::sql::explain::{Explain, ExplainMode, ExplainTarget, Names, dataflow_text};
use crate::sql::{Command, Execute, Statement, fold, runnable};

impl Session {
    pub(super) async fn explain(
        &mut self,
        explain: &Explain,
        statement: &Statement,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        let mode = explain.mode(&statement.source)?;
        let lines = match &explain.target {
            ExplainTarget::Object(kind, name) => {
                let item = self.object_of(*kind, name)?;
                self.explain_dataflow(&item, Explained::Object(item.id), mode).await?
            }
            ExplainTarget::Statement(command) => match self.new_dataflow(command, statement)? {
                Some(item) => self.explain_dataflow(&item, Explained::New(Box::new(item.clone())), mode).await?,
                None => match &**command {
                    Command::Execute(execute) => self.explain_execute(execute, &statement.source, mode).await?,
                    command => self.explain_query(command, &statement.source, mode, arguments).await?,
                },
            },
        };
        Ok(text_rows(&["QUERY PLAN"], [lines], "EXPLAIN"))
    }

    /// What a statement would make, if that has a dataflow.
    fn new_dataflow(&mut self, command: &Command, statement: &Statement) -> Result<Option<Item>> {
        Ok(match command {
            Command::CreateSink(create) => Some(self.sink_item(create, statement)?),
            Command::Sql(sql) => match &**sql {
                ast::Statement::CreateView(view) if view.materialized => Some(self.view_item(view, statement)?),
                _ => None,
            },
            _ => None,
        })
    }

    async fn explain_dataflow(&mut self, item: &Item, explained: Explained, mode: ExplainMode) -> Result<Vec<String>> {
        if mode.analyze {
            let what = format!("EXPLAIN ANALYZE of a {}", item.kind_name());
            return Err(
                Error::unsupported(what).with_hint("EXPLAIN without ANALYZE shows what each of its nodes keeps.")
            );
        }
        let nodes = self.engine.explain(explained).await?;
        if nodes.is_empty() {
            let message = format!("{} \"{}\" does not exist yet", item.kind_name(), item.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("It is made when this transaction ends."));
        }
        let names = RelationNames { catalog: self.transaction().catalog().clone(), item };
        Ok(dataflow_text(&nodes, &names, mode.costs))
    }

    async fn explain_execute(&mut self, execute: &Execute, text: &str, mode: ExplainMode) -> Result<Vec<String>> {
        let prepared = self.statement(&fold(&execute.name))?.clone();
        let values = self.argument_values(execute, prepared.types(), text).await?;
        let Some(statement) = prepared.statement() else { return Ok(Vec::new()) };
        self.explain_query(&statement.command, &statement.source, mode, prepared.arguments(&values)).await
    }

    async fn explain_query(
        &mut self,
        command: &Command,
        text: &str,
        mode: ExplainMode,
        arguments: Arguments<'_>,
    ) -> Result<Vec<String>> {
        let Some(query) = command.query() else {
            return Err(Error::unsupported("EXPLAIN of this statement").with_hint(
                "EXPLAIN takes a query, MATERIALIZED VIEW name, SINK name, CREATE MATERIALIZED VIEW or CREATE SINK.",
            ));
        };
        let arguments = Arguments { plans: None, ..arguments };
        let planned = self.planned(query, text, arguments)?;
        self.wait_for_hydration(&planned.reads).await?;
        let lookup = self.lookup(&planned)?;
        if mode.analyze {
            return match lookup {
                Some(lookup) => {
                    let Response::Rows { rows, .. } = self.select(query, text, arguments).await? else {
                        return Err(Error::internal("a query that gives no rows"));
                    };
                    let count = rows.try_fold(0, |count, batch| async move { Ok(count + batch.num_rows()) }).await?;
                    Ok(vec![format!("{lookup}  (actual rows={count})")])
                }
                None => self.analyze_plan(planned.plan.clone(), arguments.values).await,
            };
        }
        let (plan, values) = (planned.plan.clone(), arguments.values.to_vec());
        let plan = self.engine.queries.optimized(move || runnable(plan, &values)).await?;
        let mut lines: Vec<String> = lookup.into_iter().collect();
        lines.extend(plan.display_indent().to_string().lines().map(str::to_owned));
        Ok(lines)
    }
}

/// What the relations of a plan are called, that of an object which is not made among them.
struct RelationNames<'a> {
    catalog: Arc<Catalog>,
    item: &'a Item,
}

impl Names for RelationNames<'_> {
    fn relation(&self, id: ObjectId) -> Option<(String, Vec<String>)> {
        let errors = source_errors();
        let (kind, name, schema) = match self.catalog.by_id(id).map(AsRef::as_ref).or(Some(self.item)) {
            _ if id == errors.id => ("Table", errors.name.clone(), &errors.schema),
            Some(item) if item.id == id => (kind(item), item.name.clone(), &item.schema),
            _ => return None,
        };
        Some((format!("{kind} {name}"), schema.columns.iter().map(|column| column.name.clone()).collect()))
    }
}

fn kind(item: &Item) -> &'static str {
    match item.kind {
        ItemKind::Table { .. } => "Table",
        ItemKind::Source { .. } => "Source",
        ItemKind::View { .. } => "View",
        ItemKind::MaterializedView { .. } => "Materialized View",
        ItemKind::Sink { .. } => "Sink",
    }
}
