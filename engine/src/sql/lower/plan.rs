//! The one match over the nodes of a logical plan.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchemaRef, NullHandling};
use datafusion::logical_expr::{
    Distinct, EmptyRelation, Expr, LogicalPlan, Projection, TableScan, Unnest as UnnestPlan, Values,
};

use crate::catalog::RelationSource;
use crate::data::{ObjectId, ZSet};
use crate::dataflow::operators::{Constant, Output, SourceInput, Taker, Union, Unnest};
use crate::dataflow::{Graph, Input, NodeId, NodeSpec, OperatorIds, Properties};
use crate::error::{Error, Result};
use crate::sql::fingerprint::field_type;
use crate::sql::lower::event_time::{no_windows, passes_closed_windows};
use crate::sql::lower::flow::{Flow, compile, positional, schema_of};

/// A view that became part of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoweredView {
    /// The node that stores the view's rows.
    pub node: NodeId,
    /// Columns in which no two rows of the view agree, where such are known: what its rows are told apart by.
    pub key: Option<Vec<usize>>,
    /// Rows only ever come.
    pub append_only: bool,
}

/// Adds a view to the graph: nodes for what the graph does not compute yet, and one that stores the view's rows, in
/// columns of `schema`, which has the types of the plan's output. New nodes have no contents until
/// [`Graph::hydrate`] or [`Graph::load`].
///
/// The plan comes from [`optimize_view`](crate::sql::optimize_view). On an error the graph is as it was.
///
/// # Errors
/// 0A000, naming the SQL, for what cannot be maintained incrementally (yet).
pub fn lower_view(
    plan: &LogicalPlan,
    view: ObjectId,
    schema: SchemaRef,
    graph: &mut Graph,
    ids: OperatorIds<'_>,
) -> Result<LoweredView> {
    lower(plan, view, schema, None, graph, ids)
}

/// As [`lower_view`], for a view whose rows are the groups of windows, emitted when the watermark has passed the window
/// (`EMIT ON WINDOW CLOSE`).
///
/// # Errors
/// As [`lower_view`], also for a query that does not group by a window of event time.
pub fn lower_closing_view(
    plan: &LogicalPlan,
    view: ObjectId,
    schema: SchemaRef,
    graph: &mut Graph,
    ids: OperatorIds<'_>,
) -> Result<LoweredView> {
    lower(plan, view, schema, Some(view), graph, ids)
}

fn lower(
    plan: &LogicalPlan,
    view: ObjectId,
    schema: SchemaRef,
    closing: Option<ObjectId>,
    graph: &mut Graph,
    ids: OperatorIds<'_>,
) -> Result<LoweredView> {
    let first = graph.next_node();
    let lowered = Lowering { graph, ids, closing }.view(plan, view, schema);
    if lowered.is_err() {
        graph.sweep(first)?;
    }
    lowered
}

/// What a sink does with the changes of its query.
pub struct SinkOutput {
    pub take: Taker,
    /// Whether it is handed windows when they close, as [`lower_closing_view`] stores them.
    pub emit_on_window_close: bool,
}

/// Adds a sink to the graph: as [`lower_view`], but its changes are handed on and not stored.
///
/// # Errors
/// As [`lower_view`], or [`lower_closing_view`].
pub fn lower_sink(
    plan: &LogicalPlan,
    sink: ObjectId,
    schema: SchemaRef,
    SinkOutput { take, emit_on_window_close }: SinkOutput,
    graph: &mut Graph,
    ids: OperatorIds<'_>,
) -> Result<()> {
    let first = graph.next_node();
    let closing = emit_on_window_close.then_some(sink);
    let lowered = Lowering { graph, ids, closing }.sink(plan, sink, schema, take);
    if lowered.is_err() {
        graph.sweep(first)?;
    }
    lowered
}

pub(super) struct Lowering<'a> {
    pub graph: &'a mut Graph,
    pub ids: OperatorIds<'a>,
    /// The view or sink whose windows the next GROUP BY is to close.
    pub closing: Option<ObjectId>,
}

