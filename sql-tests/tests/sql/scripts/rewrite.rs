//! Writes into a script what a database answers.

use std::fmt::Write;

use sqllogictest::{
    AsyncDB, DefaultColumnType, ExpectedError, MakeConnection, QueryExpect, Record, RecordOutput, Runner,
    StatementExpect,
};

use super::run::Script;

/// Runs the script and replaces its expectations by the answers.
pub async fn rewrite<D, M>(script: &Script, runner: &mut Runner<D, M>)
where
    D: AsyncDB<ColumnType = DefaultColumnType>,
    M: MakeConnection<Conn = D>,
{
    let mut text = String::new();
    for record in &script.records {
        let output = runner.apply_record(record.clone()).await;
        let record = answered(record, &output).unwrap_or_else(|| record.clone());
        writeln!(text, "{record}").expect("text grows");
    }
    // A query without type letters is printed with a blank after it.
    let text = text.replace("query \n", "query\n");
    std::fs::write(&script.path, format!("{}\n", text.trim_end())).expect("a writable script");
}

/// The record with what came of it, if that can differ.
fn answered(
    record: &Record<DefaultColumnType>,
    output: &RecordOutput<DefaultColumnType>,
) -> Option<Record<DefaultColumnType>> {
    let (loc, conditions, connection, sql, retry) = match record.clone() {
        Record::Statement { loc, conditions, connection, sql, retry, .. }
        | Record::Query { loc, conditions, connection, sql, retry, .. } => (loc, conditions, connection, sql, retry),
        _ => return None,
    };
    let statement = |expected| Record::Statement {
        loc: loc.clone(),
        conditions: conditions.clone(),
        connection: connection.clone(),
        sql: sql.clone(),
        expected,
        retry: retry.clone(),
    };
    if let (
        RecordOutput::Query { error: Some(error), .. } | RecordOutput::Statement { error: Some(error), .. },
        Some(pattern),
    ) = (output, expected_error(record))
        && pattern.is_match(&error.to_string(), None)
    {
        return None;
    }
    match output {
        RecordOutput::Query { error: Some(error), .. } | RecordOutput::Statement { error: Some(error), .. } => {
            let pattern = escaped(&error.to_string()).parse().expect("an escaped pattern");
            Some(statement(StatementExpect::Error(ExpectedError::Inline(pattern))))
        }
        RecordOutput::Statement { count, .. } if changes_rows(&sql) => Some(statement(StatementExpect::Count(*count))),
        RecordOutput::Statement { .. } => Some(statement(StatementExpect::Ok)),
        RecordOutput::Query { rows, .. } => {
            let results = rows.iter().map(|row| row.join("|")).collect();
            let results =
                QueryExpect::Results { types: Vec::new(), sort_mode: None, result_mode: None, label: None, results };
            Some(Record::Query { loc, conditions, connection, sql, expected: results, retry })
        }
        _ => None,
    }
}

/// The error that the script names: one that matches stays as it was written.
fn expected_error(record: &Record<DefaultColumnType>) -> Option<&ExpectedError> {
    match record {
        Record::Statement { expected: StatementExpect::Error(error), .. }
        | Record::Query { expected: QueryExpect::Error(error), .. } => Some(error),
        _ => None,
    }
}

fn changes_rows(sql: &str) -> bool {
    let sql = sql.trim_start().to_lowercase();
    ["insert", "update", "delete"].iter().any(|word| sql.starts_with(word))
}

/// A regular expression for exactly this message, as readable as can be.
fn escaped(message: &str) -> String {
    let mut pattern = String::from("^");
    for character in message.chars() {
        if r".+*?()|[]{}^$\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "$"
}
