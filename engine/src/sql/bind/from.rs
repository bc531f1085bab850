//! FROM: relations, subqueries and joins, as one plan and the names in sight.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScanBuilder, TableSource};
use sqlparser::ast::{self, JoinConstraint, ObjectName, Spanned, TableAlias, TableFactor, TableWithJoins};

use crate::catalog::RelationSource;
use crate::data::ObjectId;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::join::kind_of;
use crate::sql::bind::scope::{ScopeColumn, ScopeItem};
use crate::sql::bind::window_table::is_window_table;
use crate::sql::bind::{Binder, BoundQuery, Clause, Purpose, Relation, Scope, fold, plan};

/// Part of a FROM clause: its rows and its names.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub plan: LogicalPlan,
    pub items: Vec<ScopeItem>,
}

impl Tables {
    /// No relation: one row of no columns.
    pub fn none() -> Tables {
        Tables { plan: plan::one_row(), items: Vec::new() }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().filter_map(|item| item.name.clone()).collect()
    }
}

impl Binder<'_> {
    /// Binds a FROM clause; without relations it is one row.
    pub(super) fn from<'s>(
        &mut self,
        tables: &[TableWithJoins],
        outer: Option<&'s Scope<'s>>,
    ) -> Result<(LogicalPlan, Scope<'s>)> {
        let mut all = Tables::none();
        for table in tables {
            all = self.joined(table, all, outer)?;
        }
        let mut scope = Scope::new(outer, Clause::Select, self.text.clone());
        scope.items = all.items;
        Ok((all.plan, scope))
    }

    /// One element of FROM with its joins, beside those before it.
    pub(super) fn joined(&mut self, table: &TableWithJoins, before: Tables, outer: Option<&Scope>) -> Result<Tables> {
        let factors = || std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation));
        let lateral = !before.items.is_empty() && factors().any(is_lateral);
        let preserving = |join: &ast::Join| matches!(kind_of(join), Ok((JoinType::Inner | JoinType::Left, _)));
        if before.items.is_empty() || (lateral && table.joins.iter().all(preserving)) {
            // (a, b JOIN LATERAL c) is ((a, b) JOIN LATERAL c), so that c sees a beside it. ON still sees only b and c.
            let unseen = before.items.len();
            let first = self.beside(before, &table.relation, (JoinType::Inner, &JoinConstraint::None), 0, outer)?;
            return self.joins(first, &table.joins, unseen, outer);
        }
        let mut around = Scope::new(outer, Clause::From, self.text.clone());
        around.hidden = before.names();
        let none = (JoinType::Inner, &JoinConstraint::None);
        let first = self.beside(Tables::none(), &table.relation, none, 0, Some(&around))?;
        let right = self.joins(first, &table.joins, 0, Some(&around))?;
        self.join(before, right, JoinType::Inner, &JoinConstraint::None, 0, outer)
    }

    fn joins(&mut self, mut left: Tables, joins: &[ast::Join], unseen: usize, outer: Option<&Scope>) -> Result<Tables> {
        for join in joins {
            let (kind, constraint) = kind_of(join)?;
            left = self.beside(left, &join.relation, (kind, constraint), unseen, outer)?;
        }
        Ok(left)
    }

    /// Joins a relation to what stands left of it. The first `unseen` items cannot be named in ON.
    fn beside(
        &mut self,
        left: Tables,
        factor: &TableFactor,
        (kind, constraint): (JoinType, &JoinConstraint),
        unseen: usize,
        outer: Option<&Scope>,
    ) -> Result<Tables> {
        if let Some(nulls) = super::table_function::spread(factor, kind, constraint) {
            let mut scope = Scope::new(outer, Clause::From, self.text.clone());
            scope.items = left.items.clone();
            let function = self.table_function(factor, left.plan, &scope, nulls)?;
            let tables = self.side_by_side(left.items, function)?;
            return self.filtered(tables, constraint, kind, unseen, outer);
        }
        let lateral = is_lateral(factor) && matches!(kind, JoinType::Inner | JoinType::Left);
        let mut around = Scope::new(outer, Clause::From, self.text.clone());
        match lateral {
            true => around.items = left.items.clone(),
            false => around.hidden = left.names(),
        }
        let mut right = self.factor(factor, &around)?;
        if lateral {
            right.plan = self.dependent(right.plan, &around)?;
        }
        if left.items.is_empty() && kind == JoinType::Inner && matches!(constraint, JoinConstraint::None) {
            return Ok(right);
        }
        self.join(left, right, kind, constraint, unseen, outer)
    }

    /// A relation of FROM by itself.
    fn factor(&mut self, factor: &TableFactor, around: &Scope) -> Result<Tables> {
        self.settings.interrupt.check()?;
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                refuse_table_options(factor)?;
                let tables = self.relation(name)?;
                self.aliased(tables, alias.as_ref())
            }
            TableFactor::Table { name, alias, args: Some(args), .. } if is_window_table(name) => {
                refuse_table_options(factor)?;
                self.window_table(name, &args.args, alias.as_ref())
            }
            TableFactor::Derived { subquery, alias, sample: None, .. } => {
                let bound = self.query(subquery, Some(around))?;
                let bound = self.settle_columns(bound)?;
                let tables = Tables { items: vec![bound.item(None)], plan: bound.plan };
                self.aliased(tables, alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let tables = self.joined(table_with_joins, Tables::none(), Some(around))?;
                match alias {
                    None => Ok(tables),
                    Some(_) => self.aliased(flattened(tables), alias.as_ref()),
                }
            }
            TableFactor::Table { .. } | TableFactor::Function { .. } | TableFactor::UNNEST { .. } => {
                let scope = Scope::new(Some(around), Clause::From, self.text.clone());
                self.table_function(factor, plan::one_row(), &scope, datafusion::common::NullHandling::Drop)
            }
            TableFactor::Derived { .. } => Err(Error::unsupported("TABLESAMPLE")),
            TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => Err(Error::unsupported("JSON_TABLE")),
            TableFactor::XmlTable { .. } => Err(Error::unsupported("XMLTABLE")),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => Err(Error::unsupported("PIVOT")),
            TableFactor::MatchRecognize { .. } => Err(Error::unsupported("MATCH_RECOGNIZE")),
            TableFactor::TableFunction { .. } => Err(Error::unsupported("TABLE(…)")),
            TableFactor::SemanticView { .. } => Err(Error::unsupported("SEMANTIC_VIEW")),
        }
    }

    /// A name in FROM: a common table expression, else what the catalog knows under it.
    pub(super) fn relation(&mut self, name: &ObjectName) -> Result<Tables> {
        let position = self.position(name.span());
        let (schema, relation) = self.qualified(name)?;
        if schema.is_none()
            && let Some(tables) = self.common_table(&relation)?
        {
            return Ok(tables);
        }
        let missing = || {
            let shown = schema.iter().chain([&relation]).cloned().collect::<Vec<_>>().join(".");
            Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"))
        };
        let found = self.names.relation(schema.as_deref(), &relation).map_err(|error| error.at(position))?;
        let mut tables = match found.ok_or_else(missing).map_err(|error| error.at(position))? {
            Relation::Stored(source) => self.scan(&source)?,
            Relation::View { query, columns, .. } => self.view(&query, &columns)?,
        };
        for item in &mut tables.items {
            (item.name, item.schema) = (Some(relation.clone()), schema.clone());
        }
        Ok(tables)
    }

    /// Schema and name; a database before them must be the one connected to.
    pub(super) fn qualified(&self, name: &ObjectName) -> Result<(Option<String>, String)> {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
        match &parts[..] {
            [relation] => Ok((None, relation.clone())),
            [schema, relation] => Ok((Some(schema.clone()), relation.clone())),
            [database, schema, relation] if *database == self.settings.database => {
                Ok((Some(schema.clone()), relation.clone()))
            }
            [_, _, _] => {
                let message = format!("cross-database references are not implemented: \"{}\"", parts.join("."));
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(self.position(name.span())))
            }
            _ => {
                let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
                Err(Error::new(SqlState::SYNTAX_ERROR, message).at(self.position(name.span())))
            }
        }
    }

    /// A stored relation, each column under a new internal name.
    pub(super) fn scan(&mut self, source: &Arc<RelationSource>) -> Result<Tables> {
        if source.id < ObjectId::FIRST && self.purpose == Purpose::View {
            let hint = "Its rows change without being told; query it when you need it.";
            return Err(Error::unsupported(format!("the system table {} in a view", source.name)).with_hint(hint));
        }
        let table = TableReference::bare(source.name.as_str());
        let scanned: Arc<dyn TableSource> = source.clone();
        let scan = TableScanBuilder::new(table.clone(), scanned).build()?;
        let names: Vec<String> = source.schema.columns.iter().map(|_| self.fresh()).collect();
        let exprs = source
            .schema
            .columns
            .iter()
            .zip(&names)
            .map(|(column, name)| Expr::Column(Column::new(Some(table.clone()), &column.name)).alias(name));
        let plan = plan::project(LogicalPlan::TableScan(scan), exprs.collect())?;
        let fields = plan.schema().fields();
        let columns =
            source.schema.columns.iter().zip(fields).enumerate().map(|(index, (column, field))| ScopeColumn {
                name: column.name.clone(),
                field: field.clone(),
                ty: column.ty.clone(),
                origin: Some((source.id.0, index as i16 + 1)),
            });
        let mut item = ScopeItem::new(Some(source.name.clone()), columns.collect());
        let key = source.schema.primary_key.iter().flatten();
        item.key = key.filter_map(|index| names.get(*index)).cloned().collect();
        Ok(Tables { plan, items: vec![item] })
    }

    /// A plain view: its query, bound without anything of the query around it.
    fn view(&mut self, query: &ast::Query, names: &[String]) -> Result<Tables> {
        let text = std::mem::take(&mut self.text);
        let common_tables = std::mem::take(&mut self.common_tables);
        let bound = self.query(query, None).and_then(|bound| self.settle_columns(bound));
        self.text = text;
        self.common_tables = common_tables;
        let mut bound: BoundQuery = bound?;
        for (column, name) in bound.columns.iter_mut().zip(names) {
            (column.name, column.relation) = (name.clone(), None);
        }
        Ok(Tables { items: vec![bound.item(None)], plan: bound.plan })
    }

    /// Gives a relation an alias, which hides its own name, and new names to its first columns.
    pub(super) fn aliased(&self, mut tables: Tables, alias: Option<&TableAlias>) -> Result<Tables> {
        let (Some(alias), [item]) = (alias, &mut tables.items[..]) else { return Ok(tables) };
        rename(item, alias, "table")?;
        Ok(tables)
    }

    /// Puts the items of both sides in sight; two of one name are 42712.
    pub(super) fn side_by_side(&self, left: Vec<ScopeItem>, right: Tables) -> Result<Tables> {
        let same = |a: &ScopeItem, b: &ScopeItem| {
            let schemas_differ = a.aliased.is_none() && b.aliased.is_none() && a.schema != b.schema;
            a.name.is_some() && a.name == b.name && !schemas_differ
        };
        if let Some(item) = right.items.iter().find(|item| left.iter().any(|other| same(item, other))) {
            let name = item.name.as_deref().unwrap_or_default();
            let message = format!("table name \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message));
        }
        let mut items = left;
        items.extend(right.items);
        Scope::refresh(&mut items, right.plan.schema());
        Ok(Tables { plan: right.plan, items })
    }
}