impl Lowering<'_> {
    fn view(&mut self, plan: &LogicalPlan, view: ObjectId, schema: SchemaRef) -> Result<LoweredView> {
        let (input, properties) = self.query(plan, view, &schema)?;
        let append_only = properties.append_only;
        let text = format!("view {view} {:?}", properties.best_key());
        let node = self.intern(&text, vec![Input::plain(input)], |_| Ok(NodeSpec::stored(schema, properties)))?;
        self.graph.pin(node, view)?;
        let key = self.graph.key(node).map(<[usize]>::to_vec);
        Ok(LoweredView { node, key, append_only })
    }

    fn sink(&mut self, plan: &LogicalPlan, sink: ObjectId, schema: SchemaRef, take: Taker) -> Result<()> {
        let (input, properties) = self.query(plan, sink, &schema)?;
        let node = self.intern(&format!("sink {sink}"), vec![Input::plain(input)], |_| {
            Ok(NodeSpec { operator: Box::new(Output::new(schema, take)), store: None, properties })
        })?;
        self.graph.pin(node, sink)
    }

    /// A query, whose columns are to be those of `schema`, as a node.
    fn query(&mut self, plan: &LogicalPlan, object: ObjectId, schema: &SchemaRef) -> Result<(NodeId, Properties)> {
        let flow = self.plan(plan)?;
        let properties = flow.properties.clone();
        let input = self.settle(flow)?.node;
        let types = |schema: &SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        if types(schema) != types(self.graph.schema(input)?) {
            return Err(Error::internal(format!("the columns of object {object} are not of the types of its query")));
        }
        Ok((input, properties))
    }

    /// Lowers a plan node, its inputs first.
    pub(super) fn plan(&mut self, plan: &LogicalPlan) -> Result<Flow> {
        if self.closing.is_some() && !passes_closed_windows(plan) {
            return Err(no_windows());
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Subquery(subquery) => self.plan(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.distinct_on(distinct),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(&union.inputs, &union.schema),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => self.empty(empty),
            LogicalPlan::Limit(limit) => self.limit(limit),
            // The order of a view's rows is the reader's to ask for.
            LogicalPlan::Sort(sort) => match sort.fetch {
                None => self.plan(&sort.input),
                Some(fetch) => self.top(&sort.input, &sort.expr, 0, Some(fetch)),
            },
            LogicalPlan::Window(window) => self.numbered(window),
            LogicalPlan::RecursiveQuery(_) => Err(unsupported("WITH RECURSIVE")),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Extension(extension) => Err(unsupported(extension.node.name())),
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => Err(Error::internal("a statement where a query was expected")),
        }
    }

    fn scan(&mut self, scan: &TableScan) -> Result<Flow> {
        let Some(source) = scan.source.downcast_ref::<RelationSource>() else {
            return Err(Error::internal("a scan of what is no relation"));
        };
        let node = self.graph.relation(source.id).ok_or_else(|| {
            unsupported(format!("reading \"{}\"", source.name))
                .with_hint("A materialized view can read tables, sources and other materialized views.")
        })?;
        let node = match &source.since {
            Some(place) => self.since(node, source.id, place)?,
            None => node,
        };
        if !scan.filters.is_empty() || scan.fetch.is_some() {
            return Err(Error::internal("a filter or limit within a scan"));
        }
        let flow = Flow::of(self.graph, node)?;
        Ok(match &scan.projection {
            Some(columns) => flow.select(columns),
            None => flow,
        })
    }

    /// A source from a place in its history on, for views that did not see what was before: a node of its own, so that
    /// they share no state with views that did.
    fn since(&mut self, source: NodeId, id: ObjectId, place: &str) -> Result<NodeId> {
        self.intern(&format!("source {id} since {place}"), vec![Input::plain(source)], |graph| {
            let operator = Box::new(SourceInput::new(graph.schema(source)?.clone()));
            Ok(NodeSpec { operator, store: None, properties: graph.properties(source)?.clone() })
        })
    }

    fn projection(&mut self, projection: &Projection) -> Result<Flow> {
        let flow = self.plan(&projection.input)?;
        let fields = positional(projection.schema.fields().iter().map(AsRef::as_ref));
        flow.project(&projection.expr, projection.input.schema(), fields, self.graph, self.ids)
    }

    fn union(&mut self, inputs: &[Arc<LogicalPlan>], schema: &DFSchemaRef) -> Result<Flow> {
        let fields = positional(schema.fields().iter().map(AsRef::as_ref));
        let mut nodes = Vec::with_capacity(inputs.len());
        let mut properties = Vec::with_capacity(inputs.len());
        for input in inputs {
            let flow = self.plan(input)?;
            properties.push(flow.properties.clone());
            nodes.push(self.settle(flow)?.node);
        }
        self.union_of(nodes, fields, Properties::union(&properties))
    }

    /// The sum of nodes whose columns have these types.
    pub(super) fn union_of(
        &mut self,
        nodes: Vec<NodeId>,
        fields: Vec<arrow::datatypes::FieldRef>,
        properties: Properties,
    ) -> Result<Flow> {
        for node in &nodes {
            let columns = self.graph.schema(*node)?.fields();
            if !columns.iter().map(|f| f.data_type()).eq(fields.iter().map(|f| f.data_type())) {
                return Err(Error::internal("the inputs of a union differ in their types"));
            }
        }
        let inputs = nodes.into_iter().map(Input::plain).collect();
        let node = self.intern("union", inputs, |_| {
            Ok(NodeSpec { operator: Box::new(Union::new(schema_of(&fields))), store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    fn unnest(&mut self, unnest: &UnnestPlan) -> Result<Flow> {
        let width = unnest.input.schema().fields().len();
        let plain = unnest.struct_type_columns.is_empty()
            && unnest.list_type_columns.iter().all(|(_, list)| list.depth == 1)
            && unnest.dependency_indices.iter().copied().eq(0..width);
        let keep_empty = unnest.options.null_handling == NullHandling::PreserveAndExpandEmpty;
        if !plain || unnest.options.null_handling == NullHandling::Preserve {
            return Err(unsupported("this form of unnest()"));
        }
        let flow = self.plan(&unnest.input)?;
        let input = self.settle(flow)?;
        let lists: Vec<usize> = unnest.list_type_columns.iter().map(|(at, _)| *at).collect();
        let fields = positional(unnest.schema.fields().iter().map(AsRef::as_ref));
        let text = format!("unnest {lists:?} keep_empty={keep_empty}");
        let node = self.intern(&text, vec![Input::plain(input.node)], |_| {
            // An element follows time as its list does.
            let properties = Properties { keys: Vec::new(), ..input.properties.clone() };
            let operator = Box::new(Unnest::new(schema_of(&fields), lists, keep_empty));
            Ok(NodeSpec { operator, store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    /// Rows written out in the query.
    fn values(&mut self, values: &Values) -> Result<Flow> {
        let fields = positional(values.schema.fields().iter().map(AsRef::as_ref));
        let unit = RecordBatchOptions::new().with_row_count(Some(1));
        let unit = RecordBatch::try_new_with_options(schema_of(&[]), Vec::new(), &unit)?;
        let nothing = datafusion::common::DFSchema::empty();
        let (mut text, mut columns) = (String::from("values"), Vec::with_capacity(fields.len()));
        for (at, field) in fields.iter().enumerate() {
            let mut cells: Vec<ArrayRef> = Vec::with_capacity(values.values.len());
            for row in &values.values {
                let cell = compile(row.get(at).unwrap_or(&Expr::default()), &nothing, &[])?;
                text.push_str(&format!(" {}", cell.text));
                cells.push(cell.physical.evaluate(&unit)?.into_array(1)?);
            }
            text.push_str(&format!(":{};", field_type(field)));
            columns.push(concat(&cells.iter().map(|cell| cell.as_ref()).collect::<Vec<_>>())?);
        }
        self.constant(text, RecordBatch::try_new(schema_of(&fields), columns)?)
    }

    /// `SELECT` without `FROM` has one row without columns; a plan found to be empty has none.
    fn empty(&mut self, empty: &EmptyRelation) -> Result<Flow> {
        let fields = positional(empty.schema.fields().iter().map(AsRef::as_ref));
        let rows = usize::from(empty.produce_one_row);
        let types: Vec<String> = fields.iter().map(|field| field_type(field)).collect();
        let columns = fields.iter().map(|field| arrow::array::new_null_array(field.data_type(), rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema_of(&fields), columns, &options)?;
        self.constant(format!("empty {rows} [{}]", types.join(";")), batch)
    }

    fn constant(&mut self, text: String, rows: RecordBatch) -> Result<Flow> {
        let node = self.intern(&text, Vec::new(), |_| {
            let keys = if rows.num_rows() <= 1 { vec![Vec::new()] } else { Vec::new() };
            let operator = Box::new(Constant::new(ZSet::inserts(rows)));
            let properties = Properties { keys, append_only: true, ..Properties::default() };
            Ok(NodeSpec { operator, store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    /// The flow as a node.
    pub(super) fn settle(&mut self, flow: Flow) -> Result<Flow> {
        flow.settle(self.graph, self.ids)
    }

    pub(super) fn intern(
        &mut self,
        text: &str,
        inputs: Vec<Input>,
        build: impl FnOnce(&Graph) -> Result<NodeSpec>,
    ) -> Result<NodeId> {
        self.graph.intern(text, inputs, self.ids, build)
    }
}

/// SQL that a view cannot have; queries can.
pub(super) fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("{what} in a materialized view"))
}
