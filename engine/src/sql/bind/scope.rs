//! Which names mean what at a place of a query.
//!
//! A scope is one query level: the relations of its FROM clause and, outside it, the scope of the query around. The
//! rules are PostgreSQL's (`parse_relation.c`): a qualified name looks for the relation level by level, then for the
//! column in it; a bare name looks for the column level by level, and two in one level are ambiguous.

use std::collections::HashMap;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::{Column, DFSchema, Location, ScalarValue, Span, Spans};
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::{Expr, lit, when};
use sqlparser::ast::{Ident, NamedWindowDefinition};

use crate::catalog::system::relation_by_id;
use crate::data::{ObjectId, SqlType};
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::hint::similar;
use crate::sql::bind::{Bound, Clause, SourceText, fold};

/// Words of PostgreSQL that no column can be called unquoted, of those that the parser would take for a name.
const RESERVED: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "not",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "union",
    "unique",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// A column in sight.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    /// The name it goes by.
    pub name: String,
    /// The plan's field, under its internal name.
    pub field: FieldRef,
    pub ty: SqlType,
    /// OID and number (from 1) of the stored column it is.
    pub origin: Option<(u32, i16)>,
}

/// A relation in sight, or the merged columns of a join.
#[derive(Clone, Debug)]
pub(super) struct ScopeItem {
    /// Its alias, or the relation's own name; None for a join without alias and for subqueries without one.
    pub name: Option<String>,
    /// The schema it was qualified by.
    pub schema: Option<String>,
    /// The name behind an alias, for the hint when the alias hides it.
    pub aliased: Option<String>,
    pub columns: Vec<ScopeColumn>,
    /// Whether bare names and `*` find its columns; false for the sides of a join, whose columns the join's own item
    /// lists.
    pub bare: bool,
    /// Names of the relations that it joins under its alias, which hides them.
    pub covers: Vec<String>,
    /// Internal names of the columns of its primary key, for a stored relation: grouping by them groups by all.
    pub key: Vec<String>,
}

impl ScopeItem {
    /// A relation with columns.
    pub fn new(name: Option<String>, columns: Vec<ScopeColumn>) -> ScopeItem {
        ScopeItem { name, schema: None, aliased: None, columns, bare: true, covers: Vec::new(), key: Vec::new() }
    }
}

/// One level of names.
#[derive(Debug)]
pub struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    pub(super) items: Vec<ScopeItem>,
    /// Relations of this FROM clause that the place cannot see.
    pub(super) hidden: Vec<String>,
    pub(super) clause: Clause,
    pub(super) windows: Vec<NamedWindowDefinition>,
    text: SourceText,
}

