//! ORDER BY … LIMIT, LIMIT, and DISTINCT ON.

use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{DistinctOn, Expr, FetchType, Limit, LogicalPlan, SkipType};

use crate::dataflow::operators::{SortKey, TopK, TopKSpec};
use crate::dataflow::{Input, NodeSpec, Properties};
use crate::error::Result;
use crate::sql::lower::aggregate::column;
use crate::sql::lower::flow::{Flow, positional, schema_of};
use crate::sql::lower::plan::{Lowering, unsupported};

/// Which rows are taken: of each combination of the partition's columns, those after `offset`, at most `limit`.
pub(super) struct Window {
    pub partition: Vec<usize>,
    pub order: Vec<SortKey>,
    pub offset: usize,
    pub limit: Option<usize>,
}

impl Lowering<'_> {
    pub(super) fn limit(&mut self, limit: &Limit) -> Result<Flow> {
        let not_constant = || unsupported("a LIMIT or OFFSET that is not a constant");
        let SkipType::Literal(offset) = limit.get_skip_type()? else { return Err(not_constant()) };
        let FetchType::Literal(fetch) = limit.get_fetch_type()? else { return Err(not_constant()) };
        self.limited(&limit.input, offset, fetch)
    }

    /// The order that decides may stand below a projection which drops what it is by.
    fn limited(&mut self, plan: &LogicalPlan, offset: usize, fetch: Option<usize>) -> Result<Flow> {
        match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.top(&sort.input, &sort.expr, offset, fetch),
            LogicalPlan::SubqueryAlias(alias) => self.limited(&alias.input, offset, fetch),
            LogicalPlan::Projection(projection) => {
                let flow = self.limited(&projection.input, offset, fetch)?;
                let fields = positional(projection.schema.fields().iter().map(AsRef::as_ref));
                flow.project(&projection.expr, projection.input.schema(), fields, self.graph, self.ids)
            }
            other => self.top(other, &[], offset, fetch),
        }
    }

    /// The first rows of an input in an order, ties broken by the whole row.
    pub(super) fn top(
        &mut self,
        input: &LogicalPlan,
        order: &[Sort],
        offset: usize,
        limit: Option<usize>,
    ) -> Result<Flow> {
        let mut flow = self.computing(input)?;
        let width = flow.fields.len();
        let order = sort_keys(&mut flow, order, input)?;
        let window = Window { partition: Vec::new(), order, offset, limit };
        Ok(self.window(flow, window)?.select(&(0..width).collect::<Vec<_>>()))
    }

    /// `SELECT DISTINCT ON (…)`: the first row of each combination.
    pub(super) fn distinct_on(&mut self, distinct: &DistinctOn) -> Result<Flow> {
        let DistinctOn { on_expr, select_expr, sort_expr, input, schema } = distinct;
        let mut flow = self.computing(input)?;
        let place = |flow: &mut Flow, exprs: &[Expr]| -> Result<Vec<usize>> {
            let columns = exprs.iter().map(|expr| column(flow, expr, input.schema())).collect::<Result<Vec<_>>>()?;
            Ok(flow.extend(columns))
        };
        let partition = place(&mut flow, on_expr)?;
        let selected = place(&mut flow, select_expr)?;
        let order = sort_keys(&mut flow, sort_expr.as_deref().unwrap_or_default(), input)?;
        let window = Window { partition, order, offset: 0, limit: Some(1) };
        let mut flow = self.window(flow, window)?.select(&selected);
        flow.fields = positional(schema.fields().iter().map(AsRef::as_ref));
        Ok(flow)
    }

    pub(super) fn window(&mut self, flow: Flow, window: Window) -> Result<Flow> {
        let input = self.settle(flow)?;
        let Window { partition, order, offset, limit } = window;
        let append_only = input.properties.append_only;
        let order_text: Vec<String> = order
            .iter()
            .map(|key| format!("{} descending={} nulls_first={}", key.column, key.descending, key.nulls_first))
            .collect();
        let text = format!(
            "top partition{partition:?} order[{}] offset {offset} limit {limit:?} append_only={append_only}",
            order_text.join(";")
        );
        let node = self.intern(&text, vec![Input::plain(input.node)], |_| {
            let mut keys = input.properties.keys.clone();
            if limit == Some(1) {
                keys.push(partition.clone());
            }
            let spec = TopKSpec {
                schema: schema_of(&input.fields),
                partition,
                order,
                offset: offset as u64,
                limit: limit.map(|limit| limit as u64),
                append_only,
            };
            let properties = Properties { keys, ..Properties::default() };
            Ok(NodeSpec { operator: Box::new(TopK::new(spec)?), store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }
}

/// Sort keys as columns of the flow.
fn sort_keys(flow: &mut Flow, order: &[Sort], input: &LogicalPlan) -> Result<Vec<SortKey>> {
    let mut keys = Vec::with_capacity(order.len());
    for sort in order {
        let column = column(flow, &sort.expr, input.schema())?;
        let column = flow.extend(vec![column])[0];
        keys.push(SortKey { column, descending: !sort.asc, nulls_first: sort.nulls_first });
    }
    Ok(keys)
}
