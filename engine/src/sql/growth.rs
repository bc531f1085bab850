//! State that grows for ever, told before it does.
//!
//! Rows of a source, and of a table with a connector that has neither retention nor primary key, only ever come. What an
//! operator keeps of such rows grows with them; nothing ever frees it but windows that close (`EMIT ON WINDOW CLOSE`). Rows
//! that come by INSERT, and those of a key, are their writers' own affair.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, ExprSchemable, Join, LogicalPlan};

use crate::catalog::{Catalog, Item, ItemKind, RelationSource};
use crate::data::ObjectId;
use crate::error::Result;
use crate::sql::{optimize_view, plan_view};

/// What of a materialized view's or a sink's state grows for ever: a sentence for each operator, the last one first. None
/// for other objects.
///
/// # Errors
/// What the query cannot be (0A000 and others).
pub fn growing_state(item: &Item, catalog: &Catalog) -> Result<Vec<String>> {
    let mut growth = Growth { catalog, views: BTreeMap::new(), found: Vec::new(), closing: false };
    growth.query(item)?;
    Ok(growth.found)
}

/// The rows of a plan node.
#[derive(Clone, Debug, Default)]
struct Rows {
    /// The relations for whose sake there are ever more of them; none when their number has a bound.
    of: BTreeSet<String>,
    /// Whether any of them ever goes.
    change: bool,
}

impl Rows {
    fn grow(&self) -> bool {
        !self.of.is_empty()
    }

    fn and(mut self, other: Rows) -> Rows {
        self.of.extend(other.of);
        Rows { change: self.change || other.change, ..self }
    }

    fn relations(&self) -> String {
        self.of.iter().cloned().collect::<Vec<_>>().join(" and ")
    }
}

struct Growth<'a> {
    catalog: &'a Catalog,
    /// Views that were looked at.
    views: BTreeMap<ObjectId, Rows>,
    found: Vec<String>,
    /// Whether the next GROUP BY frees its windows when they close.
    closing: bool,
}

