//! A plan node on its way into the graph: a node there, and a filter and projection over it that are not yet nodes.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use crate::dataflow::operators::Map;
use crate::dataflow::{Graph, Input, NodeId, NodeSpec, OperatorIds, Properties};
use crate::error::{Error, Result};
use crate::sql::fingerprint::{Canonical, field_type};
use crate::sql::functions::named_itself;
use crate::sql::lower::event_time::event_time;
use crate::sql::lower::plan::unsupported;

/// Expressions that are longer than this as texts are computed over those that they are made of, by a node of their own: each may
/// stand in the next several times, so that they would grow without end.
const MOST_TEXT: usize = 4_000;

/// An expression over the columns of a graph node.
#[derive(Clone)]
pub(super) struct Scalar {
    pub physical: Arc<dyn PhysicalExpr>,
    /// The canonical text.
    pub text: String,
    /// The column of the node, where the expression is nothing else.
    pub column: Option<usize>,
    /// The number that `row_number()` gives the row: nothing computes it.
    pub is_number: bool,
}

impl Scalar {
    /// A column of a node.
    pub fn column(at: usize) -> Scalar {
        Scalar {
            physical: Arc::new(Column::new(&at.to_string(), at)),
            text: format!("${at}"),
            column: Some(at),
            is_number: false,
        }
    }

    /// What is computed of others.
    pub fn computed(physical: Arc<dyn PhysicalExpr>, text: String) -> Scalar {
        Scalar { physical, text, column: None, is_number: false }
    }

    /// The number of the row, which is not known.
    pub fn number() -> Scalar {
        let physical = lit(ScalarValue::UInt64(None));
        Scalar { physical, text: "number".to_owned(), column: None, is_number: true }
    }
}

/// `SELECT outputs FROM node WHERE predicates`: grows by the filters and projections of the plan until an operator of
/// another kind needs it as a node. A projection of mere columns never becomes one where the operator can skip columns.
#[derive(Clone)]
pub(super) struct Flow {
    pub node: NodeId,
    pub predicates: Vec<Scalar>,
    pub outputs: Vec<Scalar>,
    /// The types of the outputs; fields are named by their positions.
    pub fields: Vec<FieldRef>,
    /// Of the outputs.
    pub properties: Properties,
    /// How the rows are numbered, where a column is their number.
    pub numbering: Option<Numbering>,
}

/// The partitions and the order of `row_number() OVER (…)`.
#[derive(Clone)]
pub(super) struct Numbering {
    pub partition: Vec<(Scalar, Field)>,
    pub order: Vec<(Scalar, Field)>,
    /// Of each column of the order, whether it descends and whether NULLs come first.
    pub directions: Vec<(bool, bool)>,
}

impl Flow {
    /// All of a node's columns.
    pub fn of(graph: &Graph, node: NodeId) -> Result<Flow> {
        let fields = positional(graph.schema(node)?.fields().iter().map(AsRef::as_ref));
        let outputs = (0..fields.len()).map(Scalar::column).collect();
        let properties = graph.properties(node)?.clone();
        Ok(Flow { node, predicates: Vec::new(), outputs, fields, properties, numbering: None })
    }

    /// An expression of the plan, over the columns of the node.
    pub fn compile(&self, expr: &Expr, schema: &DFSchema) -> Result<Scalar> {
        compile(expr, schema, &self.outputs)
    }

    /// Whether every output is a column of the node.
    pub fn is_columns(&self) -> bool {
        self.outputs.iter().all(|output| output.column.is_some() || output.is_number)
    }

    /// The node's columns that the outputs are, where all are columns and no row is left out.
    pub fn columns(&self) -> Option<Vec<usize>> {
        if self.predicates.is_empty() { self.outputs.iter().map(|output| output.column).collect() } else { None }
    }

    /// Keeps the rows for which a condition is true.
    pub fn filter(self, predicate: &Expr, schema: &DFSchema, graph: &mut Graph, ids: OperatorIds<'_>) -> Result<Flow> {
        let mut flow = if self.is_columns() { self } else { self.settle(graph, ids)? };
        for conjunct in split_conjunction(predicate) {
            let predicate = flow.compile(conjunct, schema)?;
            flow.predicates.push(predicate);
        }
        Ok(flow)
    }

    /// Computes other columns; `schema` names the columns that the expressions are over.
    pub fn project(
        self,
        exprs: &[Expr],
        schema: &DFSchema,
        fields: Vec<FieldRef>,
        graph: &mut Graph,
        ids: OperatorIds<'_>,
    ) -> Result<Flow> {
        let compiled = |flow: &Flow| exprs.iter().map(|expr| flow.compile(expr, schema)).collect::<Result<Vec<_>>>();
        let (mut outputs, mut flow) = (compiled(&self)?, self);
        // One node computes what stands in an expression several times once, if it is not too much to look through.
        if outputs.iter().map(|output| output.text.len()).sum::<usize>() > MOST_TEXT && !flow.is_columns() {
            flow = flow.settle(graph, ids)?;
            outputs = compiled(&flow)?;
        }
        let sources: Vec<Option<usize>> =
            outputs.iter().map(|output| flow.outputs.iter().position(|before| before.text == output.text)).collect();
        let mut properties = flow.properties.project(&sources);
        let times = exprs.iter().enumerate();
        let times = times.filter_map(|(at, expr)| Some((at, event_time(expr, schema, &flow.properties)?)));
        properties.event_times = times.collect();
        Ok(Flow { outputs, fields, properties, ..flow })
    }

