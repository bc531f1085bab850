//! How the scripts write answers: one line of column names and types, then a line per row.
//!
//! ```text
//! id:int4|name:text|price:numeric(10,2)
//! 1|apple|0.30
//! 2|NULL|(empty)
//! ```

use std::fmt;

use sqllogictest::{DBOutput, DefaultColumnType};

/// A column of a result: its name and, where they are known, its type's name in `pg_type` and modifier.
pub struct Column {
    pub name: String,
    pub ty: Option<(String, i32)>,
}

/// A modifier counts the four bytes of a length word.
const MODIFIER_OFFSET: i32 = 4;

/// What a statement that returns rows answered; values are in PostgreSQL's text form.
pub struct Answer {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Answer {
    /// The answers of a query string's statements, or only how many rows the last one changed.
    pub fn output(answers: &[Answer], changed: u64) -> DBOutput<DefaultColumnType> {
        if answers.is_empty() {
            return DBOutput::StatementComplete(changed);
        }
        let lines = answers.iter().flat_map(|answer| {
            let rows = answer.rows.iter().map(|values| row(values));
            std::iter::once(header(&answer.columns)).chain(rows)
        });
        DBOutput::Rows { types: Vec::new(), rows: lines.map(|line| vec![line]).collect() }
    }
}

pub fn header(columns: &[Column]) -> String {
    if columns.is_empty() {
        return "(no columns)".to_owned();
    }
    columns.iter().map(Column::to_string).collect::<Vec<_>>().join("|")
}

fn row(values: &[Option<String>]) -> String {
    let values: Vec<String> = values.iter().map(|text| value(text.as_deref())).collect();
    if values.is_empty() { "(row)".to_owned() } else { values.join("|") }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.ty {
            None => Ok(()),
            Some((ty, -1)) => write!(f, ":{ty}"),
            Some((ty, modifier)) if ty.ends_with("numeric") => {
                let modifier = modifier - MODIFIER_OFFSET;
                write!(f, ":{ty}({},{})", modifier >> 16, modifier & 0x7ff)
            }
            Some((ty, modifier)) if ty.ends_with("varchar") || ty.ends_with("bpchar") => {
                write!(f, ":{ty}({})", modifier - MODIFIER_OFFSET)
            }
            Some((ty, modifier)) => write!(f, ":{ty}({modifier})"),
        }
    }
}

/// Blanks at either end are made visible, and a value keeps to its line.
fn value(text: Option<&str>) -> String {
    let Some(text) = text else { return "NULL".to_owned() };
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let from_start = text.trim_start_matches(' ');
    let core = from_start.trim_end_matches(' ');
    let before = "␣".repeat(text.len() - from_start.len());
    let after = "␣".repeat(from_start.len() - core.len());
    format!("{before}{}{after}", core.replace('\n', "\\n").replace('\t', "\\t"))
}

/// An error as the scripts write it: `SQLSTATE: message`, with ` at POSITION` where a script asks for positions.
#[derive(Debug)]
pub struct SqlError {
    pub sqlstate: String,
    pub message: String,
    pub position: Option<usize>,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)?;
        self.position.map_or(Ok(()), |position| write!(f, " at {position}"))
    }
}

impl std::error::Error for SqlError {}

#[test]
fn answers_read_as_they_are_written() {
    let column = |name: &str, ty: Option<(&str, i32)>| Column {
        name: name.to_owned(),
        ty: ty.map(|(ty, modifier)| (ty.to_owned(), modifier)),
    };
    let columns = [
        column("a", Some(("int4", -1))),
        column("?column?", None),
        column("n", Some(("numeric", ((10 << 16) | 2) + 4))),
        column("v", Some(("varchar", 9))),
    ];
    assert_eq!(header(&columns), "a:int4|?column?|n:numeric(10,2)|v:varchar(5)");
    let values = [Some("x y"), None, Some(""), Some(" a\n ")].map(|value| value.map(str::to_owned));
    assert_eq!(row(&values), "x y|NULL|(empty)|␣a\\n␣");
    let error = SqlError { sqlstate: "22012".to_owned(), message: "division by zero".to_owned(), position: Some(8) };
    assert_eq!(error.to_string(), "22012: division by zero at 8");
}
