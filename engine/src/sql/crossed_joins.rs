//! Joins written as products: `FROM a, b WHERE a.x = b.x` becomes a join on `x`.
//!
//! In place of DataFusion's rule of the same name (55.2), which drops keys of which one side has become a constant, treats
//! NULLs in all joins of a tree as it does in one, and begins anew below each join that it has made: a FROM clause of some
//! hundred relations took it minutes.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::utils::{can_hash, conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator, Projection, binary_expr,
};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Finds keys for inner joins that have none, and an order in which most joins have keys: each relation, as they are
/// written, is joined when a key connects it with those before it. Trees of joins that all have keys stay as they are.
#[derive(Debug, Default)]
pub struct CrossedJoins;

impl OptimizerRule for CrossedJoins {
    fn name(&self) -> &str {
        "eliminate_cross_join"
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.transform_up(|node| Ok(with_constant_conditions(node)))?.transform_data(uncrossed)
    }
}

/// An inner join whose keys all have columns on both sides.
fn with_constant_conditions(node: LogicalPlan) -> Transformed<LogicalPlan> {
    let is_key = |(left, right): &(Expr, Expr)| has_columns(left) && has_columns(right);
    match node {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !join.on.iter().all(is_key) => {
            let Join { on, filter, .. } = join.clone();
            let (keys, conditions): (Vec<_>, Vec<_>) = on.into_iter().partition(is_key);
            let equal = match join.null_equality {
                NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
                NullEquality::NullEqualsNothing => Operator::Eq,
            };
            let conditions = conditions.into_iter().map(|(left, right)| binary_expr(left, equal, right));
            let filter = conditions.chain(filter).reduce(Expr::and);
            Transformed::yes(LogicalPlan::Join(Join { on: keys, filter, ..join }))
        }
        node => Transformed::no(node),
    }
}

fn has_columns(expr: &Expr) -> bool {
    !expr.column_refs().is_empty()
}

/// A column, perhaps as a wider type.
fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => is_column(&cast.expr),
        expr => matches!(expr, Expr::Column(_)),
    }
}

/// Everything below and at a node.
fn uncrossed(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) if has_product(&filter.input) => {
            let Filter { predicate, input, .. } = filter;
            Tree::of(Arc::unwrap_or_clone(input), Some(predicate))?.joined().map(Transformed::yes)
        }
        plan if has_product(&plan) => Tree::of(plan, None)?.joined().map(Transformed::yes),
        plan => below(plan),
    }
}

/// What is below a node, or below a tree of joins that stays.
fn below(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let is_tree = joined(&plan).is_some();
    plan.map_children(|child| if is_tree && joined(&child).is_some() { below(child) } else { uncrossed(child) })
}

/// An inner join that may be taken apart.
fn joined(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            Some(join).filter(|join| join.on.is_empty() || join.null_equality == NullEquality::NullEqualsNothing)
        }
        _ => None,
    }
}

/// Whether a tree of inner joins has one without keys.
fn has_product(plan: &LogicalPlan) -> bool {
    joined(plan).is_some_and(|join| join.on.is_empty() || has_product(&join.left) || has_product(&join.right))
}

/// A tree of inner joins, taken apart.
struct Tree {
    schema: Arc<DFSchema>,
    inputs: Vec<LogicalPlan>,
    keys: Vec<Key>,
    /// What no key says.
    conditions: Vec<Expr>,
}

/// A condition `left = right`.
struct Key {
    left: Side,
    right: Side,
    /// Whether some other condition says the same, so that this one may go if no join can use it.
    implied: bool,
}

struct Side {
    expr: Expr,
    /// The inputs that it has columns of.
    inputs: Vec<usize>,
}

impl Tree {
    fn of(plan: LogicalPlan, predicate: Option<Expr>) -> Result<Tree> {
        let schema = plan.schema().clone();
        let (mut inputs, mut conditions) = (Vec::new(), Vec::new());
        take_apart(plan, &mut inputs, &mut conditions);
        conditions.extend(predicate.into_iter().flat_map(split_conjunction_owned));
        let columns = Columns::of(&inputs);
        let (mut keys, mut rest) = (Vec::new(), Vec::new());
        for condition in conditions {
            for (left, right) in common_equalities(&condition) {
                keys.extend(columns.key(left, right, true)?);
            }
            match condition {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                    match columns.key((*left).clone(), (*right).clone(), false)? {
                        Some(key) => keys.push(key),
                        None => rest.push(binary_expr(*left, Operator::Eq, *right)),
                    }
                }
                condition => rest.push(condition),
            }
        }
        drop(columns);
        Ok(Tree { schema, inputs, keys, conditions: rest })
    }

    /// The inputs joined anew, under the conditions that no key says.
    fn joined(self) -> Result<LogicalPlan> {
        let Tree { schema, inputs, mut keys, mut conditions } = self;
        let below = inputs.into_iter().map(|input| Ok(Some(uncrossed(input)?.data)));
        // Those that are joined are taken out.
        let mut inputs: Vec<Option<LogicalPlan>> = below.collect::<Result<_>>()?;
        let Some(mut plan) = inputs.first_mut().and_then(Option::take) else {
            return datafusion::common::internal_err!("a join of nothing");
        };
        while let Some(first) = inputs.iter().position(Option::is_some) {
            let is_in = |at: &usize| inputs[*at].is_none();
            let next = keys.iter().filter_map(|key| key.reaches(is_in)).min().unwrap_or(first);
            let (used, unused): (Vec<Key>, Vec<Key>) =
                keys.into_iter().partition(|key| key.reaches(is_in) == Some(next));
            keys = unused;
            let mut on = Vec::with_capacity(used.len());
            for pair in used.into_iter().map(|key| key.towards(next)) {
                if !on.contains(&pair) {
                    on.push(pair);
                }
            }
            if let Some(right) = inputs[next].take() {
                plan = inner_join(plan, right, on)?;
            }
        }
        if plan.schema() != &schema {
            plan = LogicalPlan::Projection(Projection::new_from_schema(Arc::new(plan), schema));
        }
        let said = keys.into_iter().filter(|key| !key.implied);
        conditions.extend(said.map(|key| binary_expr(key.left.expr, Operator::Eq, key.right.expr)));
        match conjunction(conditions) {
            Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?)),
            None => Ok(plan),
        }
    }
}

