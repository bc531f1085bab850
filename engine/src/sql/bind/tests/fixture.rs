//! The relations that the tests query, and running a plan over them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use sqlparser::ast::{self, Statement};

use crate::catalog::RelationSource;
use crate::data::{Column, ObjectId, RelationSchema, SqlType};
use crate::error::{Error, Result};
use crate::sql::bind::{BindSettings, Binder, BoundQuery, NameResolver, Parameters, Purpose, Relation};
use crate::sql::format::{FormatSettings, value_text};
use crate::sql::{decorrelate, parse};

/// The result of a query, as text.
pub struct Answer {
    /// Name and type of each column.
    pub columns: Vec<String>,
    /// The values of each row with `|` between.
    pub rows: Vec<String>,
}

/// A catalog of a few relations with their rows.
pub struct Fixture {
    relations: HashMap<&'static str, (Relation, Option<RecordBatch>)>,
}

impl NameResolver for Fixture {
    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>> {
        let found = self.relations.get(name).filter(|_| matches!(schema, None | Some("public")));
        Ok(found.map(|(relation, _)| relation.clone()))
    }
}

impl Fixture {
    pub fn new() -> Fixture {
        let mut fixture = Fixture { relations: HashMap::new() };
        let (int4, int8) = (SqlType::Int4, SqlType::Int8);
        fixture.table(
            "t",
            &[("id", int4.clone()), ("name", SqlType::Text), ("grp", int4.clone()), ("val", int4.clone())],
            true,
            vec![
                int([Some(1), Some(2), Some(3), Some(4), Some(5)]),
                text([Some("a"), Some("b"), Some("c"), None, Some("e")]),
                int([Some(10), Some(10), Some(20), Some(20), None]),
                int([Some(1), Some(2), None, Some(4), Some(5)]),
            ],
        );
        fixture.table(
            "u",
            &[("id", int4.clone()), ("t_id", int4.clone()), ("amount", int8.clone())],
            true,
            vec![
                int([Some(1), Some(2), Some(3), Some(4), Some(5)]),
                int([Some(1), Some(1), Some(3), Some(9), None]),
                big([100, 200, 300, 400, 500]),
            ],
        );
        let pairs = [("k", int4.clone()), ("b", int8)];
        fixture.table("w", &pairs, false, vec![int([Some(1), Some(1), Some(2), None, None]), big([1, 1, 2, 3, 3])]);
        fixture.table("x", &pairs, false, vec![int([Some(1), Some(2), Some(2), None, Some(4)]), big([1, 2, 2, 3, 4])]);
        let tags = [Some(vec!["p", "q"]), Some(vec![]), None, Some(vec!["r"])];
        let columns = [("id", int4.clone()), ("tags", SqlType::Text.array())];
        fixture.table("a", &columns, true, vec![int([Some(1), Some(2), Some(3), Some(4)]), lists(tags)]);
        fixture.table("nothing", &[("k", int4.clone()), ("s", SqlType::Text)], false, vec![int([]), text([])]);
        let times = TimestampMicrosecondArray::from(vec![0, 59_000_000, 60_000_000]);
        fixture.table(
            "e",
            &[("ts", SqlType::Timestamp), ("n", int4.clone())],
            false,
            vec![Arc::new(times), int([Some(1), Some(2), Some(3)])],
        );
        fixture.table("j", &[("id", int4), ("doc", SqlType::Json)], false, vec![int([Some(1)]), text([Some("{}")])]);
        fixture.view("v", "select id as vid, name, val*2 as twice from t where grp = 10", &["vid", "name", "twice"]);
        fixture.view("vv", "select vid, count(*) from v group by vid", &["p", "q"]);
        fixture.view("broken", "select nowhere from t", &["n"]);
        fixture
    }

    fn table(&mut self, name: &'static str, columns: &[(&str, SqlType)], keyed: bool, arrays: Vec<ArrayRef>) {
        let nullable = |index: usize| !(keyed && index == 0);
        let columns = columns.iter().enumerate();
        let columns = columns.map(|(index, (name, ty))| Column::new(*name, ty.clone(), nullable(index))).collect();
        let schema = RelationSchema { columns, primary_key: keyed.then(|| vec![0]) };
        let batch = RecordBatch::try_new(schema.arrow(), arrays).unwrap();
        let id = ObjectId(ObjectId::FIRST.0 + self.relations.len() as u32);
        let source = RelationSource::new(id, name, schema);
        self.relations.insert(name, (Relation::Stored(source), Some(batch)));
    }

