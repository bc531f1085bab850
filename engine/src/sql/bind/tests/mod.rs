//! Queries bound and run by DataFusion without its analyzer, against what PostgreSQL 15 answers.
//!
//! `queries.golden` holds, for each query (`>>` where the order of rows counts), names and types of the result and its
//! rows, or the error with SQLSTATE, position and hint, as PostgreSQL 15 gave them for the relations below.

mod dml;
pub(in crate::sql) mod fixture;
mod parameters;
mod views;
mod window_tables;

use crate::error::Result;
use fixture::{Answer, answer};

/// Deviations from PostgreSQL that are meant: the query, and what we say instead.
const DEVIATIONS: &[(&str, &str)] = &[
    // The parser gives no place for a frame.
    (
        "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED FOLLOWING AND CURRENT ROW) FROM t",
        "ERROR 42P20 8: frame start cannot be UNBOUNDED FOLLOWING",
    ),
    // PostgreSQL cannot run it.
    (
        "SELECT w.k, x.k FROM w FULL JOIN x ON w.k < x.k",
        "= k integer, k integer\n1|2\n1|2\n1|2\n1|2\n1|4\n1|4\n2|4\nNULL|1\nNULL|NULL\nNULL|NULL\nNULL|NULL",
    ),
    // Numerics print without trailing zeros.
    (
        "SELECT id, val - avg(val) OVER (PARTITION BY grp) AS diff FROM t",
        "= id integer, diff numeric\n1|-0.5\n2|0.5\n3|NULL\n4|0\n5|0",
    ),
    (
        "SELECT grp, count(*) * 100 / sum(count(*)) OVER () FROM t GROUP BY grp",
        "= grp integer, ?column? numeric\n10|40\n20|40\nNULL|20",
    ),
    // The type of a row has no name of its own.
    ("SELECT t FROM t WHERE id = 1", "= t record\n(1,a,10,1)"),
];

#[tokio::test]
async fn answers_as_postgresql_does() {
    let golden = include_str!("queries.golden");
    let mut failures = Vec::new();
    let mut cases = 0;
    let blocks = golden.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    for block in blocks {
        let lines = || block.lines().skip_while(|line| line.starts_with('#'));
        let Some(query) = lines().next() else { continue };
        let ordered = query.starts_with(">>");
        let sql = query.trim_start_matches('>').trim();
        let expected: Vec<&str> = lines().skip(1).collect();
        let deviation = DEVIATIONS.iter().find(|(deviating, _)| *deviating == sql);
        let expected = match deviation {
            Some((_, said)) => (*said).to_owned(),
            None => expected.join("\n"),
        };
        cases += 1;
        let found = shown(answer(sql).await, ordered);
        if found.trim_end() != expected.trim_end() {
            failures.push(format!("> {sql}\nexpected:\n{expected}\nfound:\n{found}\n"));
        }
    }
    assert!(failures.is_empty(), "{} of {cases} differ\n\n{}", failures.len(), failures.join("\n"));
}

/// An answer as the golden file writes it.
fn shown(answer: Result<Answer>, ordered: bool) -> String {
    match answer {
        Err(error) => {
            let position = error.position().map_or("-".to_owned(), |position| position.to_string());
            let first = format!("ERROR {} {position}: {}", error.sqlstate().code(), error.message());
            match error.hint() {
                Some(hint) => format!("{first}\nHINT: {hint}"),
                None => first,
            }
        }
        Ok(Answer { columns, mut rows }) => {
            if !ordered {
                rows.sort();
            }
            let head = format!("= {}", columns.join(", "));
            std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
        }
    }
}