impl Growth<'_> {
    /// The answer of an object's query.
    fn query(&mut self, item: &Item) -> Result<Rows> {
        let (query, time_zone, closes, partial) = match &item.kind {
            ItemKind::MaterializedView { query, time_zone, emit_on_window_close, partial, .. }
            | ItemKind::Sink { query, time_zone, emit_on_window_close, partial, .. } => {
                (query, time_zone, *emit_on_window_close, partial)
            }
            ItemKind::Table { .. } | ItemKind::Source { .. } | ItemKind::View { .. } => return Ok(Rows::default()),
        };
        self.closing = closes;
        self.rows(&optimize_view(plan_view(query, time_zone, partial, self.catalog)?)?)
    }

    fn rows(&mut self, plan: &LogicalPlan) -> Result<Rows> {
        match plan {
            LogicalPlan::TableScan(scan) => match scan.source.downcast_ref::<RelationSource>() {
                Some(relation) => self.relation(relation.id),
                None => Ok(Rows::default()),
            },
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let rows = self.rows(input)?;
                self.note(&rows, "DISTINCT keeps every different row");
                Ok(rows)
            }
            LogicalPlan::Distinct(Distinct::On(on)) => {
                let rows = self.rows(&on.input)?;
                Ok(self.first_of_each(rows, "DISTINCT ON", on.on_expr.is_empty()))
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => self.first(&sort.input),
            LogicalPlan::Limit(limit) => self.first(&limit.input),
            LogicalPlan::Window(window) => {
                let rows = self.rows(&window.input)?;
                let whole = window.window_expr.iter().all(|expr| partition_of(expr).is_none_or(<[Expr]>::is_empty));
                Ok(self.first_of_each(rows, "row_number()", whole))
            }
            other => {
                let inputs = other.inputs().into_iter().map(|input| self.rows(input));
                inputs.reduce(|one, other| Ok(one?.and(other?))).unwrap_or_else(|| Ok(Rows::default()))
            }
        }
    }

    fn relation(&mut self, id: ObjectId) -> Result<Rows> {
        if let Some(rows) = self.views.get(&id) {
            return Ok(rows.clone());
        }
        let Some(item) = self.catalog.by_id(id).cloned() else { return Ok(Rows::default()) };
        let mut rows = match &item.kind {
            ItemKind::MaterializedView { .. } => {
                // What it keeps was told when it was made.
                let (found, closing) = (std::mem::take(&mut self.found), self.closing);
                let rows = self.query(&item);
                (self.found, self.closing) = (found, closing);
                rows?
            }
            _ => {
                let only_comes = item.is_source()
                    || (item.connector().is_some() && item.retention().is_none() && item.schema.primary_key.is_none());
                let of = only_comes.then(String::new).into_iter().collect();
                Rows { of, change: !only_comes }
            }
        };
        if rows.grow() {
            rows.of = BTreeSet::from([format!("{} \"{}\"", item.kind_name(), item.name)]);
        }
        self.views.insert(id, rows.clone());
        Ok(rows)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Rows> {
        let closes = std::mem::take(&mut self.closing);
        let rows = self.rows(&aggregate.input)?;
        let schema = aggregate.input.schema();
        // There are no more than three truth values.
        let many = |key: &&Expr| !matches!(key.get_type(schema), Ok(DataType::Boolean | DataType::Null));
        let keys: Vec<&Expr> = aggregate.group_expr.iter().filter(many).collect();
        if !closes && !keys.is_empty() {
            let names: Option<Vec<String>> = keys.iter().map(|key| name(key, &aggregate.input)).collect();
            let by = names.map_or(String::new(), |names| format!(" {}", names.join(", ")));
            self.note(&rows, &format!("GROUP BY{by} keeps every group"));
        }
        if !closes && keys.is_empty() {
            for call in aggregate.aggr_expr.iter().filter_map(distinct_call) {
                let argument = call.params.args.first().and_then(|argument| name(argument, &aggregate.input));
                let argument = argument.unwrap_or_else(|| "…".to_owned());
                self.note(&rows, &format!("{}(DISTINCT {argument}) keeps every different value", call.func.name()));
            }
        }
        let of = if keys.is_empty() { BTreeSet::new() } else { rows.of };
        Ok(Rows { of, change: !closes })
    }

    fn join(&mut self, join: &Join) -> Result<Rows> {
        let (left, right) = (self.rows(&join.left)?, self.rows(&join.right)?);
        let what = match join.join_type {
            JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti => "EXISTS or IN",
            JoinType::LeftMark | JoinType::RightMark => "a subquery",
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => "JOIN",
        };
        self.note(&left.clone().and(right.clone()), &format!("{what} keeps every row"));
        let change = left.change || right.change || join.join_type != JoinType::Inner;
        let of = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.of,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.of,
            _ => left.and(right).of,
        };
        Ok(Rows { of, change })
    }

    /// The first rows of all in an order: of rows that only come, no others are kept.
    fn first(&mut self, input: &LogicalPlan) -> Result<Rows> {
        let rows = match input {
            LogicalPlan::Sort(sort) => self.rows(&sort.input)?,
            other => self.rows(other)?,
        };
        Ok(self.first_of_each(rows, "LIMIT", true))
    }

    /// The first rows of each part, or of the `whole`.
    fn first_of_each(&mut self, rows: Rows, what: &str, whole: bool) -> Rows {
        if rows.change {
            self.note(&rows, &format!("{what} keeps every row"));
        } else if !whole {
            self.note(&rows, &format!("{what} keeps the first rows of every part"));
        }
        Rows { of: if whole { BTreeSet::new() } else { rows.of }, change: true }
    }

    fn note(&mut self, rows: &Rows, keeps: &str) {
        if rows.grow() {
            let sentence = format!("{keeps} of {}.", rows.relations());
            let mut letters = sentence.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            self.found.insert(0, first.into_iter().chain(letters).collect());
        }
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip(&alias.expr),
        Expr::Cast(cast) => strip(&cast.expr),
        other => other,
    }
}

fn distinct_call(expr: &Expr) -> Option<&AggregateFunction> {
    match strip(expr) {
        Expr::AggregateFunction(call) if call.params.distinct => Some(call),
        _ => None,
    }
}

fn partition_of(expr: &Expr) -> Option<&[Expr]> {
    match strip(expr) {
        Expr::WindowFunction(call) => {
            let WindowFunction { params, .. } = call.as_ref();
            Some(&params.partition_by)
        }
        _ => None,
    }
}

/// What a column is called where it comes from; None for what is computed, but the ends of windows.
fn name(expr: &Expr, input: &LogicalPlan) -> Option<String> {
    match strip(expr) {
        Expr::Column(column) => {
            let at = input.schema().index_of_column(column).ok()?;
            match input {
                LogicalPlan::Projection(projection) => name(projection.expr.get(at)?, &projection.input),
                LogicalPlan::TableScan(scan) => Some(scan.projected_schema.field(at).name().clone()),
                LogicalPlan::SubqueryAlias(alias) => {
                    let (relation, field) = alias.input.schema().qualified_field(at);
                    name(&Expr::Column(datafusion::common::Column::from((relation, field))), &alias.input)
                }
                LogicalPlan::Filter(filter) => name(expr, &filter.input),
                _ => None,
            }
        }
        Expr::ScalarFunction(function) if ["window_start", "window_end"].contains(&function.name()) => {
            Some(function.name().to_owned())
        }
        _ => None,
    }
}
