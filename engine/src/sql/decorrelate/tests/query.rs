//! The corpus as ad-hoc queries.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;

use super::corpus::{Corpus, shown};
use crate::catalog::RelationSource;
use crate::error::Result;
use crate::sql::bind::Purpose;
use crate::sql::decorrelate;

#[tokio::test]
async fn queries_answer_as_postgresql_does() {
    let corpus = Corpus::recorded();
    let mut failures = Vec::new();
    for case in &corpus.cases {
        for (version, expected) in case.answers.iter().enumerate() {
            let found = match answer(&corpus, &case.sql, version).await {
                Ok(rows) => shown(&rows),
                Err(error) if expected.starts_with("ERROR") => format!("ERROR {}", error.sqlstate().code()),
                Err(error) => format!("ERROR {} {error} {:?}", error.sqlstate().code(), error.detail()),
            };
            if found != *expected {
                failures.push(format!("{}\nversion {version}\nexpected: {expected}\nfound:    {found}\n", case.sql));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ\n\n{}", failures.len(), failures.join("\n"));
}

async fn answer(corpus: &Corpus, sql: &str, version: usize) -> Result<Vec<RecordBatch>> {
    let plan = decorrelate(corpus.bind(sql, Purpose::Query)?.plan)?;
    let state = SessionStateBuilder::new().with_default_features().build();
    let context = SessionContext::new_with_state(state);
    let physical = context.state().create_physical_plan(&filled(plan, corpus, version)?).await?;
    Ok(collect(physical, context.task_ctx()).await?)
}

/// The plan over the rows of a version.
pub fn filled(plan: LogicalPlan, corpus: &Corpus, version: usize) -> Result<LogicalPlan> {
    let filled = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let Some(relation) = scan.source.downcast_ref::<RelationSource>() else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        let table = corpus.sources.iter().position(|source| source.id == relation.id).unwrap();
        let rows = corpus.versions[version][table].clone();
        scan.source = provider_as_source(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?));
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(filled.data)
}
