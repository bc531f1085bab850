//! Point queries: those that want few rows of one relation, run without planning.
//!
//! A query is one when its plan is a chain of projections, filters, ORDER BY and LIMIT over one scan. Where a filter equates
//! columns of the relation with constants or parameters, its rows are looked up in an index over such columns; a relation
//! of few rows is read as a whole. The nodes of the plan are then applied to these rows one by one, by the same expressions
//! that DataFusion would evaluate, so the look-up only has to find enough rows: a condition is left out only where the index
//! has compared the very same values.
//!
//! A query that turns out to need more (no index over the columns of a large relation, many rows to sort) is run as any other.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, Limit, LogicalPlan, Operator, Projection, Sort, SortExpr, TableScan,
};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, create_physical_expr};
use datafusion::physical_plan::sorts::sort::sort_batch;
use datafusion::scalar::ScalarValue;

use crate::catalog::RelationSource;
use crate::error::{Error, Result, SqlState};
use crate::query::in_turn::in_turn;
use crate::view::{RowSnapshot, Wanted};

/// Rows of a relation that is read as a whole, and rows that are sorted, at most: this is done on the threads of connections,
/// where nothing may take long.
const FEW_ROWS: usize = 100;

/// What stands inside of an expression that compares equal only where it does.
pub type Operand = fn(&Expr) -> &Expr;

/// A query that looks rows up by key, or reads a relation of few rows.
#[derive(Debug)]
pub struct PointQuery {
    relation: Arc<RelationSource>,
    wanted: Vec<Condition>,
    /// What happens to the rows, in order.
    steps: Vec<Step>,
}

/// A column of the relation has one of these values.
#[derive(Debug)]
struct Condition {
    column: usize,
    /// Constants, parameters and what is computed of them.
    values: Vec<Expr>,
}

#[derive(Debug)]
enum Step {
    Filter(Vec<Conjunct>),
    Project { expressions: Vec<Compiled>, schema: Arc<Schema> },
    Sort(Vec<(Compiled, SortOptions)>),
    Limit { skip: Option<Expr>, fetch: Option<Expr> },
}

#[derive(Debug)]
struct Conjunct {
    condition: Compiled,
    /// The column whose comparison in an index says the same.
    implied_by: Option<usize>,
}

/// An expression over the rows that come into a step.
#[derive(Debug)]
struct Compiled {
    expr: Expr,
    schema: DFSchemaRef,
    /// There unless parameters are missing.
    physical: Option<Arc<dyn PhysicalExpr>>,
}

impl PointQuery {
    /// The query as one that wants few rows, if the plan, which may have parameters, can be one. `operand` sees through what
    /// the binder puts around columns to compare them.
    pub fn recognise(plan: &LogicalPlan, operand: Operand) -> Result<Option<PointQuery>> {
        let Some((scan, nodes)) = chain(plan) else { return Ok(None) };
        let Some(relation) = relation(scan) else { return Ok(None) };
        let mut found = Recognition {
            origins: (0..relation.schema.columns.len()).map(Some).collect(),
            wanted: Vec::new(),
            steps: Vec::new(),
            limited: false,
            operand,
        };
        for node in nodes {
            if !found.add(node)? {
                return Ok(None);
            }
        }
        let Recognition { wanted, steps, .. } = found;
        Ok(Some(PointQuery { relation, wanted, steps }))
    }

    /// The relation it reads.
    pub fn relation(&self) -> &RelationSource {
        &self.relation
    }

    /// The columns of the relation whose values are looked up in a snapshot of it, if an index serves.
    pub fn key(&self, snapshot: &RowSnapshot) -> Option<Vec<usize>> {
        let wanted = |column: &usize| self.wanted.iter().any(|condition| condition.column == *column);
        snapshot.indexes().into_iter().find(|columns| columns.iter().all(wanted))
    }

