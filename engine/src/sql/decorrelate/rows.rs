//! Rules for operators that look at several rows at once: sorting, limits, windows, duplicates, unions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, FetchType, Limit, LogicalPlan, SkipType, Sort, Union, Unnest, Window, WindowFrame,
    WindowFunctionDefinition, lit,
};

use super::fragment::{Domain, Fragment};
use super::node;
use super::outer::{self, column};
use super::rewrite::Decorrelator;
use crate::error::{Error, Result};

impl Decorrelator {
    /// The order is kept aside, for limits and aggregates above.
    pub(super) fn sort(&mut self, sort: Sort, domain: &Domain) -> Result<Fragment> {
        let fragment = self.unnest(Arc::unwrap_or_clone(sort.input), domain)?;
        let mut fragment = self.cover(fragment, &domain.used(sort.expr.iter().map(|key| &key.expr))?, domain)?;
        let inward = |key: SortKey| Ok(SortKey { expr: fragment.inward(key.expr)?, ..key });
        fragment.order = sort.expr.into_iter().map(inward).collect::<Result<_>>()?;
        match sort.fetch {
            None => Ok(fragment),
            Some(fetch) => self.first(fragment, 0, Some(fetch)),
        }
    }

    pub(super) fn limit(&mut self, limit: Limit, domain: &Domain) -> Result<Fragment> {
        let constants = (limit.get_skip_type()?, limit.get_fetch_type()?);
        let fragment = self.unnest(Arc::unwrap_or_clone(limit.input), domain)?;
        let mut fragment = self.complete(fragment, domain)?;
        if fragment.keys.is_empty() && domain.used(limit.skip.iter().chain(&limit.fetch).map(AsRef::as_ref))?.is_empty()
        {
            let sorted = match fragment.order.is_empty() {
                true => fragment.plan,
                false => LogicalPlan::Sort(Sort {
                    expr: fragment.order.clone(),
                    input: Arc::new(fragment.plan),
                    fetch: None,
                }),
            };
            fragment.plan = LogicalPlan::Limit(Limit { skip: limit.skip, fetch: limit.fetch, input: Arc::new(sorted) });
            return Ok(fragment);
        }
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = constants else {
            return Err(Error::unsupported("a LIMIT or OFFSET that is not a constant, in a correlated subquery"));
        };
        self.first(fragment, skip, fetch)
    }

