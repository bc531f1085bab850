//! One SELECT, clause by clause.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use sqlparser::ast::{self, Distinct, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::operator::balanced;
use crate::sql::bind::order::{SortKey, keyless};
use crate::sql::bind::subquery::plan_of;
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, Purpose, Scope, column, plan};

impl Binder<'_> {
    /// Binds a SELECT with the ORDER BY of its query.
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        outer: Option<&Scope>,
    ) -> Result<BoundQuery> {
        refuse_foreign(select)?;
        let (mut input, mut scope) = self.from(&select.from, outer)?;
        scope.windows = select.named_window.clone();

        if let Some(selection) = &select.selection {
            scope.clause = Clause::Where;
            let predicate = self.condition(selection, &scope)?;
            input = plan::filter(input, predicate)?;
        }
        scope.clause = Clause::Select;
        let mut targets = self.targets(&select.projection, &scope)?;
        let keys = self.order_by(order, &mut targets, &scope)?;
        let distinct_on = match &select.distinct {
            Some(Distinct::On(exprs)) => Some(self.distinct_on(exprs, &keys, &mut targets, &scope)?),
            _ => None,
        };
        let grouping = self.group_by(&select.group_by, &mut targets, &scope)?;
        let having = match &select.having {
            None => None,
            Some(having) => {
                scope.clause = Clause::Having;
                Some(self.condition(having, &scope)?)
            }
        };
        let mut input = self.aggregate(input, grouping, having, &mut targets, &scope)?;
        input = self.windows(input, &mut targets)?;
        input = self.unnest_targets(input, &mut targets)?;
        match &select.distinct {
            Some(Distinct::Distinct) => self.distinct(input, targets, &keys),
            _ => self.put_out(input, targets, &keys, distinct_on),
        }
    }

    /// Binds a condition: WHERE, HAVING, ON.
    pub(super) fn condition(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Expr> {
        let mut bound = self.bind_expr(expr, scope)?;
        bound.position = bound.position.or(self.position(expr.span()));
        let position = bound.position;
        let clause = if scope.clause() == Clause::On { "JOIN/ON" } else { scope.clause().name() };
        let condition = self.boolean(bound, clause).map_err(|error| error.at(position))?;
        Ok(if self.purpose == Purpose::Query { cheapest_first(condition)? } else { condition })
    }

    /// The last steps of a SELECT without DISTINCT: the outputs, DISTINCT ON, the order.
    fn put_out(
        &mut self,
        input: LogicalPlan,
        targets: Vec<Target>,
        keys: &[SortKey],
        distinct_on: Option<Vec<usize>>,
    ) -> Result<BoundQuery> {
        let computed = self.computed(input, &targets)?;
        let columns: Vec<_> =
            targets.iter().filter(|target| target.visible).map(|target| target.column.clone()).collect();
        let mut plan = computed.plan;
        if let Some(on) = distinct_on {
            plan = self.first_of_each(plan, &computed.names, &on, keys, &targets)?;
        }
        if !keys.is_empty() {
            plan = plan::sort(plan, keys.iter().map(|key| key.sort(&computed.names)).collect());
        }
        if columns.len() < plan.schema().fields().len() {
            let visible = targets.iter().zip(&computed.names).filter(|(target, _)| target.visible);
            plan = plan::project(plan, visible.map(|(_, name)| column(name)).collect())?;
        }
        Ok(BoundQuery { plan, columns })
    }

    /// SELECT DISTINCT.
    fn distinct(&mut self, input: LogicalPlan, targets: Vec<Target>, keys: &[SortKey]) -> Result<BoundQuery> {
        if let Some(key) = keys.iter().find(|key| !targets[key.target].visible) {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(key.position));
        }
        let mut targets: Vec<Target> = targets.into_iter().filter(|target| target.visible).collect();
        for target in &mut targets {
            self.settle_target(target)?;
            comparable(&target.bound)?;
        }
        let computed = self.computed(input, &targets)?;
        let types: Vec<SqlType> = targets.iter().map(|target| target.bound.ty.clone()).collect();
        let mut plan = plan::distinct(computed.plan, &types, self.purpose)?;
        if !keys.is_empty() {
            plan = plan::sort(plan, keys.iter().map(|key| key.sort(&computed.names)).collect());
        }
        Ok(BoundQuery { plan, columns: targets.into_iter().map(|target| target.column).collect() })
    }

    /// A projection of the targets, each under a new name.
    fn computed(&mut self, input: LogicalPlan, targets: &[Target]) -> Result<Computed> {
        let names: Vec<String> = targets.iter().map(|_| self.fresh()).collect();
        let exprs = targets.iter().zip(&names).map(|(target, name)| target.bound.expr.clone().alias(name));
        let plan = plan::project(input, exprs.collect())?;
        Ok(Computed { plan, names })
    }
}

/// What AND joins, in the order in which PostgreSQL computes it (`order_qual_clauses`): what calls fewer functions first, else
/// as written.
fn cheapest_first(condition: Expr) -> Result<Expr> {
    let mut conditions: Vec<(usize, Expr)> = Vec::new();
    for part in split_conjunction_owned(condition) {
        conditions.push((calls(&part)?, part));
    }
    conditions.sort_by_key(|(calls, _)| *calls);
    balanced(conditions.into_iter().map(|(_, part)| part).collect(), Operator::And)
}

/// How many operators and functions an expression calls; subqueries count for many.
fn calls(expr: &Expr) -> Result<usize> {
    let mut count = 0;
    expr.apply(|part| {
        count += match part {
            Expr::BinaryExpr(binary) => usize::from(!binary.op.is_logic_operator()),
            Expr::ScalarFunction(_) | Expr::InList(_) | Expr::Like(_) => 1,
            part if plan_of(part).is_some() => 1000,
            _ => 0,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}

/// A projection of targets.
struct Computed {
    plan: LogicalPlan,
    /// The internal name of each target's column.
    names: Vec<String>,
}

/// Refuses what has no equality: DISTINCT, GROUP BY and set operations need it (42883).
pub(super) fn comparable(bound: &Bound) -> Result<()> {
    match without_equality(&bound.ty) {
        None => keyless(&bound.ty).map_err(|error| error.at(bound.position)),
        Some(ty) => {
            let message = format!("could not identify an equality operator for type {ty}");
            Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).at(bound.position))
        }
    }
}

/// The type itself, or the one within it, that has no equality.
pub(super) fn without_equality(ty: &SqlType) -> Option<&SqlType> {
    match ty {
        SqlType::Json | SqlType::Void => Some(ty),
        SqlType::Array(element) => without_equality(element).map(|_| ty),
        SqlType::Record(fields) => fields.iter().find_map(|(_, field)| without_equality(field)),
        _ => None,
    }
}

/// Refuses clauses that PostgreSQL's grammar does not have, or that we do not support.
fn refuse_foreign(select: &ast::Select) -> Result<()> {
    if let Some(into) = &select.into {
        return Err(Error::unsupported("SELECT … INTO")
            .with_hint(format!("Write CREATE TABLE {} AS SELECT …, which does the same.", into.name)));
    }
    let refused = [
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "SELECT AS VALUE or STRUCT"),
        (select.flavor != ast::SelectFlavor::Standard, "FROM before SELECT"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}