    /// The query's rows of a snapshot of its relation. None when it has to be run as any other query.
    ///
    /// # Errors
    /// Whatever its expressions give.
    pub fn rows(&self, snapshot: &RowSnapshot, parameters: &[ScalarValue]) -> Result<Option<RecordBatch>> {
        let wanted = self.wanted.iter().map(|condition| {
            let values = condition.values.iter().map(|value| constant(value, parameters)).collect::<Result<_>>()?;
            Ok(Wanted { column: condition.column, values })
        });
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        let found = if wanted.is_empty() { None } else { snapshot.find(&wanted)? };
        let (mut rows, compared) = match found {
            Some(found) => (found.rows, found.columns),
            None => match snapshot.few(FEW_ROWS)? {
                Some(rows) => (rows, Vec::new()),
                None => return Ok(None),
            },
        };
        for step in &self.steps {
            rows = match step {
                Step::Sort(_) if rows.num_rows() > FEW_ROWS => return Ok(None),
                Step::Sort(keys) => sorted(rows, keys, parameters)?,
                Step::Filter(conjuncts) => {
                    let implied = |conjunct: &&Conjunct| conjunct.implied_by.is_some_and(|at| compared.contains(&at));
                    let mut open = conjuncts.iter().filter(|conjunct| !implied(conjunct));
                    open.try_fold(rows, |rows, conjunct| filtered(rows, &conjunct.condition, parameters))?
                }
                Step::Project { expressions, schema } => projected(&rows, expressions, schema, parameters)?,
                Step::Limit { skip, fetch } => {
                    let skip = row_count(skip.as_ref(), parameters, "OFFSET")?.unwrap_or(0).min(rows.num_rows());
                    let fetch = row_count(fetch.as_ref(), parameters, "LIMIT")?.unwrap_or(usize::MAX);
                    rows.slice(skip, fetch.min(rows.num_rows() - skip))
                }
            };
        }
        Ok(Some(rows))
    }
}

/// The scan at the bottom of a plan, and the nodes over it from there up; None if a node has several inputs, or is none
/// that can be applied to a few rows.
fn chain(plan: &LogicalPlan) -> Option<(&TableScan, Vec<&LogicalPlan>)> {
    let mut nodes = Vec::new();
    let mut node = plan;
    loop {
        let input = match node {
            LogicalPlan::TableScan(scan) => {
                nodes.reverse();
                return Some((scan, nodes));
            }
            LogicalPlan::Projection(Projection { input, .. })
            | LogicalPlan::Filter(Filter { input, .. })
            | LogicalPlan::Limit(Limit { input, .. }) => input,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            _ => return None,
        };
        nodes.push(node);
        node = input;
    }
}

/// The relation of a scan of all its rows and columns.
fn relation(scan: &TableScan) -> Option<Arc<RelationSource>> {
    let whole = scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none();
    let relation = scan.source.downcast_ref::<RelationSource>().filter(|_| whole)?;
    Some(Arc::new(relation.clone()))
}

/// What a node sorts by; None where that takes more than the row.
fn sort_keys(sort: &Sort) -> Result<Option<Vec<(Compiled, SortOptions)>>> {
    let key = |key: &SortExpr| {
        let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
        Ok(Compiled::new(&key.expr, sort.input.schema())?.map(|expr| (expr, options)))
    };
    sort.expr.iter().map(key).collect()
}

struct Recognition {
    /// Which column of the relation each column of the rows is, where it is one.
    origins: Vec<Option<usize>>,
    wanted: Vec<Condition>,
    steps: Vec<Step>,
    /// Whether a LIMIT has chosen among the rows: conditions above it choose among those.
    limited: bool,
    operand: Operand,
}

impl Recognition {
    /// Adds a node over those before it. False if it cannot be applied here.
    fn add(&mut self, node: &LogicalPlan) -> Result<bool> {
        let step = match node {
            LogicalPlan::Filter(filter) => {
                let conjuncts = split_conjunction(&filter.predicate);
                let conjuncts = conjuncts.into_iter().map(|conjunct| self.conjunct(conjunct, filter.input.schema()));
                conjuncts.collect::<Result<Option<Vec<_>>>>()?.map(Step::Filter)
            }
            LogicalPlan::Projection(projection) => self.projection(projection)?,
            LogicalPlan::Limit(limit) => {
                self.limited = true;
                let (skip, fetch) = (limit.skip.as_deref().cloned(), limit.fetch.as_deref().cloned());
                let simple = skip.iter().chain(&fetch).all(is_constant);
                simple.then_some(Step::Limit { skip, fetch })
            }
            LogicalPlan::Sort(sort) => sort_keys(sort)?.map(Step::Sort),
            _ => None,
        };
        let known = step.is_some();
        self.steps.extend(step);
        Ok(known)
    }

