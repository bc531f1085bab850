//! UNION, INTERSECT, EXCEPT.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{JoinType, NullHandling};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, lit, when};
use sqlparser::ast::{SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::distinct::row_number;
use crate::sql::bind::select::comparable;
use crate::sql::bind::{Binder, Bound, BoundQuery, OutputColumn, Purpose, Scope, column, plan};

impl Binder<'_> {
    /// The body of a query, or a side of a set operation.
    pub(super) fn set_expr(&mut self, body: &SetExpr, outer: Option<&Scope>) -> Result<BoundQuery> {
        match body {
            SetExpr::Select(select) => self.select(select, &[], outer),
            SetExpr::Query(query) => self.query(query, outer),
            SetExpr::Values(values) => self.values(values, outer),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let all = match set_quantifier {
                    SetQuantifier::All => true,
                    SetQuantifier::Distinct | SetQuantifier::None => false,
                    other => return Err(Error::unsupported(format!("{op} {other}"))),
                };
                let [first, second] = [left, right].map(|side| self.target_position(side, 0));
                let left = self.set_expr(left, outer)?;
                let right = self.set_expr(right, outer)?;
                self.set_operation(*op, all, left, right).map_err(|error| {
                    let incomparable = error.sqlstate() == SqlState::UNDEFINED_FUNCTION;
                    error.at(if incomparable { first } else { second })
                })
            }
            SetExpr::Table(_) => Err(Error::unsupported("TABLE").with_hint("Write SELECT * FROM the table.")),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(Error::unsupported("a data-modifying statement in WITH"))
            }
        }
    }

    /// Where an expression of a query's select list stands.
    pub(super) fn target_position(&self, body: &SetExpr, index: usize) -> Option<usize> {
        let span = match body {
            SetExpr::Select(select) => match select.projection.get(index)? {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.span(),
                item => item.span(),
            },
            SetExpr::Query(query) => return self.target_position(&query.body, index),
            SetExpr::SetOperation { left, .. } => return self.target_position(left, index),
            SetExpr::Values(values) => values.rows.first()?.content.get(index)?.span(),
            _ => return None,
        };
        self.position(span)
    }

    /// Combines two queries, column by column in their common types; names are the left one's.
    pub(super) fn set_operation(
        &mut self,
        op: SetOperator,
        all: bool,
        left: BoundQuery,
        right: BoundQuery,
    ) -> Result<BoundQuery> {
        let (left, right) = self.alike_columns(op, left, right)?;
        let columns: Vec<OutputColumn> =
            left.columns.iter().map(|column| OutputColumn { relation: None, ..column.clone() }).collect();
        if !(all && op == SetOperator::Union) {
            left.outputs().iter().try_for_each(comparable)?;
        }
        let types: Vec<SqlType> = columns.iter().map(|column| column.ty.clone()).collect();
        let plan = match (op, all) {
            (SetOperator::Union, all) => {
                let names: Vec<String> = columns.iter().map(|_| self.fresh()).collect();
                let under = |query: BoundQuery| {
                    let exprs = query.outputs().into_iter().zip(&names).map(|(output, name)| output.expr.alias(name));
                    plan::project(query.plan, exprs.collect())
                };
                let union = plan::union_all(vec![under(left)?, under(right)?])?;
                if all { union } else { plan::distinct(union, &types, self.purpose)? }
            }
            (SetOperator::Intersect, false) => {
                self.matching(plan::distinct(left.plan, &types, self.purpose)?, right.plan, &types, JoinType::LeftSemi)?
            }
            (SetOperator::Except, false) => {
                self.matching(plan::distinct(left.plan, &types, self.purpose)?, right.plan, &types, JoinType::LeftAnti)?
            }
            (SetOperator::Intersect | SetOperator::Except, true) if self.purpose == Purpose::View => {
                self.counted_copies(op, left, right)?
            }
            (SetOperator::Intersect, true) => self.matching_copies(left, right, JoinType::LeftSemi)?,
            (SetOperator::Except, true) => self.matching_copies(left, right, JoinType::LeftAnti)?,
            (SetOperator::Minus, _) => return Err(Error::unsupported("MINUS").with_hint("Write EXCEPT.")),
        };
        Ok(BoundQuery { plan, columns })
    }

    /// Both sides with their common types.
    fn alike_columns(
        &mut self,
        op: SetOperator,
        left: BoundQuery,
        right: BoundQuery,
    ) -> Result<(BoundQuery, BoundQuery)> {
        if left.columns.len() != right.columns.len() {
            let message = format!("each {op} query must have the same number of columns");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if left.columns.is_empty() {
            return Err(Error::unsupported(format!("{op} of queries without columns")));
        }
        let mut types = Vec::with_capacity(left.columns.len());
        for (left, right) in left.outputs().iter().zip(&right.outputs()) {
            types.push(self.common_type(&[left, right], &op.to_string())?);
        }
        let left = self.coerce_columns(left, &types, Coercion::Implicit, |_, error| error)?;
        let right = self.coerce_columns(right, &types, Coercion::Implicit, |_, error| error)?;
        Ok((left, right))
    }

    /// INTERSECT ALL and EXCEPT ALL: copies of a row are told apart by their number, so that the k-th copy on the left
    /// meets the k-th on the right.
    fn matching_copies(&mut self, left: BoundQuery, right: BoundQuery, kind: JoinType) -> Result<LogicalPlan> {
        let outputs = left.outputs().into_iter().map(|output| output.expr).collect();
        let types: Vec<SqlType> = left.columns.iter().map(|column| column.ty.clone()).collect();
        let (left, right) = (self.numbered(left)?, self.numbered(right)?);
        plan::project(self.matching(left, right, &types, kind)?, outputs)
    }

    /// INTERSECT ALL and EXCEPT ALL of a view: the copies of each row are counted on both sides, and the row is put out as
    /// often as the numbers say. Numbering the copies would renumber those that stay.
    fn counted_copies(&mut self, op: SetOperator, left: BoundQuery, right: BoundQuery) -> Result<LogicalPlan> {
        if let Some(column) = left.columns.iter().find(|column| matches!(column.ty, SqlType::Interval | SqlType::Jsonb))
        {
            let what = format!("{op} ALL of columns of type {} in a materialized view", column.ty);
            return Err(Error::unsupported(what));
        }
        let names: Vec<String> = left.columns.iter().map(|_| self.fresh()).collect();
        let (lefts, rights) = (self.fresh(), self.fresh());
        let mut sides = Vec::with_capacity(2);
        for (query, counts) in [(left, [1i64, 0]), (right, [0, 1])] {
            let outputs = query.outputs().into_iter().zip(&names).map(|(output, name)| output.expr.alias(name));
            let counts = counts.into_iter().zip([&lefts, &rights]).map(|(count, name)| lit(count).alias(name));
            let exprs = outputs.chain(counts).collect();
            sides.push(plan::project(query.plan, exprs)?);
        }
        let keys = names.iter().map(column).collect();
        let counts = [&lefts, &rights].map(|name| sum(column(name)).alias(name));
        let counted = Aggregate::try_new(Arc::new(plan::union_all(sides)?), keys, counts.to_vec())?;
        let (lefts, rights) = (column(lefts), column(rights));
        let copies = match op {
            SetOperator::Intersect => when(lefts.clone().lt(rights.clone()), lefts).otherwise(rights)?,
            _ => lefts - rights,
        };
        let bounds = [lit(1i64), copies].map(|expr| Bound::new(expr, SqlType::Int8, None));
        let Expr::Unnest(series) = self.call_by_name("generate_series", bounds.to_vec())?.expr else {
            return Err(Error::internal("a series is a set of rows"));
        };
        let series_name = self.fresh();
        let exprs = names.iter().map(column).chain([series.expr.alias(&series_name)]).collect();
        let listed = plan::project(LogicalPlan::Aggregate(counted), exprs)?;
        let copied = plan::unnest(listed, &[series_name], NullHandling::Drop)?;
        plan::project(copied, names.iter().map(column).collect())
    }

    fn numbered(&mut self, query: BoundQuery) -> Result<LogicalPlan> {
        let partition = query.outputs().into_iter().map(|output| self.key(output.expr, &output.ty)).collect();
        let number = row_number(partition, Vec::new()).alias(self.fresh());
        plan::window(query.plan, vec![number])
    }

    /// The left rows that have an equal right row, or that have none. `types` are those of the columns; a column more
    /// is a number.
    fn matching(
        &self,
        left: LogicalPlan,
        right: LogicalPlan,
        types: &[SqlType],
        kind: JoinType,
    ) -> Result<LogicalPlan> {
        let side = |plan: &LogicalPlan| {
            let key = |(at, field): (usize, &Arc<Field>)| match types.get(at) {
                Some(ty) => self.key(column(field.name()), ty),
                None => column(field.name()),
            };
            plan.schema().fields().iter().enumerate().map(key).collect::<Vec<_>>()
        };
        let on = side(&left).into_iter().zip(side(&right)).collect();
        plan::match_rows(left, right, kind, on)
    }
}
