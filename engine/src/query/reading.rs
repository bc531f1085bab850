//! A relation whose rows are read from outside, in one stream, while the query runs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use tokio::sync::mpsc;

use crate::data::Parts;
use crate::error::Result as EngineResult;

/// Batches read ahead of the query.
const AHEAD: usize = 1;

/// Says that nobody wants more rows.
pub type Stopped = Box<dyn Fn() -> bool + Send>;

/// Begins to read: batches of all columns, of which only the wanted ones need hold what they should. The iterator may block,
/// but looks every now and then whether it should stop.
pub type Open = Arc<dyn Fn(Stopped, &Parts) -> EngineResult<Batches> + Send + Sync>;

type Batches = Box<dyn Iterator<Item = EngineResult<RecordBatch>>>;

/// Rows that an iterator brings, on a thread of its own for each scan; a slow query holds it up, and so it does not pile
/// up rows in memory.
#[derive(Clone)]
pub struct ReadingTable {
    name: String,
    schema: SchemaRef,
    open: Open,
}

impl ReadingTable {
    /// The iterator's batches have this schema.
    pub fn new(name: impl Into<String>, schema: SchemaRef, open: Open) -> ReadingTable {
        ReadingTable { name: name.into(), schema, open }
    }
}

impl fmt::Debug for ReadingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadingTable({})", self.name)
    }
}

#[async_trait]
impl TableProvider for ReadingTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let columns = projection.map(|columns| columns.as_slice().into());
        Ok(Arc::new(ReadingScan { table: self.clone(), columns, fetch: limit, properties }))
    }
}

/// One reading of a table.
#[derive(Clone, Debug)]
struct ReadingScan {
    table: ReadingTable,
    columns: Option<Arc<[usize]>>,
    /// Rows after which it stops.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for ReadingScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ReadingScan: {}", self.table.name)?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ReadingScan {
    fn name(&self) -> &str {
        "ReadingScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a ReadingScan has no children") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition > 0 {
            return internal_err!("a ReadingScan has no partition {partition}");
        }
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let scan = self.clone();
        let read = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| scan.read(&sender)));
            // Nobody listens after a LIMIT, which is no error.
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => drop(sender.blocking_send(Err(error))),
                Err(_) => drop(sender.blocking_send(internal_err!("reading \"{}\" panicked", scan.table.name))),
            }
        };
        std::thread::Builder::new()
            .name("levada-reading".into())
            .spawn(read)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let batches = futures::stream::poll_fn(move |context| batches.poll_recv(context));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(ReadingScan { fetch: limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}

impl ReadingScan {
    /// Sends the rows until there are no more, or nobody wants them.
    fn read(&self, sender: &mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
        let mut left = self.fetch.unwrap_or(usize::MAX);
        let closed = sender.clone();
        let columns = self.columns.as_ref();
        let wanted = columns.map_or(Parts::All, |columns| Parts::columns(columns.iter().copied()));
        let batches = (self.table.open)(Box::new(move || closed.is_closed()), &wanted)?;
        for batch in batches {
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let batch = match &self.columns {
                Some(columns) => batch.project(columns)?,
                None => batch,
            };
            if batch.num_rows() > 0 && sender.blocking_send(Ok(batch)).is_err() || left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}
