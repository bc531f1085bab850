//! The binder: from a statement's syntax tree to a typed plan.
//!
//! It gives SQL PostgreSQL's meaning: names and scopes, types of every expression, resolution of operators, functions
//! and parameters, names of result columns, and errors with SQLSTATE, message and position. What it hands on is a
//! DataFusion [`LogicalPlan`] in which nothing is left to guess: every column of every node has a name of its own
//! (`c17`), every conversion of types is an explicit cast, and display names and SQL types stand aside in
//! [`BoundQuery::columns`].
//!
//! A query is bound clause by clause in PostgreSQL's order: [`from`], WHERE, GROUP BY and HAVING ([`aggregate`]),
//! windows ([`window`]), set-returning functions ([`unnest`]), the select list ([`select`]), DISTINCT, ORDER BY, LIMIT
//! ([`query`]), each adding a plan node over the one before. Scalar expressions are bound in [`expr`].
//!
//! What expressions and queries agree on:
//! - An aggregate call is bound to `Expr::AggregateFunction` (its name `grouping` for GROUPING(…)), a window call to
//!   `Expr::WindowFunction`, a set-returning call to `Expr::Unnest` over an expression that gives the list of its
//!   values (a list of structs where it has several columns). The query takes them out of the expressions and puts
//!   nodes of the plan in their place. [`Scope::check_aggregate`], [`Scope::check_window`] and
//!   [`Scope::check_set_returning`] refuse them where they cannot stand; arguments and FILTER of an aggregate are
//!   bound in [`Scope::within`] their clause.
//! - `Binder::bind_over` binds `OVER (…)` and `OVER w`, `Binder::bind_sort` the ORDER BY of an aggregate.
//! - A subquery stays an `Expr::{ScalarSubquery, Exists, InSubquery}`, made by `Binder::scalar_subquery` and
//!   `Binder::subquery` from its plan; columns of queries around are `Expr::OuterReferenceColumn`.

mod access;
mod aggregate;
mod call;
mod clause;
pub mod coerce;
mod conditional;
mod conflict;
mod cte;
mod distinct;
mod execute;
mod expr;
#[cfg(test)]
mod expression_tests;
mod from;
mod group;
mod hint;
mod insert;
mod join;
mod literal;
mod name;
mod named_argument;
mod operator;
mod order;
mod ordered_set;
mod output;
mod parameter;
mod plan;
mod predicate;
mod query;
mod range_frame;
mod record;
mod row_subquery;
mod scalar_subquery;
mod scope;
mod select;
mod session;
mod set_operation;
mod special;
mod subquery;
mod subquery_expr;
mod table_function;
mod target;
#[cfg(test)]
pub(in crate::sql) mod tests;
mod text;
mod unnest;
mod update;
mod values;
mod window;
mod window_table;

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast;

use crate::catalog::RelationSource;
use crate::catalog::system::System;
use crate::data::SqlType;
use crate::error::Result;
use crate::sql::Interrupt;

pub use clause::Clause;
pub use insert::WriteTarget;
pub use parameter::Parameters;
pub use scope::Scope;
pub use text::{SourceText, fold};
pub use update::BoundUpdate;
pub use window::Over;

use cte::CommonTable;

/// An expression with its PostgreSQL type.
#[derive(Clone, Debug)]
pub struct Bound {
    pub expr: Expr,
    /// [`SqlType::Unknown`] for string literals, NULL and parameters that no context has typed yet.
    pub ty: SqlType,
    /// Where it stands in the query string: characters from 1.
    pub position: Option<usize>,
}

impl Bound {
    pub fn new(expr: Expr, ty: SqlType, position: Option<usize>) -> Bound {
        Bound { expr, ty, position }
    }
}

/// A query as a plan, with what the client is to see of it.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    /// Its field `i` has a name of its own and carries `columns[i]`.
    pub plan: LogicalPlan,
    pub columns: Vec<OutputColumn>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// The name shown. Names may repeat.
    pub name: String,
    pub ty: SqlType,
    /// OID and column number (from 1) of the relation, where the column is one of a stored relation unchanged.
    pub relation: Option<(u32, i16)>,
}

/// What a statement is bound for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run once.
    Query,
    /// To be kept up to date: functions that answer differently each time are refused.
    View,
}

/// What of a session's settings decides the meaning of SQL.
#[derive(Clone, Debug)]
pub struct BindSettings {
    /// As in `SET TimeZone`.
    pub time_zone: String,
    /// Schemas searched for unqualified names, in order.
    pub search_path: Vec<String>,
    pub user: String,
    /// What `pg_backend_pid()` answers.
    pub process: i32,
    pub database: String,
    /// What `now()` is: microseconds since 1970.
    pub now: i64,
    /// Stops the binder.
    pub interrupt: Interrupt,
}

impl Default for BindSettings {
    fn default() -> BindSettings {
        BindSettings {
            time_zone: "UTC".into(),
            search_path: vec!["public".into()],
            user: "levada".into(),
            process: 0,
            database: "levada".into(),
            now: chrono::Utc::now().timestamp_micros(),
            interrupt: Interrupt::default(),
        }
    }
}

/// What the binder asks about names.
pub trait NameResolver {
    /// The relation of this name; without a schema, the first one along the search path.
    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>>;

    /// What functions about the catalog answer from; None where they may not be called.
    fn system(&self) -> Option<Arc<System>> {
        None
    }
}

/// What a name in FROM stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table, materialized view, source or system table: something with rows of its own.
    Stored(Arc<RelationSource>),
    /// A plain view: bound as its query, each time.
    View {
        /// Its OID.
        oid: u32,
        name: String,
        query: Arc<ast::Query>,
        /// The names its columns were given when it was made.
        columns: Vec<String>,
    },
}

/// Binds one statement.
pub struct Binder<'a> {
    names: &'a dyn NameResolver,
    settings: &'a BindSettings,
    purpose: Purpose,
    parameters: Parameters,
    /// The text that spans refer to; empty inside a view's stored query, whose places mean nothing to the client.
    text: SourceText,
    /// Common table expressions in sight, innermost last.
    common_tables: Vec<CommonTable>,
    next_column: u32,
    /// Whether what was bound means the same later, by the same catalog and settings.
    lasting: bool,
    changes_settings: bool,
    /// Queries within queries, views included.
    depth: usize,
}

impl<'a> Binder<'a> {
    /// A binder for one statement of the query string `text`.
    pub fn new(
        names: &'a dyn NameResolver,
        settings: &'a BindSettings,
        purpose: Purpose,
        parameters: Parameters,
        text: &str,
    ) -> Binder<'a> {
        Binder {
            names,
            settings,
            purpose,
            parameters,
            text: SourceText::new(text),
            common_tables: Vec::new(),
            next_column: 0,
            lasting: true,
            changes_settings: false,
            depth: 0,
        }
    }

    /// The types that the statement's parameters have come to have.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whether what was bound means the same later, by the same catalog, time zone and search path: it holds neither the
    /// time nor the state of the system.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Whether what was bound calls `set_config()`.
    pub fn changes_settings(&self) -> bool {
        self.changes_settings
    }

    /// Where a span of the syntax tree begins, in characters from 1.
    pub fn position(&self, span: sqlparser::tokenizer::Span) -> Option<usize> {
        self.text.position(span)
    }

    /// A name for a plan's column that no other column of the statement has.
    fn fresh(&mut self) -> String {
        self.next_column += 1;
        format!("c{}", self.next_column)
    }
}

/// The column of a plan with this (internal) name.
fn column(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
