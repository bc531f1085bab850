//! WITH and WITH RECURSIVE.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, RecursiveQuery, TableScanBuilder};
use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier, Spanned, visit_relations};
use sqlparser::tokenizer::Span;

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::from::{Tables, rename};
use crate::sql::bind::{Binder, BoundQuery, Scope, fold, plan};
use crate::sql::functions::aggregate::relabel;

/// A query that WITH names. Each reference gets a copy of its plan.
#[derive(Clone, Debug)]
pub(super) struct CommonTable {
    name: String,
    query: BoundQuery,
}

impl Binder<'_> {
    /// Binds the queries of a WITH and puts them in sight.
    pub(super) fn bind_with(&mut self, with: &ast::With, outer: Option<&Scope>) -> Result<()> {
        let first = self.common_tables.len();
        for cte in &with.cte_tables {
            let name = fold(&cte.alias.name);
            let position = self.position(cte.alias.name.span);
            if self.common_tables[first..].iter().any(|before| before.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_ALIAS, message).at(position));
            }
            if cte.from.is_some() {
                return Err(Error::unsupported("FROM after a common table expression").at(position));
            }
            let mut query = match with.recursive && !mentions(&cte.query, &name).is_empty() {
                true => self.recursive(cte, &name, outer).map_err(|error| error.at(position))?,
                false => {
                    let bound = self.query(&cte.query, outer)?;
                    self.settle_columns(bound)?
                }
            };
            name_columns(&mut query, &cte.alias).map_err(|error| error.at(position))?;
            self.common_tables.push(CommonTable { name, query });
        }
        Ok(())
    }

    /// The innermost common table of this name, as a relation of FROM.
    pub(super) fn common_table(&mut self, name: &str) -> Result<Option<Tables>> {
        let Some(found) = self.common_tables.iter().rev().find(|table| table.name == name) else { return Ok(None) };
        let query = found.query.clone();
        let query = self.renamed(query)?;
        Ok(Some(Tables { items: vec![query.item(Some(name.to_owned()))], plan: query.plan }))
    }

    /// `non-recursive UNION [ALL] recursive`
    fn recursive(&mut self, cte: &ast::Cte, name: &str, outer: Option<&Scope>) -> Result<BoundQuery> {
        let refused = [
            (cte.query.with.is_some(), "WITH"),
            (cte.query.order_by.is_some(), "ORDER BY"),
            (cte.query.limit_clause.is_some() || cte.query.fetch.is_some(), "LIMIT"),
        ];
        if let Some((_, clause)) = refused.iter().find(|(present, _)| *present) {
            return Err(Error::unsupported(format!("{clause} in a recursive query")));
        }
        let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } = cte.query.body.as_ref()
        else {
            let message = format!(
                "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
            );
            return Err(Error::new(SqlState::INVALID_RECURSION, message));
        };
        let form = |what: &str, span: &Span| {
            let message = format!("recursive reference to query \"{name}\" must not appear {what}");
            Error::new(SqlState::INVALID_RECURSION, message).at(self.position(*span))
        };
        if let [first, ..] = &mentions(left.as_ref(), name)[..] {
            return Err(form("within its non-recursive term", first));
        }
        if let [_, second, ..] = &mentions(right.as_ref(), name)[..] {
            return Err(form("more than once", second));
        }
        let start = self.set_expr(left, outer)?;
        let start = self.settle_columns(start)?;
        let mut start = marked(self.renamed(start)?)?;
        name_columns(&mut start, &cte.alias)?;
        let table = format!("{name} {}", self.fresh());
        let query = work_table(&table, &start)?;
        self.common_tables.push(CommonTable { name: name.to_owned(), query });
        let again = self.set_expr(right, outer);
        self.common_tables.pop();
        let again = marked(self.as_start(name, &start, again?, left)?)?;
        let distinct = *set_quantifier != SetQuantifier::All;
        let recursive = RecursiveQuery::try_new(table, Arc::new(start.plan), Arc::new(again.plan), distinct)?;
        Ok(BoundQuery { plan: LogicalPlan::RecursiveQuery(recursive), columns: start.columns })
    }

    /// The recursive term in the types of the other. PostgreSQL does not let the recursive term widen them (42804).
    fn as_start(&mut self, name: &str, start: &BoundQuery, again: BoundQuery, left: &SetExpr) -> Result<BoundQuery> {
        if start.columns.len() != again.columns.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let pairs = start.outputs().into_iter().zip(again.outputs());
        for (index, (first, second)) in pairs.enumerate() {
            let overall = self.common_type(&[&first, &second], "UNION")?;
            if overall != first.ty {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {overall} overall",
                    index + 1,
                    first.ty
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .with_hint("Cast the output of the non-recursive term to the correct type.")
                    .at(self.target_position(left, index)));
            }
        }
        let types: Vec<_> = start.columns.iter().map(|column| column.ty.clone()).collect();
        self.coerce_columns(again, &types, Coercion::Implicit, |_, error| error)
    }
}

/// The same query, its columns marked with their types: DataFusion (55.2) wants both terms to say the same, and a
/// conversion that changes no value leaves the mark of the type before it.
fn marked(query: BoundQuery) -> Result<BoundQuery> {
    let fields = query.plan.schema().fields().clone();
    let exprs = fields.iter().zip(&query.columns).map(|(field, output)| {
        relabel(Expr::Column(Column::new_unqualified(field.name())), &output.ty).alias(field.name())
    });
    Ok(BoundQuery { plan: plan::project(query.plan, exprs.collect())?, ..query })
}

/// What the recursive term reads: the rows of the round before.
fn work_table(name: &str, start: &BoundQuery) -> Result<BoundQuery> {
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    let fields: Vec<Field> = start.plan.schema().fields().iter().map(nullable).collect();
    let source = provider_as_source(Arc::new(CteWorkTable::new(name, Arc::new(Schema::new(fields)))));
    let table = TableReference::bare(name);
    let scan = TableScanBuilder::new(table.clone(), source).build()?;
    let columns = start.plan.schema().fields().iter();
    let exprs = columns.map(|field| Expr::Column(Column::new(Some(table.clone()), field.name())).alias(field.name()));
    let plan = plan::project(LogicalPlan::TableScan(scan), exprs.collect())?;
    Ok(BoundQuery { plan, columns: start.columns.clone() })
}

/// Applies the column list of `WITH name (columns) AS …`.
fn name_columns(query: &mut BoundQuery, alias: &ast::TableAlias) -> Result<()> {
    let mut item = query.item(None);
    rename(&mut item, alias, "WITH query")?;
    for (column, named) in query.columns.iter_mut().zip(item.columns) {
        column.name = named.name;
    }
    Ok(())
}

/// Where a syntax tree names a relation.
fn mentions<T: ast::Visit>(tree: &T, name: &str) -> Vec<Span> {
    let mut places = Vec::new();
    let _ = visit_relations(tree, |relation| {
        if let [part] = &relation.0[..]
            && part.as_ident().is_some_and(|ident| fold(ident) == name)
        {
            places.push(relation.span());
        }
        ControlFlow::<()>::Continue(())
    });
    places
}
