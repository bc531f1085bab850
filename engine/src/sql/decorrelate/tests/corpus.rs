//! The recorded queries and rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::catalog::RelationSource;
use crate::data::{Column, ObjectId, RelationSchema, SqlType};
use crate::error::Result;
use crate::sql::bind::tests::fixture::query_of;
use crate::sql::bind::{BindSettings, Binder, BoundQuery, NameResolver, Parameters, Purpose, Relation};

const TABLES: [&str; 3] = ["r", "s", "q"];

/// A query and PostgreSQL's answer over each version of the tables: sorted rows, or `ERROR` and the SQLSTATE.
pub struct Case {
    pub sql: String,
    pub answers: Vec<String>,
}

/// Tables in several versions, and queries over them.
pub struct Corpus {
    pub sources: Vec<Arc<RelationSource>>,
    /// For each version, the rows of each table.
    pub versions: Vec<Vec<RecordBatch>>,
    pub cases: Vec<Case>,
}

impl NameResolver for Corpus {
    fn relation(&self, _: Option<&str>, name: &str) -> Result<Option<Relation>> {
        let found = self.sources.iter().find(|source| source.name == name);
        Ok(found.map(|source| Relation::Stored(source.clone())))
    }
}

impl Corpus {
    pub fn recorded() -> Corpus {
        Corpus::parse(include_str!("queries.golden"))
    }

    pub fn parse(text: &str) -> Corpus {
        let mut blocks = text.split("\n\n").map(|block| block.trim_start_matches('\n'));
        let columns = [("a", SqlType::Int4), ("b", SqlType::Int4), ("c", SqlType::Text)];
        let columns: Vec<Column> = columns.into_iter().map(|(name, ty)| Column::new(name, ty, true)).collect();
        let schema = RelationSchema { columns, primary_key: None };
        let source = |(at, name): (usize, &&str)| {
            RelationSource::new(ObjectId(ObjectId::FIRST.0 + at as u32), *name, schema.clone())
        };
        let sources: Vec<Arc<RelationSource>> = TABLES.iter().enumerate().map(source).collect();
        let tables = blocks.next().unwrap().lines().filter(|line| !line.starts_with('#'));
        let mut versions: Vec<Vec<RecordBatch>> = Vec::new();
        for line in tables {
            let (name, rows) = line.split_once(": ").unwrap();
            if name.starts_with(TABLES[0]) {
                versions.push(Vec::new());
            }
            versions.last_mut().unwrap().push(rows_of(&schema, rows));
        }
        let case = |block: &str| {
            let mut lines = block.lines();
            let sql = lines.next()?.to_owned();
            let answers = lines.map(|line| line.split_once(':').unwrap().1.trim().to_owned()).collect();
            Some(Case { sql, answers })
        };
        Corpus { sources, versions, cases: blocks.filter_map(case).collect() }
    }

    pub fn bind(&self, sql: &str, purpose: Purpose) -> Result<BoundQuery> {
        let settings = BindSettings { database: "postgres".into(), ..BindSettings::default() };
        Binder::new(self, &settings, purpose, Parameters::none(), sql).bind_query(&query_of(sql)?)
    }
}

fn rows_of(schema: &RelationSchema, text: &str) -> RecordBatch {
    let rows: Vec<Vec<&str>> =
        text.split("; ").filter(|row| !row.trim().is_empty()).map(|row| row.split('|').collect()).collect();
    let known = |column: usize| rows.iter().map(move |row| Some(row[column]).filter(|value| *value != "NULL"));
    let int = |column: usize| -> ArrayRef {
        Arc::new(known(column).map(|value| value.map(|value| value.parse().unwrap())).collect::<Int32Array>())
    };
    let text: ArrayRef = Arc::new(known(2).collect::<StringArray>());
    RecordBatch::try_new(schema.arrow(), vec![int(0), int(1), text]).unwrap()
}

/// Rows as the golden file writes them.
pub fn shown(batches: &[RecordBatch]) -> String {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend((0..batch.num_rows()).map(|row| {
            let values = batch.columns().iter().map(|column| value(column, row));
            values.collect::<Vec<_>>().join("|")
        }));
    }
    rows.sort_unstable();
    rows.join("; ")
}

fn value(column: &ArrayRef, row: usize) -> String {
    if let Some(values) = column.as_any().downcast_ref::<BooleanArray>().filter(|values| values.is_valid(row)) {
        return if values.value(row) { "t" } else { "f" }.to_owned();
    }
    let options = FormatOptions::new().with_null("NULL");
    let text = ArrayFormatter::try_new(column.as_ref(), &options).unwrap().value(row).to_string();
    let is_decimal = matches!(column.data_type(), DataType::Decimal128(..)) && text.contains('.');
    if is_decimal { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
