//! Joins: conditions, and the merged columns of USING and NATURAL.

use datafusion::common::JoinType;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use sqlparser::ast::{self, JoinConstraint, JoinOperator};

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::from::Tables;
use crate::sql::bind::scope::{ScopeColumn, ScopeItem};
use crate::sql::bind::{Binder, Bound, Clause, Scope, column, fold, plan};

/// A column that USING or NATURAL makes one of two.
struct Merged {
    left: ScopeColumn,
    right: ScopeColumn,
    position: Option<usize>,
}

impl Binder<'_> {
    /// Joins two parts of FROM. The first `unseen` items of the left one cannot be named in ON.
    pub(super) fn join(
        &mut self,
        left: Tables,
        right: Tables,
        kind: JoinType,
        constraint: &JoinConstraint,
        unseen: usize,
        outer: Option<&Scope>,
    ) -> Result<Tables> {
        let merged = self.merged_columns(&left, &right, constraint, unseen)?;
        let (left_plan, right_plan) = (left.plan.clone(), right.plan.clone());
        let tables = self.side_by_side(left.items.clone(), Tables { plan: left.plan, items: right.items.clone() })?;
        let on = match constraint {
            JoinConstraint::On(condition) => Some(self.condition(condition, &self.on_scope(&tables, unseen, outer))?),
            _ => self.merged_condition(&merged)?,
        };
        let mut items = tables.items;
        let mut joined = plan::join(left_plan, right_plan, kind, on)?;
        Scope::refresh(&mut items, joined.schema());
        if !merged.is_empty() {
            joined = self.merge(joined, &mut items, merged, kind, left.items.len(), unseen)?;
        }
        Ok(Tables { plan: joined, items })
    }

    /// Applies the condition of a join that became rows beside the left ones.
    pub(super) fn filtered(
        &mut self,
        tables: Tables,
        constraint: &JoinConstraint,
        kind: JoinType,
        unseen: usize,
        outer: Option<&Scope>,
    ) -> Result<Tables> {
        match constraint {
            JoinConstraint::On(condition) if kind == JoinType::Inner => {
                let predicate = self.condition(condition, &self.on_scope(&tables, unseen, outer))?;
                Ok(Tables { plan: plan::filter(tables.plan, predicate)?, items: tables.items })
            }
            _ => Ok(tables),
        }
    }

    /// What ON can name: both sides of its own join.
    fn on_scope<'s>(&self, tables: &Tables, unseen: usize, outer: Option<&'s Scope<'s>>) -> Scope<'s> {
        let mut scope = Scope::new(outer, Clause::On, self.text.clone());
        scope.items = tables.items[unseen..].to_vec();
        scope.hidden = tables.items[..unseen].iter().filter_map(|item| item.name.clone()).collect();
        scope
    }

    /// The pairs of columns that USING names or NATURAL finds.
    fn merged_columns(
        &self,
        left: &Tables,
        right: &Tables,
        constraint: &JoinConstraint,
        unseen: usize,
    ) -> Result<Vec<Merged>> {
        let named: Vec<(String, Option<usize>)> = match constraint {
            JoinConstraint::Using(names) => {
                let idents = names.iter().filter_map(|name| name.0.last()?.as_ident());
                idents.map(|ident| (fold(ident), self.position(ident.span))).collect()
            }
            JoinConstraint::Natural => {
                let has = |tables: &Tables, name: &str| bare(&tables.items).any(|column| column.name == name);
                let names = bare(&left.items[unseen..]).map(|column| &column.name);
                names.filter(|name| has(right, name)).map(|name| (name.clone(), None)).collect()
            }
            JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
        };
        let mut merged: Vec<Merged> = Vec::with_capacity(named.len());
        for (name, position) in named {
            if merged.iter().any(|before| before.left.name == name) {
                let message = format!("column name \"{name}\" appears more than once in USING clause");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            let left = common(&left.items[unseen..], &name, "left")?;
            let right = common(&right.items, &name, "right")?;
            merged.push(Merged { left, right, position });
        }
        Ok(merged)
    }

    fn merged_condition(&mut self, merged: &[Merged]) -> Result<Option<Expr>> {
        let mut condition: Option<Expr> = None;
        for pair in merged {
            let (left, right) = self.alike(pair)?;
            let equal = self.apply_comparison(left, Operator::Eq, right)?.expr;
            condition = Some(match condition {
                None => equal,
                Some(before) => before.and(equal),
            });
        }
        Ok(condition)
    }

    /// Both columns of a pair in their common type.
    fn alike(&mut self, pair: &Merged) -> Result<(Bound, Bound)> {
        let bound =
            |column: &ScopeColumn| Bound::new(self::column(column.field.name()), column.ty.clone(), pair.position);
        let (left, right) = (bound(&pair.left), bound(&pair.right));
        let ty = self.common_type(&[&left, &right], "JOIN/USING").map_err(|error| error.at(pair.position))?;
        Ok((self.coerce(left, &ty, Coercion::Implicit)?, self.coerce(right, &ty, Coercion::Implicit)?))
    }

    /// Puts the merged columns first, then the others of the left, then of the right, as bare names and `*` see them.
    fn merge(
        &mut self,
        joined: LogicalPlan,
        items: &mut Vec<ScopeItem>,
        merged: Vec<Merged>,
        kind: JoinType,
        lefts: usize,
        unseen: usize,
    ) -> Result<LogicalPlan> {
        let mut computed = Vec::new();
        let mut columns = Vec::new();
        for pair in &merged {
            let (left, right) = self.alike(pair)?;
            let ty = left.ty.clone();
            let (value, from) = match kind {
                JoinType::Right => (right.expr, Some(&pair.right)),
                JoinType::Full => (coalesce(vec![left.expr, right.expr]), None),
                _ => (left.expr, Some(&pair.left)),
            };
            let name = match &value {
                Expr::Column(column) => column.name.clone(),
                _ => {
                    let name = self.fresh();
                    computed.push(value.alias(&name));
                    name
                }
            };
            let same = from.filter(|from| *from.field.name() == name);
            columns.push((pair.left.name.clone(), name, ty, same.and_then(|from| from.origin)));
        }
        let plan = plan::extend(joined, computed)?;
        let mut all = Vec::with_capacity(columns.len());
        for (name, internal, ty, origin) in columns {
            let field = plan.schema().field_with_unqualified_name(&internal)?.clone();
            all.push(ScopeColumn { name, field, ty, origin });
        }
        let is_merged = |column: &ScopeColumn| merged.iter().any(|pair| pair.left.name == column.name);
        let (left, right) = items.split_at(lefts);
        let rest = bare(&left[unseen..]).chain(bare(right)).filter(|column| !is_merged(column));
        all.extend(rest.cloned());
        items[unseen..].iter_mut().for_each(|item| item.bare = false);
        items.push(ScopeItem::new(None, all));
        Scope::refresh(items, plan.schema());
        Ok(plan)
    }
}

