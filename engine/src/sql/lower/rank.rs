//! `row_number() OVER (…) <= k`: the one use of a window function that is not re-evaluation, but a TopK of each partition.
//!
//! The number is not computed. It is carried through projections as a column that only a condition can make use of, and
//! after the condition has, as one that must not be asked for (unless it can only be one number).

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, Operator, Window as WindowPlan};
use datafusion::physical_expr::expressions::lit;

use crate::dataflow::operators::SortKey;
use crate::error::{Error, Result};
use crate::sql::lower::aggregate::column;
use crate::sql::lower::flow::{Flow, Numbering, Scalar, positional};
use crate::sql::lower::plan::{Lowering, unsupported};
use crate::sql::lower::top_k::Window;

/// The numbers that a condition lets pass: those above `after`, up to `last`.
#[derive(Clone, Copy, Default)]
struct Range {
    after: usize,
    last: Option<usize>,
}

impl Lowering<'_> {
    /// The input's columns and the number of the row, which is not known yet.
    pub(super) fn numbered(&mut self, window: &WindowPlan) -> Result<Flow> {
        let [Expr::WindowFunction(call)] = window.window_expr.iter().map(strip).collect::<Vec<_>>()[..] else {
            return Err(unsupported_window());
        };
        let WindowFunction { fun, params } = call.as_ref();
        if fun.name() != "row_number" || params.filter.is_some() {
            return Err(unsupported_window());
        }
        let mut flow = self.computing(&window.input)?;
        if flow.numbering.is_some() {
            return Err(unsupported_window());
        }
        let schema = window.input.schema();
        let columns = |exprs: &mut dyn Iterator<Item = &Expr>, flow: &Flow| {
            exprs.map(|expr| column(flow, expr, schema)).collect::<Result<Vec<_>>>()
        };
        let partition = columns(&mut params.partition_by.iter(), &flow)?;
        let order = columns(&mut params.order_by.iter().map(|sort| &sort.expr), &flow)?;
        let directions = params.order_by.iter().map(|sort| (!sort.asc, sort.nulls_first)).collect();
        flow.numbering = Some(Numbering { partition, order, directions });
        flow.outputs.push(Scalar::number());
        flow.fields = positional(window.schema.fields().iter().map(AsRef::as_ref));
        Ok(flow)
    }

    /// A condition over numbered rows: what it says of the number decides which rows there are, the rest is asked of those.
    pub(super) fn filter(&mut self, filter: &Filter) -> Result<Flow> {
        let mut flow = self.plan(&filter.input)?;
        let schema = filter.input.schema();
        if !flow.outputs.iter().any(|output| output.is_number) || flow.numbering.is_none() {
            return flow.filter(&filter.predicate, schema, self.graph, self.ids);
        }
        let (mut range, mut rest) = (Range::default(), Vec::new());
        for conjunct in split_conjunction(&filter.predicate) {
            match bound(conjunct, schema, &flow, range)? {
                Some(narrower) => range = narrower,
                None => rest.push(conjunct.clone()),
            }
        }
        if range.last.is_none() {
            return Err(unsupported_window());
        }
        flow = self.first_of_each(flow, range)?;
        match datafusion::logical_expr::utils::conjunction(rest) {
            Some(rest) => flow.filter(&rest, schema, self.graph, self.ids),
            None => Ok(flow),
        }
    }

    fn first_of_each(&mut self, mut flow: Flow, range: Range) -> Result<Flow> {
        let Some(Numbering { partition, order, directions }) = flow.numbering.take() else {
            return Err(Error::internal("rows without a number are asked for it"));
        };
        let (outputs, fields) = (flow.outputs.clone(), flow.fields.clone());
        let known: Vec<usize> = (0..outputs.len()).filter(|at| !outputs[*at].is_number).collect();
        let mut flow = flow.select(&known);
        let partition = flow.extend(partition);
        let order = flow.extend(order).into_iter().zip(directions);
        let order =
            order.map(|(column, (descending, nulls_first))| SortKey { column, descending, nulls_first }).collect();
        let limit = range.last.map(|last| last.saturating_sub(range.after));
        let top = self.window(flow, Window { partition, order, offset: range.after, limit })?;
        let mut columns = top.clone().select(&(0..known.len()).collect::<Vec<_>>());
        for at in (0..outputs.len()).filter(|at| !known.contains(at)) {
            let number = match limit {
                Some(1) => constant(range.after + 1, &fields[at])?,
                _ => Scalar::number(),
            };
            columns.outputs.insert(at, number);
        }
        let places: Vec<Option<usize>> =
            (0..outputs.len()).map(|at| known.iter().position(|known| *known == at)).collect();
        columns.properties = top.properties.project(&places);
        columns.fields = fields;
        Ok(columns)
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip(&alias.expr),
        other => other,
    }
}

