//! INSERT, UPDATE and DELETE: from a query to the change of a table.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use sqlparser::ast;

use crate::catalog::{DEFAULT_SCHEMA, Item, ItemKind};
use crate::data::{Column, RelationSchema, ZSet};
use crate::error::{Error, Result, SqlState, Violated};
use crate::session::conflict::on_conflict;
use crate::session::ddl::place;
use crate::session::matched::{check_matched, first_matches, update_from};
use crate::session::run::Arguments;
use crate::session::{Response, Session};
use crate::sql::bind::{Purpose, WriteTarget};
use crate::sql::{BoundQuery, format, parse_expression, source};

/// What a statement wrote, for its tag and its RETURNING.
pub(super) struct Written {
    pub table: Arc<Item>,
    /// The rows inserted, as updated, or deleted.
    pub rows: Vec<ZSet>,
    /// What RETURNING sees of them, where there are other tables.
    pub seen: Option<LogicalPlan>,
}

/// RETURNING, with the alias that the statement gave its table.
#[derive(Clone, Copy)]
pub(super) struct Returning<'a> {
    pub items: Option<&'a [ast::SelectItem]>,
    pub alias: Option<&'a ast::TableAlias>,
    /// The tables of FROM or USING.
    pub others: &'a [ast::TableWithJoins],
}

impl Session {
    pub(super) async fn insert(
        &mut self,
        insert: &ast::Insert,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        self.check_writable("INSERT")?;
        refuse_insert_options(insert)?;
        let (name, conflict) = (insert_target(insert)?, on_conflict(insert)?);
        let table = match conflict {
            None => self.table(name, "insert into"),
            Some(_) => self.lock_table(name, "insert into").await,
        };
        let table = table.map_err(|error| error.at(place(text, name)))?;
        let target = write_target(&table)?;
        let bound = self.bind(text, Purpose::Query, arguments, |binder| {
            binder.bind_insert_source(&target, &insert.columns, insert.source.as_deref())
        })?;
        let rows = self.collect(bound, &table.schema, arguments.values).await?;
        rows.iter().try_for_each(|rows| check_not_null(&table, rows))?;
        let alias = insert_alias(insert);
        let returning = Returning { items: insert.returning.as_deref(), alias: alias.as_ref(), others: &[] };
        if let Some(conflict) = conflict {
            let proposed = ZSet::concat(&nullable(&table.schema), &rows)?;
            let rows = self.insert_or(conflict, &table, proposed, returning, text, arguments).await?;
            return self
                .written("INSERT 0", Written { table, rows: vec![rows], seen: None }, returning, text, arguments)
                .await;
        }
        let change = ZSet::concat(&nullable(&table.schema), &rows)?;
        self.wait_to_write(table.id).await?;
        self.transaction().write(table.id, change)?;
        self.written("INSERT 0", Written { table, rows, seen: None }, returning, text, arguments).await
    }

    pub(super) async fn update(
        &mut self,
        update: &ast::Update,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        self.check_writable("UPDATE")?;
        let (name, alias) = update_target(update)?;
        let table = self.lock_table(name, "update").await.map_err(|error| error.at(place(text, name)))?;
        let (target, from) = (write_target(&table)?, update_from(update)?);
        check_matched(&table, from)?;
        let bound = self.bind(text, Purpose::Query, arguments, |binder| {
            binder.bind_update(&target, alias, &update.assignments, from, update.selection.as_ref())
        })?;
        let schema = bound.query.plan.schema().inner().clone();
        let mut batches = self.batches(bound.query.plan, arguments.values).await?;
        if !from.is_empty() {
            batches = first_matches(&table, batches)?;
        }
        // The rows as they are, and beside them the rows as they will be.
        let width = table.schema.columns.len();
        let (mut rows, mut changes) = (Vec::with_capacity(batches.len()), Vec::with_capacity(2 * batches.len()));
        for batch in &batches {
            let after = rows_of(&table.schema, batch, width)?;
            check_not_null(&table, &after)?;
            changes.extend([rows_of(&table.schema, batch, 0)?.negate(), after.clone()]);
            rows.push(after);
        }
        // All at once: a key may move from one row to another.
        let change = ZSet::concat(&nullable(&table.schema), &changes)?.consolidate()?;
        self.transaction().write(table.id, change)?;
        let returning = Returning { items: update.returning.as_deref(), alias, others: from };
        let seen = seen(&schema, &batches, 2 * width, from)?;
        self.written("UPDATE", Written { table, rows, seen }, returning, text, arguments).await
    }