/// The columns that bare names see.
fn bare(items: &[ScopeItem]) -> impl Iterator<Item = &ScopeColumn> {
    items.iter().filter(|item| item.bare).flat_map(|item| &item.columns)
}

/// The one column of this name on a side of a join.
fn common(items: &[ScopeItem], name: &str, side: &str) -> Result<ScopeColumn> {
    let mut matches = bare(items).filter(|column| column.name == name);
    match (matches.next(), matches.next()) {
        (Some(column), None) => Ok(column.clone()),
        (Some(_), Some(_)) => {
            let message = format!("common column name \"{name}\" appears more than once in {side} table");
            Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message))
        }
        (None, _) => {
            let message = format!("column \"{name}\" specified in USING clause does not exist in {side} table");
            Err(Error::new(SqlState::UNDEFINED_COLUMN, message))
        }
    }
}

/// The kind and the condition of a join of PostgreSQL's grammar.
pub(super) fn kind_of(join: &ast::Join) -> Result<(JoinType, &JoinConstraint)> {
    if join.global {
        return Err(Error::unsupported("GLOBAL JOIN"));
    }
    Ok(match &join.join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (JoinType::Inner, on),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (JoinType::Left, on),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (JoinType::Right, on),
        JoinOperator::FullOuter(on) => (JoinType::Full, on),
        JoinOperator::AsOf { .. } => return Err(Error::unsupported("ASOF JOIN")),
        JoinOperator::CrossApply | JoinOperator::OuterApply => {
            return Err(
                Error::unsupported("APPLY").with_hint("Write CROSS JOIN LATERAL or LEFT JOIN LATERAL … ON true.")
            );
        }
        JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::RightSemi(_) => {
            return Err(Error::unsupported("SEMI JOIN").with_hint("Write WHERE EXISTS (SELECT …)."));
        }
        JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) | JoinOperator::RightAnti(_) => {
            return Err(Error::unsupported("ANTI JOIN").with_hint("Write WHERE NOT EXISTS (SELECT …)."));
        }
        _ => return Err(Error::unsupported("this kind of join")),
    })
}