    fn projection(&mut self, projection: &Projection) -> Result<Option<Step>> {
        let input = projection.input.schema();
        let expressions = projection.expr.iter().map(|expr| Compiled::new(expr, input));
        let Some(expressions) = expressions.collect::<Result<Option<Vec<_>>>>()? else { return Ok(None) };
        self.origins = projection.expr.iter().map(|expr| self.origin(expr, input)).collect();
        let fields = projection.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Some(Step::Project { expressions, schema }))
    }

    fn conjunct(&mut self, expr: &Expr, schema: &DFSchemaRef) -> Result<Option<Conjunct>> {
        let Some(condition) = Compiled::new(expr, schema)? else { return Ok(None) };
        let implied_by = if self.limited { None } else { self.equality(expr, schema) };
        Ok(Some(Conjunct { condition, implied_by }))
    }

    /// Takes note of a condition that equates a column with constants. Returns the column if that is all it says.
    fn equality(&mut self, expr: &Expr, schema: &DFSchema) -> Option<usize> {
        let (subject, values) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_constant(right) => {
                (&**left, vec![(**right).clone()])
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_constant(left) => {
                (&**right, vec![(**left).clone()])
            }
            Expr::InList(list) if !list.negated && list.list.iter().all(is_constant) => {
                (&*list.expr, list.list.clone())
            }
            _ => return None,
        };
        let operand = (self.operand)(subject);
        let column = self.origin(operand, schema)?;
        if self.wanted.iter().any(|condition| condition.column == column) {
            return None;
        }
        self.wanted.push(Condition { column, values });
        let same = std::ptr::eq(operand, subject);
        let plain = |ty: &DataType| !ty.is_floating() && !ty.is_nested() && !matches!(ty, DataType::Interval(_));
        let at = schema.maybe_index_of_column(column_of(operand)?)?;
        (same && plain(schema.field(at).data_type())).then_some(column)
    }

    /// Which column of the relation an expression is.
    fn origin(&self, expr: &Expr, schema: &DFSchema) -> Option<usize> {
        self.origins[schema.maybe_index_of_column(column_of(expr)?)?]
    }
}

fn column_of(expr: &Expr) -> Option<&datafusion::common::Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column_of(&alias.expr),
        _ => None,
    }
}

/// Whether an expression has one value for the whole query.
fn is_constant(expr: &Expr) -> bool {
    expr.column_refs().is_empty() && !expr.is_volatile() && is_scalar(expr)
}

/// Whether an expression can be evaluated row by row.
fn is_scalar(expr: &Expr) -> bool {
    let beyond = |part: &Expr| {
        matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::GroupingSet(_)
                | Expr::Unnest(_)
        )
    };
    !expr.exists(|part| Ok(beyond(part))).unwrap_or(true)
}

fn has_parameters(expr: &Expr) -> bool {
    expr.exists(|part| Ok(matches!(part, Expr::Placeholder(_)))).unwrap_or(true)
}

/// The value of parameter `$n`.
fn parameter<'a>(id: &str, parameters: &'a [ScalarValue]) -> Result<&'a ScalarValue> {
    let number: Option<usize> = id.strip_prefix('$').and_then(|digits| digits.parse().ok());
    let value = number.and_then(|number| parameters.get(number.checked_sub(1)?));
    value.ok_or_else(|| Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {id}")))
}

/// An expression with the values of its parameters.
fn substituted(expr: &Expr, parameters: &[ScalarValue]) -> Result<Expr> {
    let substitute = |part: Expr| match &part {
        Expr::Placeholder(placeholder) => {
            Ok(Transformed::yes(Expr::Literal(parameter(&placeholder.id, parameters)?.clone(), None)))
        }
        _ => Ok(Transformed::no(part)),
    };
    Ok(expr.clone().transform(substitute)?.data)
}

fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let context = PhysicalPlanningContext::default();
    Ok(in_turn(create_physical_expr(expr, schema, &ExecutionProps::new(), &context)?)?)
}

