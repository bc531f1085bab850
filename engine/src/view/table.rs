//! A snapshot as DataFusion reads it.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions, StatisticsArgs,
};

use super::keyed::{Wanted, wanted};
use super::snapshot::{Piece, RowSnapshot};

/// Rows that are worth a partition of their own.
const PARTITION_ROWS: usize = 1 << 15;

/// A relation at one epoch as a table of a query: projection, LIMIT, exact row count, a partition per core; look-ups
/// where a filter wants certain values of the columns of an index.
#[derive(Clone, Debug)]
pub struct SnapshotTable(pub RowSnapshot);

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(row_statistics(&self.schema(), known(&self.0)))
    }

    /// A filter on a key makes the scan a look-up. It is evaluated all the same.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.schema();
        let use_of = |filter: &&Expr| match wanted(filter, &schema) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(use_of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.check()?;
        let schema = self.schema();
        let wanted: Vec<Wanted> = filters.iter().filter_map(|filter| wanted(filter, &schema)).collect();
        if !wanted.is_empty()
            && let Some(found) = self.0.find(&wanted)?
        {
            return Ok(MemorySourceConfig::try_new_exec(&[vec![found.rows]], schema, projection.cloned())?);
        }
        let config = state.config();
        Ok(Arc::new(SnapshotScan::new(&self.0, projection, limit, config.target_partitions(), config.batch_size())?))
    }
}

/// Reads a snapshot, a group of chunks a partition.
#[derive(Clone, Debug)]
struct SnapshotScan {
    snapshot: RowSnapshot,
    partitions: Arc<Vec<Vec<Piece>>>,
    columns: Option<Arc<[usize]>>,
    /// Rows after which a partition may stop.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SnapshotScan {
    fn new(
        snapshot: &RowSnapshot,
        columns: Option<&Vec<usize>>,
        fetch: Option<usize>,
        partitions: usize,
        batch_size: usize,
    ) -> Result<SnapshotScan> {
        let schema = match columns {
            Some(columns) => Arc::new(snapshot.schema().project(columns)?),
            None => snapshot.schema().clone(),
        };
        let partitions = partition(snapshot.pieces(batch_size.max(1)), partitions);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(SnapshotScan {
            snapshot: snapshot.clone(),
            partitions: Arc::new(partitions),
            columns: columns.map(|columns| columns.as_slice().into()),
            fetch,
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
        })
    }
}

/// Cuts the pieces, in order, into at most so many groups of about the same number of rows; at least one.
fn partition(pieces: Vec<Piece>, most: usize) -> Vec<Vec<Piece>> {
    let rows: usize = pieces.iter().map(|piece| piece.length).sum();
    let groups = rows.div_ceil(PARTITION_ROWS).clamp(1, most.max(1));
    let mut partitions = vec![Vec::new(); groups];
    let mut before = 0;
    for piece in pieces {
        let group = before * groups / rows.max(1);
        before += piece.length;
        partitions[group].push(piece);
    }
    partitions
}

impl DisplayAs for SnapshotScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SnapshotScan: epoch={}, partitions={}", self.snapshot.epoch(), self.partitions.len())?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for SnapshotScan {
    fn name(&self) -> &str {
        "SnapshotScan"
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
        if children.is_empty() { Ok(self) } else { internal_err!("a SnapshotScan has no children") }
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
        let Some(pieces) = self.partitions.get(partition).cloned() else {
            return internal_err!("a SnapshotScan has no partition {partition}");
        };
        let (at, columns) = (self.snapshot.epoch(), self.columns.clone());
        let mut left = self.fetch.unwrap_or(usize::MAX);
        let read = move |piece: Piece| -> Option<Result<RecordBatch>> {
            if left == 0 {
                return None;
            }
            let rows = piece.read(at, columns.as_deref()).and_then(|rows| rows.expand());
            let rows = rows.map(|rows| rows.slice(0, rows.num_rows().min(left)));
            left -= rows.as_ref().map_or(left, RecordBatch::num_rows);
            Some(rows.map_err(Into::into))
        };
        let batches = pieces.into_iter().map_while(read);
        let batches = batches.filter(|rows| !matches!(rows, Ok(rows) if rows.num_rows() == 0));
        let stream = RecordBatchStreamAdapter::new(self.schema(), futures::stream::iter(batches));
        Ok(make_cooperative(Box::pin(stream)))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = match args.partition().map(|partition| self.partitions.get(partition)) {
            Some(Some(pieces)) => Precision::Inexact(pieces.iter().map(|piece| piece.length).sum()),
            Some(None) => Precision::Absent,
            None => known(&self.snapshot),
        };
        let rows = match self.fetch {
            Some(fetch) if self.partitions.len() > 1 => rows.to_inexact().min(&Precision::Inexact(fetch)),
            Some(fetch) => rows.min(&Precision::Exact(fetch)),
            None => rows,
        };
        Ok(Arc::new(row_statistics(&self.schema(), rows)))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(SnapshotScan { fetch: limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}

/// How many rows a snapshot has; where they cannot be read, whoever reads them says why.
fn known(snapshot: &RowSnapshot) -> Precision<usize> {
    snapshot.row_count().map_or(Precision::Absent, |rows| Precision::Exact(rows as usize))
}

fn row_statistics(schema: &SchemaRef, rows: Precision<usize>) -> Statistics {
    Statistics { num_rows: rows, ..Statistics::new_unknown(schema) }
}
