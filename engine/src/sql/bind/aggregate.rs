//! Aggregation: the groups, and what may still be named after grouping.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, lit};
use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::group::Grouping;
use crate::sql::bind::scope::{ScopeColumn, ScopeItem};
use crate::sql::bind::subquery::{contains_subquery, outer_references, plan_of};
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Scope, column, plan};
use crate::sql::functions::comparison::sort_key;

/// The state of rewriting expressions over the rows into expressions over their groups.
struct Groups<'a> {
    scope: &'a Scope<'a>,
    grouping: &'a Grouping,
    /// The column of each grouping expression after aggregation: a plain column keeps its name, so that subqueries
    /// that refer to it need no change.
    names: Vec<String>,
    /// Columns that the grouping determines because it holds a primary key.
    determined: Vec<String>,
    /// Aggregate calls and their columns.
    calls: Vec<(Expr, String)>,
    /// Calls of GROUPING: the grouping expressions asked about, and the column.
    asked: Vec<(Vec<usize>, String)>,
}

impl Binder<'_> {
    /// Aggregates, if the SELECT does: takes aggregate calls and grouping expressions out of the targets and HAVING,
    /// and refuses columns that are neither (42803).
    pub(super) fn aggregate(
        &mut self,
        input: LogicalPlan,
        grouping: Option<Grouping>,
        having: Option<Expr>,
        targets: &mut [Target],
        scope: &Scope,
    ) -> Result<LogicalPlan> {
        let calls = |expr: &Expr| expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_)))).unwrap_or(false);
        if grouping.is_none() && having.is_none() && !targets.iter().any(|target| calls(&target.bound.expr)) {
            return Ok(input);
        }
        let grouping = grouping.unwrap_or_else(Grouping::whole);
        let mut computed = Vec::new();
        let mut names = Vec::with_capacity(grouping.exprs.len());
        let mut keys = Vec::with_capacity(grouping.exprs.len());
        for expr in &grouping.exprs {
            match &expr.expr {
                Expr::Column(column) => names.push(column.name.clone()),
                expr => {
                    let name = self.fresh();
                    computed.push(expr.clone().alias(&name));
                    names.push(name);
                }
            }
        }
        let mut keyed = Vec::new();
        for (name, expr) in names.iter().zip(&grouping.exprs) {
            keys.push(match self.keyed(&expr.ty) {
                true => {
                    let key = self.fresh();
                    keyed.push(sort_key(column(name), &expr.ty).alias(&key));
                    key
                }
                false => name.clone(),
            });
        }
        let (determined, calls, asked) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Groups { scope, grouping: &grouping, names, determined, calls, asked };
        for target in targets {
            let expr = std::mem::take(&mut target.bound.expr);
            target.bound.expr = groups.rewrite(expr, self)?;
        }
        let having = having.map(|having| groups.rewrite(having, self)).transpose()?;
        let Groups { names, determined, mut calls, asked, .. } = groups;
        for (call, _) in &mut calls {
            self.compute_subqueries(call, &mut computed)?;
        }
        let input = plan::extend(plan::extend(input, computed)?, keyed)?;
        let aggregated = match grouping.explicit {
            false => {
                calls.extend(names.iter().zip(&keys).filter_map(|group| self.shown_value(group)));
                let keys = keys.iter().chain(&determined).map(column).collect();
                grouped(input, keys, &calls, self.fresh()).and_then(|plan| with_grouping(plan, &asked))?
            }
            true => self.grouping_sets(input, &grouping, (&names, &keys), &calls, &asked)?,
        };
        match having {
            Some(having) => plan::filter(aggregated, having),
            None => Ok(aggregated),
        }
    }

    /// What gives the value of a group whose key is not the value itself.
    fn shown_value(&self, (name, key): (&String, &String)) -> Option<(Expr, String)> {
        (name != key).then(|| (plan::shown(name, self.purpose), name.clone()))
    }

    /// Replaces arguments of an aggregate that hold subqueries by columns computed before.
    fn compute_subqueries(&mut self, call: &mut Expr, computed: &mut Vec<Expr>) -> Result<()> {
        let Expr::AggregateFunction(AggregateFunction { params, .. }) = call else { return Ok(()) };
        let filter = params.filter.as_mut().map(|filter| filter.as_mut());
        let sorts = params.order_by.iter_mut().map(|sort| &mut sort.expr);
        for argument in params.args.iter_mut().chain(filter).chain(sorts) {
            if contains_subquery(argument) {
                let name = self.fresh();
                computed.push(std::mem::replace(argument, column(&name)).alias(&name));
            }
        }
        Ok(())
    }

    /// Several groupings of the same rows: the union of one aggregation for each, NULL in columns it does not group by.
    fn grouping_sets(
        &mut self,
        input: LogicalPlan,
        grouping: &Grouping,
        (names, group_keys): (&[String], &[String]),
        calls: &[(Expr, String)],
        asked: &[(Vec<usize>, String)],
    ) -> Result<LogicalPlan> {
        let count = calls.len();
        let mut inputs = Vec::with_capacity(grouping.sets.len());
        for set in &grouping.sets {
            let keys = set.iter().map(|index| column(&group_keys[*index])).collect();
            let shown = set.iter().filter_map(|index| self.shown_value((&names[*index], &group_keys[*index])));
            let calls: Vec<(Expr, String)> = calls.iter().cloned().chain(shown).collect();
            let mut outputs = Vec::new();
            let called = calls[..count].iter().map(|(_, name)| column(name));
            for (index, name) in names.iter().enumerate() {
                let ty = input.schema().field_with_unqualified_name(name)?.data_type();
                outputs.push(match set.contains(&index) {
                    true => column(name),
                    false => Expr::Literal(ScalarValue::try_from(ty)?, None).alias(name),
                });
            }
            outputs.extend(called);
            outputs.extend(asked.iter().map(|(about, name)| {
                let bits = about.iter().fold(0, |bits, index| bits << 1 | i32::from(!set.contains(index)));
                lit(bits).alias(name)
            }));
            inputs.push(plan::project(grouped(input.clone(), keys, &calls, self.fresh())?, outputs)?);
        }
        match inputs.len() {
            1 => Ok(inputs.remove(0)),
            _ => plan::union_all(inputs),
        }
    }
}