    /// Only these of the outputs.
    pub fn select(self, which: &[usize]) -> Flow {
        let outputs = which.iter().map(|at| self.outputs[*at].clone()).collect();
        let fields = positional(which.iter().map(|at| self.fields[*at].as_ref()));
        let properties = self.properties.project(&which.iter().map(|at| Some(*at)).collect::<Vec<_>>());
        Flow { outputs, fields, properties, ..self }
    }

    /// More outputs behind the ones there are; returns where each stands (an equal output is used again).
    pub fn extend(&mut self, more: Vec<(Scalar, Field)>) -> Vec<usize> {
        let mut places = Vec::with_capacity(more.len());
        for (scalar, field) in more {
            let place = self.outputs.iter().position(|output| output.text == scalar.text).unwrap_or_else(|| {
                self.fields.push(Arc::new(field.with_name(self.fields.len().to_string()).with_nullable(true)));
                self.outputs.push(scalar);
                self.outputs.len() - 1
            });
            places.push(place);
        }
        places
    }

    /// The same with everything done by the node.
    pub fn settle(self, graph: &mut Graph, ids: OperatorIds<'_>) -> Result<Flow> {
        let node = self.node(graph, ids)?;
        let mut settled = Flow::of(graph, node)?;
        settled.properties = self.properties;
        Ok(settled)
    }

    /// The node whose output this is: a map, unless there is nothing to do.
    pub fn node(&self, graph: &mut Graph, ids: OperatorIds<'_>) -> Result<NodeId> {
        if self.outputs.iter().any(|output| output.is_number) {
            return Err(unsupported("using the number that row_number() gives")
                .with_hint("Compare it with a constant, and leave it out of the view's columns."));
        }
        let all: Vec<usize> = (0..graph.schema(self.node)?.fields().len()).collect();
        if self.columns().is_some_and(|columns| columns == all) {
            return Ok(self.node);
        }
        let texts = |scalars: &[Scalar]| scalars.iter().map(|scalar| scalar.text.clone()).collect::<Vec<_>>();
        let types: Vec<String> = self.fields.iter().map(|field| field_type(field)).collect();
        let text = format!(
            "map where[{}] select[{}] types[{}]",
            texts(&self.predicates).join(";"),
            texts(&self.outputs).join(";"),
            types.join(";")
        );
        graph.intern(&text, vec![Input::plain(self.node)], ids, |graph| {
            let physical = |scalars: &[Scalar]| scalars.iter().map(|scalar| scalar.physical.clone()).collect();
            let (predicates, outputs) = (physical(&self.predicates), physical(&self.outputs));
            let map = Map::new(graph.schema(self.node)?, schema_of(&self.fields), predicates, outputs)?;
            let map = if graph.is_source(self.node)? { map.narrow() } else { map };
            Ok(NodeSpec { operator: Box::new(map), store: None, properties: self.properties.clone() })
        })
    }
}

/// An expression over named columns, as one over what stands for each of them.
pub(super) fn compile(expr: &Expr, schema: &DFSchema, columns: &[Scalar]) -> Result<Scalar> {
    let expr = strip(expr);
    if let Expr::Column(column) = expr {
        let at = schema.index_of_column(column)?;
        return columns.get(at).cloned().ok_or_else(|| Error::internal("a column outside of its schema"));
    }
    if let Expr::Cast(cast) = expr {
        let inner = compile(&cast.expr, schema, columns)?;
        if inner.is_number {
            return Ok(inner);
        }
    }
    let texts: Vec<String> = columns.iter().map(|column| column.text.clone()).collect();
    let text = Canonical::new(schema, &texts).text(expr)?;
    let named = create_physical_expr(expr, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let physical = named
        .transform_up(|part| {
            Ok(match part.downcast_ref::<Column>().and_then(|column| columns.get(column.index())) {
                Some(column) => Transformed::yes(column.physical.clone()),
                None => Transformed::no(part),
            })
        })
        .data()?;
    let numbers = |column: &datafusion::common::Column| {
        schema.index_of_column(column).is_ok_and(|at| columns.get(at).is_some_and(|column| column.is_number))
    };
    if expr.column_refs().into_iter().any(numbers) {
        return Err(unsupported("an expression over row_number()"));
    }
    Ok(Scalar::computed(physical, text))
}

pub(super) fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip(&alias.expr),
        other => named_itself(other).map_or(other, strip),
    }
}

/// Fields as nodes have them: named by position, so that views which name columns differently share nodes, and nullable.
pub(super) fn positional<'a>(fields: impl Iterator<Item = &'a Field>) -> Vec<FieldRef> {
    let rename = |(at, field): (usize, &Field)| Arc::new(field.clone().with_name(at.to_string()).with_nullable(true));
    fields.enumerate().map(rename).collect()
}

pub(super) fn schema_of(fields: &[FieldRef]) -> SchemaRef {
    Arc::new(Schema::new(fields.to_vec()))
}
