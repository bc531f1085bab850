//! Recursive queries under the domain: every round keeps the combinations apart, in columns that its rows carry along.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, RecursiveQuery, TableScan, TableScanBuilder};

use super::fragment::{Domain, Fragment};
use super::node;
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use crate::error::Result;

/// What a recursive term reads: the rows of the round before, each with its combination.
pub(super) struct Round {
    /// The work table as the term names it.
    name: String,
    /// The columns of the whole query: its own, then those of the combination.
    columns: Vec<Arc<Field>>,
    /// The query's column for each outer column.
    keys: BTreeMap<String, String>,
}

impl Decorrelator {
    /// Both terms stand beside the combinations that the domain has, so no round walks for others, which might never end.
    pub(super) fn recursive(&mut self, query: RecursiveQuery, domain: &Domain) -> Result<Fragment> {
        let RecursiveQuery { name, static_term, recursive_term, is_distinct, .. } = query;
        let columns = node::names(&static_term);
        let keys: BTreeMap<String, String> = domain.columns.iter().map(|outer| (outer.clone(), self.fresh())).collect();
        let start = self.unnest(Arc::unwrap_or_clone(static_term), domain)?;
        let start = self.complete(start, domain)?;
        let start = self.bind(start, domain)?;
        let start = beside_keys(start, &columns, &keys)?;
        let fields = start.schema().fields().iter();
        let fields = fields.map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        self.rounds.push(Round { name: name.clone(), columns: fields, keys: keys.clone() });
        let again = self.unnest(Arc::unwrap_or_clone(recursive_term), domain);
        self.rounds.pop();
        let again = self.cover(again?, &domain.columns, domain)?;
        let again = beside_keys(again, &columns, &keys)?;
        let query = RecursiveQuery::try_new(name, Arc::new(start), Arc::new(again), is_distinct)?;
        let plan = LogicalPlan::RecursiveQuery(query);
        Ok(Fragment { plan, columns, keys, order: Vec::new(), absent: None })
    }

    /// Whether a plan reads rows of a round, which stand beside their combinations.
    pub(super) fn reads_round(&self, plan: &LogicalPlan) -> bool {
        let read = |scan: &TableScan| self.rounds.iter().any(|round| scan.table_name.table() == round.name);
        !self.rounds.is_empty()
            && plan.exists(|node| Ok(matches!(node, LogicalPlan::TableScan(scan) if read(scan)))).unwrap_or(false)
    }

    /// The rows of the round before. A column's name is that of the query's, under the work table's.
    pub(super) fn round(&mut self, scan: &TableScan) -> Result<Fragment> {
        let name = scan.table_name.table();
        let Some(round) = self.rounds.iter().rev().find(|round| round.name == name) else {
            return Ok(Fragment::independent(LogicalPlan::TableScan(scan.clone())));
        };
        let fields: Vec<Field> = round.columns.iter().map(|field| field.as_ref().clone()).collect();
        let keys = round.keys.clone();
        let source = provider_as_source(Arc::new(CteWorkTable::new(name, Arc::new(Schema::new(fields)))));
        let table = TableScanBuilder::new(scan.table_name.clone(), source).build()?;
        let columns = node::names(&LogicalPlan::TableScan(scan.clone()));
        let added = keys.values().map(|key| Expr::Column(Column::new(Some(scan.table_name.clone()), key)).alias(key));
        let own = scan.projected_schema.columns().into_iter().map(Expr::Column);
        let plan = node::project(LogicalPlan::TableScan(table), own.chain(added).collect())?;
        Ok(Fragment { plan, columns, keys, order: Vec::new(), absent: None })
    }
}

/// A term's columns under the names of the query's, then the combination's.
fn beside_keys(fragment: Fragment, columns: &[String], keys: &BTreeMap<String, String>) -> Result<LogicalPlan> {
    let own = fragment.columns.iter().zip(columns).map(|(name, output)| outer::named(column(name), output.clone()));
    let added = keys.iter().map(|(outer, key)| outer::named(column(&fragment.keys[outer]), key.clone()));
    let exprs: Vec<Expr> = own.chain(added).collect();
    node::project(fragment.plan, exprs)
}
