use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::data::{Column, RelationSchema, SqlType};

fn item(id: u32, name: &str, kind: ItemKind, primary_key: Option<Vec<usize>>) -> Item {
    let columns = [("k", SqlType::Int4), ("at", SqlType::Timestamp), ("ok", SqlType::Bool)];
    let columns = columns.map(|(name, ty)| Column::new(name.to_owned(), ty, true)).to_vec();
    let schema = RelationSchema { columns, primary_key };
    Item {
        id: ObjectId(id),
        name: name.to_owned(),
        kind,
        schema,
        create_sql: String::new(),
        depends_on: Vec::new(),
        suspended: None,
    }
}

fn view(id: u32, name: &str, query: &str, emit_on_window_close: bool) -> Item {
    let (query, time_zone, partial) = (query.to_owned(), "UTC".to_owned(), BTreeMap::new());
    let kind = ItemKind::MaterializedView { query, time_zone, strict: false, emit_on_window_close, partial };
    item(id, name, kind, None)
}

fn catalog() -> Catalog {
    let table = |connector| ItemKind::Table { defaults: vec![None; 3], connector };
    let mut catalog = Catalog::default();
    let items = [
        item(30_000, "s", ItemKind::Source { connector: json!({}) }, None),
        item(30_001, "kept", table(Some(json!({}))), None),
        item(30_002, "fading", table(Some(json!({ "retention": 1000 }))), None),
        item(30_003, "keyed", table(Some(json!({}))), Some(vec![0])),
        item(30_004, "own", table(None), None),
        view(30_005, "copy", "SELECT k, at, ok FROM s WHERE k > 0", false),
        view(30_006, "totals", "SELECT count(*)::int AS k, max(at) AS at, bool_or(ok) AS ok FROM s", false),
    ];
    items.into_iter().for_each(|item| catalog.insert(item).unwrap());
    catalog
}

fn grows(query: &str) -> Vec<String> {
    growing_state(&view(40_000, "v", query, false), &catalog()).unwrap()
}

#[test]
fn what_keeps_rows_that_only_come_is_told() {
    let told = |query: &str, expected: &[&str]| assert_eq!(grows(query), expected, "{query}");
    told("SELECT k, count(*) FROM s GROUP BY k", &["GROUP BY k keeps every group of source \"s\"."]);
    told("SELECT k + 1, count(*) FROM kept GROUP BY k + 1", &["GROUP BY keeps every group of table \"kept\"."]);
    told("SELECT DISTINCT k FROM s", &["DISTINCT keeps every different row of source \"s\"."]);
    told("SELECT count(DISTINCT k) FROM s", &["Count(DISTINCT k) keeps every different value of source \"s\"."]);
    told("SELECT s.k FROM s JOIN own ON s.k = own.k", &["JOIN keeps every row of source \"s\"."]);
    told(
        "SELECT s.k FROM s LEFT JOIN copy ON s.k = copy.k",
        &["JOIN keeps every row of materialized view \"copy\" and source \"s\"."],
    );
    told("SELECT k FROM own WHERE k IN (SELECT k FROM s)", &["EXISTS or IN keeps every row of source \"s\"."]);
    told(
        "SELECT k, count(*) AS c FROM s GROUP BY k ORDER BY c LIMIT 3",
        &["LIMIT keeps every row of source \"s\".", "GROUP BY k keeps every group of source \"s\"."],
    );
    told(
        "SELECT window_end, count(*) FROM TUMBLE(s, at, INTERVAL '1 minute') GROUP BY window_start, window_end",
        &["GROUP BY window_start, window_end keeps every group of source \"s\"."],
    );
}

#[test]
fn what_has_a_bound_is_not_told() {
    for query in [
        "SELECT * FROM s",
        "SELECT count(*), min(k), max(at) FROM s WHERE k > 0",
        "SELECT ok, count(*) FROM s GROUP BY ok",
        "SELECT k FROM s ORDER BY at DESC LIMIT 3",
        "SELECT k, count(*) FROM fading GROUP BY k",
        "SELECT k, count(*) FROM keyed GROUP BY k",
        "SELECT k, count(*) FROM own GROUP BY k",
        "SELECT l.k FROM fading l JOIN keyed r ON l.k = r.k",
        "SELECT k, count(*) FROM totals GROUP BY k",
        "SELECT totals.k FROM totals JOIN own ON totals.k = own.k",
    ] {
        assert_eq!(grows(query), Vec::<String>::new(), "{query}");
    }
}

/// The windows go when they close; what stands on the view has its rows, which stay.
#[test]
fn windows_that_close_go() {
    let query = "SELECT window_end AS at, count(*)::int AS k, true AS ok FROM TUMBLE(s, at, INTERVAL '1 minute') \
                 GROUP BY window_end";
    let mut catalog = catalog();
    let closing = view(40_000, "v", query, true);
    assert_eq!(growing_state(&closing, &catalog).unwrap(), Vec::<String>::new());
    catalog.insert(closing).unwrap();
    let above = view(40_001, "w", "SELECT k, count(*) FROM v GROUP BY k", false);
    let expected = ["GROUP BY k keeps every group of materialized view \"v\"."];
    assert_eq!(growing_state(&above, &catalog).unwrap(), expected);
}
