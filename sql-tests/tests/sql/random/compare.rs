//! Whether two databases say the same.

use std::collections::BTreeMap;

use sqllogictest::{AsyncDB, DBOutput};

use crate::render::SqlError;
use crate::wire::Wire;

use super::query::Query;

/// What a database answers: the line of column names and types, and the rows.
pub type Answer = Result<(String, Vec<String>), SqlError>;

pub async fn ask(database: &mut Wire, sql: &str) -> Answer {
    match database.run(sql).await? {
        DBOutput::Rows { rows, .. } => {
            let mut lines = rows.into_iter().flatten();
            Ok((lines.next().unwrap_or_default(), lines.collect()))
        }
        DBOutput::StatementComplete(rows) => Ok((format!("{rows} rows changed"), Vec::new())),
        _ => Ok((String::new(), Vec::new())),
    }
}

/// How an answer of Levada's stands to PostgreSQL's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    /// 0A000, by name.
    Refused(String),
    /// One of them met an error in data that the other did not: which rows an expression sees is left open by SQL.
    ErrorElsewhere,
    Differs,
}

/// `strict` where every expression is evaluated, once.
pub fn verdict(query: &Query, strict: bool, ours: &Answer, theirs: &Answer) -> Verdict {
    // 57014: some queries have too many rows for a test.
    let of_data =
        |error: &SqlError| error.sqlstate.starts_with("22") || matches!(error.sqlstate.as_str(), "21000" | "57014");
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if comparable(ours, query.ordered) == comparable(theirs, query.ordered) => {
            Verdict::Agrees
        }
        (Err(ours), Err(theirs)) if ours.sqlstate == theirs.sqlstate => Verdict::Agrees,
        (Err(ours), _) if ours.sqlstate == "0A000" => Verdict::Refused(ours.message.clone()),
        // Of several things that are wrong with a query, each may find another one first.
        (Err(_), Err(_)) if !strict => Verdict::ErrorElsewhere,
        (Err(error), Ok(_)) if !strict && of_data(error) => Verdict::ErrorElsewhere,
        // What is compared with NULL may not be computed.
        (Ok(_), Err(error)) if (!strict || query.sql.contains("NULL")) && of_data(error) => Verdict::ErrorElsewhere,
        // A bare numeric has 20 digits before the point here.
        (Err(error), Ok((header, _))) if error.sqlstate == "22003" && error.message.contains("numeric") => {
            Verdict::Refused(format!("a large numeric: {header}"))
        }
        _ => Verdict::Differs,
    }
}

/// The answer in a form in which it can be compared: numbers that are no decimals of a fixed scale by their first digits,
/// and rows without an order in one.
pub fn comparable((header, rows): &(String, Vec<String>), ordered: bool) -> (String, Vec<String>) {
    let types: Vec<&str> = header.split('|').map(|column| column.rsplit(':').next().unwrap_or_default()).collect();
    let rows = rows.iter().map(|row| {
        let values = row.split('|').enumerate().map(|(at, value)| match types.get(at) {
            Some(&("numeric" | "float8" | "float4")) => rounded(value),
            _ => value.to_owned(),
        });
        values.collect::<Vec<_>>().join("|")
    });
    let mut rows: Vec<String> = rows.collect();
    if !ordered {
        rows.sort();
    }
    (header.clone(), rows)
}

fn rounded(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(number) if number.abs() < 1e-12 => "0".to_owned(),
        Ok(number) => format!("{number:.9e}"),
        Err(_) => value.to_owned(),
    }
}

/// What came of many queries.
pub struct Report {
    what: &'static str,
    asked: usize,
    answered: usize,
    elsewhere: usize,
    refused: BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Report {
    pub fn new(what: &'static str) -> Report {
        let (asked, answered, elsewhere) = (0, 0, 0);
        Report { what, asked, answered, elsewhere, refused: BTreeMap::new(), failures: Vec::new() }
    }

    pub fn add(&mut self, seed: u64, sql: &str, verdict: Verdict, ours: &Answer, theirs: &Answer) {
        self.asked += 1;
        match verdict {
            Verdict::Agrees => self.answered += usize::from(ours.is_ok()),
            Verdict::Refused(what) => *self.refused.entry(what).or_default() += 1,
            Verdict::ErrorElsewhere => self.elsewhere += 1,
            Verdict::Differs => {
                let (what, ours, theirs) = (self.what, shown(ours), shown(theirs));
                self.failures.push(format!("seed {seed}, {what}: {sql};\n  Levada: {ours}\n  wanted: {theirs}\n"));
            }
        }
    }

    /// Says what came of the queries, and returns those that differ.
    pub fn finish(self) -> Vec<String> {
        let Report { what, asked, answered, elsewhere, refused, failures } = self;
        let mut refused: Vec<(usize, String)> = refused.into_iter().map(|(what, times)| (times, what)).collect();
        refused.sort_by(|a, b| b.cmp(a));
        let total: usize = refused.iter().map(|(times, _)| times).sum();
        println!(
            "{what}: {asked} asked, {answered} answered, {total} refused, {elsewhere} with errors in other rows, {} differ",
            failures.len()
        );
        refused.iter().take(25).for_each(|(times, what)| println!("  refused {times} times: {what}"));
        assert!(answered * 2 > asked, "{what}: most queries say nothing");
        failures
    }
}

fn shown(answer: &Answer) -> String {
    match answer {
        Ok((header, rows)) => {
            let first: Vec<&str> = rows.iter().take(12).map(String::as_str).collect();
            format!("{header} ({} rows)\n    {}", rows.len(), first.join("\n    "))
        }
        Err(error) => error.to_string(),
    }
}