    /// The rows after the first `skip`, at most `fetch`, of each combination.
    fn first(&mut self, fragment: Fragment, skip: usize, fetch: Option<usize>) -> Result<Fragment> {
        if skip == 0 && fetch.is_none() {
            return Ok(fragment);
        }
        let outputs = node::columns(&fragment.plan);
        let number = self.fresh();
        let mut call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(row_number_udwf()), Vec::new());
        call.params.window_frame = WindowFrame::new((!fragment.order.is_empty()).then_some(false));
        call.params.partition_by = fragment.key_columns();
        call.params.order_by = fragment.order.clone();
        let call = Expr::WindowFunction(Box::new(call)).alias(&number);
        let numbered = LogicalPlan::Window(Window::try_new(vec![call], Arc::new(fragment.plan))?);
        let mut conditions = Vec::new();
        if skip > 0 {
            conditions.push(column(&number).gt(lit(skip as u64)));
        }
        if let Some(fetch) = fetch {
            conditions.push(column(&number).lt_eq(lit(skip.saturating_add(fetch) as u64)));
        }
        let plan = node::project(node::filter(numbered, conditions)?, outputs)?;
        Ok(Fragment { plan, ..fragment })
    }

    pub(super) fn distinct(&mut self, distinct: Distinct, domain: &Domain) -> Result<Fragment> {
        let DistinctOn { on_expr, select_expr, sort_expr, input, schema } = match distinct {
            Distinct::On(distinct) => distinct,
            Distinct::All(input) => {
                let fragment = self.unnest(Arc::unwrap_or_clone(input), domain)?;
                let fragment = self.complete(fragment, domain)?.tidy()?;
                let plan = LogicalPlan::Distinct(Distinct::All(Arc::new(fragment.plan)));
                return Ok(Fragment { plan, ..fragment });
            }
        };
        let fragment = self.unnest(Arc::unwrap_or_clone(input), domain)?;
        let sorts = sort_expr.iter().flatten().map(|sort| &sort.expr);
        let needed = domain.used(on_expr.iter().chain(&select_expr).chain(sorts))?;
        let fragment = self.cover(fragment, &needed, domain)?;
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut on = fragment.key_columns();
        let mut select = Vec::with_capacity(columns.len() + on.len());
        for (expr, name) in select_expr.into_iter().zip(&columns) {
            select.push(outer::named(fragment.inward(expr)?, name.clone()));
        }
        select.extend(on.iter().cloned());
        let mut sort: Vec<SortKey> = on.iter().map(|key| key.clone().sort(true, false)).collect();
        for key in sort_expr.iter().flatten() {
            sort.push(SortKey { expr: fragment.inward(key.expr.clone())?, ..*key });
        }
        for expr in on_expr {
            on.push(fragment.inward(expr)?);
        }
        let sort = sort_expr.is_some().then_some(sort);
        let distinct = DistinctOn::try_new(on, select, sort, Arc::new(fragment.plan))?;
        let plan = LogicalPlan::Distinct(Distinct::On(distinct));
        Ok(Fragment { plan, columns, keys: fragment.keys, order: Vec::new(), absent: None })
    }

    /// Every input gets keys for the same outer columns, under the same names.
    pub(super) fn union(&mut self, union: Union, domain: &Domain) -> Result<Fragment> {
        let columns: Vec<String> = union.schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut fragments = Vec::with_capacity(union.inputs.len());
        for input in union.inputs {
            let fragment = self.unnest(Arc::unwrap_or_clone(input), domain)?;
            fragments.push(self.complete(fragment, domain)?);
        }
        let needed: BTreeSet<String> = fragments.iter().flat_map(|fragment| fragment.keys.keys().cloned()).collect();
        let keys: BTreeMap<String, String> = needed.iter().map(|outer| (outer.clone(), self.fresh())).collect();
        let mut inputs = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            let fragment = self.cover(fragment, &needed, domain)?;
            let own =
                fragment.columns.iter().zip(&columns).map(|(name, output)| outer::named(column(name), output.clone()));
            let added = keys.iter().map(|(outer, key)| column(&fragment.keys[outer]).alias(key));
            inputs.push(Arc::new(node::project(fragment.plan, own.chain(added).collect())?));
        }
        let plan = LogicalPlan::Union(Union::try_new(inputs)?);
        Ok(Fragment { plan, columns, keys, order: Vec::new(), absent: None })
    }

    pub(super) fn window(&mut self, window: Window, domain: &Domain) -> Result<Fragment> {
        let fragment = self.unnest(Arc::unwrap_or_clone(window.input), domain)?;
        let fragment = self.cover(fragment, &domain.used(&window.window_expr)?, domain)?;
        let columns = window.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let names = &columns[fragment.columns.len()..];
        let mut calls = Vec::with_capacity(names.len());
        for (call, name) in window.window_expr.into_iter().zip(names) {
            calls.push(outer::named(partitioned(fragment.inward(call)?, &fragment), name.clone()));
        }
        let plan = LogicalPlan::Window(Window::try_new(calls, Arc::new(fragment.plan))?);
        Ok(Fragment { plan, columns, ..fragment })
    }

    /// The elements of lists, beside the other columns.
    pub(super) fn spread(&mut self, unnest: Unnest, domain: &Domain) -> Result<Fragment> {
        let columns = unnest.schema.fields().iter().map(|field| field.name().clone()).collect();
        let fragment = self.unnest(Arc::unwrap_or_clone(unnest.input), domain)?;
        let fragment = self.complete(fragment, domain)?;
        let spread = Unnest::try_new(Arc::new(fragment.plan), unnest.exec_columns, unnest.options)?;
        Ok(Fragment { plan: LogicalPlan::Unnest(spread), columns, order: Vec::new(), ..fragment })
    }
}

/// The call over the rows of one combination.
fn partitioned(call: Expr, fragment: &Fragment) -> Expr {
    match call {
        Expr::Alias(mut alias) => {
            alias.expr = Box::new(partitioned(*alias.expr, fragment));
            Expr::Alias(alias)
        }
        Expr::WindowFunction(mut call) => {
            call.params.partition_by.extend(fragment.key_columns());
            Expr::WindowFunction(call)
        }
        other => other,
    }
}
