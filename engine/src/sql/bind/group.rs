//! GROUP BY: the expressions grouped by, and the sets of them.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, GroupByExpr, Spanned};

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::order::{named_target, nth_target, ordinal};
use crate::sql::bind::select::comparable;
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Bound, Clause, Scope, fold};

/// PostgreSQL's limit on the elements of CUBE.
const MAX_CUBE: usize = 12;
/// PostgreSQL's limit on grouping sets.
const MAX_SETS: usize = 4096;

/// How rows are grouped.
#[derive(Clone, Debug)]
pub(super) struct Grouping {
    /// All expressions grouped by, each once.
    pub exprs: Vec<Bound>,
    /// Which of them each grouping uses; one set of all of them for a plain GROUP BY.
    pub sets: Vec<Vec<usize>>,
    /// Whether GROUPING SETS, ROLLUP or CUBE are used.
    pub explicit: bool,
}

impl Grouping {
    /// All rows as one group.
    pub fn whole() -> Grouping {
        Grouping { exprs: Vec::new(), sets: vec![Vec::new()], explicit: false }
    }
}

impl Binder<'_> {
    /// Binds GROUP BY; None where there is none. Output names and ordinals refer to `targets`.
    pub(super) fn group_by(
        &mut self,
        clause: &GroupByExpr,
        targets: &mut [Target],
        scope: &Scope,
    ) -> Result<Option<Grouping>> {
        let (items, modifiers) = match clause {
            GroupByExpr::All(_) => return Err(Error::unsupported("GROUP BY ALL")),
            GroupByExpr::Expressions(items, modifiers) => (items, modifiers),
        };
        if !modifiers.is_empty() {
            return Err(Error::unsupported("WITH ROLLUP, CUBE or TOTALS").with_hint("Write GROUP BY ROLLUP (…)."));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let mut grouping = Grouping::whole();
        let scope = scope.within(Clause::GroupBy);
        for item in items {
            let sets = self.grouping_item(item, &mut grouping, targets, &scope)?;
            let position = self.position(item.span());
            if grouping.sets.len() * sets.len() > MAX_SETS {
                let message = format!("too many grouping sets present (maximum {MAX_SETS})");
                return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message).at(position));
            }
            let both = |before: &Vec<usize>| {
                let with = |set: &Vec<usize>| union(before, set);
                sets.iter().map(with).collect::<Vec<_>>()
            };
            grouping.sets = grouping.sets.iter().flat_map(both).collect();
        }
        Ok(Some(grouping))
    }

    /// The sets of one element of GROUP BY.
    fn grouping_item(
        &mut self,
        item: &ast::Expr,
        grouping: &mut Grouping,
        targets: &mut [Target],
        scope: &Scope,
    ) -> Result<Vec<Vec<usize>>> {
        let mut bind_all = |binder: &mut Self, exprs: &[ast::Expr], grouping: &mut Grouping| {
            let bound = exprs.iter().map(|expr| binder.group_expr(expr, grouping, targets, scope));
            bound.collect::<Result<Vec<usize>>>()
        };
        let (ast::Expr::GroupingSets(elements) | ast::Expr::Rollup(elements) | ast::Expr::Cube(elements)) = item else {
            return Ok(vec![match item {
                ast::Expr::Tuple(exprs) => bind_all(self, exprs, grouping)?,
                expr => bind_all(self, std::slice::from_ref(expr), grouping)?,
            }]);
        };
        grouping.explicit = true;
        let mut parts = Vec::with_capacity(elements.len());
        for exprs in elements {
            parts.push(bind_all(self, exprs, grouping)?);
        }
        let join = |chosen: &[&Vec<usize>]| chosen.iter().fold(Vec::new(), |all, part| union(&all, part));
        Ok(match item {
            ast::Expr::GroupingSets(_) => parts,
            ast::Expr::Rollup(_) => {
                let prefix = |length: usize| join(&parts[..length].iter().collect::<Vec<_>>());
                (0..=parts.len()).rev().map(prefix).collect()
            }
            _ => {
                if parts.len() > MAX_CUBE {
                    let message = format!("CUBE is limited to {MAX_CUBE} elements");
                    return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).at(self.position(item.span())));
                }
                let subset = |bits: usize| {
                    let chosen = parts.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
                    join(&chosen.map(|(_, part)| part).collect::<Vec<_>>())
                };
                (0..1usize << parts.len()).rev().map(subset).collect()
            }
        })
    }

    /// The index of one expression grouped by. A bare name is a column first, an output's name second.
    fn group_expr(
        &mut self,
        expr: &ast::Expr,
        grouping: &mut Grouping,
        targets: &mut [Target],
        scope: &Scope,
    ) -> Result<usize> {
        let position = self.position(expr.span());
        let mut target = None;
        if let ast::Expr::Identifier(ident) = expr
            && !scope.has_bare(&fold(ident))
        {
            target = named_target(&fold(ident), targets, Clause::GroupBy).map_err(|error| error.at(position))?;
        }
        if let Some(ordinal) = ordinal(expr, Clause::GroupBy).map_err(|error| error.at(position))? {
            target = Some(nth_target(ordinal, targets, Clause::GroupBy).map_err(|error| error.at(position))?);
        }
        let bound = match target {
            Some(index) => {
                self.settle_target(&mut targets[index])?;
                targets[index].bound.clone()
            }
            None => {
                let bound = self.bind_expr(expr, scope)?;
                self.settle(bound)?
            }
        };
        let at = bound.position.or(position);
        let holds = |what: fn(&Expr) -> bool| bound.expr.exists(|expr| Ok(what(expr))).unwrap_or(false);
        if holds(|expr| matches!(expr, Expr::AggregateFunction(_))) {
            scope.check_aggregate(at)?;
        }
        if holds(|expr| matches!(expr, Expr::WindowFunction(_))) {
            scope.check_window(at)?;
        }
        if holds(|expr| matches!(expr, Expr::Unnest(_))) {
            return Err(Error::unsupported("GROUP BY a set-returning function").at(at));
        }
        comparable(&bound).map_err(|error| error.at(position))?;
        let known = grouping.exprs.iter().position(|other| other.expr == bound.expr);
        Ok(known.unwrap_or_else(|| {
            grouping.exprs.push(bound);
            grouping.exprs.len() - 1
        }))
    }
}

/// Both sets, each index once.
fn union(left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut all = left.to_vec();
    all.extend(right.iter().filter(|index| !left.contains(index)));
    all
}
