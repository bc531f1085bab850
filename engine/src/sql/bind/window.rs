//! Window functions: what OVER means, and the plan nodes that compute it.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use sqlparser::ast::{self, Ident, NamedWindowExpr, Spanned, WindowSpec, WindowType};

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};
use crate::sql::bind::coerce::Coercion;
use crate::sql::bind::select::comparable;
use crate::sql::bind::target::Target;
use crate::sql::bind::{Binder, Bound, Clause, Scope, column, fold, plan};

/// A window: the rows a call sees, and their order.
#[derive(Clone, Debug)]
pub struct Over {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortExpr>,
    pub frame: WindowFrame,
}

impl Binder<'_> {
    /// Binds what follows OVER: `(…)`, or the name of a window of the WINDOW clause.
    pub(super) fn bind_over(&mut self, over: &WindowType, scope: &Scope) -> Result<Over> {
        let spec = match over {
            WindowType::NamedWindow(name) => self.named_window(name, scope)?,
            WindowType::WindowSpec(spec) => self.whole_window(spec, scope)?,
        };
        let within = scope.within(Clause::Window);
        let mut partition_by = Vec::with_capacity(spec.partition_by.len());
        for expr in &spec.partition_by {
            let bound = self.bind_expr(expr, &within)?;
            let bound = self.settle(bound)?;
            comparable(&bound).map_err(|error| error.at(self.position(expr.span())))?;
            partition_by.push(self.key(bound.expr, &bound.ty));
        }
        let order_by = self.bind_sort(&spec.order_by, &within)?;
        let frame = match &spec.window_frame {
            None => WindowFrame::new((!order_by.is_empty()).then_some(false)),
            Some(frame) => self.frame(frame, &spec, &within)?,
        };
        Ok(Over { partition_by, order_by, frame })
    }

    /// The window of this name, in full.
    fn named_window(&self, name: &Ident, scope: &Scope) -> Result<WindowSpec> {
        let wanted = fold(name);
        let position = self.position(name.span);
        match scope.windows.iter().find(|window| fold(&window.0) == wanted) {
            None => {
                let message = format!("window \"{wanted}\" does not exist");
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(position))
            }
            // A window may build on those before it, so this ends.
            Some(window) => match &window.1 {
                NamedWindowExpr::WindowSpec(spec) => self.whole_window(spec, scope),
                NamedWindowExpr::NamedWindow(_) => {
                    Err(Error::unsupported("a window that only names another").at(position))
                }
            },
        }
    }

    /// A window with what it takes from the one it names.
    fn whole_window(&self, spec: &WindowSpec, scope: &Scope) -> Result<WindowSpec> {
        let Some(base) = &spec.window_name else { return Ok(spec.clone()) };
        let name = fold(base);
        let position = self.position(base.span);
        let earlier = |window: &&ast::NamedWindowDefinition| fold(&window.0) == name;
        if let Some(ast::NamedWindowDefinition(_, NamedWindowExpr::WindowSpec(inner))) =
            scope.windows.iter().find(earlier)
            && inner == spec
        {
            let message = format!("window \"{name}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(position));
        }
        let mut whole = self.named_window(base, scope)?;
        let opening = position.and_then(|position| self.text.last_before(position, '('));
        let cannot = |what: String| Err(Error::new(SqlState::WINDOWING_ERROR, what).at(opening));
        if !spec.partition_by.is_empty() {
            return cannot(format!("cannot override PARTITION BY clause of window \"{name}\""));
        }
        if !spec.order_by.is_empty() && !whole.order_by.is_empty() {
            return cannot(format!("cannot override ORDER BY clause of window \"{name}\""));
        }
        if whole.window_frame.is_some() {
            return cannot(format!("cannot copy window \"{name}\" because it has a frame clause"));
        }
        if !spec.order_by.is_empty() {
            whole.order_by = spec.order_by.clone();
        }
        whole.window_frame = spec.window_frame.clone();
        Ok(whole)
    }

    fn frame(&mut self, frame: &ast::WindowFrame, spec: &WindowSpec, scope: &Scope) -> Result<WindowFrame> {
        let wrong = |message: &str| Err(Error::new(SqlState::WINDOWING_ERROR, message));
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => WindowFrameUnits::Rows,
            ast::WindowFrameUnits::Range => WindowFrameUnits::Range,
            ast::WindowFrameUnits::Groups => WindowFrameUnits::Groups,
        };
        if units == WindowFrameUnits::Groups && spec.order_by.is_empty() {
            return wrong("GROUPS mode requires an ORDER BY clause");
        }
        let current = ast::WindowFrameBound::CurrentRow;
        let (from, to) = (&frame.start_bound, frame.end_bound.as_ref().unwrap_or(&current));
        use ast::WindowFrameBound::{CurrentRow, Following, Preceding};
        match (from, to) {
            (Following(None), _) => return wrong("frame start cannot be UNBOUNDED FOLLOWING"),
            (_, Preceding(None)) => return wrong("frame end cannot be UNBOUNDED PRECEDING"),
            (CurrentRow, Preceding(_)) => return wrong("frame starting from current row cannot have preceding rows"),
            (Following(_), Preceding(_) | CurrentRow) => {
                return wrong("frame starting from following row cannot have preceding rows");
            }
            _ => {}
        }
        let mut bounds = Vec::with_capacity(2);
        for bound in [from, to] {
            bounds.push(match bound {
                CurrentRow => WindowFrameBound::CurrentRow,
                Preceding(None) => WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                Following(None) => WindowFrameBound::Following(ScalarValue::UInt64(None)),
                Preceding(Some(by)) => WindowFrameBound::Preceding(self.offset(by, units, spec, scope)?),
                Following(Some(by)) => WindowFrameBound::Following(self.offset(by, units, spec, scope)?),
            });
        }
        let end = bounds.pop().unwrap_or(WindowFrameBound::CurrentRow);
        let start = bounds.pop().unwrap_or(WindowFrameBound::CurrentRow);
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    /// How far a frame reaches: rows or groups, or for RANGE a distance in what the window is ordered by.
    fn offset(
        &mut self,
        by: &ast::Expr,
        units: WindowFrameUnits,
        spec: &WindowSpec,
        scope: &Scope,
    ) -> Result<ScalarValue> {
        let position = self.position(by.span());
        let bound = self.bind_expr(by, &scope.within(Clause::Limit))?;
        let ty = match (units, &spec.order_by[..]) {
            (WindowFrameUnits::Rows | WindowFrameUnits::Groups, _) => SqlType::Int8,
            (WindowFrameUnits::Range, [key]) => {
                range_type(&self.bind_expr(&key.expr, scope)?).map_err(|e| e.at(position))?
            }
            (WindowFrameUnits::Range, _) => {
                let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
                return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(position));
            }
        };
        let bound = self.coerce(bound, &ty, Coercion::Assignment).map_err(|error| error.at(position))?;
        let value = ExprSimplifier::new(SimplifyContext::default()).simplify(bound.expr)?;
        let negative = || {
            let message = match units {
                WindowFrameUnits::Range => "invalid preceding or following size in window function",
                _ => "frame starting offset must not be negative",
            };
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(position)
        };
        match value {
            Expr::Literal(value, _) if value.is_null() => {
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "frame starting offset must not be null")
                    .at(position))
            }
            Expr::Literal(ScalarValue::Int64(Some(rows)), _) if units != WindowFrameUnits::Range => {
                u64::try_from(rows).map(|rows| ScalarValue::UInt64(Some(rows))).map_err(|_| negative())
            }
            Expr::Literal(value, _) => match value.partial_cmp(&ScalarValue::new_zero(&value.data_type())?) {
                Some(std::cmp::Ordering::Less) => Err(negative()),
                _ => Ok(value),
            },
            _ => Err(Error::unsupported("a frame offset that is not a constant").at(position)),
        }
    }

    /// Takes the window functions out of the targets: one plan node for each partitioning and order.
    pub(super) fn windows(&mut self, mut input: LogicalPlan, targets: &mut [Target]) -> Result<LogicalPlan> {
        let mut calls: Vec<(Expr, String)> = Vec::new();
        for target in targets {
            let expr = std::mem::take(&mut target.bound.expr);
            target.bound.expr = expr.transform_down(|expr| self.out_of_line(expr, &mut calls))?.data;
        }
        let mut nodes: BTreeMap<usize, Vec<Expr>> = BTreeMap::new();
        let same_window = |a: &Expr, b: &Expr| match (a, b) {
            (Expr::WindowFunction(a), Expr::WindowFunction(b)) => {
                a.params.partition_by == b.params.partition_by && a.params.order_by == b.params.order_by
            }
            _ => false,
        };
        for (call, name) in &calls {
            let first = calls.iter().position(|(other, _)| same_window(other, call)).unwrap_or_default();
            nodes.entry(first).or_default().push(call.clone().alias(name));
        }
        for calls in nodes.into_values() {
            input = plan::window(input, calls)?;
        }
        Ok(input)
    }

    fn out_of_line(
        &mut self,
        expr: Expr,
        calls: &mut Vec<(Expr, String)>,
    ) -> datafusion::common::Result<Transformed<Expr>> {
        if !matches!(expr, Expr::WindowFunction(_)) {
            return Ok(Transformed::no(expr));
        }
        let name = match calls.iter().find(|(call, _)| *call == expr) {
            Some((_, name)) => name.clone(),
            None => {
                let name = self.fresh();
                calls.push((expr, name.clone()));
                name
            }
        };
        Ok(Transformed::new(column(name), true, TreeNodeRecursion::Jump))
    }
}

/// The type of a RANGE offset over a column of this type.
fn range_type(key: &Bound) -> Result<SqlType> {
    match &key.ty {
        ty @ (SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Float4
        | SqlType::Float8
        | SqlType::Numeric(_)) => Ok(ty.clone()),
        SqlType::Date | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Time | SqlType::Interval => {
            Ok(SqlType::Interval)
        }
        ty => {
            let message = format!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {ty}");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}
