//! Which columns follow event time, and what waits for it.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::data::ObjectId;
use crate::dataflow::{EventTime, Graph, Properties};
use crate::error::{Error, Result};
use crate::sql::functions::event_windows::lag;
use crate::sql::lower::flow::strip;

/// Says that a column of a base relation has the relation's watermark.
pub fn follow_time(graph: &mut Graph, relation: ObjectId, column: usize) -> Result<()> {
    let node = graph.relation(relation).ok_or_else(|| Error::internal(format!("there is no relation {relation}")))?;
    graph.set_event_time(node, column, EventTime::of(relation))
}

/// How an expression over columns of these properties follows event time.
pub(super) fn event_time(expr: &Expr, schema: &DFSchema, properties: &Properties) -> Option<EventTime> {
    match strip(expr) {
        Expr::Column(column) => properties.event_times.get(&schema.index_of_column(column).ok()?).cloned(),
        Expr::ScalarFunction(function) => {
            let (time, lag) = lag(function)?;
            Some(event_time(time, schema, properties)?.behind(lag))
        }
        _ => None,
    }
}

/// A GROUP BY whose groups are emitted when their windows close.
pub(super) struct Closing {
    pub view: ObjectId,
    /// The key that decides when.
    pub key: usize,
    pub time: EventTime,
}

impl Closing {
    /// The key that closes groups first.
    ///
    /// # Errors
    /// 0A000 where no key follows event time.
    pub fn new(view: ObjectId, times: Vec<Option<EventTime>>) -> Result<Closing> {
        let followed = times.into_iter().enumerate().filter_map(|(key, time)| Some((key, time?)));
        let (key, time) = followed.min_by_key(|(_, time)| time.lag).ok_or_else(|| {
            Error::unsupported("EMIT ON WINDOW CLOSE without a watermark").with_hint(
                "GROUP BY window_start or window_end of TUMBLE or HOP over a column with a watermark (WATERMARK FOR \
                 column AS … in CREATE SOURCE or CREATE TABLE … WITH (connector = …)), which joins and aggregates do not \
                 pass on.",
            )
        })?;
        Ok(Closing { view, key, time })
    }
}

/// Whether the rows of a closed window only pass through this node.
pub(super) fn passes_closed_windows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Repartition(_) => true,
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        _ => false,
    }
}

/// What is refused where something else than the rows of windows would be emitted.
pub(super) fn no_windows() -> Error {
    Error::unsupported("EMIT ON WINDOW CLOSE of this query").with_hint(
        "The query is one GROUP BY of windows, and what filters and computes its rows: make other views over that one.",
    )
}
