//! ORDER BY: which targets it sorts by.
//!
//! PostgreSQL's rules (`findTargetlistEntrySQL92`): a bare name is first looked for among the output's names, an
//! integer counts the output's columns, anything else is an expression over the FROM clause, and becomes a hidden
//! target unless the select list has it already.

use datafusion::logical_expr::{Expr, SortExpr};
use sqlparser::ast::{self, OrderByOptions, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Bound, BoundQuery, Clause, Purpose, Scope, column, fold, plan};
use crate::sql::functions::comparison::{array_key, plain_order, sort_key};

/// A key of ORDER BY.
#[derive(Clone, Debug)]
pub(super) struct SortKey {
    /// Index of the target sorted by.
    pub target: usize,
    pub ascending: bool,
    pub nulls_first: bool,
    pub position: Option<usize>,
    /// The type whose [`sort_key`] decides; None where the values themselves order as they should.
    by: Option<SqlType>,
}

impl SortKey {
    fn new(target: usize, options: OrderByOptions, by: Option<SqlType>, position: Option<usize>) -> SortKey {
        let ascending = options.asc.unwrap_or(true);
        SortKey { target, ascending, nulls_first: options.nulls_first.unwrap_or(!ascending), position, by }
    }

    /// The key over the plan in which target `i` is the column `names[i]`.
    pub fn sort(&self, names: &[String]) -> SortExpr {
        let column = column(&names[self.target]);
        let key = match &self.by {
            Some(ty) => order_key(column, ty),
            None => column,
        };
        key.sort(self.ascending, self.nulls_first)
    }
}

impl Binder<'_> {
    /// Binds the ORDER BY of a SELECT; adds hidden targets for what the select list does not have.
    pub(super) fn order_by(
        &mut self,
        keys: &[ast::OrderByExpr],
        targets: &mut Vec<Target>,
        scope: &Scope,
    ) -> Result<Vec<SortKey>> {
        let mut sorted: Vec<SortKey> = Vec::with_capacity(keys.len());
        for key in keys {
            refuse_fill(key)?;
            let index = self.output_target(&key.expr, targets, scope, Clause::OrderBy)?;
            self.settle_target(&mut targets[index])?;
            let position = self.position(key.expr.span());
            orderable(&targets[index].bound).map_err(|error| error.at(position))?;
            // A key that stands before already decides nothing more.
            if !sorted.iter().any(|before| before.target == index) {
                let ty = &targets[index].bound.ty;
                let by = self.orders_by_key(ty).then(|| ty.clone());
                sorted.push(SortKey::new(index, key.options, by, position));
            }
        }
        Ok(sorted)
    }

    /// The target that an expression of ORDER BY or DISTINCT ON means.
    pub(super) fn output_target(
        &mut self,
        expr: &ast::Expr,
        targets: &mut Vec<Target>,
        scope: &Scope,
        clause: Clause,
    ) -> Result<usize> {
        let position = self.position(expr.span());
        if let ast::Expr::Identifier(ident) = expr
            && let Some(index) = named_target(&fold(ident), targets, clause).map_err(|error| error.at(position))?
        {
            return Ok(index);
        }
        if let Some(ordinal) = ordinal(expr, clause).map_err(|error| error.at(position))? {
            return nth_target(ordinal, targets, clause).map_err(|error| error.at(position));
        }
        let bound = self.bind_expr(expr, &scope.within(clause))?;
        let bound = self.settle(bound)?;
        Ok(same_target(&bound, targets).unwrap_or_else(|| {
            targets.push(Target::hidden(bound));
            targets.len() - 1
        }))
    }

    /// ORDER BY of a set operation or VALUES: by the output's columns only. `computed` lets VALUES sort by
    /// expressions over them.
    pub(super) fn order_outputs(
        &mut self,
        query: BoundQuery,
        keys: &[ast::OrderByExpr],
        computed: bool,
    ) -> Result<BoundQuery> {
        if keys.is_empty() {
            return Ok(query);
        }
        let query = self.settle_columns(query)?;
        let mut scope = Scope::new(None, Clause::OrderBy, self.text.clone());
        scope.items.push(query.item(None));
        let outputs = query.outputs().into_iter().zip(&query.columns);
        let mut targets: Vec<Target> =
            outputs.map(|(bound, column)| Target { bound, column: column.clone(), visible: true }).collect();
        let visible = targets.len();
        let keys = self.order_by(keys, &mut targets, &scope)?;
        if targets.len() == visible {
            let names: Vec<String> = query.plan.schema().fields().iter().map(|field| field.name().clone()).collect();
            let plan = plan::sort(query.plan, keys.iter().map(|key| key.sort(&names)).collect());
            return Ok(BoundQuery { plan, columns: query.columns });
        }
        if !computed {
            let hidden = keys.iter().find(|key| key.target >= visible);
            let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .with_detail("Only result column names can be used, not expressions or functions.")
                .with_hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                .at(hidden.and_then(|key| key.position)));
        }
        let names: Vec<String> = targets.iter().map(|_| self.fresh()).collect();
        let exprs = targets.iter().zip(&names).map(|(target, name)| target.bound.expr.clone().alias(name));
        let plan = plan::project(query.plan, exprs.collect())?;
        let plan = plan::sort(plan, keys.iter().map(|key| key.sort(&names)).collect());
        let plan = plan::project(plan, names[..visible].iter().map(column).collect())?;
        Ok(BoundQuery { plan, columns: query.columns })
    }

    /// Whether values of a type are compared by their [`sort_key`].
    pub(super) fn keyed(&self, ty: &SqlType) -> bool {
        plan::keyed(ty, self.purpose)
    }

    /// Whether values of a type are ordered by their [`order_key`]. A view's operators know that of floats.
    fn orders_by_key(&self, ty: &SqlType) -> bool {
        self.keyed(ty) || matches!(ty, SqlType::Array(_) | SqlType::Interval | SqlType::Jsonb)
    }

    /// What to group or match by for an expression.
    pub(super) fn key(&self, expr: Expr, ty: &SqlType) -> Expr {
        match self.keyed(ty) || (self.purpose == Purpose::Query && matches!(ty, SqlType::Array(_))) {
            true => order_key(expr, ty),
            false => expr,
        }
    }

    /// Binds the ORDER BY of an aggregate or a window.
    pub(super) fn bind_sort(&mut self, keys: &[ast::OrderByExpr], scope: &Scope) -> Result<Vec<SortExpr>> {
        let mut sorted = Vec::with_capacity(keys.len());
        for key in keys {
            let bound = self.bind_expr(&key.expr, scope)?;
            let bound = self.settle(bound)?;
            orderable(&bound).map_err(|error| error.at(self.position(key.expr.span())))?;
            sorted.push(self.bind_sort_as(key, bound.expr, &bound.ty)?);
        }
        Ok(sorted)
    }

    /// An ORDER BY's key, by what its expression was bound to.
    pub(super) fn bind_sort_as(&self, key: &ast::OrderByExpr, expr: Expr, ty: &SqlType) -> Result<SortExpr> {
        refuse_fill(key)?;
        let ascending = key.options.asc.unwrap_or(true);
        let value = if self.orders_by_key(ty) { order_key(expr, ty) } else { expr };
        Ok(value.sort(ascending, key.options.nulls_first.unwrap_or(!ascending)))
    }
}