/// One aggregation. Without keys and calls it still tells whether there is a group, by a count under `spare`.
fn grouped(input: LogicalPlan, keys: Vec<Expr>, calls: &[(Expr, String)], spare: String) -> Result<LogicalPlan> {
    let mut calls: Vec<Expr> = calls.iter().map(|(call, name)| call.clone().alias(name)).collect();
    if keys.is_empty() && calls.is_empty() {
        calls.push(count(lit(1i64)).alias(spare));
    }
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), keys, calls)?))
}

/// GROUPING over the one grouping there is: everything asked about is grouped by.
fn with_grouping(input: LogicalPlan, asked: &[(Vec<usize>, String)]) -> Result<LogicalPlan> {
    plan::extend(input, asked.iter().map(|(_, name)| lit(0i32).alias(name)).collect())
}

impl Groups<'_> {
    /// The expression over the groups.
    fn rewrite(&mut self, expr: Expr, binder: &mut Binder) -> Result<Expr> {
        let mut failed = None;
        let rewritten = expr.transform_down(|expr| match self.step(&expr, binder) {
            Ok(Some(replacement)) => Ok(Transformed::new(replacement, true, TreeNodeRecursion::Jump)),
            Ok(None) => Ok(Transformed::no(expr)),
            Err(error) => {
                failed = failed.take().or(Some(error));
                Ok(Transformed::new(expr, false, TreeNodeRecursion::Stop))
            }
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(rewritten.data),
        }
    }

    /// What stands for an expression as a whole, if it is a grouping expression, an aggregate or a determined column.
    fn step(&mut self, expr: &Expr, binder: &mut Binder) -> Result<Option<Expr>> {
        // A constant is the same in every group; in place it stays visible to what needs constants.
        let constant = matches!(expr, Expr::Literal(..)) && !self.grouping.explicit;
        if let Some(index) = self.grouping.exprs.iter().position(|group| group.expr == *expr)
            && !constant
        {
            return Ok(Some(column(&self.names[index])));
        }
        match expr {
            Expr::AggregateFunction(call) if call.func.name() == "grouping" => {
                self.grouping_call(call, binder).map(Some)
            }
            Expr::AggregateFunction(call) => {
                check_level(call, self.scope)?;
                let known = self.calls.iter().find(|(other, _)| other == expr).map(|(_, name)| name.clone());
                let name = known.unwrap_or_else(|| {
                    let name = binder.fresh();
                    self.calls.push((expr.clone(), name.clone()));
                    name
                });
                Ok(Some(column(name)))
            }
            Expr::Column(named) => match self.scope.own(&named.name) {
                Some((item, found)) if !self.determines(item, found) => {
                    let message = format!(
                        "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                        shown(item, found)
                    );
                    Err(Error::new(SqlState::GROUPING_ERROR, message).at(self.scope.written_at(named)))
                }
                _ => Ok(Some(expr.clone())),
            },
            expr => {
                if let Some(plan) = plan_of(expr) {
                    // Whether it is the one that is grouped by cannot be told from the plans.
                    if self.grouping.exprs.iter().any(|group| contains_subquery(&group.expr)) {
                        return Err(Error::unsupported("GROUP BY an expression with a subquery")
                            .with_hint("Group by its position or output name, or compute it in a subquery of FROM."));
                    }
                    self.check_subquery(plan)?;
                }
                Ok(None)
            }
        }
    }

    /// Whether grouping by a primary key fixes this column too; then it becomes a key beside it.
    fn determines(&mut self, item: &ScopeItem, found: &ScopeColumn) -> bool {
        let name = found.field.name();
        let keyed = !item.key.is_empty() && item.key.iter().all(|key| self.names.contains(key));
        if !keyed || self.grouping.explicit {
            return self.names.contains(name) || self.determined.contains(name);
        }
        if !self.determined.contains(name) {
            self.determined.push(name.clone());
        }
        true
    }

    /// Refuses a subquery that takes a column from this query that is not grouped by.
    fn check_subquery(&mut self, plan: &LogicalPlan) -> Result<()> {
        for (name, reference) in outer_references(plan)? {
            let Some((item, found)) = self.scope.own(&name) else { continue };
            if !self.determines(item, found) {
                let message = format!("subquery uses ungrouped column \"{}\" from outer query", shown(item, found));
                let position = match &reference {
                    Expr::OuterReferenceColumn(_, column) => self.scope.written_at(column),
                    _ => None,
                };
                return Err(Error::new(SqlState::GROUPING_ERROR, message).at(position));
            }
        }
        Ok(())
    }

    /// `GROUPING(a, b)`: a bit for each argument, set where the row's grouping leaves it out.
    fn grouping_call(&mut self, call: &AggregateFunction, binder: &mut Binder) -> Result<Expr> {
        let index = |arg: &Expr| self.grouping.exprs.iter().position(|group| group.expr == *arg);
        let about: Option<Vec<usize>> = call.params.args.iter().map(index).collect();
        let Some(about) = about else {
            let message = "arguments to GROUPING must be grouping expressions of the associated query level";
            let position = call.params.args.iter().find_map(|arg| match arg {
                Expr::Column(column) => self.scope.written_at(column),
                _ => None,
            });
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(position));
        };
        let known = self.asked.iter().find(|(other, _)| *other == about).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = binder.fresh();
            self.asked.push((about, name.clone()));
            name
        });
        Ok(column(name))
    }
}

/// In PostgreSQL an aggregate over columns of a query around belongs to that query.
fn check_level(call: &AggregateFunction, scope: &Scope) -> Result<()> {
    let (mut own, mut outer) = (false, false);
    let filter = call.params.filter.iter().map(|filter| &**filter);
    let sorts = call.params.order_by.iter().map(|sort| &sort.expr);
    for arg in call.params.args.iter().chain(filter).chain(sorts) {
        arg.apply(|expr| {
            own |= matches!(expr, Expr::Column(_));
            outer |= matches!(expr, Expr::OuterReferenceColumn(..));
            if let Some(plan) = plan_of(expr) {
                for name in outer_references(plan)?.keys() {
                    own |= scope.own(name).is_some();
                    outer |= scope.own(name).is_none() && scope.describe(name).is_some();
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    match outer && !own {
        true => Err(Error::unsupported("an aggregate over columns of an outer query only")),
        false => Ok(()),
    }
}

/// A column as errors name it.
fn shown(item: &ScopeItem, column: &ScopeColumn) -> String {
    match &item.name {
        Some(relation) => format!("{relation}.{}", column.name),
        None => column.name.clone(),
    }
}