impl<'a> Scope<'a> {
    /// A level with nothing in it yet. Inside `outer`, if the query is a subquery.
    pub fn new(outer: Option<&'a Scope<'a>>, clause: Clause, text: SourceText) -> Scope<'a> {
        Scope { outer, items: Vec::new(), hidden: Vec::new(), clause, windows: Vec::new(), text }
    }

    /// The scope of the query around, if this is a subquery's.
    pub fn outer(&self) -> Option<&'a Scope<'a>> {
        self.outer
    }

    /// The clause that the expression being bound stands in.
    pub fn clause(&self) -> Clause {
        self.clause
    }

    /// The same names, for an expression within the one being bound: arguments of an aggregate, a filter.
    pub fn within(&self, clause: Clause) -> Scope<'a> {
        Scope {
            outer: self.outer,
            items: self.items.clone(),
            hidden: self.hidden.clone(),
            clause,
            windows: self.windows.clone(),
            text: self.text.clone(),
        }
    }

    /// Refuses an aggregate function where there can be none (42803).
    pub fn check_aggregate(&self, position: Option<usize>) -> Result<()> {
        if self.clause.allows_aggregates() {
            return Ok(());
        }
        let message = match self.clause {
            Clause::Aggregate => "aggregate function calls cannot be nested".to_owned(),
            clause => format!("aggregate functions are not allowed in {}", clause.name()),
        };
        Err(Error::new(SqlState::GROUPING_ERROR, message).at(position))
    }

    /// Refuses a window function where there can be none (42P20).
    pub fn check_window(&self, position: Option<usize>) -> Result<()> {
        if self.clause.allows_windows() {
            return Ok(());
        }
        let message = match self.clause {
            Clause::Aggregate => "aggregate function calls cannot contain window function calls".to_owned(),
            clause => format!("window functions are not allowed in {}", clause.name()),
        };
        let state = if self.clause == Clause::Aggregate { SqlState::GROUPING_ERROR } else { SqlState::WINDOWING_ERROR };
        Err(Error::new(state, message).at(position))
    }

    /// Refuses a set-returning function where there can be none (0A000).
    pub fn check_set_returning(&self, position: Option<usize>) -> Result<()> {
        if self.clause.allows_sets() {
            return Ok(());
        }
        let message = match self.clause {
            Clause::Aggregate => "aggregate function calls cannot contain set-returning function calls".to_owned(),
            clause => format!("set-returning functions are not allowed in {}", clause.name()),
        };
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position))
    }

    /// The column (or, for a relation's name alone, the row) that a name means here.
    ///
    /// `parts` is `column`, `relation.column`, `schema.relation.column` or `database.schema.relation.column`. Errors:
    /// 42703 no such column, 42702 ambiguous, 42P01 no such relation in FROM.
    pub fn resolve(&self, parts: &[Ident]) -> Result<Bound> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Err(Error::internal("a name of no parts"));
        };
        let position = self.text.position(first.span);
        let found = match parts {
            [name] => self.bare_column(name),
            [.., relation, _] => {
                let schema = parts.len().checked_sub(3).map(|index| fold(&parts[index]));
                self.qualified_column(schema.as_deref(), &fold(relation), &fold(last))
            }
            [] => Err(Error::internal("a name of no parts")),
        };
        let (level, column) = match found.map_err(|error| error.at(position))? {
            Found::Column(level, column) => (level, column),
            Found::Row(level, item) => return Ok(row(level, item, position)),
            Found::TableOid(level, column, table) => {
                let value = Expr::Literal(ScalarValue::UInt32(Some(table)), None);
                // Where an outer join found no row there is no table either.
                let value = when(reference(level, column, first).is_not_null(), value).end()?;
                return Ok(Bound::new(value, SqlType::Oid, position));
            }
        };
        Ok(Bound::new(reference(level, column, first), column.ty.clone(), position))
    }

    /// Looks for a bare name, level by level, then for a relation of that name.
    fn bare_column(&self, ident: &Ident) -> Result<Found<'_>> {
        let name = &fold(ident);
        for (level, scope) in self.levels() {
            let items = scope.items.iter().filter(|item| item.bare);
            let mut matches = items.flat_map(|item| &item.columns).filter(|column| column.name == *name);
            if let Some(column) = matches.next() {
                return match matches.next() {
                    None => Ok(Found::Column(level, column)),
                    Some(_) => Err(ambiguous(name)),
                };
            }
        }
        match self.relation(None, name) {
            Some((level, item)) => Ok(Found::Row(level, item)),
            // The parser takes it for a name; in PostgreSQL it cannot be one.
            None if ident.quote_style.is_none() && RESERVED.contains(&name.as_str()) => {
                let message = format!("syntax error at or near \"{}\"", ident.value);
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
            None => Err(self.no_column(name)),
        }
    }

    fn qualified_column(&self, schema: Option<&str>, relation: &str, name: &str) -> Result<Found<'_>> {
        let Some((level, item)) = self.relation(schema, relation) else {
            return Err(self.no_relation(relation));
        };
        let mut matches = item.columns.iter().filter(|column| column.name == name);
        match (matches.next(), matches.next()) {
            (Some(column), None) => Ok(Found::Column(level, column)),
            (Some(_), Some(_)) => Err(ambiguous(name)),
            (None, _)
                if name == "tableoid"
                    && let Some((column, table)) = system_table(item) =>
            {
                Ok(Found::TableOid(level, column, table))
            }
            (None, _) => {
                let message = format!("column {relation}.{name} does not exist");
                let error = Error::new(SqlState::UNDEFINED_COLUMN, message);
                Err(match similar(name, item.columns.iter().map(|column| (relation, column.name.as_str()))) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
        }
    }

    /// The nearest relation of this name, and how many levels out it is.
    pub(super) fn relation(&self, schema: Option<&str>, name: &str) -> Option<(usize, &ScopeItem)> {
        let fits = |item: &&ScopeItem| {
            let schema_fits = match (schema, &item.schema) {
                (Some(asked), Some(has)) => asked == has,
                (Some(_), None) => item.aliased.is_none(),
                (None, _) => true,
            };
            item.name.as_deref() == Some(name) && schema_fits
        };
        self.levels().find_map(|(level, scope)| scope.items.iter().find(fits).map(|item| (level, item)))
    }

    /// Whether this level has a column of this bare name.
    pub(super) fn has_bare(&self, name: &str) -> bool {
        let mut columns = self.items.iter().filter(|item| item.bare).flat_map(|item| &item.columns);
        columns.any(|column| column.name == name)
    }

    /// This scope and those around it, from 0.
    fn levels(&self) -> impl Iterator<Item = (usize, &Scope<'a>)> {
        std::iter::successors(Some(self), |scope| scope.outer).enumerate()
    }

    /// The column of this level or one around that has this internal name: its display name, relation and origin.
    pub(super) fn describe(&self, internal: &str) -> Option<(&ScopeItem, &ScopeColumn)> {
        self.levels().find_map(|(_, scope)| scope.own(internal))
    }

    /// The column of this level with this internal name.
    pub(super) fn own(&self, internal: &str) -> Option<(&ScopeItem, &ScopeColumn)> {
        let named = self.items.iter().filter(|item| item.name.is_some());
        let unnamed = self.items.iter().filter(|item| item.name.is_none());
        named.chain(unnamed).find_map(|item| {
            let column = item.columns.iter().find(|column| column.field.name() == internal);
            column.map(|column| (item, column))
        })
    }

    /// Where a column was written, as far as its spans tell.
    pub(super) fn written_at(&self, column: &Column) -> Option<usize> {
        let start = column.spans.first()?.start;
        self.text.position_of(sqlparser::tokenizer::Location::new(start.line, start.column))
    }

    pub(super) fn no_column(&self, name: &str) -> Error {
        let error = Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"));
        let candidates = self.levels().flat_map(|(_, scope)| &scope.items).flat_map(|item| {
            let relation = item.name.as_deref();
            item.columns.iter().filter_map(move |column| Some((relation?, column.name.as_str())))
        });
        match similar(name, candidates) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// A relation that is named but is not in FROM, or cannot be seen from here.
    pub(super) fn no_relation(&self, name: &str) -> Error {
        let invalid = format!("invalid reference to FROM-clause entry for table \"{name}\"");
        let behind = |item: &&ScopeItem| item.aliased.as_deref() == Some(name);
        if let Some(item) = self.levels().find_map(|(_, scope)| scope.items.iter().find(behind)) {
            let alias = item.name.as_deref().unwrap_or_default();
            return Error::new(SqlState::UNDEFINED_TABLE, invalid)
                .with_hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."));
        }
        let hides = |scope: &Scope| {
            let mut covered = scope.items.iter().flat_map(|item| &item.covers).chain(&scope.hidden);
            covered.any(|hidden| hidden == name)
        };
        if self.levels().any(|(_, scope)| hides(scope)) {
            return Error::new(SqlState::UNDEFINED_TABLE, invalid).with_hint(format!(
                "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
            ));
        }
        Error::new(SqlState::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{name}\""))
    }

    /// Takes types and nullability of the columns from the plan that now carries them.
    pub(super) fn refresh(items: &mut [ScopeItem], schema: &DFSchema) {
        let fields: HashMap<&str, &FieldRef> =
            schema.fields().iter().map(|field| (field.name().as_str(), field)).collect();
        for column in items.iter_mut().flat_map(|item| &mut item.columns) {
            if let Some(field) = fields.get(column.field.name().as_str()) {
                column.field = (*field).clone();
            }
        }
    }
}

