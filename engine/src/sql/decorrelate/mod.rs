//! Removes subqueries: a plan in which queries stand inside of expressions, and relations of FROM depend on their
//! neighbours, becomes one of plain joins that means the same.
//!
//! The method is Neumann and Kemper's ("Unnesting Arbitrary Queries", BTW 2015). A subquery is evaluated not for each
//! row of the query around but for all combinations of values that it takes from there: the *domain*, a distinct
//! projection of the outer rows. The domain is pushed down through the subquery until nothing below depends on it; every
//! operator on the way keeps the combinations apart (an aggregate groups by them, a window is partitioned by them, …).
//! The result, a [`fragment::Fragment`], is joined to the outer rows by these values. Where the subquery equates an
//! outer column with a value of its own, that value stands for the outer column and no domain is needed: then
//! `EXISTS (SELECT … WHERE u.a = t.a)` is just a semi join.
//!
//! Inner queries go first, so a query of several levels is unnested level by level; what belongs to a level further out
//! stays an outer reference until that level is reached.
//!
//! | in | becomes |
//! |---|---|
//! | scalar subquery | left join; more than one row is 21000, raised where the value is asked for |
//! | `EXISTS`, `IN`, `ANY`, `ALL` as a condition of its own | semi join, anti join |
//! | the same within an expression | mark join, with counts for what is unknown (three-valued) |
//! | `LATERAL` | join |
//!
//! Only the guard of a scalar subquery is lazy: an error inside of a subquery, such as a division by zero, may show even
//! where a `CASE` would not have asked for its value, or for combinations of values that no outer row has.

mod condition;
mod fragment;
mod guard;
mod join;
mod join_condition;
mod node;
mod outer;
mod quantified;
mod recursive;
mod rewrite;
mod rows;
mod scalar;
mod unnest;

#[cfg(test)]
mod tests;

use datafusion::logical_expr::LogicalPlan;

use crate::error::Result;

/// The same query without subquery expressions and outer references, its columns under the same names.
///
/// The plan is the binder's: every column of a node has a name that no other column of it has.
///
/// # Errors
/// 0A000 for what cannot be unnested: a LIMIT per outer row that is not constant, FULL JOIN on a subquery over both of
/// its sides.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    rewrite::Decorrelator::default().rewrite(plan)
}
