//! A connection over PostgreSQL's wire protocol, to Levada's server or to PostgreSQL's.

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::render::{self, Answer, Column, SqlError};

pub struct Wire {
    client: Client,
    options: Options,
}

/// How a connection treats what it is given.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Errors say where in the query string they are.
    pub with_positions: bool,
    /// Materialized views are made as plain ones: in PostgreSQL, those are the ones that are always current.
    pub plain_views: bool,
}

impl Wire {
    pub async fn connect(port: u16, database: &str, options: Options) -> Result<Wire, SqlError> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await.map_err(|error| sql_error(&error, options))?;
        // Ends when the client is dropped; a connection that breaks shows in the client's next call.
        tokio::spawn(connection);
        Ok(Wire { client, options })
    }

    /// A query's columns as the extended protocol describes them, after its binary answer was held against the text one.
    async fn describe(&self, sql: &str, rows: &[Vec<Option<String>>]) -> Result<Vec<Column>, SqlError> {
        let error = |error: tokio_postgres::Error| sql_error(&error, self.options);
        let statement = self.client.prepare(sql).await.map_err(error)?;
        if is_read(sql) {
            let binary = self.client.query(&statement, &[]).await.map_err(error)?;
            let mut binary: Vec<Vec<Option<String>>> = binary.iter().map(decoded).collect();
            let known: Vec<bool> = statement.columns().iter().map(|column| is_decoded(column.type_())).collect();
            let mut text: Vec<Vec<Option<String>>> = rows.iter().map(|row| blank(row, &known)).collect();
            binary.sort();
            text.sort();
            if binary != text {
                return Err(mismatch(format!("as text: {text:?}, as binary: {binary:?}")));
            }
        }
        let columns = statement.columns().iter();
        Ok(columns
            .map(|column| Column {
                name: column.name().to_owned(),
                ty: Some((column.type_().name().to_owned(), column.type_modifier())),
            })
            .collect())
    }
}

#[async_trait]
impl AsyncDB for Wire {
    type Error = SqlError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, SqlError> {
        let plain = self.options.plain_views.then(|| sql.replace("MATERIALIZED VIEW", "VIEW"));
        let sql = plain.as_deref().unwrap_or(sql);
        let messages = self.client.simple_query(sql).await.map_err(|error| sql_error(&error, self.options))?;
        let mut answers: Vec<Answer> = Vec::new();
        let mut changed = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let untyped = |name: &str| Column { name: name.to_owned(), ty: None };
                    let columns = columns.iter().map(|column| untyped(column.name())).collect();
                    answers.push(Answer { columns, rows: Vec::new() });
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect();
                    let answer = answers.last_mut().ok_or_else(|| mismatch("a row before its description"))?;
                    answer.rows.push(values);
                }
                SimpleQueryMessage::CommandComplete(count) => changed = count,
                _ => {}
            }
        }
        // Only a single statement can be described; several show their columns' names alone.
        if let [answer] = &mut answers[..]
            && !sql.trim_end().trim_end_matches(';').contains(';')
        {
            let described = self.describe(sql, &answer.rows).await?;
            if described.iter().map(|column| &column.name).ne(answer.columns.iter().map(|column| &column.name)) {
                let names = (render::header(&answer.columns), render::header(&described));
                return Err(mismatch(format!("named {} in the simple protocol, {} in the extended", names.0, names.1)));
            }
            answer.columns = described;
        }
        Ok(Answer::output(&answers, changed))
    }

    async fn shutdown(&mut self) {}

    async fn sleep(duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.sqlstate.clone())
    }
}

fn sql_error(error: &tokio_postgres::Error, options: Options) -> SqlError {
    let Some(error) = error.as_db_error() else { return mismatch(format!("{error:?}")) };
    let position = match error.position() {
        Some(ErrorPosition::Original(position)) if options.with_positions => Some(*position as usize),
        _ => None,
    };
    SqlError { sqlstate: error.code().code().to_owned(), message: error.message().to_owned(), position }
}

/// The two protocols disagree, or one is broken: no server's SQLSTATE.
fn mismatch(message: impl Into<String>) -> SqlError {
    SqlError { sqlstate: "wire".to_owned(), message: message.into(), position: None }
}

/// Whether running it twice does no harm.
fn is_read(sql: &str) -> bool {
    let sql = sql.trim_start_matches(|character: char| character.is_whitespace() || character == '(').to_lowercase();
    let writes = ["insert", "update", "delete", "clock_timestamp", "random", "nextval"];
    ["select", "values", "table", "with"].iter().any(|word| sql.starts_with(word))
        && !writes.iter().any(|word| sql.contains(word))
}

/// Types whose binary form is read here.
fn is_decoded(ty: &Type) -> bool {
    [Type::BOOL, Type::INT2, Type::INT4, Type::INT8, Type::TEXT, Type::VARCHAR, Type::NAME, Type::OID].contains(ty)
}

/// A binary row in the text form; values of other types are left out.
fn decoded(row: &tokio_postgres::Row) -> Vec<Option<String>> {
    let get = |(index, column): (usize, &tokio_postgres::Column)| match *column.type_() {
        Type::BOOL => row.get::<_, Option<bool>>(index).map(|value| if value { "t" } else { "f" }.to_owned()),
        Type::INT2 => row.get::<_, Option<i16>>(index).map(|value| value.to_string()),
        Type::INT4 => row.get::<_, Option<i32>>(index).map(|value| value.to_string()),
        Type::INT8 => row.get::<_, Option<i64>>(index).map(|value| value.to_string()),
        Type::OID => row.get::<_, Option<u32>>(index).map(|value| value.to_string()),
        Type::TEXT | Type::VARCHAR | Type::NAME => row.get::<_, Option<String>>(index),
        _ => None,
    };
    row.columns().iter().enumerate().map(get).collect()
}

/// The values of the columns that are `known`.
fn blank(row: &[Option<String>], known: &[bool]) -> Vec<Option<String>> {
    row.iter().zip(known).map(|(value, known)| value.clone().filter(|_| *known)).collect()
}
