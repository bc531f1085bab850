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
use crate::sql::bind::{Binder, Clause, Purpose, Scope, column, fold, plan};
use crate::sql::functions::comparison::window_key;

/// A window: the rows a call sees, and their order.
#[derive(Clone, Debug)]
pub struct Over {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortExpr>,
    pub frame: WindowFrame,
}

/// What messages call the ends of a frame.
pub(super) const PLACES: [&str; 2] = ["starting", "ending"];

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
        let mut order_by = self.window_order(&spec.order_by, &within)?;
        let frame = match &spec.window_frame {
            None => WindowFrame::new((!order_by.is_empty()).then_some(false)),
            Some(frame) => {
                let (frame, instead) = self.frame(frame, &spec, &within)?;
                if let (Some(key), Some(first)) = (instead, order_by.first_mut()) {
                    first.expr = key;
                }
                frame
            }
        };
        Ok(Over { partition_by, order_by, frame })
    }

    /// What a window is ordered by. DataFusion has no windows that are ordered by times, bytes and rows.
    fn window_order(&mut self, keys: &[ast::OrderByExpr], scope: &Scope) -> Result<Vec<SortExpr>> {
        let mut sorted = self.bind_sort(keys, scope)?;
        for (sort, key) in sorted.iter_mut().zip(keys) {
            let ty = self.bind_expr(&key.expr, scope)?.ty;
            if matches!(ty, SqlType::Record(_)) {
                return Err(Error::unsupported("a window ordered by rows").at(self.position(key.expr.span())));
            }
            if self.purpose == Purpose::Query {
                sort.expr = window_key(std::mem::take(&mut sort.expr), &ty);
            }
        }
        Ok(sorted)
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

    /// A frame, and what its window is to be ordered by instead of its only key, where that matters.
    fn frame(
        &mut self,
        frame: &ast::WindowFrame,
        spec: &WindowSpec,
        scope: &Scope,
    ) -> Result<(WindowFrame, Option<Expr>)> {
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
        let (mut instead, mut offsets) = (None, [None, None]);
        let written = [from, to].map(|bound| match bound {
            Preceding(by) | Following(by) => by.as_deref(),
            CurrentRow => None,
        });
        if let Some(by) = written.iter().flatten().next()
            && units == WindowFrameUnits::Range
        {
            let [key] = spec.order_by.as_slice() else {
                let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
                return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(self.position(by.span())));
            };
            // How far the frame's first row is at most, and its last.
            let inner = [matches!(from, Following(_)), matches!(to, Preceding(_))];
            let (key, distances) = self.range_offsets(&key.expr, written, inner, scope)?;
            (instead, offsets) = (Some(key), distances);
        } else {
            for (place, by) in written.into_iter().enumerate() {
                offsets[place] = by.map(|by| self.count_of_rows(by, units, PLACES[place], scope)).transpose()?;
            }
        }
        let bound = |bound: &ast::WindowFrameBound, offset: Option<ScalarValue>| {
            // Without a distance it is unbounded.
            let offset = offset.unwrap_or(ScalarValue::UInt64(None));
            match bound {
                CurrentRow => WindowFrameBound::CurrentRow,
                Preceding(_) => WindowFrameBound::Preceding(offset),
                Following(_) => WindowFrameBound::Following(offset),
            }
        };
        let [first, last] = offsets;
        Ok((WindowFrame::new_bounds(units, bound(from, first), bound(to, last)), instead))
    }

    /// How many rows or groups a frame reaches at its `place`.
    fn count_of_rows(
        &mut self,
        by: &ast::Expr,
        units: WindowFrameUnits,
        place: &str,
        scope: &Scope,
    ) -> Result<ScalarValue> {
        let by = plain_offset(by);
        let position = self.position(by.span());
        let bound = self.bind_expr(by, &scope.within(Clause::Limit))?;
        let bound = self.coerce(bound, &SqlType::Int8, Coercion::Assignment).map_err(|error| error.at(position))?;
        match ExprSimplifier::new(SimplifyContext::default()).simplify(bound.expr)? {
            Expr::Literal(value, _) if value.is_null() => Err(null_offset(place)),
            Expr::Literal(ScalarValue::Int64(Some(rows)), _) => {
                u64::try_from(rows).map(|rows| ScalarValue::UInt64(Some(rows))).map_err(|_| {
                    let message = format!("frame {place} offset must not be negative");
                    Error::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message)
                })
            }
            expr => Err(changing_offset(&expr, units).at(position)),
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

/// The literal of `ROWS '1' PRECEDING`, which the parser takes for an interval.
pub(super) fn plain_offset(by: &ast::Expr) -> &ast::Expr {
    match by {
        ast::Expr::Interval(ast::Interval { value, leading_field: None, last_field: None, .. }) => value,
        by => by,
    }
}

pub(super) fn null_offset(place: &str) -> Error {
    Error::new(SqlState::NULL_NOT_ALLOWED, format!("frame {place} offset must not be null"))
}

/// An offset is computed once, not for each row.
pub(super) fn changing_offset(offset: &Expr, units: WindowFrameUnits) -> Error {
    if offset.column_refs().is_empty() {
        return Error::unsupported("a frame offset that is not a constant");
    }
    let message = format!("argument of {} must not contain variables", units.to_string().to_uppercase());
    Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
}