impl Key {
    /// The input that it joins with those that are in.
    fn reaches(&self, is_in: impl Fn(&usize) -> bool) -> Option<usize> {
        match (&self.left.inputs[..], &self.right.inputs[..]) {
            (others, [input]) | ([input], others) if others.iter().all(&is_in) && !is_in(input) => Some(*input),
            _ => None,
        }
    }

    /// Its sides, that of the input last.
    fn towards(self, input: usize) -> (Expr, Expr) {
        match self.right.inputs == [input] {
            true => (self.left.expr, self.right.expr),
            false => (self.right.expr, self.left.expr),
        }
    }
}

fn inner_join(left: LogicalPlan, right: LogicalPlan, on: Vec<(Expr, Expr)>) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    let nulls = NullEquality::NullEqualsNothing;
    let join = Join::try_new(left, right, on, None, JoinType::Inner, JoinConstraint::On, nulls, false)?;
    Ok(LogicalPlan::Join(join))
}

/// The inputs of a tree of joins, and what the joins ask of their rows.
fn take_apart(plan: LogicalPlan, inputs: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) {
    if joined(&plan).is_none() {
        return inputs.push(plan);
    }
    if let LogicalPlan::Join(Join { left, right, on, filter, .. }) = plan {
        conditions.extend(on.into_iter().map(|(left, right)| binary_expr(left, Operator::Eq, right)));
        conditions.extend(filter.into_iter().flat_map(split_conjunction_owned));
        take_apart(Arc::unwrap_or_clone(left), inputs, conditions);
        take_apart(Arc::unwrap_or_clone(right), inputs, conditions);
    }
}

/// The equalities of columns that all alternatives of a condition say. What is computed may have no value for a row that
/// the rest of each alternative leaves out.
fn common_equalities(condition: &Expr) -> Vec<(Expr, Expr)> {
    fn equalities(expr: &Expr, found: &mut Vec<(Expr, Expr)>) {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                equalities(left, found);
                equalities(right, found);
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(left) && is_column(right) => {
                found.push(((**left).clone(), (**right).clone()));
            }
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => found.extend(common_equalities(expr)),
            _ => {}
        }
    }
    let mut common: Option<Vec<(Expr, Expr)>> = None;
    let mut left = vec![condition];
    while let Some(expr) = left.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left: one, op: Operator::Or, right: other }) => {
                left.extend([&**other, &**one])
            }
            // One alternative is no OR.
            _ if std::ptr::eq(expr, condition) => return Vec::new(),
            alternative => {
                let mut found = Vec::new();
                equalities(alternative, &mut found);
                common = Some(match common {
                    None => found,
                    Some(common) => common.into_iter().filter(|equality| found.contains(equality)).collect(),
                });
                if common.as_ref().is_some_and(Vec::is_empty) {
                    return Vec::new();
                }
            }
        }
    }
    common.unwrap_or_default()
}

/// Which input has which column.
struct Columns<'a> {
    inputs: &'a [LogicalPlan],
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Columns<'a> {
    fn of(inputs: &'a [LogicalPlan]) -> Columns<'a> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, input) in inputs.iter().enumerate() {
            for field in input.schema().fields() {
                by_name.entry(field.name()).or_default().push(at);
            }
        }
        Columns { inputs, by_name }
    }

    /// The key that an equality is; None where that is not one of values of different inputs.
    fn key(&self, left: Expr, right: Expr, implied: bool) -> Result<Option<Key>> {
        let (Some(left), Some(right)) = (self.side(left)?, self.side(right)?) else { return Ok(None) };
        Ok(Some(Key { left, right, implied }).filter(|key| key.left.inputs != key.right.inputs))
    }

    /// None for what has no columns, columns that not just one input has, or values that cannot be hashed.
    fn side(&self, expr: Expr) -> Result<Option<Side>> {
        let mut inputs = Vec::new();
        for column in expr.column_refs() {
            let Some(input) = self.input(column) else { return Ok(None) };
            inputs.push(input);
        }
        inputs.sort_unstable();
        inputs.dedup();
        // Where a side is of several inputs the other one is of one, and of the same type.
        let hashed = match inputs[..] {
            [input] => can_hash(&expr.get_type(self.inputs[input].schema())?),
            [] => false,
            _ => true,
        };
        Ok(hashed.then_some(Side { expr, inputs }))
    }

    fn input(&self, column: &Column) -> Option<usize> {
        let named = self.by_name.get(column.name.as_str())?.iter().copied();
        let mut having = named.filter(|at| self.inputs[*at].schema().is_column_from_schema(column));
        having.next().filter(|_| having.next().is_none())
    }
}