fn unsupported_window() -> Error {
    unsupported("a window function (OVER) other than row_number() compared with a constant")
        .with_hint("Apply the window function in a query over the view.")
}

/// The number as what it can only be.
fn constant(number: usize, field: &arrow::datatypes::Field) -> Result<Scalar> {
    let value = ScalarValue::UInt64(Some(number as u64)).cast_to(field.data_type())?;
    let text = format!("number:{number}");
    Ok(Scalar::computed(lit(value), text))
}

/// The range that a comparison of the number with a constant leaves of one; None when it is about something else.
fn bound(expr: &Expr, schema: &DFSchema, flow: &Flow, range: Range) -> Result<Option<Range>> {
    let Expr::BinaryExpr(binary) = expr else { return Ok(None) };
    let is_number =
        |expr: &Expr| Ok::<bool, Error>(number_column(expr, schema)?.is_some_and(|at| flow.outputs[at].is_number));
    let (op, constant) = match (&*binary.left, &*binary.right) {
        (number, Expr::Literal(value, _)) if is_number(number)? => (Some(binary.op), value),
        (Expr::Literal(value, _), number) if is_number(number)? => (binary.op.swap(), value),
        _ => return Ok(None),
    };
    // Between two whole numbers every comparison is one with the lower of them, and none is equal.
    let (constant, is_whole) = whole(constant).ok_or_else(unsupported_window)?;
    let below = if is_whole { constant.saturating_sub(1) } else { constant };
    let at_most = |last: usize| Range { last: Some(range.last.map_or(last, |before| before.min(last))), ..range };
    let above = |after: usize| Range { after: range.after.max(after), ..range };
    Ok(Some(match op {
        Some(Operator::LtEq) => at_most(constant),
        Some(Operator::Lt) => at_most(below),
        Some(Operator::GtEq) => above(below),
        Some(Operator::Gt) => above(constant),
        Some(Operator::Eq) if !is_whole => at_most(0),
        Some(Operator::Eq) => Range { last: at_most(constant).last, ..above(below) },
        _ => return Err(unsupported_window()),
    }))
}

/// The column that an expression is, but for its type, in which numbers of rows compare as they do.
fn number_column(expr: &Expr, schema: &DFSchema) -> Result<Option<usize>> {
    match expr {
        Expr::Column(column) => Ok(Some(schema.index_of_column(column)?)),
        Expr::Cast(cast) if counts(cast.field.data_type()) => number_column(&cast.expr, schema),
        _ => Ok(None),
    }
}

/// Whether every number of a row is a value of the type.
fn counts(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int64 | DataType::UInt64 => true,
        DataType::Decimal128(precision, scale) => i16::from(*precision) - i16::from(*scale) > 18,
        _ => false,
    }
}

/// The constant without its fraction, 0 for negative ones, and whether it was that number; None where it is none.
fn whole(constant: &ScalarValue) -> Option<(usize, bool)> {
    let whole = constant.cast_to(&DataType::Int64).ok()?;
    let is_whole = whole.cast_to(&constant.data_type()).ok()? == *constant;
    let ScalarValue::Int64(Some(whole)) = whole else { return None };
    Some(usize::try_from(whole).map_or((0, true), |number| (number, is_whole)))
}
