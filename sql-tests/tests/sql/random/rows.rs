//! SELECT, VALUES, GROUP BY, windows and set operations of random queries.

use super::query::{Name, Queries};
use super::ty::Ty;

const HAVING: &[&str] = &[
    "count(*) > 1",
    "max({i}) IS NOT NULL",
    "sum({i}) > 0",
    "bool_or({b})",
    "count(DISTINCT {t}) >= 1 AND min({t}) < max({t})",
    "avg({n}) < 100",
];

impl Queries {
    /// Rows of columns of these types; `outer` are the names of queries around.
    pub(super) fn rows(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let orderable = !types.contains(&Ty::Jsonb);
        match self.random.below(if depth > 1 { 15 } else { 7 }) {
            0..=4 => self.select(types, depth, outer),
            5 if !self.plain => self.values(types, depth, outer),
            5..=6 => self.select(types, depth, outer),
            7..=9 => self.grouped(types, depth, outer),
            10 if !self.plain => self.windowed(types, depth, outer),
            11 if orderable => {
                let rows = self.top(types, depth, outer);
                self.filtered(rows, types)
            }
            12 if orderable => {
                let rows = self.distinct_on(types, depth, outer);
                self.filtered(rows, types)
            }
            13 if orderable && !self.plain => self.ranked(types, depth, outer),
            _ => {
                let mut kinds = vec!["UNION ALL", "UNION ALL", "UNION"];
                if !self.plain || self.random.one_in(2) {
                    kinds.extend(["INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
                }
                let (left, right) = (self.rows(types, depth - 1, outer), self.rows(types, depth - 1, outer));
                format!("({left}) {} ({right})", self.random.pick(&kinds))
            }
        }
    }

    fn values(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let rows = 1 + self.random.below(3);
        let mut names = outer.to_vec();
        let rows: Vec<String> = (0..rows)
            .map(|_| {
                let values: Vec<String> = types.iter().map(|ty| self.value_of(*ty, depth - 1, &mut names)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        format!("VALUES {}", rows.join(", "))
    }

    /// A value under a cast to its type, so that columns of several queries agree.
    pub(super) fn value_of(&mut self, ty: Ty, depth: usize, names: &mut Vec<Name>) -> String {
        ty.canonical(&format!("({})::{}", self.value(ty, depth, names), ty.name()))
    }

    fn select(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let (from, mut names) = self.from(depth, outer);
        let mut item = |ty: &Ty| match (ty, self.plain) {
            (Ty::Int4, false) if self.random.one_in(15) => format!("unnest({})", self.value(Ty::Ints, 1, &mut names)),
            _ => self.value_of(*ty, depth - 1, &mut names),
        };
        let items: Vec<String> = types.iter().map(&mut item).collect();
        let distinct = if self.random.one_in(5) { "DISTINCT " } else { "" };
        let filter = self.filter(depth, &mut names);
        format!("SELECT {distinct}{} FROM {from}{filter}", items.join(", "))
    }

    fn filter(&mut self, depth: usize, names: &mut Vec<Name>) -> String {
        match self.random.one_in(2) {
            true => format!(" WHERE {}", self.value(Ty::Bool, depth, names)),
            false => String::new(),
        }
    }

    /// GROUP BY: each item is an aggregate or stands among the keys.
    fn grouped(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let (from, mut names) = self.from(depth, outer);
        let mut keys: Vec<String> = Vec::new();
        let mut items: Vec<String> = Vec::new();
        for ty in types {
            let aggregates = ty.aggregates();
            if aggregates.is_empty() || (self.random.one_in(2) && *ty != Ty::Int8) {
                let key = self.value_of(*ty, 1, &mut names);
                keys.push(key.clone());
                items.push(key);
                continue;
            }
            let item = self.aggregate(*ty, aggregates, &mut names);
            items.push(item);
        }
        let filter = self.filter(depth, &mut names);
        let group = self.group_by(&keys, &items);
        let having = match self.random.one_in(4) {
            true => {
                let form = self.random.pick(HAVING);
                format!(" HAVING {}", self.fill(form, 1, &mut names))
            }
            false => String::new(),
        };
        format!("SELECT {} FROM {from}{filter}{group}{having}", items.join(", "))
    }

    /// An aggregate, or what is made of several.
    fn aggregate(&mut self, ty: Ty, aggregates: &[&str], names: &mut Vec<Name>) -> String {
        let combined = ty.of_aggregates();
        if !combined.is_empty() && self.random.one_in(4) {
            let form = self.random.pick(combined);
            let item = self.fill(form, 1, names);
            return ty.canonical(&format!("({item})::{}", ty.name()));
        }
        let form = self.random.pick(aggregates);
        let element = match form.contains('$') {
            true if ty == Ty::Ints => self.value_of(Ty::Int4, 1, names),
            true => self.value_of(Ty::Text, 1, names),
            false => String::new(),
        };
        let call = self.fill(form, 1, names).replace('$', &element);
        let filter = match self.random.one_in(6) {
            true => format!(" FILTER (WHERE {})", self.value(Ty::Bool, 1, names)),
            false => String::new(),
        };
        ty.canonical(&format!("({call}{filter})::{}", ty.name()))
    }

    fn group_by(&mut self, keys: &[String], items: &[String]) -> String {
        let Some(first) = keys.first() else { return String::new() };
        let all = keys.join(", ");
        // PostgreSQL 15 leaves a constant what it is where its group has none.
        let constant = |key: &String| !key.contains('.') || key.contains("SELECT");
        let kinds = if self.plain || keys.iter().any(constant) { 4 } else { 8 };
        match self.random.below(kinds) {
            0 => {
                let places = keys.iter().map(|key| match items.iter().position(|item| item == key) {
                    Some(at) => (at + 1).to_string(),
                    None => key.clone(),
                });
                format!(" GROUP BY {}", places.collect::<Vec<_>>().join(", "))
            }
            4 => format!(" GROUP BY ROLLUP ({all})"),
            5 => format!(" GROUP BY CUBE ({all})"),
            6 => format!(" GROUP BY GROUPING SETS (({all}), ({first}), ())"),
            _ => format!(" GROUP BY {all}"),
        }
    }

    /// Window functions whose answers do not hang on the order of equal rows.
    fn windowed(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let (from, mut names) = self.from(depth, outer);
        let mut items = Vec::new();
        for ty in types {
            let forms: &[&str] = match ty {
                Ty::Int8 => &["rank()", "dense_rank()", "count(*)", "count({t})", "sum({i})"],
                Ty::Int4 => &["max({i})", "min({i})", "first_value(ORDER)", "last_value(ORDER)"],
                Ty::Text => &["max({t})", "min({t})"],
                Ty::Float8 => &["percent_rank()", "cume_dist()"],
                Ty::Numeric => &["avg({i})", "sum({n})"],
                Ty::Bool => &["bool_or({b})"],
                _ => &[],
            };
            if forms.is_empty() {
                items.push(self.value_of(*ty, 1, &mut names));
                continue;
            }
            let form = self.random.pick(forms);
            let order = self.value(Ty::Int4, 1, &mut names);
            let call = self.fill(&form.replace("ORDER", "{i}"), 1, &mut names);
            let call = if form.contains("ORDER") { form.replace("ORDER", &order) } else { call };
            let partition = match self.random.one_in(2) {
                true => format!("PARTITION BY {} ", self.value(Ty::Text, 1, &mut names)),
                false => String::new(),
            };
            let frame = self.random.pick(&[
                "",
                "",
                " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                " RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
                " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            ]);
            let direction = self.direction();
            items.push(format!("({call} OVER ({partition}ORDER BY {order}{direction}{frame}))::{}", ty.name()));
        }
        let filter = self.filter(depth, &mut names);
        format!("SELECT {} FROM {from}{filter}", items.join(", "))
    }
}