    pub(super) async fn delete(
        &mut self,
        delete: &ast::Delete,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        self.check_writable("DELETE")?;
        let (name, alias) = delete_target(delete)?;
        let table = self.lock_table(name, "delete from").await.map_err(|error| error.at(place(text, name)))?;
        let (relation, using) = (source(&table), delete.using.as_deref().unwrap_or_default());
        check_matched(&table, using)?;
        let bound = self.bind(text, Purpose::Query, arguments, |binder| {
            binder.bind_where(&relation, alias, using, delete.selection.as_ref())
        })?;
        let schema = bound.plan.schema().inner().clone();
        let mut batches = self.batches(bound.plan, arguments.values).await?;
        if !using.is_empty() {
            batches = first_matches(&table, batches)?;
        }
        let rows = batches.iter().map(|batch| rows_of(&table.schema, batch, 0)).collect::<Result<Vec<_>>>()?;
        let change = ZSet::concat(&nullable(&table.schema), &rows)?.negate();
        self.transaction().write(table.id, change)?;
        let returning = Returning { items: delete.returning.as_deref(), alias, others: using };
        let seen = seen(&schema, &batches, table.schema.columns.len(), using)?;
        self.written("DELETE", Written { table, rows, seen }, returning, text, arguments).await
    }

    /// The response to a write: its tag, or the rows that RETURNING makes of what was written.
    pub(super) async fn written(
        &mut self,
        command: &'static str,
        Written { table, rows, seen }: Written,
        returning: Returning<'_>,
        text: &str,
        arguments: Arguments<'_>,
    ) -> Result<Response> {
        let Some(items) = returning.items else {
            let count: usize = rows.iter().map(ZSet::len).sum();
            return Ok(Response::complete(format!("{command} {count}")));
        };
        let relation = source(&table);
        let plan = seen.map_or_else(|| rows_plan(&table.schema, &rows), Ok)?;
        let bound = self.bind(text, Purpose::Query, arguments, |binder| {
            binder.bind_returning(&relation, returning.alias, returning.others, items, Some(plan))
        })?;
        // All of them now: once the transaction is on its way nothing may fail.
        let batches = self.batches(bound.plan, arguments.values).await?;
        let rows = Box::pin(futures::stream::iter(batches.into_iter().map(Ok)));
        Ok(Response::Rows { columns: bound.columns.into(), rows, command })
    }

    /// The table of a name, for writing.
    ///
    /// # Errors
    /// 42P01 when there is none, 42809 when it is something that cannot be written to.
    pub(super) fn table(&mut self, name: &ast::ObjectName, verb: &str) -> Result<Arc<Item>> {
        let item = self.object(name)?;
        check_written(&item, verb)?;
        Ok(item)
    }

    /// The table of a name, of which this transaction alone may change rows.
    async fn lock_table(&mut self, name: &ast::ObjectName, verb: &str) -> Result<Arc<Item>> {
        let table = self.table(name, verb)?;
        if self.transaction().locks().has_table(table.id) {
            return Ok(table);
        }
        let (engine, limit) = (self.engine.clone(), self.settings.lock_timeout());
        let lock = engine.locks.table(table.id, self.transaction().locks(), limit).await?;
        let transaction = self.transaction();
        transaction.move_to(engine.snapshot());
        transaction.hold(table.id, lock)?;
        self.wait_to_write(table.id).await?;
        self.table(name, verb)
    }

    /// Runs a query and keeps its rows, as rows of a table.
    pub(super) async fn collect(
        &mut self,
        bound: BoundQuery,
        schema: &RelationSchema,
        parameters: &[ScalarValue],
    ) -> Result<Vec<ZSet>> {
        let mut batches = self.run_plan(bound.plan, parameters).await?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = batches.try_next().await? {
            // Looked at before all are here: a query may have more rows than memory can hold.
            let some = rows_of(schema, &batch, 0)?;
            bytes += some.bytes();
            self.engine.admit(bytes)?;
            rows.push(some);
        }
        Ok(rows)
    }
}

/// Refuses what statements cannot write to; `verb` is what the statement would do.
pub(super) fn check_written(item: &Item, verb: &str) -> Result<()> {
    let (name, kind) = (&item.name, item.kind_name());
    match item.kind {
        ItemKind::Table { connector: None, .. } => Ok(()),
        ItemKind::Table { .. } => Err(Error::unsupported(format!("writing to \"{name}\", a table with a connector"))
            .with_hint("Its rows come from its topic.")),
        ItemKind::Source { .. } => {
            let message = format!("cannot {verb} {kind} \"{name}\"");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_hint("Its rows come from its topic."))
        }
        ItemKind::View { .. } | ItemKind::MaterializedView { .. } | ItemKind::Sink { .. } => {
            let message = format!("cannot change {kind} \"{name}\"");
            let hint = "Change the tables that its query reads.";
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint))
        }
    }
}

/// A table with its defaults, as the binder writes to it.
pub(super) fn write_target(table: &Item) -> Result<WriteTarget> {
    let ItemKind::Table { defaults, .. } = &table.kind else {
        return Err(Error::internal("rows are written to a table only"));
    };
    let parse = |text: &Option<String>| text.as_deref().map(parse_expression).transpose();
    Ok(WriteTarget { table: source(table), defaults: defaults.iter().map(parse).collect::<Result<_>>()? })
}

