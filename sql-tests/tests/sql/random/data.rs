//! The tables of the random queries, with few values of each type, so that they meet.

use levada_testing::Dice;

pub const TABLES: &[&str] = &[
    "CREATE TABLE a (id int PRIMARY KEY, k int, b bigint, s text, f float8, n numeric(10,2), d date, p timestamp, o boolean)",
    "CREATE TABLE b (id int PRIMARY KEY, k int, h smallint, s text, z timestamptz, v interval, j jsonb, l int[])",
    "CREATE TABLE c (k int, s text)",
    "CREATE TABLE e (k int, s text, x text[])",
];

/// What is left of another seed.
pub const DROPS: &[&str] =
    &["DROP TABLE IF EXISTS a", "DROP TABLE IF EXISTS b", "DROP TABLE IF EXISTS c", "DROP TABLE IF EXISTS e"];

const INTS: &[&str] = &["0", "1", "2", "3", "7", "-1", "NULL"];
const BIGS: &[&str] = &["0", "5", "3000000000", "-7", "NULL"];
const TEXTS: &[&str] = &["'a'", "'abc'", "'Abc'", "''", "'x,y'", "' b '", "'€b'", "'1'", "NULL"];
const FLOATS: &[&str] = &["0", "1.5", "-2.25", "1e10", "'NaN'", "'-0'", "'-Infinity'", "NULL"];
const NUMERICS: &[&str] = &["0", "1.50", "-2.75", "100.00", "0.01", "NULL"];
const DATES: &[&str] = &["'2024-02-29'", "'1999-12-31'", "'2000-01-01'", "NULL"];
const TIMESTAMPS: &[&str] = &["'2024-03-31 23:59:59.999999'", "'2000-01-01'", "'1969-12-31 12:00'", "NULL"];
const ZONED: &[&str] = &["'2024-02-29 12:34:56+02'", "'2000-01-01 00:00Z'", "NULL"];
const INTERVALS: &[&str] =
    &["'1 day'", "'24:00'", "'30 days'", "'1 month'", "'1 month -1 day'", "'-04:05:06.789'", "NULL"];
const DOCUMENTS: &[&str] =
    &[r#"'{"a": 1, "b": [1, 2]}'"#, "'[1, \"x\", null]'", "'null'", "'\"s\"'", r#"'{"a": {"c": 2.50}}'"#, "NULL"];
const LISTS: &[&str] = &["'{}'", "'{1,2,3}'", "'{NULL,7}'", "NULL"];
const BOOLS: &[&str] = &["true", "false", "NULL"];

const LISTS_OF_TEXT: &[&str] = &["'{}'", "'{a,b}'", "'{NULL,\"\",abc}'", "'{1}'", "NULL"];

/// Columns and the values that they can have.
type Columns = &'static [(&'static str, &'static [&'static str])];

/// The columns of the tables beside `id`.
const COLUMNS: &[(&str, Columns)] = &[
    (
        "a",
        &[
            ("k", INTS),
            ("b", BIGS),
            ("s", TEXTS),
            ("f", FLOATS),
            ("n", NUMERICS),
            ("d", DATES),
            ("p", TIMESTAMPS),
            ("o", BOOLS),
        ],
    ),
    ("b", &[("k", INTS), ("h", INTS), ("s", TEXTS), ("z", ZONED), ("v", INTERVALS), ("j", DOCUMENTS), ("l", LISTS)]),
    ("c", &[("k", INTS), ("s", TEXTS)]),
    ("e", &[("k", INTS), ("s", TEXTS), ("x", LISTS_OF_TEXT)]),
];

fn keyed(table: &str) -> bool {
    matches!(table, "a" | "b")
}

fn row(random: &mut Dice, table: &str, id: usize) -> String {
    let columns = COLUMNS.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, columns)| columns);
    let mut values: Vec<String> = columns.iter().map(|(_, values)| random.pick(values).to_owned()).collect();
    if keyed(table) {
        values.insert(0, id.to_string());
    }
    format!("({})", values.join(", "))
}

/// The first rows of all tables but `e`, which has none.
pub fn filled(random: &mut Dice) -> Vec<String> {
    let insert = |(table, rows)| {
        let rows: Vec<String> = (0..rows).map(|id| row(random, table, id)).collect();
        format!("INSERT INTO {table} VALUES {}", rows.join(", "))
    };
    [("a", 9), ("b", 8), ("c", 7)].map(insert).into()
}

/// A change of some rows; `id` is new.
pub fn change(random: &mut Dice, id: usize) -> String {
    let (table, columns) = random.pick(COLUMNS);
    let (column, values) = random.pick(columns);
    match random.below(8) {
        0..=2 => format!("INSERT INTO {table} VALUES {}", row(random, table, id)),
        3 => format!("DELETE FROM {table} WHERE k = {}", random.pick(&INTS[..5])),
        4 => format!("UPDATE {table} SET k = {} WHERE k IS NOT DISTINCT FROM {}", random.pick(INTS), random.pick(INTS)),
        5 => format!("UPDATE {table} SET {column} = {} WHERE s = {}", random.pick(values), random.pick(TEXTS)),
        6 if keyed(table) => {
            let id = random.below(9);
            let row = row(random, table, id);
            format!("INSERT INTO {table} VALUES {row} ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}")
        }
        _ => format!("UPDATE {table} SET s = {}, k = k + 1 WHERE s = {}", random.pick(TEXTS), random.pick(TEXTS)),
    }
}
