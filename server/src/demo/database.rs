//! The engine as a client of it sees it.

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use levada_engine::error::Result;
use levada_engine::{Engine, Response, Session, SessionParams};

/// A session in this process.
pub struct Database(Session);

/// A row's values as text; None is NULL.
pub type Row = Vec<Option<String>>;

impl Database {
    pub fn connect(engine: &Engine) -> Result<Database> {
        let settings = vec![("application_name".to_owned(), "levada demo".to_owned())];
        let params = SessionParams { user: "levada".to_owned(), database: "levada".to_owned(), settings };
        Ok(Database(engine.session(params)?))
    }

    /// Runs the statements of a string and returns the rows of all.
    pub async fn run(&mut self, sql: &str) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        for statement in self.0.parse(sql).await? {
            let response = self.0.simple(&statement).await?;
            self.0.take_notices();
            let Response::Rows { rows, .. } = response else { continue };
            for batch in rows.try_collect::<Vec<_>>().await? {
                let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                let columns: Vec<&StringArray> = columns.iter().map(|column| column.as_string()).collect();
                let value = |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
                found.extend(
                    (0..batch.num_rows()).map(|row| columns.iter().map(|column| value(column, row)).collect::<Row>()),
                );
            }
        }
        Ok(found)
    }
}