/// A plan that gives these rows of a table.
pub(super) fn rows_plan(schema: &RelationSchema, rows: &[ZSet]) -> Result<LogicalPlan> {
    let batches = rows.iter().map(|rows| rows.batch().clone()).collect();
    let table = MemTable::try_new(nullable(schema), vec![batches])?;
    Ok(LogicalPlanBuilder::scan("written", provider_as_source(Arc::new(table)), None)?.build()?)
}

/// A plan that gives the columns of a query's batches from the `first` on; None where a statement has no other tables.
fn seen(
    schema: &Schema,
    batches: &[RecordBatch],
    first: usize,
    others: &[ast::TableWithJoins],
) -> Result<Option<LogicalPlan>> {
    if others.is_empty() {
        return Ok(None);
    }
    let fields = schema.fields().iter().skip(first).map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let of = |batch: &RecordBatch| Ok(RecordBatch::try_new(schema.clone(), batch.columns()[first..].to_vec())?);
    let batches = batches.iter().map(of).collect::<Result<Vec<_>>>()?;
    let table = MemTable::try_new(schema.clone(), vec![batches])?;
    Ok(Some(LogicalPlanBuilder::scan("seen", provider_as_source(Arc::new(table)), None)?.build()?))
}

pub(super) fn insert_target(insert: &ast::Insert) -> Result<&ast::ObjectName> {
    match &insert.table {
        ast::TableObject::TableName(name) => Ok(name),
        _ => Err(Error::unsupported("INSERT into a function or query")),
    }
}

pub(super) fn update_target(update: &ast::Update) -> Result<(&ast::ObjectName, Option<&ast::TableAlias>)> {
    if !update.table.joins.is_empty() {
        return Err(Error::unsupported("UPDATE of a join").with_hint("Use UPDATE … FROM."));
    }
    match &update.table.relation {
        ast::TableFactor::Table { name, alias, .. } => Ok((name, alias.as_ref())),
        _ => Err(Error::unsupported("UPDATE of something else than a table")),
    }
}

pub(super) fn delete_target(delete: &ast::Delete) -> Result<(&ast::ObjectName, Option<&ast::TableAlias>)> {
    let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
    match from.as_slice() {
        [ast::TableWithJoins { relation: ast::TableFactor::Table { name, alias, .. }, joins }] if joins.is_empty() => {
            Ok((name, alias.as_ref()))
        }
        _ => Err(Error::unsupported("DELETE from something else than one table")),
    }
}

/// The alias that an INSERT gives its table.
pub(super) fn insert_alias(insert: &ast::Insert) -> Option<ast::TableAlias> {
    let ast::TableAliasWithoutColumns { explicit, alias } = insert.table_alias.clone()?;
    Some(ast::TableAlias { explicit, name: alias, columns: Vec::new(), at: None })
}

fn refuse_insert_options(insert: &ast::Insert) -> Result<()> {
    let refused = [(insert.overwrite, "INSERT OVERWRITE")];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}

/// Columns of a batch, from `first` on, as rows of a table. NULLs in columns that have none are found later.
pub(super) fn rows_of(schema: &RelationSchema, batch: &RecordBatch, first: usize) -> Result<ZSet> {
    let columns = batch.columns()[first..first + schema.columns.len()].to_vec();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(ZSet::inserts(RecordBatch::try_new_with_options(nullable(schema), columns, &options)?))
}

/// The schema of a table's rows before they were checked.
pub(super) fn nullable(schema: &RelationSchema) -> Arc<Schema> {
    let fields: Vec<Field> = schema.columns.iter().map(|column| column.field().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

pub(super) fn check_not_null(table: &Item, rows: &ZSet) -> Result<()> {
    for (index, column) in table.schema.columns.iter().enumerate().filter(|(_, column)| !column.nullable) {
        let values = rows.column(index);
        let Some(row) = (0..rows.len()).find(|row| values.is_null(*row)) else { continue };
        let (name, table_name) = (&column.name, &table.name);
        let message =
            format!("null value in column \"{name}\" of relation \"{table_name}\" violates not-null constraint");
        let detail = format!("Failing row contains ({}).", row_text(&table.schema, rows, row));
        let violated = Violated {
            schema: DEFAULT_SCHEMA.to_owned(),
            table: table_name.clone(),
            column: Some(name.clone()),
            constraint: None,
        };
        return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message).with_detail(detail).of(violated));
    }
    Ok(())
}

fn row_text(schema: &RelationSchema, rows: &ZSet, row: usize) -> String {
    let value = |(index, column): (usize, &Column)| format::shown(rows.column(index), &column.ty, row);
    schema.columns.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
}
