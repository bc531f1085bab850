//! Random queries over the test's tables.

use super::ty::{TYPES, Ty};
use levada_testing::Dice;

/// A column that expressions may name.
#[derive(Clone)]
pub(super) struct Name {
    pub text: String,
    pub ty: Ty,
}

/// The test's tables: name and columns.
pub const TABLES: &[(&str, &[(&str, Ty)])] = &[
    (
        "a",
        &[
            ("id", Ty::Int4),
            ("k", Ty::Int4),
            ("b", Ty::Int8),
            ("s", Ty::Text),
            ("f", Ty::Float8),
            ("n", Ty::Numeric),
            ("d", Ty::Date),
            ("p", Ty::Timestamp),
            ("o", Ty::Bool),
        ],
    ),
    (
        "b",
        &[
            ("id", Ty::Int4),
            ("k", Ty::Int4),
            ("h", Ty::Int2),
            ("s", Ty::Text),
            ("z", Ty::Timestamptz),
            ("v", Ty::Interval),
            ("j", Ty::Jsonb),
            ("l", Ty::Ints),
        ],
    ),
    ("c", &[("k", Ty::Int4), ("s", Ty::Text)]),
    ("e", &[("k", Ty::Int4), ("s", Ty::Text), ("x", Ty::Texts)]),
];

/// A random query and what its answer can be compared by.
pub struct Query {
    pub sql: String,
    /// Whether the order of its rows is settled.
    pub ordered: bool,
}

pub struct Queries {
    pub(super) random: Dice,
    /// Names of relations so far: each is new.
    names: usize,
    /// Only what a materialized view can keep and what no error ends.
    pub(super) plain: bool,
}

impl Queries {
    pub fn new(seed: u64) -> Queries {
        Queries { random: Dice::new(seed), names: 0, plain: false }
    }

    /// Queries of which materialized views are made.
    pub fn of_views(seed: u64) -> Queries {
        Queries { plain: true, ..Queries::new(seed) }
    }

    /// A query without tables, in which every error counts.
    pub fn expression(&mut self) -> Query {
        let ty = self.random.pick(TYPES);
        let depth = 1 + self.random.below(3);
        let value = self.value(ty, depth, &mut Vec::new());
        Query { sql: format!("SELECT {value} AS x"), ordered: true }
    }

    /// A query over tables.
    pub fn query(&mut self) -> Query {
        if !self.plain && self.random.one_in(30) {
            return Query { sql: self.recursive(), ordered: false };
        }
        let columns: Vec<Ty> = (0..1 + self.random.below(4)).map(|_| self.column_type()).collect();
        let with = match self.random.one_in(6) {
            true => {
                let types = [self.column_type(), Ty::Int4];
                let query = self.rows(&types, 2, &[]);
                Some((self.fresh("w"), query))
            }
            false => None,
        };
        let mut sql = match &with {
            Some((name, query)) => {
                let body = self.rows(&columns, 3, &[]);
                let list: Vec<String> = columns.iter().enumerate().map(|(at, _)| format!("y.c{at}")).collect();
                let names: Vec<String> = columns.iter().enumerate().map(|(at, _)| format!("c{at}")).collect();
                let kind = self.random.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                format!(
                    "WITH {name}(g, h) AS ({query}) SELECT {}, {name}.g FROM ({body}) AS y({}) {kind} {name} ON {name}.h = {}",
                    list.join(", "),
                    names.join(", "),
                    "(y.c0 IS NULL)::int"
                )
            }
            None => self.rows(&columns, 3, &[]),
        };
        let count = columns.len() + usize::from(with.is_some());
        let ordered = !self.plain && self.random.one_in(2);
        if ordered {
            let order: Vec<String> = (1..=count).map(|at| format!("{at}{}", self.direction())).collect();
            sql = format!("SELECT * FROM ({sql}) AS o ORDER BY {}", order.join(", "));
            if self.random.one_in(2) {
                sql.push_str(&format!(" LIMIT {}", self.random.below(8)));
            }
            if self.random.one_in(3) {
                sql.push_str(&format!(" OFFSET {}", self.random.below(4)));
            }
        }
        if self.plain {
            let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
            sql = format!("SELECT * FROM ({sql}) AS o({})", names.join(", "));
        }
        Query { sql, ordered }
    }

    pub(super) fn direction(&mut self) -> &'static str {
        self.random.pick::<&str>(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
    }

    /// The type of a column.
    pub(super) fn column_type(&mut self) -> Ty {
        match self.random.pick(TYPES) {
            // Not ordered yet, so that most queries with it are refused.
            Ty::Jsonb if !self.random.one_in(4) => Ty::Text,
            ty => ty,
        }
    }

    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub(super) fn value(&mut self, ty: Ty, depth: usize, names: &mut Vec<Name>) -> String {
        let columns: Vec<&Name> = names.iter().filter(|name| name.ty == ty).collect();
        let leaf = depth == 0 || self.random.one_in(4);
        if leaf && !columns.is_empty() && !self.random.one_in(4) {
            return self.random.pick(&columns).text.clone();
        }
        if leaf {
            return (self.random.pick(ty.literals())).to_owned();
        }
        let form = self.random.pick(ty.forms());
        self.fill(form, depth - 1, names)
    }

    /// A form with its holes filled.
    pub(super) fn fill(&mut self, form: &str, depth: usize, names: &mut Vec<Name>) -> String {
        let mut out = String::new();
        let mut rest = form;
        while let Some(start) = rest.find('{') {
            let (before, hole) = rest.split_at(start);
            out.push_str(before);
            let letter = hole.chars().nth(1).unwrap_or_default();
            let is_hole = hole.chars().nth(2) == Some('}');
            match (is_hole, Ty::of_letter(letter)) {
                (true, Some(ty)) => out.push_str(&self.value(ty, depth, names)),
                (true, None) if "qwr".contains(letter) => out.push_str(&self.subquery(letter, depth, names)),
                _ => {
                    out.push('{');
                    rest = &hole[1..];
                    continue;
                }
            }
            rest = &hole[3..];
        }
        out.push_str(rest);
        out
    }

    fn subquery(&mut self, letter: char, depth: usize, names: &[Name]) -> String {
        let ty = if letter == 'w' { self.random.pick(TYPES) } else { Ty::Int4 };
        let types = if letter == 'r' { vec![ty, ty] } else { vec![ty] };
        let outer: Vec<Name> = match self.random.one_in(2) {
            true => names.to_vec(),
            false => Vec::new(),
        };
        match depth {
            0 => {
                let (table, _) = self.random.pick(TABLES);
                let alias = self.fresh(table);
                let item = if letter == 'r' { "k, k" } else { "k" };
                let of_outer: Vec<&Name> = outer.iter().filter(|name| name.ty == Ty::Int4).collect();
                let filter = match of_outer.is_empty() {
                    true => String::new(),
                    false => format!(" WHERE {alias}.k = {}", self.random.pick(&of_outer).text),
                };
                format!("SELECT {} FROM {table} AS {alias}{filter}", item.replace('k', &format!("{alias}.k")))
            }
            depth => match self.rows(&types, depth, &outer) {
                // Behind ANY and ALL the parser library takes SELECT alone.
                rows if rows.starts_with('(') => format!("SELECT * FROM ({rows}) AS u"),
                rows => rows,
            },
        }
    }
}
