//! The types of random expressions, their edge values and aggregates.

use super::forms::{
    BOOL, DATE, FLOAT8, INT2, INT4, INT8, INTERVAL, INTS, JSONB, NUMERIC, TEXT, TEXTS, TIMESTAMP, TIMESTAMPTZ,
};

/// A type of a random expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    Bool,
    Int2,
    Int4,
    Int8,
    Float8,
    Numeric,
    Text,
    Date,
    Timestamp,
    Timestamptz,
    Interval,
    Jsonb,
    Ints,
    Texts,
}

pub const TYPES: &[Ty] = &[
    Ty::Bool,
    Ty::Int2,
    Ty::Int4,
    Ty::Int4,
    Ty::Int8,
    Ty::Float8,
    Ty::Numeric,
    Ty::Text,
    Ty::Text,
    Ty::Date,
    Ty::Timestamp,
    Ty::Timestamptz,
    Ty::Interval,
    Ty::Jsonb,
    Ty::Ints,
    Ty::Texts,
];

impl Ty {
    pub fn name(self) -> &'static str {
        match self {
            Ty::Bool => "boolean",
            Ty::Int2 => "smallint",
            Ty::Int4 => "integer",
            Ty::Int8 => "bigint",
            Ty::Float8 => "double precision",
            Ty::Numeric => "numeric",
            Ty::Text => "text",
            Ty::Date => "date",
            Ty::Timestamp => "timestamp",
            Ty::Timestamptz => "timestamptz",
            Ty::Interval => "interval",
            Ty::Jsonb => "jsonb",
            Ty::Ints => "int[]",
            Ty::Texts => "text[]",
        }
    }

    /// The type of a hole in a form.
    pub fn of_letter(letter: char) -> Option<Ty> {
        Some(match letter {
            'b' => Ty::Bool,
            's' => Ty::Int2,
            'i' => Ty::Int4,
            'l' => Ty::Int8,
            'f' => Ty::Float8,
            'n' => Ty::Numeric,
            't' => Ty::Text,
            'd' => Ty::Date,
            'p' => Ty::Timestamp,
            'z' => Ty::Timestamptz,
            'v' => Ty::Interval,
            'j' => Ty::Jsonb,
            'a' => Ty::Ints,
            'x' => Ty::Texts,
            _ => return None,
        })
    }

    pub fn literals(self) -> &'static [&'static str] {
        match self {
            Ty::Bool => &["true", "false", "(NULL::boolean)"],
            Ty::Int2 => &["0::smallint", "1::smallint", "(-3)::smallint", "32767::smallint", "7::int2"],
            Ty::Int4 => &["0", "1", "2", "3", "-1", "10", "2147483647", "(-2147483647)", "NULL::int"],
            Ty::Int8 => &["0::bigint", "5::bigint", "(-7)::int8", "9223372036854775807", "3000000000"],
            Ty::Float8 => &[
                "0::float8",
                "1.5::float8",
                "'-0'::float8",
                "1e10::float8",
                "'NaN'::float8",
                "'Infinity'::float8",
                "-2.25::float8",
            ],
            Ty::Numeric => &["0.0", "1.5", "-2.75", "10.00", "0.001", "123456.789", "NULL::numeric"],
            Ty::Text => &["''", "'a'", "'abc'", "'Ab c'", "' x '", "'a€b'", "'a%b_c'", "'12'", "NULL::text", "'x,y,z'"],
            Ty::Date => &["date '2024-02-29'", "date '1999-12-31'", "date '2000-01-01'", "NULL::date"],
            Ty::Timestamp => {
                &["timestamp '2024-03-31 23:59:59.999999'", "timestamp '2000-01-01'", "timestamp '1969-12-31 12:00'"]
            }
            Ty::Timestamptz => &["timestamptz '2024-02-29 12:34:56+02'", "timestamptz '2000-01-01 00:00:00Z'"],
            Ty::Interval => &[
                "interval '1 day'",
                "interval '1 year 2 mons 3 days 04:05:06.789'",
                "interval '-1 month'",
                "interval '0'",
                "interval '36 hours'",
            ],
            Ty::Jsonb => &[
                r#"'{"a": 1, "b": [1, 2, {"c": null}]}'::jsonb"#,
                "'[1, \"two\", null, 4.50]'::jsonb",
                "'null'::jsonb",
                "'\"text\"'::jsonb",
                "'12'::jsonb",
                "'{}'::jsonb",
            ],
            Ty::Ints => &["ARRAY[1,2,3]", "ARRAY[]::int[]", "ARRAY[3,NULL,1]", "NULL::int[]", "'{5}'::int[]"],
            Ty::Texts => &["ARRAY['a','b']", "ARRAY['x',NULL,'']", "'{}'::text[]"],
        }
    }

    pub fn forms(self) -> &'static [&'static str] {
        match self {
            Ty::Bool => BOOL,
            Ty::Int2 => INT2,
            Ty::Int4 => INT4,
            Ty::Int8 => INT8,
            Ty::Float8 => FLOAT8,
            Ty::Numeric => NUMERIC,
            Ty::Text => TEXT,
            Ty::Date => DATE,
            Ty::Timestamp => TIMESTAMP,
            Ty::Timestamptz => TIMESTAMPTZ,
            Ty::Interval => INTERVAL,
            Ty::Jsonb => JSONB,
            Ty::Ints => INTS,
            Ty::Texts => TEXTS,
        }
    }

    /// Aggregates that give this type; the answer hangs on the rows alone, not on their order.
    pub fn aggregates(self) -> &'static [&'static str] {
        match self {
            Ty::Bool => &["bool_and({b})", "bool_or({b})", "every({b})"],
            Ty::Int2 => &["min({s})", "max({s})"],
            Ty::Int4 => &["min({i})", "max({i})", "max(DISTINCT {i})", "bit_and({i})", "bit_or({i})"],
            Ty::Int8 => &[
                "count(*)",
                "count({t})",
                "count({i})",
                "count(DISTINCT {i})",
                "count(DISTINCT {t})",
                "sum({i})",
                "sum({s})",
                "sum(DISTINCT {i})",
                "max({l})",
                "count(DISTINCT ({i}, {t}))",
            ],
            Ty::Float8 => &[
                "min({f})",
                "max({f})",
                "sum(({i})::float8)",
                "avg(({i})::float8)",
                "stddev(({s})::float8)",
                "var_pop(({s})::float8)",
            ],
            Ty::Numeric => {
                &["sum({n})", "min({n})", "max({n})", "avg({i})", "sum({l})", "avg(DISTINCT {s})", "avg({n})"]
            }
            Ty::Text => &["min({t})", "max({t})", "string_agg($, ',' ORDER BY $)", "string_agg($, '' ORDER BY $ DESC)"],
            Ty::Date => &["min({d})", "max({d})"],
            Ty::Timestamp => &["min({p})", "max({p})"],
            Ty::Timestamptz => &["min({z})", "max({z})"],
            Ty::Interval => &["min({v})", "max({v})", "sum({v})", "avg({v})"],
            Ty::Ints => &["array_agg($ ORDER BY $)", "array_agg(DISTINCT $ ORDER BY $ DESC)"],
            Ty::Texts => &["array_agg($ ORDER BY $)", "array_agg($ ORDER BY length($), $ NULLS FIRST)"],
            Ty::Jsonb => &[],
        }
    }

    /// What is made of aggregates.
    pub fn of_aggregates(self) -> &'static [&'static str] {
        match self {
            Ty::Int4 => &["coalesce(max({i}), 0)", "max({i}) - min({i})", "CASE WHEN count(*) > 2 THEN min({i}) END"],
            Ty::Int8 => &[
                "coalesce(sum({i}), 0)",
                "count(*) - count({i})",
                "count(*) FILTER (WHERE {b})",
                "sum(CASE WHEN {b} THEN 1 ELSE 0 END)",
                "count(DISTINCT {d}) + count(DISTINCT {t})",
                "sum(count(*)) OVER ()",
                "rank() OVER (ORDER BY count(*) DESC)",
            ],
            Ty::Numeric => &[
                "round(avg({n}), 2)",
                "sum({n}) / nullif(count(*), 0)",
                "round(100.0 * count(*) FILTER (WHERE {b}) / count(*), 1)",
                "sum({i} * {n})",
            ],
            Ty::Float8 => &[
                "percentile_cont(0.5) WITHIN GROUP (ORDER BY ({i})::float8)",
                "max(({i})::float8) / nullif(count({i}), 0)",
            ],
            Ty::Text => &["upper(min({t}))", "max({t}) || '-' || min({t})", "min({i})::text"],
            Ty::Bool => &["count(*) > 2", "max({i}) = min({i})", "bool_and({b}) AND bool_or({b})"],
            Ty::Date => &["max({p})::date", "min({d}) + 1"],
            Ty::Interval => &["max({p}) - min({p})", "max({z}) - min({z})"],
            _ => &[],
        }
    }

    /// The text under which equal values are written alike: equal intervals can be written in several ways, and zero.
    pub fn canonical(self, value: &str) -> String {
        match self {
            Ty::Interval => format!("justify_interval({value})"),
            Ty::Float8 => format!("({value} + 0)"),
            _ => value.to_owned(),
        }
    }
}
