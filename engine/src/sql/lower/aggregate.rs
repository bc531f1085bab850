//! GROUP BY and DISTINCT.

use arrow::datatypes::Field;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction as AggregateExpr;
use datafusion::logical_expr::{Aggregate as AggregatePlan, Expr, ExprSchemable, LogicalPlan};

use crate::dataflow::aggregates::{AggregateCall, AggregateFunction};
use crate::dataflow::operators::{Aggregate, AggregateSpec, WindowClose, distinct};
use crate::dataflow::{Input, NodeSpec, Operator, Properties};
use crate::error::{Error, Result};
use crate::sql::fingerprint::field_type;
use crate::sql::lower::event_time::{Closing, event_time};
use crate::sql::lower::flow::{Flow, Scalar, positional, schema_of};
use crate::sql::lower::join::Side;
use crate::sql::lower::plan::{Lowering, unsupported};

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &AggregatePlan) -> Result<Flow> {
        let schema = aggregate.input.schema();
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(unsupported("GROUPING SETS, ROLLUP or CUBE").with_hint("Write one view for each grouping."));
        }
        let closing = self.closing.take();
        let mut flow = self.computing(&aggregate.input)?;
        let width = flow.outputs.len();
        let times = aggregate.group_expr.iter().map(|key| event_time(key, schema, &flow.properties)).collect();
        let closing = closing.map(|view| Closing::new(view, times)).transpose()?;
        let keys = aggregate.group_expr.iter().map(|key| column(&flow, key, schema)).collect::<Result<Vec<_>>>()?;
        let keys = flow.extend(keys);
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            calls.push(call(&mut flow, expr, schema)?);
        }
        // Columns that nothing asks for stay out, unless the node can be read as it is: of a source, they are not there then.
        let mut used: Vec<usize> = keys.clone();
        used.extend(calls.iter().flat_map(|call| [call.argument, call.filter]).flatten());
        used.sort_unstable();
        used.dedup();
        if used.iter().all(|at| *at < width) && flow.columns().is_some() && !self.graph.is_source(flow.node)? {
            let columns = flow.columns().unwrap_or_default();
            let (keys, calls) = relocate(&keys, &calls, |at| columns.get(at).copied())?;
            let append_only = flow.properties.append_only;
            let properties = Properties { append_only, ..Properties::default() };
            let input = Flow { properties, ..Flow::of(self.graph, flow.node)? };
            return self.aggregate_of(input, keys, calls, aggregate.schema.as_ref(), closing);
        }
        let input = self.settle(flow.select(&used))?;
        let (keys, calls) = relocate(&keys, &calls, |at| used.binary_search(&at).ok())?;
        self.aggregate_of(input, keys, calls, aggregate.schema.as_ref(), closing)
    }

    fn aggregate_of(
        &mut self,
        input: Flow,
        keys: Vec<usize>,
        aggregates: Vec<AggregateCall>,
        schema: &DFSchema,
        closing: Option<Closing>,
    ) -> Result<Flow> {
        let fields = positional(schema.fields().iter().map(AsRef::as_ref));
        let append_only = input.properties.append_only;
        let types: Vec<String> = fields.iter().map(|field| field_type(field)).collect();
        let calls: Vec<String> = aggregates.iter().map(text).collect();
        let mut text = format!(
            "aggregate keys{keys:?} calls[{}] types[{}] append_only={append_only}",
            calls.join(";"),
            types.join(";")
        );
        if let Some(Closing { view, key, time }) = &closing {
            // The view's own: what it has emitted nobody else can ask for.
            text.push_str(&format!(" closing view={view} key={key} lag={} sources={:?}", time.lag, time.sources));
        }
        let node = self.intern(&text, vec![Input::plain(input.node)], |graph| {
            let append_only_output = closing.is_some();
            let keys_of_rows = vec![(0..keys.len()).collect()];
            let properties =
                Properties { keys: keys_of_rows, append_only: append_only_output, ..Properties::default() };
            let spec = AggregateSpec {
                input: graph.schema(input.node)?.clone(),
                output: schema_of(&fields),
                keys,
                aggregates,
                append_only,
            };
            let operator: Box<dyn Operator> = match closing {
                Some(Closing { key, time, .. }) => {
                    let column = spec.keys.get(key).copied().ok_or_else(|| Error::internal("a key is not there"))?;
                    Box::new(WindowClose::new(spec, column, time)?)
                }
                None => Box::new(Aggregate::new(spec)?),
            };
            Ok(NodeSpec { operator, store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    pub(super) fn distinct(&mut self, input: &LogicalPlan) -> Result<Flow> {
        let flow = self.plan(input)?;
        let width = flow.fields.len();
        // What has a key has no duplicates.
        if !flow.properties.keys.is_empty() {
            return Ok(flow);
        }
        let input = self.settle(flow)?;
        let node = self.intern("distinct", vec![Input::plain(input.node)], |_| {
            let operator = Box::new(distinct(schema_of(&input.fields))?);
            let keys = vec![(0..width).collect()];
            let properties = Properties { keys, append_only: input.properties.append_only, ..Properties::default() };
            Ok(NodeSpec { operator, store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    /// A plan's flow to which computed columns can be added: each is then computed once.
    pub(super) fn computing(&mut self, plan: &LogicalPlan) -> Result<Flow> {
        let flow = self.plan(plan)?;
        if flow.is_columns() { Ok(flow) } else { self.settle(flow) }
    }

    /// One row that says of a side of a join whether it has rows, and whether it has a NULL as its (only) key.
    pub(super) fn flags(&mut self, side: &Side) -> Result<Flow> {
        let mut flow = side.flow.clone();
        let key = flow.extend(side.keys.iter().cloned().zip(side.key_fields.clone()).collect())[0];
        let input = self.settle(flow.select(&[key]))?;
        let count =
            |argument| AggregateCall { function: AggregateFunction::Count, argument, filter: None, distinct: false };
        let bigint = |name: &str| Field::new(name, arrow::datatypes::DataType::Int64, true);
        let fields = arrow::datatypes::Schema::new(vec![bigint("rows"), bigint("keys")]);
        let schema = DFSchema::try_from(fields)?;
        let counts = self.aggregate_of(input, Vec::new(), vec![count(None), count(Some(0))], &schema, None)?;
        let column = |name: &str| Expr::Column(datafusion::common::Column::new_unqualified(name));
        let exprs = [column("rows").gt(datafusion::logical_expr::lit(0i64)), column("rows").gt(column("keys"))];
        let flag = Field::new("", arrow::datatypes::DataType::Boolean, true);
        let fields = positional([&flag, &flag].into_iter());
        let mut flags = counts.project(&exprs, &schema, fields, self.graph, self.ids)?;
        flags.properties.keys = vec![Vec::new()];
        Ok(flags)
    }
}

/// An expression with the field it makes.
pub(super) fn column(flow: &Flow, expr: &Expr, schema: &DFSchema) -> Result<(Scalar, Field)> {
    let (_, field) = expr.to_field(schema)?;
    Ok((flow.compile(expr, schema)?, field.as_ref().clone()))
}

/// An aggregate call, its argument and filter made columns of the flow.
fn call(flow: &mut Flow, expr: &Expr, schema: &DFSchema) -> Result<AggregateCall> {
    let expr = match expr {
        Expr::Alias(alias) => &alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(AggregateExpr { func, params }) = expr else {
        return Err(Error::internal("an aggregate that is no call of an aggregate function"));
    };
    let function = AggregateFunction::from_name(func.name())
        .ok_or_else(|| unsupported(format!("the aggregate function {}()", func.name())))?;
    let mut place = |expr: &Expr| -> Result<usize> {
        let column = column(flow, expr, schema)?;
        Ok(flow.extend(vec![column])[0])
    };
    let argument = match params.args.as_slice() {
        [] => None,
        // count(*) and count(1) count rows.
        [Expr::Literal(value, _)] if function == AggregateFunction::Count && !value.is_null() && !params.distinct => {
            None
        }
        [argument] => Some(place(argument)?),
        _ => return Err(unsupported(format!("{}() with several arguments", func.name()))),
    };
    let filter = params.filter.as_deref().map(place).transpose()?;
    Ok(AggregateCall { function, argument, filter, distinct: params.distinct })
}

/// The same keys and calls over other positions.
fn relocate(
    keys: &[usize],
    calls: &[AggregateCall],
    place: impl Fn(usize) -> Option<usize>,
) -> Result<(Vec<usize>, Vec<AggregateCall>)> {
    let found = |at: usize| place(at).ok_or_else(|| Error::internal("an aggregate over a column that is not there"));
    let keys = keys.iter().map(|key| found(*key)).collect::<Result<Vec<_>>>()?;
    let call = |call: &AggregateCall| -> Result<AggregateCall> {
        let argument = call.argument.map(found).transpose()?;
        Ok(AggregateCall { argument, filter: call.filter.map(found).transpose()?, ..call.clone() })
    };
    Ok((keys, calls.iter().map(call).collect::<Result<Vec<_>>>()?))
}

fn text(call: &AggregateCall) -> String {
    let distinct = if call.distinct { "distinct " } else { "" };
    let place = |at: Option<usize>| at.map_or("-".to_owned(), |at| at.to_string());
    format!("{}({distinct}{}) filter {}", call.function, place(call.argument), place(call.filter))
}