enum Found<'s> {
    Column(usize, &'s ScopeColumn),
    Row(usize, &'s ScopeItem),
    /// The OID of a system's table; with the column by which its rows are known.
    TableOid(usize, &'s ScopeColumn, u32),
}

/// The OID of the table of `pg_catalog` that this is, and a column of it that is never NULL.
fn system_table(item: &ScopeItem) -> Option<(&ScopeColumn, u32)> {
    let column = item.columns.first()?;
    let (table, number) = column.origin?;
    let is_table = relation_by_id(ObjectId(table)).is_some_and(|relation| !relation.is_view);
    (number == 1 && is_table).then_some((column, table))
}

/// The expression for a column `level` queries out. It remembers where it was written.
pub(super) fn reference(level: usize, column: &ScopeColumn, ident: &Ident) -> Expr {
    let mut spans = Spans::new();
    let place = |location: sqlparser::tokenizer::Location| Location { line: location.line, column: location.column };
    if ident.span.start.line > 0 {
        spans.add_span(Span::new(place(ident.span.start), place(ident.span.end)));
    }
    let internal = Column { relation: None, name: column.field.name().clone(), spans };
    match level {
        0 => Expr::Column(internal),
        _ => Expr::OuterReferenceColumn(column.field.clone(), internal),
    }
}

/// All columns of a relation as one value.
fn row(level: usize, item: &ScopeItem, position: Option<usize>) -> Bound {
    let nowhere = Ident::new("");
    let value = |column| reference(level, column, &nowhere);
    let args = item.columns.iter().flat_map(|column| [lit(column.name.clone()), value(column)]).collect();
    let fields = item.columns.iter().map(|column| (column.name.clone(), column.ty.clone())).collect();
    Bound::new(named_struct(args), SqlType::Record(fields), position)
}

fn ambiguous(name: &str) -> Error {
    Error::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{name}\" is ambiguous"))
}