/// The value of an expression that has one for the whole query.
fn constant(expr: &Expr, parameters: &[ScalarValue]) -> Result<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Ok(value.clone()),
        Expr::Placeholder(placeholder) => parameter(&placeholder.id, parameters).cloned(),
        _ => {
            let expr = physical(&substituted(expr, parameters)?, &DFSchema::empty())?;
            let options = RecordBatchOptions::new().with_row_count(Some(1));
            let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
            Ok(ScalarValue::try_from_array(&expr.evaluate(&one)?.into_array(1)?, 0)?)
        }
    }
}

/// The argument of LIMIT or OFFSET, a bigint; None for NULL, which is no limit.
fn row_count(expr: Option<&Expr>, parameters: &[ScalarValue], clause: &str) -> Result<Option<usize>> {
    let Some(expr) = expr else { return Ok(None) };
    match constant(expr, parameters)? {
        ScalarValue::Int64(Some(count)) if count < 0 => {
            let state = if clause == "LIMIT" { SqlState::INVALID_LIMIT } else { SqlState::INVALID_OFFSET };
            Err(Error::new(state, format!("{clause} must not be negative")))
        }
        ScalarValue::Int64(Some(count)) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
        value if value.is_null() => Ok(None),
        other => Err(Error::internal(format!("{other:?} is no number of rows"))),
    }
}

impl Compiled {
    /// None for an expression that is more than one over the row, or has effects: those take their time.
    fn new(expr: &Expr, schema: &DFSchemaRef) -> Result<Option<Compiled>> {
        if !is_scalar(expr) || expr.is_volatile() {
            return Ok(None);
        }
        let physical = if has_parameters(expr) { None } else { Some(physical(expr, schema)?) };
        Ok(Some(Compiled { expr: expr.clone(), schema: schema.clone(), physical }))
    }

    fn evaluate(&self, rows: &RecordBatch, parameters: &[ScalarValue]) -> Result<ArrayRef> {
        Ok(self.ready(parameters)?.evaluate(rows)?.into_array(rows.num_rows())?)
    }

    /// The expression with the values of its parameters.
    fn ready(&self, parameters: &[ScalarValue]) -> Result<Arc<dyn PhysicalExpr>> {
        match &self.physical {
            Some(expr) => Ok(expr.clone()),
            None => physical(&substituted(&self.expr, parameters)?, &self.schema),
        }
    }
}

fn filtered(rows: RecordBatch, condition: &Compiled, parameters: &[ScalarValue]) -> Result<RecordBatch> {
    if rows.num_rows() == 0 {
        return Ok(rows);
    }
    let kept = condition.evaluate(&rows, parameters)?;
    let kept = kept.as_boolean_opt().ok_or_else(|| Error::internal("a condition that is not boolean"))?;
    Ok(filter_record_batch(&rows, kept)?)
}

fn sorted(rows: RecordBatch, keys: &[(Compiled, SortOptions)], parameters: &[ScalarValue]) -> Result<RecordBatch> {
    if rows.num_rows() < 2 {
        return Ok(rows);
    }
    let keys = keys.iter().map(|(key, options)| Ok(PhysicalSortExpr::new(key.ready(parameters)?, *options)));
    match LexOrdering::new(keys.collect::<Result<Vec<_>>>()?) {
        Some(ordering) => Ok(sort_batch(&rows, &ordering, None)?),
        None => Ok(rows),
    }
}

fn projected(
    rows: &RecordBatch,
    expressions: &[Compiled],
    schema: &Arc<Schema>,
    parameters: &[ScalarValue],
) -> Result<RecordBatch> {
    if rows.num_rows() == 0 {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let columns = expressions.iter().map(|expression| expression.evaluate(rows, parameters));
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let same = schema.fields().iter().zip(&columns).all(|(field, column)| field.data_type() == column.data_type());
    let schema = if same {
        schema.clone()
    } else {
        let typed = |(field, column): (&Arc<Field>, &ArrayRef)| {
            field.as_ref().clone().with_data_type(column.data_type().clone())
        };
        Arc::new(Schema::new(schema.fields().iter().zip(&columns).map(typed).collect::<Vec<_>>()))
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