/// Applies an alias to a relation; `what` names it in the error of too many columns.
pub(super) fn rename(item: &mut ScopeItem, alias: &TableAlias, what: &str) -> Result<()> {
    let name = fold(&alias.name);
    if alias.columns.len() > item.columns.len() {
        let (has, given) = (item.columns.len(), alias.columns.len());
        let message = format!("{what} \"{name}\" has {has} columns available but {given} columns specified");
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    if alias.columns.iter().any(|column| column.data_type.is_some()) {
        return Err(Error::unsupported("a column definition list in an alias"));
    }
    item.aliased = item.name.replace(name);
    item.schema = None;
    for (column, alias) in item.columns.iter_mut().zip(&alias.columns) {
        column.name = fold(&alias.name);
    }
    Ok(())
}

/// A join under one name: the columns that `*` would list.
fn flattened(tables: Tables) -> Tables {
    let covers = tables.names();
    let columns = tables.items.into_iter().filter(|item| item.bare).flat_map(|item| item.columns).collect();
    Tables { plan: tables.plan, items: vec![ScopeItem { covers, ..ScopeItem::new(None, columns) }] }
}

/// Whether a relation may refer to those left of it. Functions may without saying LATERAL.
fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } | TableFactor::TableFunction { .. } => true,
        TableFactor::Table { name, args, .. } => args.is_some() && !is_window_table(name),
        TableFactor::NestedJoin { table_with_joins, .. } => {
            is_lateral(&table_with_joins.relation)
                || table_with_joins.joins.iter().any(|join| is_lateral(&join.relation))
        }
        _ => false,
    }
}

/// Refuses what may stand behind a relation and is not ours. Rows of a function may be numbered.
pub(super) fn refuse_table_options(factor: &TableFactor) -> Result<()> {
    let TableFactor::Table {
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
        ..
    } = factor
    else {
        return Ok(());
    };
    let refused = [
        (sample.is_some(), "TABLESAMPLE"),
        (version.is_some(), "a table AS OF a time"),
        (*with_ordinality && args.is_none(), "WITH ORDINALITY on a table"),
        (!with_hints.is_empty() || !index_hints.is_empty(), "a table hint"),
        (!partitions.is_empty(), "PARTITION"),
        (json_path.is_some(), "a path into a table"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}