/// What orders as values of a type do.
pub(super) fn order_key(expr: Expr, ty: &SqlType) -> Expr {
    match ty {
        SqlType::Array(_) => array_key(expr, ty),
        _ => sort_key(expr, ty),
    }
}

/// The visible target of this output name. Two of one name must be the same expression (42702).
pub(super) fn named_target(name: &str, targets: &[Target], clause: Clause) -> Result<Option<usize>> {
    let mut found: Option<usize> = None;
    for (index, target) in targets.iter().enumerate() {
        if !target.visible || target.column.name != name {
            continue;
        }
        match found {
            None => found = Some(index),
            Some(first) if targets[first].bound.expr == target.bound.expr => {}
            Some(_) => {
                let message = format!("{} \"{name}\" is ambiguous", clause.name());
                return Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message));
            }
        }
    }
    Ok(found)
}

/// The integer that an expression is, to count output columns by. Other constants are 42601.
pub(super) fn ordinal(expr: &ast::Expr, clause: Clause) -> Result<Option<usize>> {
    let constant = || Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {}", clause.name()));
    match expr {
        ast::Expr::Nested(inner) => ordinal(inner, clause),
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse::<i32>().map(|n| Some(n as usize)).map_err(|_| constant()),
            ast::Value::Placeholder(_) => Ok(None),
            _ => Err(constant()),
        },
        _ => Ok(None),
    }
}

pub(super) fn nth_target(ordinal: usize, targets: &[Target], clause: Clause) -> Result<usize> {
    let mut visible = targets.iter().enumerate().filter(|(_, target)| target.visible);
    match ordinal.checked_sub(1).and_then(|index| visible.nth(index)) {
        Some((index, _)) => Ok(index),
        None => {
            let message = format!("{} position {ordinal} is not in select list", clause.name());
            Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message))
        }
    }
}

/// The target that is this very expression.
pub(super) fn same_target(bound: &Bound, targets: &[Target]) -> Option<usize> {
    targets.iter().position(|target| target.bound.expr == bound.expr && target.bound.ty == bound.ty)
}

/// Refuses arrays whose elements have a [`sort_key`] of their own (0A000).
pub(super) fn keyless(ty: &SqlType) -> Result<()> {
    match ty {
        SqlType::Array(_) if !plain_order(ty) => Err(Error::unsupported(format!("comparison of {ty}"))),
        _ => Ok(()),
    }
}

/// Refuses what has no order (42883).
pub(super) fn orderable(bound: &Bound) -> Result<()> {
    match super::select::without_equality(&bound.ty) {
        None => keyless(&bound.ty),
        Some(ty) => {
            let message = format!("could not identify an ordering operator for type {ty}");
            Err(Error::new(SqlState::UNDEFINED_FUNCTION, message)
                .with_hint("Use an explicit ordering operator or modify the query."))
        }
    }
}

fn refuse_fill(key: &ast::OrderByExpr) -> Result<()> {
    match key.with_fill {
        Some(_) => Err(Error::unsupported("WITH FILL")),
        None => Ok(()),
    }
}
