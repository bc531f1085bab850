//! FROM of random queries.

use super::query::{Name, Queries, TABLES};
use super::ty::Ty;

impl Queries {
    /// FROM: tables, queries and functions, joined; and the names that they have.
    pub(super) fn from(&mut self, depth: usize, outer: &[Name]) -> (String, Vec<Name>) {
        let mut names: Vec<Name> = Vec::new();
        let mut text = self.item(depth, outer, &mut names);
        // Deep down few rows, or their products are too many.
        for _ in 0..self.random.below(if depth > 2 { 3 } else { 2 }) {
            let before = names.len();
            match self.random.below(10) {
                0 => {
                    let right = self.item(depth, outer, &mut names);
                    text = format!("{text} CROSS JOIN {right}");
                }
                1 if !self.plain && depth > 1 => {
                    let mut visible = outer.to_vec();
                    visible.extend(names.iter().cloned());
                    let right = self.derived(depth, &visible, &mut names);
                    let kind = self.random.pick(&["CROSS JOIN LATERAL", "LEFT JOIN LATERAL"]);
                    let on = if kind.starts_with("LEFT") { " ON true" } else { "" };
                    text = format!("{text} {kind} {right}{on}");
                }
                2 if !self.plain => {
                    let name = self.fresh("g");
                    let mut seen = names.clone();
                    let stop = self.value(Ty::Int4, 1, &mut seen);
                    text = format!("{text} CROSS JOIN LATERAL generate_series(1, ({stop}) % 4) AS {name}(n)");
                    names.push(Name { text: format!("{name}.n"), ty: Ty::Int4 });
                }
                3 => text = self.unnested(&text, &mut names),
                4 if names.iter().filter(|name| name.text.ends_with(".k")).count() == 1 && !text.contains("JOIN") => {
                    let (table, columns) = self.random.pick(TABLES);
                    let alias = self.fresh(table);
                    names.extend(Self::columns_of(&alias, columns));
                    let kind = self.random.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                    text = format!("{text} {kind} {table} AS {alias} USING (k)");
                    names.push(Name { text: "k".to_owned(), ty: Ty::Int4 });
                }
                _ => {
                    let right = self.item(depth, outer, &mut names);
                    let kind = self.random.pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                    let on = self.condition(kind, &names, before);
                    text = format!("{text} {kind} {right} ON {on}");
                }
            }
        }
        names.extend(outer.iter().cloned());
        (text, names)
    }

    /// What joins the names before `split` with those from there.
    fn condition(&mut self, kind: &str, names: &[Name], split: usize) -> String {
        let (left, right) = names.split_at(split);
        let pairs: Vec<(&Name, &Name)> = left
            .iter()
            .flat_map(|a| right.iter().map(move |b| (a, b)))
            .filter(|(a, b)| a.ty == b.ty && !matches!(a.ty, Ty::Jsonb))
            .collect();
        let mut on = match pairs.is_empty() {
            true => "1 = 1".to_owned(),
            false => {
                let (a, b) = self.random.pick(&pairs);
                format!("{} = {}", a.text, b.text)
            }
        };
        if self.random.one_in(4) {
            let mut seen = names.to_vec();
            let more = self.value(Ty::Bool, 1, &mut seen);
            on = match kind {
                // PostgreSQL merges or hashes a full join: it needs an equality that stands alone.
                "FULL JOIN" => on,
                _ if self.random.one_in(3) => format!("{on} OR {more}"),
                _ => format!("{on} AND {more}"),
            };
        }
        on
    }

    fn item(&mut self, depth: usize, outer: &[Name], names: &mut Vec<Name>) -> String {
        if depth > 1 && self.random.one_in(4) {
            return self.derived(depth, outer, names);
        }
        let (table, columns) = self.random.pick(TABLES);
        let alias = self.fresh(table);
        names.extend(Self::columns_of(&alias, columns));
        format!("{table} AS {alias}")
    }

    fn columns_of(alias: &str, columns: &[(&str, Ty)]) -> Vec<Name> {
        columns.iter().map(|(column, ty)| Name { text: format!("{alias}.{column}"), ty: *ty }).collect()
    }

    /// The elements of an array beside the rows they are of.
    fn unnested(&mut self, text: &str, names: &mut Vec<Name>) -> String {
        let alias = self.fresh("u");
        let mut seen = names.clone();
        let (call, ty) = match self.random.below(4) {
            0 => (format!("unnest({})", self.value(Ty::Texts, 1, &mut seen)), Ty::Text),
            1 => {
                let day = self.value(Ty::Timestamp, 1, &mut seen);
                let call = format!("generate_series(date_trunc('day', {day}), {day}, interval '7 hours')");
                (call, Ty::Timestamp)
            }
            2 => (format!("jsonb_array_elements_text({})", self.value(Ty::Jsonb, 1, &mut seen)), Ty::Text),
            _ => (format!("unnest({})", self.value(Ty::Ints, 1, &mut seen)), Ty::Int4),
        };
        names.push(Name { text: format!("{alias}.n"), ty });
        let kind = self.random.pick(&["CROSS JOIN LATERAL", "LEFT JOIN LATERAL"]);
        let on = if kind.starts_with("LEFT") { " ON true" } else { "" };
        match self.random.one_in(2) {
            true => {
                names.push(Name { text: format!("{alias}.o"), ty: Ty::Int8 });
                format!("{text} {kind} {call} WITH ORDINALITY AS {alias}(n, o){on}")
            }
            false => format!("{text} {kind} {call} AS {alias}(n){on}"),
        }
    }

    fn derived(&mut self, depth: usize, outer: &[Name], names: &mut Vec<Name>) -> String {
        let types: Vec<Ty> = (0..1 + self.random.below(3)).map(|_| self.column_type()).collect();
        let query = self.rows(&types, depth - 1, outer);
        let alias = self.fresh("q");
        let columns: Vec<String> = (0..types.len()).map(|at| format!("c{at}")).collect();
        for (column, ty) in columns.iter().zip(&types) {
            names.push(Name { text: format!("{alias}.{column}"), ty: *ty });
        }
        format!("({query}) AS {alias}({})", columns.join(", "))
    }
}