    fn view(&mut self, name: &'static str, sql: &str, columns: &[&str]) {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let relation = Relation::View { oid: 1, name: name.into(), query: Arc::new(query_of(sql).unwrap()), columns };
        self.relations.insert(name, (relation, None));
    }

    /// The stored relation of this name.
    pub fn source(&self, name: &str) -> Arc<RelationSource> {
        match &self.relations[name].0 {
            Relation::Stored(source) => source.clone(),
            Relation::View { .. } => panic!("{name} is a view"),
        }
    }

    /// The plan with the rows in place of the relations.
    fn filled(&self, plan: LogicalPlan) -> LogicalPlan {
        let fill = |node: LogicalPlan| {
            let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
            let source: &dyn std::any::Any = scan.source.as_ref();
            let Some(source) = source.downcast_ref::<RelationSource>() else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let batch = self.relations[source.name.as_str()].1.clone().unwrap();
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            let source = provider_as_source(Arc::new(table));
            Ok::<_, DataFusionError>(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
        };
        plan.transform_down_with_subqueries(fill).unwrap().data
    }

    /// Runs a query with these values of parameters.
    pub async fn run(&self, query: BoundQuery, parameters: Vec<ScalarValue>) -> Result<Answer> {
        // Without analyzer rules: what the binder hands on needs no coercion.
        let state = SessionStateBuilder::new().with_default_features().with_analyzer_rules(Vec::new()).build();
        let context = SessionContext::new_with_state(state);
        let mut plan = self.filled(query.plan);
        if !parameters.is_empty() {
            plan = plan.with_param_values(parameters)?;
        }
        let state = context.state();
        let plan = state.optimize(&decorrelate(plan)?)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
        let batches = collect(physical, context.task_ctx()).await?;
        let mut rows = Vec::new();
        let types: Vec<SqlType> = query.columns.iter().map(|column| column.ty.clone()).collect();
        for batch in &batches {
            for (column, output) in batch.columns().iter().zip(&query.columns) {
                assert_eq!(*column.data_type(), output.ty.arrow(), "type of {}", output.name);
            }
            rows.extend((0..batch.num_rows()).map(|row| row_text(batch, &types, row)));
        }
        let columns = query.columns.iter().map(|column| format!("{} {}", column.name, column.ty)).collect();
        Ok(Answer { columns, rows })
    }
}

/// Binds and runs a query over the fixture.
pub async fn answer(sql: &str) -> Result<Answer> {
    let fixture = Fixture::new();
    let bound = bind(&fixture, sql, Purpose::Query)?;
    fixture.run(bound, Vec::new()).await
}

/// Binds a query over the fixture.
pub fn bind(fixture: &Fixture, sql: &str, purpose: Purpose) -> Result<BoundQuery> {
    let query = query_of(sql)?;
    let settings = BindSettings { database: "postgres".into(), ..BindSettings::default() };
    Binder::new(fixture, &settings, purpose, Parameters::none(), sql).bind_query(&query)
}

/// The query that a text is.
pub fn query_of(sql: &str) -> Result<ast::Query> {
    match parse(sql)?.remove(0).into_sql().unwrap() {
        Statement::Query(query) => Ok(*query),
        other => Err(Error::internal(format!("not a query: {other}"))),
    }
}

fn row_text(batch: &RecordBatch, types: &[SqlType], row: usize) -> String {
    let value = |(array, ty)| {
        let text = value_text(array, ty, row, &FormatSettings::default()).unwrap();
        text.unwrap_or_else(|| "NULL".into())
    };
    batch.columns().iter().zip(types).map(value).collect::<Vec<_>>().join("|")
}

fn int<const N: usize>(values: [Option<i32>; N]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn big<const N: usize>(values: [i64; N]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn text<const N: usize>(values: [Option<&str>; N]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn lists<const N: usize>(values: [Option<Vec<&str>>; N]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, true));
    for value in values {
        builder.append_option(value.map(|list| list.into_iter().map(Some)));
    }
    Arc::new(builder.finish())
}
